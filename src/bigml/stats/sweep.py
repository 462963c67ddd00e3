"""Sweep: all moments of a column in one pass over its values as they lie in memory, nulls told by a bitmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Array
from bigml.stats.kernels import frozen
from bigml.stats.moments import Moment

PIVOT = 1024
"""Values whose mean is the origin of squared deviations."""
ALL = frozen(np.zeros(0, np.uint8))


@njit(nogil=True, cache=True)
def _pivot(values: Any, bits: Any, offset: int) -> float:
    """The mean of the first values; exactly the value where all of these are equal."""
    count, total, low, high = 0, 0.0, np.inf, -np.inf
    for i in range(values.size):
        x, j = np.float64(values[i]), offset + i
        if np.isfinite(x) and (bits.size == 0 or (bits[j >> 3] >> (j & 7)) & 1):
            count += 1
            total += x
            low, high = min(low, x), max(high, x)
            if count == PIVOT:
                break
    if low == high or not np.isfinite(total):
        return low if count else 0.0
    return total / max(count, 1)


@njit(nogil=True, cache=True)
def _sweep(values: Any, bits: Any, offset: int, pivot: float) -> Any:
    """Rows with a value, sum and what it lost, extremes, sums of deviations and of their squares, the first missing row.

    The sum is compensated (Neumaier 1974); the other sums wait for it anyway and cost nothing.
    """
    count, first = 0, -1
    total, lost, low, high, deviations, squares = 0.0, 0.0, np.inf, -np.inf, 0.0, 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        j = offset + i
        if np.isnan(x) or (bits.size > 0 and not (bits[j >> 3] >> (j & 7)) & 1):
            first = i if first < 0 else first
            continue
        new = total + x
        part = new - total
        lost += (total - (new - part)) + (x - part)
        total = new
        count += 1
        low = x if x < low else low
        high = x if x > high else high
        d = x - pivot
        deviations += d
        squares += d * d
    return count, total, lost, low, high, deviations, squares, first


def swept(array: Array) -> tuple[Moment, int] | None:
    """Moments of a column of numbers, and its first row without a value (-1: none); None for other types than plain numbers.

    Squared deviations are taken from the mean of the first values. Where these lie k deviations from the mean of all n, at
    most k**2 units in the last place are lost, and k**2 is at most n / 1024.

    >>> moment, first = swept(pa.array([1.0, None, 5.0]))
    >>> moment.n[0].item(), moment.total[0].item(), moment.squares[0].item(), first
    (2, 6.0, 8.0, 1)
    """
    plain = _plain(array)
    return None if plain is None else _moments(*plain)


def swept_numbers(values: NDArray[np.float64]) -> tuple[Moment, int]:
    """The same of float64 numbers, NaN where one is missing."""
    return _moments(frozen(values), ALL, 0)


def _moments(values: NDArray[Any], bits: NDArray[np.uint8], offset: int) -> tuple[Moment, int]:
    pivot = _pivot(values, bits, offset)
    count, total, lost, low, high, deviations, squares, first = _sweep(values, bits, offset, pivot)
    spread = max(squares - deviations**2 / max(count, 1), 0.0)
    lost = lost if np.isfinite(total) and np.isfinite(lost) else 0.0
    fields = (np.array([one]) for one in (total, lost, low + 0.0, high + 0.0, spread))
    return Moment(np.array([count]), *fields), first


@njit(nogil=True, cache=True)
def _count_codes(codes: Any, bits: Any, offset: int, n: int) -> Any:
    """Rows of each code below n, those without one at the end, and the first row without one."""
    counts, first = np.zeros(n + 1, np.int64), -1
    for i in range(codes.size):
        j = offset + i
        if bits.size == 0 or (bits[j >> 3] >> (j & 7)) & 1:
            counts[codes[i]] += 1
        else:
            counts[n] += 1
            first = i if first < 0 else first
    return counts, first


def coded_counts(array: pa.DictionaryArray) -> tuple[NDArray[np.int64], int]:
    """Rows of each value of the dictionary, of null at the end, and the first row that is null (-1: none).

    >>> coded_counts(pa.array(["a", None, "b", "a"]).dictionary_encode())
    (array([2, 1, 1]), 1)
    """
    plain, n = _plain(array.indices), len(array.dictionary)
    return _count_codes(*plain, n) if plain is not None else (np.zeros(n + 1, np.int64), -1)


def _plain(array: Array) -> tuple[NDArray[Any], NDArray[np.uint8], int] | None:
    """Values, bitmap of the valid ones (empty: all) and where it starts."""
    if isinstance(array, np.ndarray):
        return (frozen(array), ALL, 0) if array.dtype.kind in "if" and array.dtype.itemsize > 2 else None
    kind = array.type
    is_plain = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if isinstance(array, pa.ChunkedArray) or not is_plain or not len(array):
        return None
    validity, data = array.buffers()
    values = np.frombuffer(data, kind.to_pandas_dtype(), len(array), array.offset * kind.bit_width // 8)
    bits = np.frombuffer(validity, np.uint8) if array.null_count else ALL
    return frozen(values), frozen(bits), array.offset
