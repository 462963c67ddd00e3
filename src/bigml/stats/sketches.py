"""Sketches: quantiles and distinct counts in bounded memory, mergeable in any order with bit-identical states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.stats import kernels
from bigml.stats.cells import Rows, arranged
from bigml.stats.hashing import hashes
from bigml.stats.keys import Index

Floats = NDArray[np.float64]

QUANTILE_ERROR = (
    "each order statistic is at most 0.1 % (2**-10) off, the smallest and largest are exact, "
    "and so are whole numbers up to 1,023 in a column of whole numbers"
)
DISTINCT_ERROR = "exact up to 4,096 distinct values in a group (but for 32-bit hash collisions), then a standard error of 0.8 %"
WINDOW = 1 << 16
COARSEST = 1023
"""The grain of a column without numbers."""


class Buckets(NamedTuple):
    """Rows in each bucket: sorted codes, of group and bucket, and their counts; the extremes of each group; the grain.

    The grain is the exponent of a power of two of which all numbers of the column are multiples: 0 for whole numbers.
    """

    codes: Index
    counts: Index
    low: Floats
    high: Floats
    grain: int

    @property
    def n_groups(self) -> int:
        return len(self.low)


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a column by a log-linear histogram of its float64 bits (as in DDSketch, Masson, Rim and Lee 2019).

    A bucket holds the numbers that agree in sign, exponent and the top nine bits of the mantissa; it is represented by the
    middle of those that the group can hold, which is exact where it can hold only one. Infinities have their own buckets;
    NaN is missing. A state depends on the values alone, not on their order or chunking, and holds at most one entry per
    distinct bucket.

    Args:
        column: A numeric, boolean or temporal column.
    """

    column: str

    def empty(self) -> Buckets:
        return Buckets(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), COARSEST)

    def partial(self, rows: Rows) -> Buckets:
        bits = rows.floats(self.column).view(np.int64)
        rests = kernels.mark_exponents(bits)
        exponents, extremes = np.flatnonzero(rests), rows.sums(self.column)[:, 3:]
        codes, counts = _dense(rows, bits, exponents) or _sparse(rows, bits)
        return Buckets(codes, counts, extremes[:, 0] + 0.0, extremes[:, 1] + 0.0, _grain(exponents, rests[exponents]))

    def remainder(self, rows: Rows) -> Buckets:
        return self.empty()._replace(grain=grain(rows.floats(self.column)))

    def arrange(self, state: Buckets, index: Index) -> Buckets:
        codes, order = moved(state.codes, index, state.n_groups, kernels.SLOT_SHIFT)
        low, high = arranged(state.low, index, np.inf), arranged(state.high, index, -np.inf)
        return Buckets(codes, state.counts[order], low, high, state.grain)

    def merge(self, left: Buckets, right: Buckets) -> Buckets:
        codes, counts = united(left.codes, left.counts, right.codes, right.counts)
        low, high = np.minimum(left.low, right.low), np.maximum(left.high, right.high)
        return Buckets(codes, counts, low, high, min(left.grain, right.grain))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 16 * min(n_rows, 20_000 + 500 * n_groups) + 16 * n_groups

    def quantile(self, state: Buckets, q: float) -> Floats:
        """The q-quantile of every group, linear between two order statistics; NaN for a group without values."""
        starts = np.searchsorted(state.codes, np.arange(state.n_groups + 1, dtype=np.int64) << kernels.SLOT_SHIFT)
        before = np.append(0, np.cumsum(state.counts))[starts]
        start, last = before[:-1], np.maximum(np.diff(before) - 1, 0)
        rank = last * q
        lower = np.floor(rank).astype(np.int64)
        with np.errstate(invalid="ignore"):
            below, above = (_order_statistic(state, start, r, last) for r in (lower, np.minimum(lower + 1, last)))
            between = below + (above - below) * (rank - lower)
        between = np.where((below == above) | (rank == lower) | (np.isinf(below) & np.isfinite(above)), below, between)
        return np.where(np.diff(before) > 0, between, np.nan)


def _order_statistic(state: Buckets, start: Index, rank: Index, last: Index) -> Floats:
    """The value of this rank in every group, whose ranks begin at `start`."""
    if not len(state.codes):
        return np.full(len(rank), np.nan)
    place = np.minimum(np.searchsorted(np.cumsum(state.counts), start + rank, side="right"), len(state.codes) - 1)
    middle = middles(state.codes[place], state.grain, state.low, state.high)
    return np.select([rank == 0, rank == last], [state.low, state.high], middle)


