"""Kernels: the loops over rows, compiled by numba, free of the GIL, cached on disk.

Every kernel takes `slots`, the int32 number of each row's group: rows with a negative slot are skipped. Arrays that are
read must be contiguous and read-only (`frozen`), so that each kernel is compiled for one signature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

MANTISSA = 43
CODES = 1 << 20
SLOT_SHIFT = 22


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous, read-only view (a copy only where the array has strides)."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@njit(nogil=True, cache=True)
def count_rows(slots: Any, n: int) -> Any:
    """Rows of each slot and the position of one of them."""
    counts = np.zeros(n, np.int64)
    position = np.zeros(n, np.int64)
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            counts[s] += 1
            position[s] = i
    return counts, position


@njit(nogil=True, cache=True)
def sum_floats(slots: Any, values: Any, n: int) -> Any:
    """Table of shape (n, 5): count, sum, what the sum has lost (Neumaier, branch-free), minimum, maximum."""
    table = np.zeros((n, 5))
    table[:, 3], table[:, 4] = np.inf, -np.inf
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and x == x:
            row = table[s]
            total = row[1]
            new = total + x
            part = new - total
            row[0] += 1.0
            row[1] = new
            row[2] += (total - (new - part)) + (x - part)
            if x < row[3]:
                row[3] = x
            if x > row[4]:
                row[4] = x
    return table


@njit(nogil=True, cache=True)
def spread_floats(slots: Any, values: Any, means: Any) -> Any:
    """Sums of squared deviations from `means`, corrected for the rounding of the means."""
    table = np.zeros((means.size, 3))
    for i in range(slots.size):
        s, x = slots[i], values[i]
        if s >= 0 and x == x:
            row = table[s]
            d = x - means[s]
            row[0] += 1.0
            row[1] += d
            row[2] += d * d
    return table[:, 2] - table[:, 1] ** 2 / np.maximum(table[:, 0], 1.0)


@njit(nogil=True, cache=True)
def sum_column(values: Any) -> Any:
    """`sum_floats` of one slot for all rows, kept in registers."""
    table = np.zeros((1, 5))
    count, total, lost, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    for i in range(values.size):
        x = values[i]
        if x == x:
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
        if x == x:
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
    table[:, 2], table[:, 3] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            x = values[i]
            row = table[s]
            row[0] += 1
            row[1] += x
            if x < row[2]:
                row[2] = x
            if x > row[3]:
                row[3] = x
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
        if c < 0 and keep:
            c = size - 1
        out[i] = s * size + c if s >= 0 and c >= 0 else -1


@njit(nogil=True, cache=True)
def factorize(codes: Any) -> Any:
    """Dense numbers by first appearance and the distinct codes; negative codes stay -1 (open addressing)."""
    bits = 10
    while (1 << bits) < 2 * min(codes.size, 1 << 12):
        bits += 1
    table = np.full(1 << bits, -1, np.int32)
    slots = np.empty(codes.size, np.int32)
    distinct = np.empty(1 << (bits - 1), np.int64)
    n = 0
    for i in range(codes.size):
        code = codes[i]
        if code < 0:
            slots[i] = -1
            continue
        at = np.int64((np.uint64(code) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while table[at] >= 0 and distinct[table[at]] != code:
            at = (at + 1) & ((1 << bits) - 1)
        if table[at] < 0:
            if n == distinct.size:
                bits += 1
                table, distinct = _grow(distinct, bits)
                at = np.int64((np.uint64(code) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
                while table[at] >= 0:
                    at = (at + 1) & ((1 << bits) - 1)
            table[at], distinct[n] = n, code
            n += 1
        slots[i] = table[at]
    return slots, distinct[:n].copy()


@njit(nogil=True, cache=True)
def _grow(distinct: Any, bits: int) -> Any:
    table = np.full(1 << bits, -1, np.int32)
    larger = np.empty(1 << (bits - 1), np.int64)
    larger[: distinct.size] = distinct
    for j in range(distinct.size):
        at = np.int64((np.uint64(distinct[j]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while table[at] >= 0:
            at = (at + 1) & ((1 << bits) - 1)
        table[at] = j
    return table, larger


@njit(nogil=True, cache=True)
def _bucket(bits: int) -> int:
    # Sign and magnitude to one ordered number: -0.0 and 0.0 meet in bucket 0.
    code = (bits & 0x7FFFFFFFFFFFFFFF) >> MANTISSA
    return -code if bits < 0 else code


@njit(nogil=True, cache=True)
def count_buckets(slots: Any, bits: Any, n: int, low: int, width: int) -> Any:
    """Rows of each (slot, bucket) as sorted codes and counts, through a table of n * width cells.

    The table is zero pages until a cell is touched, so memory follows the buckets in use, not the window.
    """
    table = np.zeros(n * width, np.int32)
    touched = np.empty(min(bits.size, table.size), np.int64)
    k = 0
    for i in range(bits.size):
        s, b = np.int64(slots[i]), bits[i]
        if s >= 0 and (b & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000:
            cell = s * width + _bucket(b) - low
            if table[cell] == 0:
                touched[k] = cell
                k += 1
            table[cell] += 1
    cells = np.sort(touched[:k])
    counts = np.empty(k, np.int64)
    for j in range(k):
        counts[j] = table[cells[j]]
        s = cells[j] // width
        cells[j] = (s << SLOT_SHIFT) + (cells[j] - s * width) + low + CODES
    return cells, counts


@njit(nogil=True, cache=True)
def bucket_codes(slots: Any, bits: Any) -> Any:
    """The code of each row's (slot, bucket); -1 where the value is NaN or the row is skipped."""
    codes = np.empty(bits.size, np.int64)
    for i in range(bits.size):
        s, b = np.int64(slots[i]), bits[i]
        known = s >= 0 and (b & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000
        codes[i] = (s << SLOT_SHIFT) + _bucket(b) + CODES if known else -1
    return codes


@njit(nogil=True, cache=True)
def _mixed(x: Any) -> Any:
    # The finaliser of splitmix64 (Steele, Lea and Flood 2014).
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, cache=True)
def hash_words(words: Any) -> Any:
    """32-bit hashes of int64 words."""
    out = np.empty(words.size, np.int64)
    for i in range(words.size):
        out[i] = np.int64(_mixed(np.uint64(words[i]) + np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32))
    return out


