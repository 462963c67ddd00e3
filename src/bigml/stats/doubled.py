"""Doubled: numbers of twice the precision of float64, as pairs of a high and a low part (Dekker 1971), arrays of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Doubled: TypeAlias = tuple[Any, Any]
"""The high and the low part: arrays of one shape, or floats."""

BLOCK = 8192
"""Rows whose pairs are worked out together: they stay in the processor's cache."""


def two_sum(a: Any, b: Any) -> Doubled:
    """`a + b` without rounding."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Any, b: Any) -> Doubled:
    """`a * b` without rounding, unless parts of it overflow or underflow."""
    product = a * b
    (high_a, low_a), (high_b, low_b) = _split(a), _split(b)
    return product, ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


def _split(a: Any) -> Doubled:
    wide = 134217729.0 * a
    high = wide - (wide - a)
    return high, a - high


def add(a: Doubled, b: Doubled) -> Doubled:
    """The sum of two."""
    high, low = two_sum(a[0], b[0])
    more, rest = two_sum(a[1], b[1])
    high, low = two_sum(high, low + more)
    return two_sum(high, low + rest)


def subtract(a: Doubled, b: Doubled) -> Doubled:
    """The difference of two."""
    return add(a, (-b[0], -b[1]))


def multiply(a: Doubled, b: Doubled) -> Doubled:
    """The product of two."""
    high, low = two_product(a[0], b[0])
    return two_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


def times(a: Doubled, factor: Any) -> Doubled:
    """One times float64 numbers."""
    return multiply(a, (factor, 0.0))


def quotient(a: Doubled, b: Doubled) -> Doubled:
    """One divided by another."""
    first = a[0] / b[0]
    rest = subtract(a, times(b, first))
    second = rest[0] / b[0]
    rest = subtract(rest, times(b, second))
    high, low = two_sum(first, second)
    return two_sum(high, low + rest[0] / b[0])


def chosen(where: NDArray[np.bool_], a: Doubled, b: Doubled) -> Doubled:
    """The first where it is true, or else the second."""
    return np.where(where, a[0], b[0]), np.where(where, a[1], b[1])


def pair(table: Floats, at: int) -> Doubled:
    """The numbers at this place of the rows of a table, whose columns are high and low parts in turn."""
    return table[:, 2 * at], table[:, 2 * at + 1]


def table_of(pairs: Sequence[Doubled]) -> Floats:
    """The table that has these numbers in its rows, one behind the other."""
    return np.column_stack([part for one in pairs for part in one])


def accumulate(table: Floats, at: NDArray[Any], pairs: Sequence[Doubled]) -> None:
    """Add number i of each of the pairs to row `at[i]` of the table; a negative place skips it."""
    high, low = (np.stack([np.broadcast_to(one[side], at.shape) for one in pairs]) for side in (0, 1))
    _accumulate(table, np.ascontiguousarray(at, np.int64), high, low)


@njit(nogil=True, cache=True)
def _accumulate(table: Any, at: Any, high: Any, low: Any) -> None:
    # The steps of `add`, written out: each compiled function costs a third of a second at first.
    for i in range(at.size):
        if at[i] >= 0:
            for j in range(high.shape[0]):
                a, b, c, d = table[at[i], 2 * j], table[at[i], 2 * j + 1], high[j, i], low[j, i]
                total, more = a + c, b + d
                part, bit = total - a, more - b
                carried = ((a - (total - part)) + (c - part)) + more
                rest = (b - (more - bit)) + (d - bit)
                whole = total + carried
                part = whole - total
                lost = ((total - (whole - part)) + (carried - part)) + rest
                table[at[i], 2 * j] = whole + lost
                table[at[i], 2 * j + 1] = lost - ((whole + lost) - whole)
