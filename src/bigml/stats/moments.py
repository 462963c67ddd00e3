"""Moments: counts, compensated sums, extremes and squared deviations of numbers, for many groups at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.stats import exact, kernels, summing
from bigml.stats.cells import Rows, absorbed, arranged
from bigml.stats.keys import Index

Floats = NDArray[np.float64]


class Moment(NamedTuple):
    """Of each group: rows that have a value, their sum as `total + lost`, extremes (infinite without rows), spread."""

    n: Index
    total: Floats
    lost: Floats
    low: Floats
    high: Floats
    squares: Floats


@dataclass(frozen=True)
class Moments:
    """Count, sum, mean, variance, minimum and maximum of a column as float64; NaN is missing.

    Sums are compensated (Neumaier 1974), so the chunking shows in the last bits at most. Squared deviations are taken
    from each chunk's own mean in a second pass and merged as by Chan, Golub and LeVeque (1983), with means in twice the
    precision: a mean of 1e9 with a deviation of 1 is safe. A group whose numbers in a chunk are whole, up to a million in
    magnitude, is added up exactly in one pass.

    Args:
        column: A numeric, boolean or temporal column.
        spread: Whether squared deviations are kept; it costs the second pass.
    """

    column: str
    spread: bool = True

    def empty(self) -> Moment:
        return Moment(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))

    def partial(self, rows: Rows) -> Moment:
        table = rows.sums(self.column)
        count = table[:, 0].astype(np.int64)
        total, lost = _settled(table[:, 1], table[:, 2])
        return Moment(count, total, lost, table[:, 3] + 0.0, table[:, 4] + 0.0, self._squares(rows, count, total + lost))

    def _squares(self, rows: Rows, count: Index, total: Floats) -> Floats:
        if not self.spread:
            return np.zeros(len(count))
        found = rows.exact(self.column)
        if found is not None:
            return exact.squared_deviations(found)
        means, spans = total / np.maximum(count, 1), rows.spans(self.column)
        if rows.whole:
            squares = summing.spread_column(spans, means[0], count)
        else:
            squares = summing.spread_floats(rows.slots, spans, means, count)
            # A group gets the same bits beside whatever other groups: whole numbers are taken exactly wherever they are.
            whole, table = exact.sum_whole_groups(rows.slots, spans, count)
            squares[whole] = exact.squared_deviations(table[whole])
        return np.where(squares < 0, 0.0, squares)

    def arrange(self, state: Moment, index: Index) -> Moment:
        fills = (0, 0.0, 0.0, np.inf, -np.inf, 0.0)
        return Moment(*(arranged(field, index, fill) for field, fill in zip(state, fills, strict=True)))

    def merge(self, left: Moment, right: Moment) -> Moment:
        return absorbed(self, left, right)

    def absorb(self, whole: Moment, places: Index, part: Moment) -> None:
        summing.absorb_moments(tuple(whole), places, tuple(map(kernels.frozen, part)), self.spread)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 48 * n_groups

    def count(self, state: Moment) -> Index:
        return state.n

    def sum(self, state: Moment) -> Floats:
        return state.total + state.lost

    def mean(self, state: Moment) -> Floats:
        return _ratio(state.total + state.lost, state.n)

    def var(self, state: Moment) -> Floats:
        return _ratio(state.squares, state.n - 1)

    def std(self, state: Moment) -> Floats:
        return np.sqrt(self.var(state))

    def sem(self, state: Moment) -> Floats:
        return self.std(state) / np.sqrt(np.maximum(state.n, 1))

    def min(self, state: Moment) -> Floats:
        return np.where(state.n > 0, state.low, np.nan)

    def max(self, state: Moment) -> Floats:
        return np.where(state.n > 0, state.high, np.nan)


def _ratio(above: Floats, below: Index) -> Floats:
    return np.where(below > 0, above / np.maximum(below, 1), np.nan)


def _settled(total: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """What was lost means nothing once a sum is infinite or NaN."""
    return total, np.where(np.isfinite(total) & np.isfinite(lost), lost, 0.0)


class Total(NamedTuple):
    """Of each group: rows that have a value, their sum, smallest and largest."""

    n: Index
    total: Index
    low: Index
    high: Index


@dataclass(frozen=True)
class Totals:
    """Exact count, sum, minimum and maximum of a column of integers, booleans or times; sums wrap at 64 bits, as numpy's.

    Args:
        column: The column.
        kind: Its plain Arrow type.
    """

    column: str
    kind: pa.DataType

    def empty(self) -> Total:
        return Total(*(np.empty(0, np.int64) for _ in range(4)))

    def partial(self, rows: Rows) -> Total:
        found = None if rows.chunk.coded(self.column) is None else rows.exact(self.column)
        if found is not None:
            limits = np.iinfo(np.int64)
            return Total(found[:, 0].copy(), found[:, 1].copy(), *exact.extremes(found, (limits.max, limits.min)))
        table = summing.sum_ints(rows.known_slots(self.column), rows.words(self.column), rows.n_slots)
        return Total(*(np.ascontiguousarray(table[:, i]) for i in range(4)))

    def arrange(self, state: Total, index: Index) -> Total:
        limits = np.iinfo(np.int64)
        fills = (0, 0, limits.max, limits.min)
        return Total(*(arranged(field, index, fill) for field, fill in zip(state, fills, strict=True)))

    def merge(self, left: Total, right: Total) -> Total:
        return absorbed(self, left, right)

    def absorb(self, whole: Total, places: Index, part: Total) -> None:
        summing.absorb_totals(tuple(whole), places, tuple(map(kernels.frozen, part)))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 32 * n_groups

    def count(self, state: Total) -> Index:
        return state.n

    def sum(self, state: Total) -> NDArray[Any]:
        return state.total.view(np.uint64) if pa.types.is_unsigned_integer(self.kind) else state.total

    def min(self, state: Total) -> pa.Array:
        return self._typed(state.low, state.n)

    def max(self, state: Total) -> pa.Array:
        return self._typed(state.high, state.n)

    def _typed(self, words: Index, count: Index) -> pa.Array:
        return from_words(np.where(count > 0, words, 0), count == 0, self.kind)


def whole(state: Moment, read: Callable[[Total], Any]) -> Any:
    """What `Totals` reads, of integers of at most 32 bits: float64 holds them, and their sum together with what it lost."""
    low, high = (np.where(state.n > 0, numbers, 0).astype(np.int64) for numbers in (state.low, state.high))
    return read(Total(state.n, state.total.astype(np.int64) + state.lost.astype(np.int64), low, high))


def from_words(words: Index, missing: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """An Arrow array of this type from the int64 words that stand for its values."""
    array = pa.array(words, mask=missing)
    if pa.types.is_temporal(kind):
        return (array.cast(pa.int32()) if kind.bit_width == 32 else array).view(kind)
    return array.cast(kind)
