"""Row counting: how many rows a filtered source has, and which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bigml.chunk import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
class RowNumbers:
    """A reducer for the sorted numbers of the rows, of the first `n` when n is given (8 bytes a row are held)."""

    n: int | None
    columns: tuple[str, ...] = ()

    def start(self) -> NDArray[np.int64]:
        return np.empty(0, dtype=np.int64)

    def update(self, state: NDArray[np.int64], chunk: Chunk) -> NDArray[np.int64]:
        return self.merge(state, chunk.row_numbers)

    def merge(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.sort(np.concatenate([left, right]))[: self.n]

    def finish(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state