@njit(nogil=True, cache=True)
def hash_bytes(offsets: Any, data: Any) -> Any:
    """32-bit hashes of byte strings: FNV-1a, then mixed."""
    out = np.empty(offsets.size - 1, np.int64)
    for i in range(out.size):
        h = np.uint64(0xCBF29CE484222325)
        for j in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[j])) * np.uint64(0x100000001B3)
        out[i] = np.int64(_mixed(h) >> np.uint64(32))
    return out


@njit(nogil=True, cache=True)
def tag_slots(slots: Any, hashes: Any) -> Any:
    """`slot << 32 | hash` for each row; -1 for skipped rows."""
    codes = np.empty(slots.size, np.int64)
    for i in range(slots.size):
        codes[i] = (np.int64(slots[i]) << 32) | hashes[i] if slots[i] >= 0 else -1
    return codes


@njit(nogil=True, cache=True)
def raise_registers(registers: Any, rows: Any, hashes: Any) -> None:
    """Raise HyperLogLog registers, of shape (k, 2**14), by 32-bit hashes that belong to their rows."""
    for i in range(hashes.size):
        rest = hashes[i] & 0x3FFFF
        rank = 1
        while rank <= 18 and not rest & (1 << (18 - rank)):
            rank += 1
        at = hashes[i] >> 18
        if registers[rows[i], at] < rank:
            registers[rows[i], at] = rank
