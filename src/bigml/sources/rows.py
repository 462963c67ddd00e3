"""Rows by number: counting them, finding them among parts, drawing some at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bigml.chunk import Chunk
from bigml.part import Part
from bigml.sources.splits import mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Extent(NamedTuple):
    """How many part indices and row numbers a source's storage spans, whether or not parts were pruned."""

    parts: int
    rows: int


@dataclass(frozen=True)
class NumberOfRows:
    """A reducer that counts rows."""

    columns: tuple[str, ...] = ()

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: Chunk) -> int:
        return state + chunk.n_rows

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, state: int) -> int:
        return state


@dataclass(frozen=True)
class SampledRows:
    """A reducer for the sorted numbers of n random rows: those with the smallest hashes; holds n numbers."""

    n: int
    seed: int
    columns: tuple[str, ...] = ()

    def start(self) -> NDArray[np.int64]:
        return np.empty(0, dtype=np.int64)

    def update(self, state: NDArray[np.int64], chunk: Chunk) -> NDArray[np.int64]:
        return self.merge(state, chunk.row_numbers)

    def merge(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = np.concatenate([left, right])
        if len(numbers) > self.n:
            numbers = numbers[np.argpartition(mixed(numbers.view(np.uint64), self.seed), self.n)[: self.n]]
        return np.sort(numbers)

    def finish(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state


def numbered(parts: Iterable[Part]) -> Iterable[Chunk]:
    """Chunks without columns that hold the row numbers of the parts: nothing is read."""
    return (Chunk({}, range(part.offset, part.offset + part.n_rows)) for part in parts)


def first_rows(chunks: Iterable[Chunk], n: int) -> NDArray[np.int64]:
    """The numbers of the first n rows; no chunk after them is asked for."""
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for chunk in chunks if n > 0 else ():
        found.append(chunk.row_numbers[:n])
        n -= len(found[-1])
        if n <= 0:
            break
    return np.concatenate(found)


def numbers_at(chunks: Iterable[Chunk], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers at sorted positions counted through the chunks; no chunk after the last one is asked for."""
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    start, done = 0, 0
    for chunk in chunks if len(positions) else ():
        stop = done + int(np.searchsorted(positions[done:], start + chunk.n_rows))
        if stop > done:
            found.append(chunk.row_numbers[positions[done:stop] - start])
        start, done = start + chunk.n_rows, stop
        if done == len(positions):
            break
    return np.concatenate(found)
