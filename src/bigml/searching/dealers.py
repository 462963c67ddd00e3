"""Dealers: which cell a row is in, by its key, by its value, or by several dealers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.searching.cells import Dealer, Partition, Split
from bigml.searching.ordering import Keys, Ordering, places

FEW = 16
"""Edges up to which comparing with each is faster than a search among them."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Cells by keys: a row is in cell i when i of the edges are at or below its key.

    Attributes:
        ordering: Tells keys and strata.
        edges: Ascending keys of shape (n_strata, n_cells - 1).
    """

    ordering: Ordering
    edges: Keys

    @property
    def columns(self) -> tuple[str, ...]:
        return self.ordering.columns

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        strata, keys = self.ordering(chunk)
        if strata is None and self.edges.shape[1] > FEW:
            return np.searchsorted(self.edges[0], keys, side="right").astype(np.int16)
        cells = np.zeros(chunk.n_rows, np.int16)
        for edge in self.edges.T:
            cells += keys >= (edge[0] if strata is None else edge[strata])
        return cells


@dataclass(frozen=True, eq=False)
class Listed:
    """Cells by value.

    Attributes:
        column: What decides.
        values: Its distinct values.
        cells: The cell of each value, and at the end that of a missing one.
    """

    column: str
    values: pa.Array
    cells: NDArray[np.int16]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        return self.cells[places(chunk.arrow(self.column), self.values)]


@dataclass(frozen=True, eq=False)
class Crossed:
    """Cells that rows have in common in several partitions.

    Attributes:
        dealers: Of the partitions.
        sizes: Cells of each.
    """

    dealers: tuple[Dealer, ...]
    sizes: tuple[int, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for dealer in self.dealers for name in dealer.columns))

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        found = np.array([dealer(chunk) for dealer in self.dealers])
        flat = np.ravel_multi_index(tuple(np.maximum(found, 0)), self.sizes)
        return np.where((found < 0).any(axis=0), -1, flat).astype(np.int16)


def crossed(partitions: Sequence[Partition]) -> Partition:
    """All splits of several partitions, one after another, over the cells that they have in common: one scan serves all."""
    sizes = tuple(partition.n_cells for partition in partitions)
    homes = list(product(*map(range, sizes)))

    def common(i: int, cells: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(cell for cell, home in enumerate(homes) if home[i] in cells)

    splits = tuple(Split(common(i, s.train), common(i, s.test)) for i, one in enumerate(partitions) for s in one.splits)
    return Partition(Crossed(tuple(partition.dealer for partition in partitions), sizes), prod(sizes), splits)


def each_once(n_cells: int, always: Sequence[int] = ()) -> tuple[Split, ...]:
    """A split for each cell, which tests on it and trains on all others and on the cells that are always trained on."""
    return tuple(Split((*(cell for cell in range(n_cells) if cell != test), *always), (test,)) for test in range(n_cells))


def each_of(n_cells: int, group: Callable[[int], int]) -> tuple[Split, ...]:
    """A split for each group of cells, which tests on it and trains on all others.

    >>> each_of(4, lambda cell: cell // 2)
    (Split(train=(2, 3), test=(0, 1)), Split(train=(0, 1), test=(2, 3)))
    """
    groups = [group(cell) for cell in range(n_cells)]

    def cells(test: int, within: bool) -> tuple[int, ...]:
        return tuple(cell for cell, one in enumerate(groups) if (one == test) == within)

    return tuple(Split(cells(test, False), cells(test, True)) for test in sorted(set(groups)))
