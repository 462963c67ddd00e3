"""Summing: the loops over rows that add up numbers, their squares and extremes, for one group or many; see `kernels`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.stats.kernels import frozen, room

HIGHEST = np.iinfo(np.int64).max
FEW_ROWS = 200
"""Rows a slot below which new extremes come too often for a processor to guess that there is none."""


class Span(NamedTuple):
    """Consecutive rows of a column as float64 as they lie in memory; missing where NaN, or where a bit says so.

    Attributes:
        values: Of shape (n_rows,).
        bits: A bit for each row, 0 where it is missing, whatever its value then is; None when there are no nulls.
    """

    values: NDArray[np.float64]
    bits: NDArray[np.uint8] | None = None


def span_of(values: NDArray[np.float64]) -> Span:
    """These values, missing where NaN."""
    return Span(frozen(values))


def decoded(column: Coded) -> NDArray[np.float64]:
    """The column of numbers as float64, nulls as NaN."""
    numbers = np.append(column.values.to_numpy(zero_copy_only=False).astype(np.float64), np.nan)
    out = room(len(column), np.float64)
    _decode(column.codes, numbers, out)
    return out


@njit(nogil=True, cache=True)
def _decode(codes: Any, numbers: Any, out: Any) -> None:
    # The place -1 is the last one.
    for i in range(codes.size):
        out[i] = numbers[codes[i]]


def sum_floats(slots: NDArray[np.int32], spans: Sequence[Span], n: int) -> NDArray[np.float64]:
    """Table of shape (n, 5): count, sum, what the sum has lost (Neumaier, branch-free), minimum, maximum."""
    table = np.tile([0.0, 0.0, 0.0, np.inf, -np.inf], (n, 1))
    for rows, span in sliced(slots, spans):
        _sum_floats(rows, *span, table, len(slots) > FEW_ROWS * n)
    return table


def sliced(slots: NDArray[np.int32], spans: Sequence[Span]) -> Iterator[tuple[NDArray[np.int32], Span]]:
    """The slots of each span, and the span."""
    start = 0
    for span in spans:
        yield slots[start : start + len(span.values)], span
        start += len(span.values)


@njit(nogil=True, cache=True)
def is_known(bits: Any, i: int, x: float) -> bool:
    """Whether number i, which is x, is not missing."""
    if bits is None:
        return not np.isnan(x)
    return (bits[i >> 3] >> (i & 7)) & 1 == 1 and not np.isnan(x)


@njit(nogil=True, cache=True)
def _sum_floats(slots: Any, values: Any, bits: Any, table: Any, guess: bool) -> None:
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and is_known(bits, i, x):
            total = table[s, 1]
            new = total + x
            part = new - total
            table[s, 0] += 1.0
            table[s, 1] = new
            table[s, 2] += (total - (new - part)) + (x - part)
            low, high = table[s, 3], table[s, 4]
            if not (guess and low <= x <= high):
                table[s, 3] = x if x < low else low
                table[s, 4] = x if x > high else high


def spread_floats(
    slots: NDArray[np.int32], spans: Sequence[Span], means: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sums of squared deviations from `means`, corrected for the rounding of the means."""
    table = np.zeros((len(means), 2))
    for rows, span in sliced(slots, spans):
        _spread_floats(rows, *span, frozen(means), table)
    return _spread(table, counts)


