"""Ticks: how often each number of a column occurs, exact while they are few, then as finely as bounded memory allows."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bigml.stats import kernels, tallying
from bigml.stats.cells import Rows
from bigml.stats.keys import Index
from bigml.stats.order import floats, ordered
from bigml.stats.sketches import starts, summed, united

FEW = 1 << 14
"""Distinct numbers up to which every one has its own tick."""
CELLS = 1 << 16
"""Cells beyond that."""
BLOCK = 52
"""Keys that agree in all but so many bits are one block: the numbers between two neighbouring powers of two."""


class Ticked(NamedTuple):
    """Rows in each cell of 2**shift neighbouring keys: sorted cell numbers and counts; the extreme keys of each block."""

    shift: int
    codes: Index
    counts: Index
    lows: Index
    highs: Index
    few: bool = True

    @property
    def keys(self) -> Index:
        """The middle key of each cell, within the extremes of its block: zero, which may be alone there, stays zero."""
        first = self.codes << self.shift
        block = np.searchsorted(self.lows >> BLOCK, first >> BLOCK)
        return np.clip(first + (1 << self.shift >> 1), self.lows[block], self.highs[block])


NONE = np.zeros(0, np.int64)
NOTHING = Ticked(0, NONE, NONE, NONE, NONE)


def counted(words: Index, floating: bool) -> Ticked:
    """The ticks of these times, or of the float64 numbers with these bits; NaN is missing."""
    words = kernels.frozen(words)
    table, complete = tallying.count_few(words, floating, 1 + (min(len(words), FEW) - 1).bit_length())
    if not complete:
        return _dense(words, floating)
    held = table[table[:, 1] > 0]
    keys = ordered(held[:, 0].copy().view(np.float64)) if floating else held[:, 0]
    order = np.argsort(keys)
    codes, counts = summed(keys[order], held[order, 1])
    first = starts(codes >> BLOCK)
    return Ticked(0, codes, counts, codes[first], codes[np.append(first, len(codes))[1:] - 1])


def _dense(words: Index, floating: bool) -> Ticked:
    """The cells of many words, by a table over the blocks."""
    lows, highs = tallying.find_spans(words, floating)
    blocks = np.flatnonzero(lows <= highs)
    lows, highs = lows[blocks], highs[blocks]
    shift = _shift(lows, highs)
    first, last = lows >> shift, highs >> shift
    sizes = last - first + 1
    shifts = np.cumsum(sizes) - sizes - first
    offsets = np.zeros(4096, np.int64)
    offsets[blocks] = shifts
    table = tallying.count_cells(words, floating, shift, kernels.frozen(offsets), sizes.sum())
    cells = np.flatnonzero(table)
    codes = cells - np.repeat(shifts, sizes)[cells]
    return Ticked(shift, codes, table[cells].astype(np.int64), lows, highs, few=False)


def _shift(lows: Index, highs: Index) -> int:
    """The least shift by which at most `CELLS` cells lie between the extremes of the blocks; more numbers never lower it."""
    return bisect_left(range(BLOCK), True, key=lambda shift: ((highs >> shift) - (lows >> shift) + 1.0).sum() <= CELLS)


def merged(left: Ticked, right: Ticked) -> Ticked:
    """The ticks of both; the result depends on the numbers alone, not on their order or chunking."""
    lows, highs = _spans(left, right)
    if left.few and right.few:
        codes, counts = united(left.codes, left.counts, right.codes, right.counts)
        if len(codes) <= FEW:
            return Ticked(0, codes, counts, lows, highs)
    shift = _shift(lows, highs)
    codes, counts = united(*_coarser(left, shift), *_coarser(right, shift))
    return Ticked(shift, codes, counts, lows, highs, few=False)


def _spans(left: Ticked, right: Ticked) -> tuple[Index, Index]:
    """The extremes of the blocks of both."""
    lows, highs = np.concatenate([left.lows, right.lows]), np.concatenate([left.highs, right.highs])
    order = np.argsort(lows)
    first = starts(lows[order] >> BLOCK)
    return lows[order][first], np.maximum.reduceat(highs[order], first) if len(first) else highs


def _coarser(state: Ticked, shift: int) -> tuple[Index, Index]:
    return summed(state.codes >> (shift - state.shift), state.counts) if shift > state.shift else (state.codes, state.counts)


@dataclass(frozen=True)
class Ticks:
    """Quantiles of a column of numbers or times, from cells that are as fine as the column allows.

    Up to 16,384 distinct numbers are exact. More are counted in at most 65,536 cells between the smallest and the largest
    number of each power of two in use: at worst in cells of 0.1 % where there are 64 such powers, and the finer the closer
    the numbers lie; 1e6 with a noise of 1 is kept to 1e-4. The cells follow from the numbers alone: states are
    bit-identical for any chunking. Smallest and largest are exact.

    Args:
        column: A column of numbers or times.
        timed: Whether it is one of times, whose keys are their units; otherwise NaN is missing.
    """

    column: str
    timed: bool = False

    def start(self) -> Ticked:
        return NOTHING

    def partial(self, rows: Rows) -> Ticked:
        if self.timed:
            return counted(rows.words(self.column)[rows.known_slots(self.column) >= 0], floating=False)
        return counted(rows.floats(self.column).view(np.int64), floating=True)

    def merge(self, left: Ticked, right: Ticked) -> Ticked:
        return merged(left, right)

    def forecast_nbytes(self, n_rows: int) -> int:
        return 16 * min(n_rows, CELLS) + 16 * min(n_rows, 4096)

    def quantile(self, state: Ticked, q: float) -> float:
        """The q-quantile, linear between two order statistics; in whole units for times.

        The state must have rows.
        """
        last = int(state.counts.sum()) - 1
        rank = last * q
        lower = int(rank)
        below, above = (self._number(_order_statistic(state, r, last)) for r in (lower, min(lower + 1, last)))
        if below == above or rank == lower or (np.isinf(below) and np.isfinite(above)):
            return below
        return below + type(below)((above - below) * (rank - lower))

    def _number(self, key: int) -> float:
        return key if self.timed else float(floats(np.array([key]))[0])


def _order_statistic(state: Ticked, rank: int, last: int) -> int:
    if rank in {0, last}:
        return int(state.highs[-1] if rank else state.lows[0])
    return int(state.keys[np.searchsorted(np.cumsum(state.counts), rank, side="right")])
