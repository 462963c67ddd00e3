"""Windows: overlapping runs of codes, of a text for instance, gathered when they are learned from and never stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import ConfigError, DataError, FitError
from bigml.learning.batch import Batch, Encoder
from bigml.learning.inputs import Input, InputDesign
from bigml.sources.source import Source
from bigml.training.contract import Contract
from bigml.training.feed import Blocks
from bigml.training.rows import Rows


def with_windows(contract: Contract, model: Any, windows: int | None) -> Contract:
    """What a model of sequences asks for, a window beginning every so many rows.

    Raises:
        ConfigError: It begins every 0 rows or fewer.
        FitError: The model does not tell of each code of a window the next one.
    """
    if windows is None:
        return contract
    if windows < 1:
        raise ConfigError("`windows` of 1 or more", got=f"{windows}", where="in train")
    length = contract.shape[0] if len(contract.shape) == 1 else 0
    if not contract.several or tuple(model.output_shape[1:]) != (length, contract.units):
        do = "Begin with Input((length,)), end in Dense(n_codes) of each place and a sparse cross-entropy (models.char_lstm)."
        got = f"{contract.shape} to {tuple(model.output_shape[1:])}"
        raise FitError("a model from (length,) codes to (length, n_codes) probabilities", got=got, where="in windows=", do=do)
    return replace(contract, windows=windows)


def codes_of(source: Source, **given: Any) -> Encoder:
    """What makes codes of the one column of a source.

    Raises:
        FitError: There are more columns, it holds no numbers, or something is `given` beside it.
    """
    more = [name for name, value in given.items() if value is not None]
    if len(source.columns) != 1 or more:
        got = f"{more[0]}=" if more else f"{len(source.columns)} columns"
        do = "Select the column; its next code is the target."
        raise FitError("one column of codes, and nothing beside it", got=got, where="in windows=", do=do)
    return Encoder(InputDesign.of([Input(source.columns[0], "integer")], source.schema), coded=True)


@dataclass(frozen=True, eq=False)
class Run:
    """The windows that begin in one block of codes, as an array of shape (n_windows, length + 1) of which rows are taken.

    Attributes:
        codes: Of the block.
        tail: The codes behind it that its last windows reach into.
        first: Where the first window begins.
        stride: Codes from there to the beginning of the next one.
        shape: Windows, and codes of each.
    """

    codes: NDArray[np.int64]
    tail: NDArray[np.int64]
    first: int
    stride: int
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int32)

    def take(self, places: NDArray[np.int64], axis: int = 0) -> NDArray[np.int32]:
        """These windows."""
        del axis
        at = (self.first + places * self.stride)[:, None] + np.arange(self.shape[1])
        found = self.codes[np.minimum(at, len(self.codes) - 1)]
        over = at >= len(self.codes)
        found[over] = self.tail[at[over] - len(self.codes)]
        return found.astype(np.int32)


@dataclass(frozen=True, eq=False)
class Windows:
    """Gives the windows of a block by its number.

    Attributes:
        blocks: Gives the codes of a block by its number.
        counts: Codes of each block.
        length: Inputs of a window; it has a code more.
        stride: Codes from the beginning of a window to that of the next one.
        numbers: Of the blocks in which windows begin.
    """

    blocks: Blocks
    counts: tuple[int, ...]
    length: int
    stride: int
    numbers: tuple[int, ...] = ()

    @cached_property
    def spans(self) -> list[range]:
        """The numbers of the windows that begin in each block."""
        ends = np.cumsum(self.counts)
        n_windows = max(int(ends[-1]) - self.length - 1, -1) // self.stride + 1
        bounds = np.minimum(-(-np.array([0, *ends]) // self.stride), n_windows).tolist()
        return [range(low, high) for low, high in pairwise(bounds)]

    def __call__(self, number: int) -> Batch:
        block = self.numbers[number]
        span, offset = self.spans[block], sum(self.counts[:block])
        starts = np.arange(span.start, span.stop) * self.stride
        reach = int(starts[-1]) + self.length + 1 - offset - self.counts[block]
        run = (self._codes(block), self._tail(block, reach), int(starts[0]) - offset, self.stride)
        X: Any = Run(*run, (len(span), self.length + 1))
        return Batch(starts, X)

    def part(self, number: int) -> int:
        return self.blocks.part(self.numbers[number])

    def _codes(self, block: int) -> NDArray[np.int64]:
        X = self.blocks(block).X
        codes: NDArray[np.int64] = X[X.dtype.names[0]].reshape(-1)
        return codes

    def _tail(self, block: int, n: int) -> NDArray[np.int64]:
        """The n codes behind a block."""
        found: list[NDArray[np.int64]] = []
        while n > sum(map(len, found)):
            block += 1
            found.append(self._codes(block)[: n - sum(map(len, found))])
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def check(self, n_codes: int) -> None:
        """Refuse codes that the model has no output for.

        Raises:
            DataError: One is less than 0 or too large.
        """
        for block in range(len(self.counts)):
            codes = self._codes(block)
            bad = (codes < 0) | (codes >= n_codes)
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                place = f"row {sum(self.counts[:block]) + row:,}"
                raise DataError(f"codes from 0 to {n_codes - 1:,}", got=f"{codes[row]:,}", where=place)


def windowed(rows: Rows, contract: Contract) -> Rows:
    """The windows of codes that a contract asks for; other rows as they are.

    Raises:
        DataError: There are too few codes for a window, or one out of range.
    """
    if not contract.windows:
        return rows
    windows = Windows(rows.blocks, rows.counts, contract.width, contract.windows)
    if rows.shared:
        windows.check(contract.units)
    sizes = [len(span) for span in windows.spans]
    numbers = tuple(i for i, n in enumerate(sizes) if n)
    if not numbers:
        expected = f"{contract.width + 1:,} codes or more, for one window"
        raise DataError(expected, got=f"{sum(rows.counts):,}", where="in train")
    return Rows(replace(windows, numbers=numbers), tuple(sizes[i] for i in numbers), contract.width, rows.shared)
