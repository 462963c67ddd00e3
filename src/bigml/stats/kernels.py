"""Kernels: the loops over rows, compiled by numba, free of the GIL, cached on disk.

Every kernel takes `slots`, the int32 number of each row's group: rows with a negative slot are skipped. Arrays that are
read must be contiguous and read-only (`frozen`), so that each kernel is compiled for one signature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.stats import compiling

compiling.tell()

MANTISSA = 43
CODES = 1 << 20
SLOT_SHIFT = 22
HIGHEST = np.iinfo(np.int64).max


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous, read-only view (a copy only where the array has strides)."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def count_rows(slots: NDArray[np.int32], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of each slot and the position of one of them."""
    counts, position = np.zeros(n, np.int64), np.zeros(n, np.int64)
    _count_rows(slots, counts, position)
    return counts, position


@njit(nogil=True, cache=True)
def _count_rows(slots: Any, counts: Any, position: Any) -> None:
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            counts[s] += 1
            position[s] = i


FEW_ROWS = 200
"""Rows a slot below which new extremes come too often for a processor to guess that there is none."""


def sum_floats(slots: NDArray[np.int32], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Table of shape (n, 5): count, sum, what the sum has lost (Neumaier, branch-free), minimum, maximum."""
    table = np.tile([0.0, 0.0, 0.0, np.inf, -np.inf], (n, 1))
    _sum_floats(slots, values, table, len(slots) > FEW_ROWS * n)
    return table


@njit(nogil=True, cache=True)
def _sum_floats(slots: Any, values: Any, table: Any, guess: bool) -> None:
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and not np.isnan(x):
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
    slots: NDArray[np.int32], values: NDArray[np.float64], means: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sums of squared deviations from `means`, corrected for the rounding of the means."""
    table = np.zeros((len(means), 2))
    _spread_floats(slots, values, frozen(means), table)
    spread: NDArray[np.float64] = table[:, 1] - table[:, 0] ** 2 / np.maximum(counts, 1)
    return spread


@njit(nogil=True, cache=True)
def _spread_floats(slots: Any, values: Any, means: Any, table: Any) -> None:
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and not np.isnan(x):
            d = x - means[s]
            table[s, 0] += d
            table[s, 1] += d * d


@njit(nogil=True, cache=True)
def sum_column(values: Any) -> Any:
    """`sum_floats` of one slot for all rows, kept in registers."""
    table = np.zeros((1, 5))
    count, total, lost, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    for i in range(values.size):
        x = values[i]
        if not np.isnan(x):
            new = total + x
            part = new - total
            lost += (total - (new - part)) + (x - part)
            total = new
            count += 1
            low = x if x < low else low
            high = x if x > high else high
    table[0, 0], table[0, 1], table[0, 2], table[0, 3], table[0, 4] = count, total, lost, low, high
    return table


@njit(nogil=True, cache=True)
def spread_column(values: Any, mean: float) -> Any:
    """`spread_floats` of one slot for all rows."""
    count, first, second = 0, 0.0, 0.0
    for i in range(values.size):
        x = values[i]
        if not np.isnan(x):
            d = x - mean
            count += 1
            first += d
            second += d * d
    out = np.zeros(1)
    out[0] = second - first**2 / max(count, 1)
    return out


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
def edge_positions(slots: Any, rows: Any, n: int, last: bool) -> Any:
    """Position of each slot's row with the lowest (or, for `last`, the highest) row number; -1 where a slot has none."""
    positions = np.full(n, -1, np.int64)
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            p = positions[s]
            if p < 0 or (rows[i] > rows[p] if last else rows[i] < rows[p]):
                positions[s] = i
    return positions


@njit(nogil=True, cache=True)
def mix_codes(slots: Any, codes: Any, size: int, keep: bool, out: Any) -> None:
    """Write `slot * size + code` to `out`; a missing code is the last one where it is kept, and drops the row otherwise."""
    for i in range(codes.size):
        s, c = np.int64(slots[i]), np.int64(codes[i])
        c = np.int64(size - 1) if c < 0 and keep else c
        out[i] = s * size + c if s >= 0 and c >= 0 else -1


@njit(nogil=True, cache=True)
def offset_codes(words: Any, low: int) -> Any:
    """`words - low` as int32, for words that lie close together."""
    codes = np.empty(words.size, np.int32)
    for i in range(words.size):
        codes[i] = words[i] - low
    return codes


def factorize(codes: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Dense numbers by first appearance and the distinct codes; negative codes stay -1."""
    bits = max(int(2 * len(codes) - 1).bit_length(), 4)
    slots, distinct = np.empty(len(codes), np.int32), np.empty(len(codes), np.int64)
    # Most of the hash table is never touched where few codes are distinct: zero pages cost nothing.
    n = _factorize(frozen(codes), bits, np.zeros(1 << bits, np.int32), slots, distinct)
    return slots, distinct[:n].copy()


@njit(nogil=True, cache=True)
def _factorize(codes: Any, bits: int, table: Any, slots: Any, distinct: Any) -> int:
    n = 0
    for i in range(codes.size):
        code = codes[i]
        if code < 0:
            slots[i] = -1
            continue
        at = np.int64((np.uint64(code) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while table[at] > 0 and distinct[table[at] - 1] != code:
            at = (at + 1) & (table.size - 1)
        if table[at] == 0:
            distinct[n] = code
            n += 1
            table[at] = n
        slots[i] = table[at] - 1
    return n


@njit(nogil=True, cache=True)
def _bucket(bits: int) -> int:
    # Sign and magnitude to one ordered number: -0.0 and 0.0 meet in bucket 0.
    code = (bits & 0x7FFFFFFFFFFFFFFF) >> MANTISSA
    return -code if bits < 0 else code


@njit(nogil=True, cache=True)
def mark_exponents(bits: Any) -> Any:
    """For each of the 4,096 values of sign and exponent all bits that are set in its mantissas, or 0 if it does not occur."""
    rests = np.zeros(4096, np.int64)
    for i in range(bits.size):
        b = bits[i]
        rests[(b >> 52) & 0xFFF] |= (b & 0xFFFFFFFFFFFFF) | 0x10000000000000
    return rests


@njit(nogil=True, cache=True)
def _place(bits: int, places: Any) -> int:
    """The place of a number among all buckets of the exponents that have places, in ascending order."""
    fraction = (bits >> MANTISSA) & 0x1FF
    return (places[(bits >> 52) & 0xFFF] << 9) + (fraction if bits >= 0 else 511 - fraction)


@njit(nogil=True, cache=True)
def mark_buckets(bits: Any, places: Any, size: int) -> Any:
    """Which of these buckets occur."""
    marks = np.zeros(size, np.bool_)
    for i in range(bits.size):
        if (bits[i] & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000:
            marks[_place(bits[i], places)] = True
    return marks


@njit(nogil=True, cache=True)
def count_buckets(slots: Any, bits: Any, places: Any, ranks: Any, table: Any) -> None:
    """Count rows in a table of slots and buckets; `ranks` are the numbers of the buckets."""
    for i in range(bits.size):
        s, b = np.int64(slots[i]), bits[i]
        if s >= 0 and (b & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000:
            table[s, ranks[_place(b, places)]] += 1


@njit(nogil=True, cache=True)
def merge_sorted(left: Any, left_counts: Any, right: Any, right_counts: Any) -> Any:
    """The union of two sorted lists of distinct codes, counts of equal codes added."""
    codes = np.empty(left.size + right.size, np.int64)
    counts = np.empty(codes.size, np.int64)
    i = j = k = 0
    while i < left.size or j < right.size:
        from_left = j == right.size or (i < left.size and left[i] <= right[j])
        from_right = i == left.size or (j < right.size and right[j] <= left[i])
        count = 0
        codes[k] = left[i] if from_left else right[j]
        if from_left:
            count += left_counts[i]
            i += 1
        if from_right:
            count += right_counts[j]
            j += 1
        counts[k] = count
        k += 1
    return codes, counts, k


@njit(nogil=True, cache=True)
def _product_error(a: float, b: float, product: float) -> float:
    # What the rounded product leaves out, exactly (Dekker 1971).
    wide_a, wide_b = 134217729.0 * a, 134217729.0 * b
    high_a, high_b = wide_a - (wide_a - a), wide_b - (wide_b - b)
    low_a, low_b = a - high_a, b - high_b
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


@njit(nogil=True, cache=True)
def _mean_rest(total: float, lost: float, count: float, mean: float) -> float:
    # What the rounded mean leaves out: the remainder of the division, divided again.
    product = mean * count
    rest = ((total - product) - _product_error(mean, count, product) + lost) / count
    return rest if np.isfinite(rest) else 0.0


@njit(nogil=True, cache=True)
def _squares_between(left: Any, right: Any) -> float:
    """Squared deviations that the difference of two means adds, each of a count, a total and what that has lost."""
    (a, left_total, left_lost), (b, right_total, right_lost) = left, right
    if a == 0 or b == 0:
        return 0.0
    left_mean, right_mean = left_total / a, right_total / b
    rest = _mean_rest(right_total, right_lost, b, right_mean) - _mean_rest(left_total, left_lost, a, left_mean)
    delta = (right_mean - left_mean) + rest
    return delta * delta * (a * (b / (a + b)))


@njit(nogil=True, cache=True)
def absorb_moments(whole: Any, places: Any, part: Any, spread: bool) -> None:
    """Merge moments of groups, (count, total, lost, low, high, squares), into those that have these places."""
    counts, totals, losses, lows, highs, squares = whole
    for j in range(places.size):
        i = places[j]
        a, b = float(counts[i]), float(part[0][j])
        left, right = totals[i], part[1][j]
        if spread:
            squares[i] = squares[i] + part[5][j] + _squares_between((a, left, losses[i]), (b, right, part[2][j]))
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


@njit(nogil=True, cache=True)
def bucket_codes(slots: Any, bits: Any) -> Any:
    """The code of each row's (slot, bucket); -1 where the value is NaN or the row is skipped."""
    codes = np.empty(bits.size, np.int64)
    for i in range(bits.size):
        s, b = np.int64(slots[i]), bits[i]
        known = s >= 0 and (b & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000
        codes[i] = (s << SLOT_SHIFT) + _bucket(b) + CODES if known else -1
    return codes