def middles(codes: Index, grain: int, low: Floats, high: Floats) -> Floats:
    """The middle of what each of these buckets can hold between a group's extremes: exact where that is one number."""
    lower, upper = _bounds(codes, grain)
    lower, upper = np.maximum(lower, low), np.minimum(upper, high)
    return np.where(lower == upper, lower, lower + (upper - lower) / 2)


def _bounds(codes: Index, grain: int) -> tuple[Floats, Floats]:
    """The smallest and the largest multiple of the grain in each bucket."""
    bucket = (codes & ((1 << kernels.SLOT_SHIFT) - 1)) - kernels.CODES
    near, beyond = ((np.abs(bucket) + more << kernels.MANTISSA).view(np.float64) for more in (0, 1))
    # The bucket of infinity has no width: fmax passes its NaN over.
    far = near + np.fmax(beyond - near - np.ldexp(1.0, grain), 0.0)
    return np.where(bucket < 0, -far, near), np.where(bucket < 0, -near, far)


def grain(values: Floats) -> int:
    """The grain of these numbers."""
    rests = kernels.mark_exponents(values.view(np.int64))
    exponents = np.flatnonzero(rests)
    return _grain(exponents, rests[exponents])


def _grain(exponents: Index, rests: Index) -> int:
    """The grain of numbers with these signs and exponents, from all bits that their mantissas have set."""
    biased = exponents & 0x7FF
    normal = (biased > 0) & (biased < 0x7FF)
    lowest = np.log2(rests & -rests).astype(np.int64)
    return int(np.min((biased + lowest - 1075)[normal], initial=COARSEST))


def united(left: Index, left_counts: Index, right: Index, right_counts: Index) -> tuple[Index, Index]:
    """The union of two sorted lists of distinct codes, counts of equal codes added."""
    if np.array_equal(left, right):
        return left, left_counts + right_counts
    codes, counts, size = kernels.merge_sorted(*map(kernels.frozen, (left, left_counts, right, right_counts)))
    return codes[:size].copy(), counts[:size].copy()


def either(left: Index, right: Index) -> Index:
    """The union of two sorted lists of distinct codes; numpy would hash them, which takes ten times as long."""
    codes = np.sort(np.concatenate([left, right]), kind="stable")
    return codes[starts(codes)]


def summed(codes: Index, counts: Index) -> tuple[Index, Index]:
    """Repeats in a sorted list of codes brought together."""
    first = starts(codes)
    return codes[first], np.add.reduceat(counts, first) if len(first) else counts


def starts(codes: Index) -> Index:
    """Where each run of equal codes starts."""
    return np.flatnonzero(np.append(len(codes) > 0, codes[1:] != codes[:-1]))


def _dense(rows: Rows, bits: Index, exponents: Index) -> tuple[Index, Index] | None:
    """The buckets by a table over those of the exponents that occur, or over those that occur; None where it is too large."""
    negative = exponents >= 2048
    ascending = np.concatenate([exponents[negative][::-1], exponents[~negative]])
    places = np.zeros(4096, np.int64)
    places[ascending] = np.arange(len(ascending))
    places = kernels.frozen(places)
    most = max(WINDOW, 4 * len(bits)) // max(rows.n_slots, 1)
    used = np.arange(512 * len(ascending))
    if len(used) > most:
        used = np.flatnonzero(kernels.mark_buckets(bits, places, len(used)))
    if len(used) > most:
        return None
    # -0.0 and 0.0 share a bucket.
    buckets, rank = np.unique(_bucket(ascending[used >> 9], used & 0x1FF) + kernels.CODES, return_inverse=True)
    ranks = np.zeros(512 * len(ascending), np.int32)
    ranks[used] = rank
    table = np.zeros((rows.n_slots, len(buckets)), np.int32)
    kernels.count_buckets(rows.slots, bits, places, kernels.frozen(ranks), table)
    slot, rank = np.nonzero(table)
    return (slot << kernels.SLOT_SHIFT) | buckets[rank], table[slot, rank].astype(np.int64)


def _sparse(rows: Rows, bits: Index) -> tuple[Index, Index]:
    """The buckets by a table of hashes."""
    places, distinct = kernels.factorize(kernels.bucket_codes(rows.slots, bits))
    order = np.argsort(distinct)
    return distinct[order], np.bincount(places[places >= 0], minlength=len(distinct))[order]


def _bucket(top: Index, place: Index) -> Index:
    magnitude = (top & 0x7FF) << 9
    return np.where(top >= 2048, -(magnitude | (511 - place)), magnitude | place)


