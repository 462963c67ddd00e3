"""Cells: rows dealt into groups; whatever is learned from and tested on is made of whole cells.

A cell is a fold, or what an inner fold has in common with an outer one. What adds up is gathered once for each cell, and the
rows of a split are the merged cells: k folds cost one scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk


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

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """By split the first one that learns from the same cells: what one of them has learned serves all."""
        known: dict[tuple[int, ...], int] = {}
        return tuple(known.setdefault(split.train, number) for number, split in enumerate(self.splits))


def sorting(cells: NDArray[np.int16], n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that puts rows cell by cell, and where in it each cell begins and the last ends, shape (n_cells + 1,).

    Rows of no cell come first.

    >>> order, edges = sorting(np.array([1, -1, 0, 1], dtype=np.int16), 2)
    >>> order.tolist(), edges.tolist()
    ([1, 2, 0, 3], [1, 2, 4])
    """
    order = np.argsort(cells, kind="stable")
    counts = np.bincount(cells.astype(np.int64) + 1, minlength=n_cells + 1)
    return order, np.cumsum(counts)


@dataclass(frozen=True)
class Undivided:
    """A dealer of one cell."""

    columns: tuple[str, ...] = ()

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        return np.zeros(chunk.n_rows, np.int16)


WHOLE = Partition(Undivided(), 1, (Split((0,)),))
"""All rows learned from, none tested on."""
