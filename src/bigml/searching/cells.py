"""Cells: rows dealt into groups; whatever is learned from and tested on is made of whole cells.

A cell is a fold, or what an inner fold has in common with an outer one. What adds up is gathered once for each cell, and the
rows of a split are the merged cells: k folds cost one scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.learning.batch import Batch
from bigml.stats.reducer import Reducer


@dataclass(frozen=True)
class Split:
    """What is learned from, and what it is tested on.

    Attributes:
        train: Cells.
        test: Cells; none where nothing is judged.
    """

    train: tuple[int, ...]
    test: tuple[int, ...] = ()


class Dealer(Protocol):
    """Tells the cell of each row, from nothing but the row itself: the same for any chunking. Picklable.

    Attributes:
        columns: What it reads, beside the row's number.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        """Cells of shape (chunk.n_rows,); -1 for a row that no split uses."""
        ...


@dataclass(frozen=True, eq=False)
class Partition:
    """Rows in cells, and the splits that are made of them.

    Attributes:
        dealer: Tells the cell of a row.
        n_cells: How many cells there are.
        splits: In the order of the results.
    """

    dealer: Dealer
    n_cells: int
    splits: tuple[Split, ...]


@dataclass(frozen=True, eq=False)
class PerCell:
    """A reducer of chunks: what another one gathers in each cell, raw: the result is the states, which can still be merged."""

    partition: Partition
    inner: Reducer[Any, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.partition.dealer.columns, *self.inner.columns]))

    def start(self) -> tuple[Any, ...]:
        return tuple(self.inner.start() for _ in range(self.partition.n_cells))

    def update(self, state: tuple[Any, ...], chunk: Chunk) -> tuple[Any, ...]:
        order, edges = sorting(self.partition.dealer(chunk), self.partition.n_cells)
        rows = chunk.select(self.inner.columns)
        # An empty piece is not shown: reducers of columns without rows would still have work with it.
        return tuple(
            self.inner.update(one, rows.take(order[start:stop])) if stop > start else one
            for one, (start, stop) in zip(state, pairwise(edges.tolist()), strict=True)
        )

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self.inner.merge(one, other) for one, other in zip(left, right, strict=True))

    def finish(self, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return state


def gathered(inner: Any, states: Sequence[Any], cells: Sequence[int]) -> Any:
    """The reducer's result over the rows of some cells, of the states that `PerCell` found."""
    return inner.finish(reduce(inner.merge, [states[cell] for cell in cells]) if cells else inner.start())


def sorting(cells: NDArray[np.int16], n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that puts rows cell by cell, and where in it each cell begins and the last ends, shape (n_cells + 1,).

    >>> order, edges = sorting(np.array([1, -1, 0, 1], dtype=np.int16), 2)
    >>> order.tolist(), edges.tolist()
    ([1, 2, 0, 3], [1, 2, 4])
    """
    order = np.argsort(cells, kind="stable")
    counts = np.bincount(cells.astype(np.int64) + 1, minlength=n_cells + 1)
    return order, np.cumsum(counts)


def dealt(batch: Batch, cells: NDArray[np.int16], n_cells: int) -> tuple[Batch, ...]:
    """The rows of a batch in each cell, in their order: slices of one copy."""
    order, edges = sorting(cells, n_cells)
    rows = batch.take(order)
    return tuple(rows.rows_between(start, stop) for start, stop in pairwise(edges.tolist()))
