"""Codes: how often each code of a column of dictionaries occurs, or each whole number of a column whose numbers lie together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Array
from bigml.stats.lanes import plain
from bigml.stats.places import BLOCK, ELSEWHERE, Reach, around, placed, roomy

SPAN = 1 << 13
"""How many neighbouring whole numbers are counted by their place among them."""


def coded_counts(array: pa.DictionaryArray) -> tuple[NDArray[np.int64], int]:
    """Rows of each value of the dictionary, of null at the end, and the first row that is null (-1: none).

    >>> coded_counts(pa.array(["a", None, "b", "a"]).dictionary_encode())
    (array([2, 1, 1]), 1)
    """
    found, n = plain(array.indices), len(array.dictionary)
    if found is None:
        return np.zeros(n + 1, np.int64), -1
    if not array.indices.null_count:
        return _count_codes(found[0], n), -1
    counts, first, _ = _count_places(*found, Reach(0, n, 0, n))
    return counts, int(first)


@njit(nogil=True, cache=True)
def _count_codes(codes: Any, n: int) -> Any:
    table = np.zeros((2, n + 1), np.int64)
    _count(codes, table[0], table[1])
    return table[0] + table[1]


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
    low = around(found, SPAN) if found is not None else None
    if found is None or low is None:
        return None
    counts, first, all_near = _count_places(*found, Reach(low, SPAN, 0, SPAN))
    at = np.flatnonzero(counts[:SPAN])
    return Near(at + int(low), counts[at], int(counts[SPAN]), int(first)) if all_near else None


@njit(nogil=True, cache=True)
def _count_places(values: Any, bits: Any, offset: int, reach: Any) -> Any:
    """Rows of each number and of those that are missing, the first of these, and whether that is all there is."""
    first, room = -1, roomy()
    table = np.zeros((2, reach.span + 1), np.int64)
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        _, gap = placed(block, bits, offset + start, reach, room)
        if gap == ELSEWHERE:
            return table[0], first, False
        first = start + gap if first < 0 <= gap else first
        _count(room[1][: block.size], table[0], table[1])
    return table[0] + table[1], first, True


@njit(nogil=True, cache=True)
def _count(codes: Any, even: Any, odd: Any) -> None:
    # Two counters for each code: one is free while the other, of the row before, is still being written.
    for k in range(0, codes.size - 1, 2):
        even[np.uint32(codes[k])] += 1
        odd[np.uint32(codes[k + 1])] += 1
    if codes.size & 1:
        even[np.uint32(codes[-1])] += 1