def _spread(table: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        spread: NDArray[np.float64] = table[:, 1] - table[:, 0] ** 2 / np.maximum(counts, 1)
    return spread


@njit(nogil=True, cache=True)
def _spread_floats(slots: Any, values: Any, bits: Any, means: Any, table: Any) -> None:
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and is_known(bits, i, x):
            d = x - means[s]
            table[s, 0] += d
            table[s, 1] += d * d


def sum_column(spans: Sequence[Span]) -> NDArray[np.float64]:
    """`sum_floats` of one slot for all rows, kept in registers."""
    table = np.array([[0.0, 0.0, 0.0, np.inf, -np.inf]])
    for span in spans:
        _sum_column(*span, table)
    return table


@njit(nogil=True, cache=True)
def _sum_column(values: Any, bits: Any, table: Any) -> None:
    count, total, lost, low, high = table[0, 0], table[0, 1], table[0, 2], table[0, 3], table[0, 4]
    for i in range(values.size):
        x = values[i]
        if is_known(bits, i, x):
            new = total + x
            part = new - total
            lost += (total - (new - part)) + (x - part)
            total = new
            count += 1.0
            low = x if x < low else low
            high = x if x > high else high
    table[0, 0], table[0, 1], table[0, 2], table[0, 3], table[0, 4] = count, total, lost, low, high


def spread_column(spans: Sequence[Span], mean: float, count: NDArray[np.int64]) -> NDArray[np.float64]:
    """`spread_floats` of one slot for all rows."""
    table = np.zeros((1, 2))
    for span in spans:
        _spread_column(*span, mean, table)
    return _spread(table, count)


@njit(nogil=True, cache=True)
def _spread_column(values: Any, bits: Any, mean: float, table: Any) -> None:
    first, second = table[0, 0], table[0, 1]
    for i in range(values.size):
        x = values[i]
        if is_known(bits, i, x):
            d = x - mean
            first += d
            second += d * d
    table[0, 0], table[0, 1] = first, second


@njit(nogil=True, cache=True)
def sum_ints(slots: Any, values: Any, n: int) -> Any:
    """Table of shape (n, 4): count, sum (wrapping at 64 bits, as numpy's), minimum, maximum."""
    table = np.zeros((n, 4), np.int64)
    guess = slots.size > FEW_ROWS * n
    for s in range(n):
        table[s, 2], table[s, 3] = HIGHEST, -HIGHEST - 1
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            x = values[i]
            table[s, 0] += 1
            table[s, 1] += x
            low, high = table[s, 2], table[s, 3]
            if not (guess and low <= x <= high):
                table[s, 2] = x if x < low else low
                table[s, 3] = x if x > high else high
    return table


@njit(nogil=True, cache=True)
def _mean_rest(total: float, lost: float, count: float, mean: float) -> float:
    # What the rounded mean leaves out: the remainder of the division, divided again; what the rounded product leaves out of it
    # is found exactly (Dekker 1971).
    product = mean * count
    wide_a, wide_b = 134217729.0 * mean, 134217729.0 * count
    high_a, high_b = wide_a - (wide_a - mean), wide_b - (wide_b - count)
    low_a, low_b = mean - high_a, count - high_b
    error = ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b
    rest = ((total - product) - error + lost) / count
    return rest if np.isfinite(rest) else 0.0


@njit(nogil=True, cache=True)
def absorb_moments(whole: Any, places: Any, part: Any, spread: bool) -> None:
    """Merge moments of groups, (count, total, lost, low, high, squares), into those that have these places."""
    counts, totals, losses, lows, highs, squares = whole
    for j in range(places.size):
        i = places[j]
        a, b = float(counts[i]), float(part[0][j])
        left, right = totals[i], part[1][j]
        if spread:
            between = 0.0
            if a > 0 and b > 0:
                # Squared deviations that the difference of two means adds.
                left_mean, right_mean = left / a, right / b
                rest = _mean_rest(right, part[2][j], b, right_mean) - _mean_rest(left, losses[i], a, left_mean)
                delta = (right_mean - left_mean) + rest
                between = delta * delta * (a * (b / (a + b)))
            squares[i] = squares[i] + part[5][j] + between
        total = left + right
        add = total - left
        lost = ((left - (total - add)) + (right - add)) + losses[i] + part[2][j]
        counts[i] += part[0][j]
        totals[i] = total
        # What was lost means nothing once a sum is infinite or NaN.
        losses[i] = lost if np.isfinite(total) and np.isfinite(lost) else 0.0
        lows[i] = min(lows[i], part[3][j])
        highs[i] = max(highs[i], part[4][j])


@njit(nogil=True, cache=True)
def absorb_totals(whole: Any, places: Any, part: Any) -> None:
    """Merge exact totals of groups, (count, total, low, high), into those that have these places."""
    counts, totals, lows, highs = whole
    for j in range(places.size):
        i = places[j]
        counts[i] += part[0][j]
        totals[i] += part[1][j]
        lows[i] = min(lows[i], part[2][j])
        highs[i] = max(highs[i], part[3][j])
