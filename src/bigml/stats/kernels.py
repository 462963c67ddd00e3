"""Kernels: the loops over rows, compiled by numba, free of the GIL, cached on disk.

Every kernel takes `slots`, the int32 number of each row's group: rows with a negative slot are skipped. Arrays that are
read must be contiguous and read-only (`frozen`), so that each kernel is compiled for one signature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import DTypeLike, NDArray

from bigml.stats import compiling

compiling.tell()

MANTISSA = 43
CODES = 1 << 20
SLOT_SHIFT = 22
EXACT = 2.0**24
"""Up to here floats of 32 bits and more hold every whole number."""


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous, read-only view (a copy only where the array has strides)."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def room(n: int, dtype: DTypeLike) -> NDArray[Any]:
    """An array of n numbers of any content, of Arrow's memory.

    What was given back there is used again. Workers of Dask tell the system to take large arrays back at once, so that
    each new one is a page fault for every 4 KiB, which takes longer than most of what is done with it.
    """
    return np.frombuffer(pa.allocate_buffer(n * np.dtype(dtype).itemsize), dtype)


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


@njit(nogil=True, cache=True)
def whole_range(values: Any) -> Any:
    """The lowest and the highest of whole numbers, NaN left out; infinities apart where one is not whole, or there is none."""
    low, high = np.inf, -np.inf
    for i in range(values.size):
        x = values[i]
        if not np.isnan(x):
            if x != np.floor(x) or abs(x) > EXACT:
                return -np.inf, np.inf
            low = x if x < low else low
            high = x if x > high else high
    return (low + 0.0, high) if low <= high else (-np.inf, np.inf)


@njit(nogil=True, cache=True)
def offset_floats(values: Any, low: float) -> Any:
    """`values - low` as int32, for whole numbers that lie close together; -1 for NaN."""
    codes = np.empty(values.size, np.int32)
    for i in range(values.size):
        codes[i] = -1 if np.isnan(values[i]) else np.int32(values[i] - low)
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
def bucket_codes(slots: Any, bits: Any) -> Any:
    """The code of each row's (slot, bucket); -1 where the value is NaN or the row is skipped."""
    codes = np.empty(bits.size, np.int64)
    for i in range(bits.size):
        s, b = np.int64(slots[i]), bits[i]
        known = s >= 0 and (b & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000
        codes[i] = (s << SLOT_SHIFT) + _bucket(b) + CODES if known else -1
    return codes
