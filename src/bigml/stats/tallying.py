"""Tallying: the compiled loops behind `ticks`.

They take int64 words: times, or the bits of float64 numbers, whose NaN is skipped and whose keys sort as the numbers do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

NEGATIVE_ZERO = np.iinfo(np.int64).min
"""The bits of -0.0."""


@njit(nogil=True, cache=True)
def _is_nan(word: int) -> bool:
    return (word & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000


@njit(nogil=True, cache=True)
def _key(word: int, floating: bool) -> int:
    """The word of a time, or `order.ordered` of a number."""
    if not floating:
        return word
    key = word ^ ((word >> 63) & 0x7FFFFFFFFFFFFFFF)
    # -0.0 alone ends up at -1.
    return key + (key == -1)


@njit(nogil=True, cache=True)
def count_few(words: Any, floating: bool, bits: int) -> Any:
    """A table of 2**bits rows (word, count), and whether the distinct words fill at most half of it."""
    table = np.zeros((1 << bits, 2), np.int64)
    room = 1 << (bits - 1)
    for i in range(words.size):
        word = words[i]
        if floating and _is_nan(word):
            continue
        word = 0 if floating and word == NEGATIVE_ZERO else word
        at = np.int64((np.uint64(word) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
        while table[at, 1] > 0 and table[at, 0] != word:
            at = (at + 1) & ((1 << bits) - 1)
        if table[at, 1] == 0:
            if room == 0:
                return table, False
            room -= 1
            table[at, 0] = word
        table[at, 1] += 1
    return table, True


@njit(nogil=True, cache=True)
def find_spans(words: Any, floating: bool) -> Any:
    """The smallest and largest key for each of the 4,096 values of the upper twelve bits; crossed where it does not occur."""
    lows, highs = np.full(4096, np.iinfo(np.int64).max), np.full(4096, np.iinfo(np.int64).min)
    for i in range(words.size):
        if not (floating and _is_nan(words[i])):
            key = _key(words[i], floating)
            block = (key >> 52) + 2048
            if not (lows[block] <= key <= highs[block]):
                lows[block], highs[block] = min(lows[block], key), max(highs[block], key)
    return lows, highs


@njit(nogil=True, cache=True)
def count_cells(words: Any, floating: bool, shift: int, offsets: Any, size: int) -> Any:
    """Rows in each cell, whose place is the key's upper bits plus the offset of its block."""
    table = np.zeros(size, np.int32)
    for i in range(words.size):
        if not (floating and _is_nan(words[i])):
            key = _key(words[i], floating)
            table[offsets[(key >> 52) + 2048] + (key >> shift)] += 1
    return table
