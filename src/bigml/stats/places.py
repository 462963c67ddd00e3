"""Places: whole numbers that lie together, as their distance from one of them: what is counted or added up without rounding."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from bigml.stats.lanes import Plain, has

BLOCK = 1024
"""Numbers that are looked at together."""
WHOLE = 2.0**52
"""Up to here, and a little beyond, every whole number is a float64 number."""
ELSEWHERE = -2
"""Told in the place of a gap: a number is not whole, or far away."""
GAPS = (~np.arange(256)[:, None] >> np.arange(8) & 1).astype(np.uint8).view(np.uint64).ravel()
"""For each byte of a bitmap eight bytes, 1 where a value is missing."""


class Reach(NamedTuple):
    """Whole numbers `low`, ..., `low + span - 1`, and which places they have.

    Attributes:
        low: An integer for integers, a float for floats.
        span: How many they are, less than 2**31.
        shift: The place of `low` is `-shift`.
        missing: The place of a number that is missing.
    """

    low: int | float
    span: int
    shift: int
    missing: int


def around(block: Plain, span: int) -> int | float | None:
    """The lowest of `span` whole numbers that have the block's first number in the middle; None where there is none."""
    first = _first(*block)
    if not abs(first) < WHOLE:
        return None
    low = int(np.floor(first)) - span // 2
    return low if block[0].dtype.kind in "iu" else float(low)


@njit(nogil=True, cache=True)
def _first(values: Any, bits: Any, offset: int) -> float:
    """The first number that is there; NaN where none is."""
    for i in range(values.size):
        if has(bits, offset + i) and values[i] == values[i]:
            return np.float64(values[i])
    return np.nan


@njit(nogil=True, cache=True)
def roomy() -> Any:
    """Room to work in, for `placed`: marks of missing numbers, and places."""
    return np.zeros(BLOCK, np.uint8), np.empty(BLOCK, np.int32)


@njit(nogil=True, cache=True)
def placed(block: Any, bits: Any, at: int, reach: Any, room: Any) -> Any:
    """How many of the numbers are there, and the first that is missing (-1: none, `ELSEWHERE`: some are beyond reach).

    Args:
        block: At most `BLOCK` numbers.
        bits: Tells from bit `at` on which of them are there; empty: all.
        reach: The numbers that belong here.
        room: Made by `roomy`; the second array is given the places.
    """
    gone, places = room
    if bits.size:
        _mark(gone, bits, at, block.size)
    known = _place(block, gone, reach, places)
    if known == block.size:
        return known, -1
    if known + _gaps(block, gone) < block.size:
        return known, ELSEWHERE
    first = 0
    while not gone[first] and block[first] == block[first]:
        first += 1
    return known, first


@njit(nogil=True, cache=True)
def _place(block: Any, gone: Any, reach: Any, places: Any) -> Any:
    # Narrow and without a branch, so that it becomes vector instructions.
    low, span, shift, missing = reach.low, np.int32(reach.span), np.int32(reach.shift), np.int32(reach.missing)
    known = np.int32(0)
    for k in range(block.size):
        distance = block[k] - low
        inside = (distance >= 0) & (distance < span) & (gone[k] == 0)
        place = np.int32(distance if inside else 0)
        good = inside & (place == distance)
        known += np.int32(good)
        places[k] = place - shift if good else missing
    return known


@njit(nogil=True, cache=True)
def _mark(gone: Any, bits: Any, at: int, size: int) -> None:
    if at & 7:
        for k in range(size):
            gone[k] = not has(bits, at + k)
        return
    words: Any = gone.view(np.uint64)
    for byte in range((size + 7) >> 3):
        words[byte] = GAPS[bits[(at >> 3) + byte]]


@njit(nogil=True, cache=True)
def _gaps(block: Any, gone: Any) -> Any:
    """How many numbers are missing, null or NaN."""
    count = np.int32(0)
    for k in range(block.size):
        count += np.int32((gone[k] != 0) | (block[k] != block[k]))
    return count
