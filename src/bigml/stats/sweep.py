"""Sweep: all moments of a column in one pass over its values as they lie in memory, nulls told by a bitmap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Array
from bigml.stats.kernels import frozen
from bigml.stats.lanes import ALL, LANES, Plain, count_known, fill, first_gap, has, plain
from bigml.stats.moments import Moment
from bigml.stats.places import BLOCK, ELSEWHERE, Reach, around, placed, roomy

PIVOT = 1024
"""Values whose mean is the origin of squared deviations."""
SPAN = 1 << 20
"""How many neighbouring whole numbers are added up exactly."""
MOST_EXACT = 1 << 24
"""Rows that are added up exactly: 64 bits hold their squares."""


@njit(nogil=True, cache=True)
def _pivot(values: Any, bits: Any, offset: int) -> float:
    """The mean of the first values; exactly the value where all of these are equal."""
    count, total, low, high = 0, 0.0, np.inf, -np.inf
    for i in range(values.size):
        x = np.float64(values[i])
        if np.isfinite(x) and has(bits, offset + i):
            count += 1
            total += x
            low, high = min(low, x), max(high, x)
            if count == PIVOT:
                break
    if low == high or not np.isfinite(total):
        return low if count else 0.0
    return total / max(count, 1)


@njit(nogil=True, cache=True)
def _sweep(values: Any, bits: Any, offset: int, pivot: float, sums: Any) -> Any:
    """Rows with a value, the first without one (-1: none).

    By lane, `sums` are added to: total, what it lost, deviations, their squares; and the extremes are widened.
    """
    count, first, buffer = 0, -1, np.empty(LANES)
    for start in range(0, values.size, LANES):
        block = values[start : start + LANES]
        fill(buffer, block, bits, offset + start)
        known = count_known(buffer)
        if known < block.size and first < 0:
            first = start + first_gap(buffer)
        count += known
        _add(buffer, sums[0], sums[1])
        _spread(buffer, pivot, sums[2], sums[3])
        _widen(buffer, sums[4], sums[5])
    return count, first


@njit(nogil=True, cache=True)
def _add(buffer: Any, total: Any, lost: Any) -> None:
    # Compensated (Neumaier 1974), without a branch; NaN adds nothing.
    for k in range(buffer.size):
        x = buffer[k] if buffer[k] == buffer[k] else 0.0
        old = total[k]
        new = old + x
        part = new - old
        lost[k] += (old - (new - part)) + (x - part)
        total[k] = new


@njit(nogil=True, cache=True)
def _widen(buffer: Any, low: Any, high: Any) -> None:
    for k in range(buffer.size):
        x = buffer[k]
        low[k] = x if x < low[k] else low[k]
        high[k] = x if x > high[k] else high[k]


@njit(nogil=True, cache=True)
def _spread(buffer: Any, pivot: float, deviations: Any, squares: Any) -> None:
    for k in range(buffer.size):
        d = buffer[k] - pivot if buffer[k] == buffer[k] else 0.0
        deviations[k] += d
        squares[k] += d * d


def swept(*blocks: Array) -> tuple[Moment, int] | None:
    """Moments of a column of numbers, and its first row without a value (-1: none); None for other types than plain numbers.

    Those of whole numbers within half a million of the first one are exact. Of others, squared deviations are taken from the
    mean of the first values; where these lie k deviations from the mean of all n, at most k**2 units in the last place are lost,
    and k**2 is at most n / 1024.

    Args:
        blocks: The column as it lies in memory, in one array or several.

    >>> import pyarrow as pa
    >>> moment, first = swept(pa.array([1.0, None, 5.0]))
    >>> moment.n[0].item(), moment.total[0].item(), moment.squares[0].item(), first
    (2, 6.0, 8.0, 1)
    """
    found = [plain(block) for block in blocks if len(block)]
    known = [one for one in found if one is not None]
    return _moments(known) if found and len(known) == len(found) else None


def swept_numbers(values: NDArray[np.float64]) -> tuple[Moment, int]:
    """The same of float64 numbers, NaN where one is missing."""
    return _moments([(frozen(values), ALL, 0)])


def _moments(blocks: Sequence[Plain]) -> tuple[Moment, int]:
    return _exactly(blocks) or _rounded(blocks)


def _exactly(blocks: Sequence[Plain]) -> tuple[Moment, int] | None:
    """Moments in whole numbers; None where some are not whole or far away."""
    low = next((low for block in blocks if (low := around(block, SPAN)) is not None), None)
    if low is None or sum(block[0].size for block in blocks) > MOST_EXACT:
        return None
    sums, at, gap = np.zeros(5, np.int64), 0, -1
    for values, bits, offset in blocks:
        first = _sum_places(values, bits, offset, Reach(low, SPAN, SPAN // 2, 0), sums)
        if first == ELSEWHERE:
            return None
        gap, at = at + first if gap < 0 <= first else gap, at + values.size
    count, distances, squares, least, most = sums.tolist()
    origin = int(low) + SPAN // 2
    total = count * origin + distances
    spread = (count * squares - distances**2) / count
    fields = (float(total), total - int(float(total)), origin + least, origin + most, spread)
    return Moment(np.array([count]), *(np.array([one], np.float64) for one in fields)), gap


@njit(nogil=True, cache=True)
def _sum_places(values: Any, bits: Any, offset: int, reach: Any, sums: Any) -> int:
    """Add to `sums`: rows with a value, their places and the squares of these; widen the extremes. As `placed`, tell the gap."""
    first, room = -1, roomy()
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        known, gap = placed(block, bits, offset + start, reach, room)
        if gap == ELSEWHERE:
            return ELSEWHERE
        first = start + gap if first < 0 <= gap else first
        sums[0] += known
        _gather(room[1][: block.size], sums)
    return first


@njit(nogil=True, cache=True)
def _gather(places: Any, sums: Any) -> None:
    total, squares = np.int64(0), np.int64(0)
    least, most = np.int32(0), np.int32(0)
    for k in range(places.size):
        place = places[k]
        total += place
        squares += np.int64(place) * np.int64(place)
        least, most = min(least, place), max(most, place)
    sums[1] += total
    sums[2] += squares
    sums[3], sums[4] = min(sums[3], least), max(sums[4], most)


def _rounded(blocks: Sequence[Plain]) -> tuple[Moment, int]:
    pivot, sums = _pivot(*blocks[0]), np.zeros((6, LANES))
    sums[4:] = np.array([[np.inf], [-np.inf]])
    count, at, gap = 0, 0, -1
    for values, bits, offset in blocks:
        known, first = _sweep(values, bits, offset, pivot, sums)
        gap = at + first if gap < 0 <= first else gap
        count, at = count + known, at + values.size
    total, lost, deviations, squares, low, high = _joined(sums)
    spread = max(squares - deviations**2 / max(count, 1), 0.0)
    lost = lost if np.isfinite(total) and np.isfinite(lost) else 0.0
    fields = (np.array([one]) for one in (total, lost, low + 0.0, high + 0.0, spread))
    return Moment(np.array([count]), *fields), gap


@njit(nogil=True, cache=True)
def _joined(sums: Any) -> Any:
    """Of all lanes: total, what it lost, deviations, squares, extremes."""
    total, lost = np.zeros(1), np.zeros(1)
    for k in range(LANES):
        _add(sums[0, k : k + 1], total, lost)
    return total[0], lost[0] + sums[1].sum(), sums[2].sum(), sums[3].sum(), sums[4].min(), sums[5].max()