def moved(codes: Index, index: Index, n_groups: int, shift: int) -> tuple[Index, Index]:
    """Codes whose group `index[j]` became group j, sorted, and the positions that they came from."""
    starts = np.searchsorted(codes, np.arange(n_groups + 1, dtype=np.int64) << shift)
    sizes = arranged(np.diff(starts), index, 0)
    begins = arranged(starts[:-1], index, 0)
    ends = np.cumsum(sizes)
    order = np.arange(sizes.sum()) + np.repeat(begins - (ends - sizes), sizes)
    slots = np.repeat(np.arange(len(index), dtype=np.int64), sizes)
    return (codes[order] & ((1 << shift) - 1)) | (slots << shift), order


class Hashes(NamedTuple):
    """Distinct values: sorted `group << 32 | hash` of small groups, and registers of shape (k, 2**14) of the large ones."""

    codes: Index
    groups: Index
    registers: NDArray[np.uint8]
    n_groups: int


@dataclass(frozen=True)
class Distinct:
    """Distinct values of a column by HyperLogLog (Flajolet and others 2007), with the estimator of Ertl (2017).

    A group keeps the 32-bit hashes of its values while they are at most 4,096, which makes small counts exact; beyond, it
    keeps 2**14 registers. Which of the two depends on the values alone, so states are bit-identical for any chunking.

    Args:
        column: A column of numbers, booleans, times, decimals, strings or bytes.
    """

    column: str
    limit: int = 4096

    def empty(self) -> Hashes:
        return Hashes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 1 << 14), np.uint8), 0)

    def partial(self, rows: Rows) -> Hashes:
        codes = tag_slots(rows.known_slots(self.column), kernels.frozen(hashes(rows, self.column)))
        return self._folded(np.sort(kernels.factorize(codes)[1]), self.empty(), rows.n_slots)

    def arrange(self, state: Hashes, index: Index) -> Hashes:
        codes, _ = moved(state.codes, index, state.n_groups, 32)
        groups, order = moved(state.groups << 32, index, state.n_groups, 32)
        return Hashes(codes, groups >> 32, state.registers[order], len(index))

    def merge(self, left: Hashes, right: Hashes) -> Hashes:
        groups = np.union1d(left.groups, right.groups)
        registers = np.zeros((len(groups), 1 << 14), np.uint8)
        for side in (left, right):
            place = np.searchsorted(groups, side.groups)
            registers[place] = np.maximum(registers[place], side.registers)
        large = Hashes(left.codes[:0], groups, registers, left.n_groups)
        return self._folded(either(left.codes, right.codes), large, left.n_groups)

    def _folded(self, codes: Index, large: Hashes, n_groups: int) -> Hashes:
        """The hashes of groups that are large, or became so, moved into registers."""
        groups = codes >> 32
        is_large = np.bincount(groups, minlength=n_groups) > self.limit
        is_large[large.groups] = True
        folds = is_large[groups]
        if not folds.any():
            return Hashes(codes, large.groups, large.registers, n_groups)
        place = np.cumsum(is_large) - 1
        registers = np.zeros((int(is_large.sum()), 1 << 14), np.uint8)
        registers[place[large.groups]] = large.registers
        raise_registers(registers, kernels.frozen(place[groups[folds]]), kernels.frozen(codes[folds] & 0xFFFFFFFF))
        return Hashes(codes[~folds], np.flatnonzero(is_large), registers, n_groups)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return min(8 * n_rows, 8 * self.limit * n_groups) + (1 << 14) * min(n_groups, n_rows // self.limit)

    def count(self, state: Hashes) -> Index:
        """The distinct values of every group, rounded."""
        counts = np.bincount(state.codes >> 32, minlength=state.n_groups).astype(np.int64)
        counts[state.groups] = np.round([_estimate(row) for row in state.registers]).astype(np.int64)
        return counts


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
        registers[rows[i], at] = max(registers[rows[i], at], rank)


def _estimate(registers: NDArray[np.uint8]) -> float:
    """Ertl's improved raw estimator for 2**14 registers over 18 bits."""
    m, bits = len(registers), 18
    counts = np.bincount(registers, minlength=bits + 2).astype(np.float64)
    z = m * _tau(1 - counts[bits + 1] / m)
    for k in range(bits, 0, -1):
        z = 0.5 * (z + counts[k])
    z += m * _sigma(counts[0] / m)
    return float(m * m / (2 * np.log(2) * z)) if np.isfinite(z) else 0.0


def _sigma(x: float) -> float:
    if x == 1.0:
        return np.inf
    y, z, old = 1.0, x, -1.0
    while z != old:
        x, old = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in {0.0, 1.0}:
        return 0.0
    y, z, old = 1.0, 1 - x, -1.0
    while z != old:
        x, old, y = np.sqrt(x), z, 0.5 * y
        z = z - (1 - x) ** 2 * y
    return z / 3
