"""Exact: sums of small whole numbers and of their squares, in 64 bits, for many groups at once.

Sums that are not rounded are the same in whatever order, and in whatever way, numbers are added: row by row, or value by value
where it is known how often each comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.stats.kernels import frozen, room
from bigml.stats.summing import FEW_ROWS, Span, is_known, sliced

LARGEST = 1 << 20
"""The largest magnitude of numbers that are added up here."""
MOST_ROWS = 1 << 22
"""Rows of a group, at most: 64 bits hold their squares."""
MOST_PAIRS = 1 << 17
"""Pairs of a group and a value that are counted: their counts stay in the processor's cache."""

Table = NDArray[np.int64]
"""Of shape (n, 5): count, sum, sum of squares, lowest, highest (0, 0, 0, 0, 0 without rows)."""


def sum_spans(slots: NDArray[np.int32], spans: Sequence[Span], n: int) -> Table | None:
    """The table of n slots; None where some number is not whole, or not small, or rows are too many."""
    if len(slots) > MOST_ROWS:
        return None
    table = _started(n)
    for rows, span in sliced(slots, spans):
        if not _sum_spans(rows, *span, table, len(slots) > FEW_ROWS * n):
            return None
    return _ended(table)


def sum_coded(slots: NDArray[np.int32], column: Coded, n: int) -> Table | None:
    """The same of codes; None where some of their values is not whole or not small, even if no row has it."""
    values = whole_values(column)
    if values is None or len(slots) > MOST_ROWS:
        return None
    size = len(values) + 1
    table = _started(n)
    if n * size <= min(MOST_PAIRS, len(slots) // 2):
        pairs = room(n * size, np.int32)
        pairs.fill(0)
        _count_pairs(slots, column.codes, size, pairs)
        _sum_pairs(pairs.reshape(n, size), values, table)
    else:
        _sum_codes(slots, column.codes, values, table, len(slots) > FEW_ROWS * n)
    return _ended(table)


def whole_values(column: Coded) -> NDArray[np.int64] | None:
    """The values as whole numbers; None where some is not whole or not small."""
    if column.is_text:
        return None
    numbers = column.values.to_numpy(zero_copy_only=False)
    if len(numbers) and not (numbers.min() >= -LARGEST and numbers.max() <= LARGEST):
        return None
    whole = numbers.astype(np.int64)
    return frozen(whole) if np.array_equal(whole, numbers) else None


def extremes(table: Table, fills: tuple[float, float]) -> list[NDArray[Any]]:
    """The lowest and the highest of each slot, and these fills where it has no rows."""
    return [np.where(table[:, 0] > 0, table[:, at], fill) for at, fill in zip((3, 4), fills, strict=True)]


def squared_deviations(table: Table) -> NDArray[np.float64]:
    """Sums of squared deviations from the means, rounded but once or twice."""
    count, total, squares = np.maximum(table[:, 0], 1), table[:, 1], table[:, 2]
    # total = count * mean + rest, with a whole mean: all but rest**2 / count stays whole.
    mean = (2 * total + count) // (2 * count)
    rest = total - count * mean
    found: NDArray[np.float64] = squares - count * mean**2 - 2 * mean * rest - rest**2 / count
    return found


def sum_whole_groups(slots: NDArray[np.int32], spans: Sequence[Span], counts: NDArray[np.int64]) -> tuple[Any, Table]:
    """The groups of two and more rows all of whose numbers are whole and small, and the table, which holds for these alone."""
    others = (counts < 2) | (counts > MOST_ROWS)
    left = int(np.count_nonzero(~others))
    for rows, span in sliced(slots, spans):
        left = _mark_others(rows, *span, others, left) if left else 0
    table = _started(len(counts))
    if left:
        chosen = frozen(np.where((slots < 0) | others[slots], np.int32(-1), slots))
        for rows, span in sliced(chosen, spans):
            _sum_spans(rows, *span, table, False)
    return ~others, _ended(table)


def _started(n: int) -> Table:
    table = room(5 * n, np.int64).reshape(n, 5)
    table[:] = (0, 0, 0, LARGEST, -LARGEST)
    return table


def _ended(table: Table) -> Table:
    table[table[:, 0] == 0] = 0
    return table


@njit(nogil=True, cache=True)
def _is_whole(x: float) -> bool:
    return -LARGEST <= x <= LARGEST and np.float64(np.int64(x)) == x


@njit(nogil=True, cache=True)
def _sum_spans(slots: Any, values: Any, bits: Any, table: Any, guess: bool) -> bool:
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and is_known(bits, i, x):
            if not _is_whole(x):
                return False
            _add(table, s, np.int64(x), guess)
    return True


@njit(nogil=True, cache=True)
def _sum_codes(slots: Any, codes: Any, values: Any, table: Any, guess: bool) -> None:
    for i in range(slots.size):
        s, c = slots[i], codes[i]
        if s >= 0 and c >= 0:
            _add(table, s, values[c], guess)


@njit(nogil=True, cache=True)
def _add(table: Any, s: int, x: int, guess: bool) -> None:
    table[s, 0] += 1
    table[s, 1] += x
    table[s, 2] += x * x
    low, high = table[s, 3], table[s, 4]
    if not (guess and low <= x <= high):
        table[s, 3] = x if x < low else low
        table[s, 4] = x if x > high else high


@njit(nogil=True, cache=True)
def _count_pairs(slots: Any, codes: Any, size: int, pairs: Any) -> None:
    # Rows without a value are counted in the first place of each slot, which saves a branch.
    for i in range(slots.size):
        if slots[i] >= 0:
            # Without a sign: a place that could be negative, for all that the compiler knows, takes half as long again.
            pairs[np.uint64(slots[i] * size + codes[i] + 1)] += 1


@njit(nogil=True, cache=True)
def _sum_pairs(pairs: Any, values: Any, table: Any) -> None:
    for s in range(pairs.shape[0]):
        for c in range(values.size):
            count, x = np.int64(pairs[s, c + 1]), values[c]
            if count:
                table[s, 0] += count
                table[s, 1] += count * x
                table[s, 2] += count * x * x
                table[s, 3] = min(table[s, 3], x)
                table[s, 4] = max(table[s, 4], x)


@njit(nogil=True, cache=True)
def _mark_others(slots: Any, values: Any, bits: Any, others: Any, left: int) -> int:
    """Mark the groups that have a number which is not whole or not small; how many are left."""
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and not others[s] and is_known(bits, i, x) and not _is_whole(x):
            others[s] = True
            left -= 1
            if not left:
                break
    return left
