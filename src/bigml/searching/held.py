"""Held: a source seen through a partition: the rows of some cells."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError
from bigml.searching.cells import Dealer, Partition
from bigml.sources.source import Source, View


@dataclass(frozen=True, eq=False)
class Held:
    """An operation of a view: the rows that a dealer puts into some cells.

    Attributes:
        dealer: Tells the cell of a row.
        chosen: Of shape (n_cells,), whether each cell is kept; rows in no cell never are.
        digest: Of the dealer: the view's token tells dealers apart by it.
    """

    dealer: Dealer = field(repr=False)
    chosen: tuple[bool, ...]
    digest: str
    keeps_rows: bool = False

    def schema(self, schema: pa.Schema) -> pa.Schema:
        for name in self.dealer.columns:
            if name not in schema.names:
                raise ColumnError.missing(name, schema.names, where="in the folds")
        return schema

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*columns, *self.dealer.columns]))

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        kept = np.array([*self.chosen, False])  # a row in no cell, -1, finds the last
        return chunk.select(columns).filter(kept[self.dealer(chunk)])


def rows_of(source: Source, partition: Partition, cells: Iterable[int]) -> View:
    """The rows of a source that are in some cells of a partition: a view, so nothing is copied and nothing read.

    It holds the same rows for any chunking. For instance `rows_of(source, partition, split.train)`.

    Raises:
        ConfigError: The partition has no such cell.
        ColumnError: The source lacks a column that tells the cell of a row.
    """
    wanted = frozenset(int(cell) for cell in cells)
    unknown = sorted(wanted.difference(range(partition.n_cells)))
    if unknown:
        raise ConfigError(f"cells from 0 to {partition.n_cells - 1}", got=f"{unknown[0]}", where="in rows_of")
    chosen = tuple(cell in wanted for cell in range(partition.n_cells))
    digest = hashlib.blake2b(pickle.dumps(partition.dealer), digest_size=16).hexdigest()
    return View(source, Held(partition.dealer, chosen, digest))
