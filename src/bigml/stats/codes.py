"""Codes: how often each code of a column of dictionaries occurs, or each whole number of a column whose numbers lie together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Array
from bigml.stats.lanes import LANES, count_known, fill, first_gap, has, plain

SPAN = 1 << 13
"""How many neighbouring whole numbers are counted by their place among them."""
WHOLE = 2.0**52
"""Up to here, and a little beyond, every whole number is a float64 number."""
ELSEWHERE = -2
"""Told in the place of a gap: a number is not whole, or far away."""


def coded_counts(array: pa.DictionaryArray) -> tuple[NDArray[np.int64], int]:
    """Rows of each value of the dictionary, of null at the end, and the first row that is null (-1: none).

    >>> coded_counts(pa.array(["a", None, "b", "a"]).dictionary_encode())
    (array([2, 1, 1]), 1)
    """
    found, n = plain(array.indices), len(array.dictionary)
    return _count_codes(*found, n) if found is not None else (np.zeros(n + 1, np.int64), -1)


@njit(nogil=True, cache=True)
def _count_codes(codes: Any, bits: Any, offset: int, n: int) -> Any:
    table, first = np.zeros((2, n + 1), np.int64), -1
    if not bits.size:
        _count(codes, table[0], table[1])
        return table[0] + table[1], first
    for i in range(codes.size):
        if has(bits, offset + i):
            table[i & 1, np.uint32(codes[i])] += 1
        else:
            table[0, n] += 1
            first = i if first < 0 else first
    return table[0] + table[1], first


@njit(nogil=True, cache=True)
def _count(codes: Any, even: Any, odd: Any) -> None:
    # Two counters for each code: one is free while the other, of the row before, is still being written.
    for k in range(0, codes.size - 1, 2):
        even[np.uint32(codes[k])] += 1
        odd[np.uint32(codes[k + 1])] += 1
    if codes.size & 1:
        even[np.uint32(codes[-1])] += 1


class Near(NamedTuple):
    """Distinct whole numbers and how many rows have each, how many have none, and the first of these (-1: none)."""

    values: NDArray[np.int64]
    rows: NDArray[np.int64]
    missing: int
    first: int


def near_counts(array: Array) -> Near | None:
    """How often each number occurs; None of other types than plain numbers, or where one is not whole or far from the first.

    >>> near_counts(pa.array([7, None, 5, 7]))
    Near(values=array([5, 7]), rows=array([1, 2]), missing=1, first=1)
    """
    found = plain(array)
    low = np.nan if found is None else _lowest(*found)
    if found is None or not abs(low) < WHOLE:
        return None
    counts, first, whole = _count_near(*found, low)
    at = np.flatnonzero(counts[:SPAN])
    return Near(at + int(low), counts[at], int(counts[SPAN]), int(first)) if whole else None


@njit(nogil=True, cache=True)
def _lowest(values: Any, bits: Any, offset: int) -> float:
    """The lowest number that is counted, with the first one in the middle; NaN where there is none."""
    buffer = np.empty(LANES)
    for start in range(0, values.size, LANES):
        fill(buffer, values[start : start + LANES], bits, offset + start)
        for k in range(LANES):
            if buffer[k] == buffer[k]:
                return np.floor(buffer[k]) - SPAN // 2
    return np.nan


@njit(nogil=True, cache=True)
def _count_near(values: Any, bits: Any, offset: int, low: float) -> Any:
    """Rows of each number from `low` on and of those without one, the first of these, and whether that is all there is."""
    first, buffer, places = -1, np.empty(LANES), np.empty(LANES, np.uint32)
    table = np.zeros((2, SPAN + 1), np.int64)
    for start in range(0, values.size, LANES):
        block = values[start : start + LANES]
        if bits.size:
            fill(buffer, block, bits, offset + start)
            gap = _place(buffer[: block.size], low, places)
        else:
            gap = _place(block, low, places)
        if gap == ELSEWHERE:
            return table[0], first, False
        first = start + gap if first < 0 <= gap else first
        _count(places[: block.size], table[0], table[1])
    return table[0] + table[1], first, True


@njit(nogil=True, cache=True)
def _place(numbers: Any, low: float, places: Any) -> int:
    """Where numbers belong, `SPAN` for those that are missing; the first of these (-1: none), or that one belongs elsewhere."""
    near = 0
    for k in range(numbers.size):
        distance: Any = np.float64(numbers[k]) - low
        inside = 0.0 <= distance < SPAN
        place = np.int32(distance if inside else 0.0)
        near += inside and place == distance
        places[k] = place if inside else SPAN
    if near == numbers.size:
        return -1
    return first_gap(numbers) if near == count_known(numbers) else ELSEWHERE
