"""Sketches: quantiles and distinct counts in bounded memory, mergeable in any order with bit-identical states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.stats import kernels
from bigml.stats.cells import Rows
from bigml.stats.keys import Index

Floats = NDArray[np.float64]

QUANTILE_ERROR = "each order statistic is at most 0.2 % (2**-9) too near to zero; whole numbers up to 1,023 are exact"
DISTINCT_ERROR = "exact up to 4,096 distinct values in a group (but for 32-bit hash collisions), then a standard error of 0.8 %"
WINDOW = 1 << 25


class Buckets(NamedTuple):
    """Rows in each bucket: sorted codes, of group and bucket, their counts, and the number of groups."""

    codes: Index
    counts: Index
    n_groups: int


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a column by a log-linear histogram of its float64 bits (as in DDSketch, Masson, Rim and Lee 2019).

    A bucket holds the numbers that agree in sign, exponent and the top nine bits of the mantissa; it is represented by its
    edge nearest to zero. Infinities have their own buckets; NaN is missing. A state depends on the values alone, not on
    their order or chunking, and holds at most one entry per distinct bucket.

    Args:
        column: A numeric, boolean or temporal column.
    """

    column: str

    def empty(self) -> Buckets:
        return Buckets(np.empty(0, np.int64), np.empty(0, np.int64), 0)

    def partial(self, rows: Rows) -> Buckets:
        values = rows.floats(self.column)
        bits = values.view(np.int64)
        low, high = _window(values)
        if rows.n_slots * (high - low + 1) <= WINDOW:
            return Buckets(*kernels.count_buckets(rows.slots, bits, rows.n_slots, low, high - low + 1), rows.n_slots)
        places, codes = kernels.factorize(kernels.bucket_codes(rows.slots, bits))
        return _sorted(codes, np.bincount(places[places >= 0], minlength=len(codes)), rows.n_slots)

    def arrange(self, state: Buckets, index: Index) -> Buckets:
        codes, found = _moved(state.codes, index, kernels.SLOT_SHIFT)
        return _sorted(codes[found], state.counts[found], len(index))

    def merge(self, left: Buckets, right: Buckets) -> Buckets:
        return merge_buckets(left, right)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 16 * min(n_rows, 20_000 * n_groups)

    def quantile(self, state: Buckets, q: float) -> Floats:
        """The q-quantile of every group, linear between two order statistics; NaN for a group without values."""
        starts = np.searchsorted(state.codes, np.arange(state.n_groups + 1, dtype=np.int64) << kernels.SLOT_SHIFT)
        before = np.append(0, np.cumsum(state.counts))
        return between_ranks(state, before[starts[:-1]], np.diff(before[starts]), q)


def merge_buckets(left: Buckets, right: Buckets) -> Buckets:
    """Counts of equal codes added."""
    if np.array_equal(left.codes, right.codes):
        return Buckets(left.codes, left.counts + right.counts, left.n_groups)
    codes, counts = np.concatenate([left.codes, right.codes]), np.concatenate([left.counts, right.counts])
    return summed_buckets(_sorted(codes, counts, left.n_groups))


def summed_buckets(state: Buckets) -> Buckets:
    """Sorted codes that repeat, brought together."""
    first = np.flatnonzero(np.append(len(state.codes) > 0, state.codes[1:] != state.codes[:-1]))
    return Buckets(state.codes[first], np.add.reduceat(state.counts, first), state.n_groups)


def between_ranks(state: Buckets, start: Index, size: Index, q: float) -> Floats:
    """The q-quantile of the `size` values that follow the first `start` ones."""
    rank = np.maximum(size - 1, 0) * q
    lower = np.floor(rank).astype(np.int64)
    below, above = (_order_statistic(state, start + np.minimum(r, np.maximum(size - 1, 0))) for r in (lower, lower + 1))
    with np.errstate(invalid="ignore"):
        value = np.where(below == above, below, below + (above - below) * (rank - lower))
    value = np.where(rank == lower, below, value)
    return np.where(size > 0, value, np.nan)


def _order_statistic(state: Buckets, rank: Index) -> Floats:
    if not len(state.codes):
        return np.full(len(rank), np.nan)
    place = np.searchsorted(np.cumsum(state.counts), rank, side="right")
    return edges(state.codes[np.minimum(place, len(state.codes) - 1)])


def edges(codes: Index) -> Floats:
    """The edge nearest to zero of each code's bucket."""
    bucket = (codes & ((1 << kernels.SLOT_SHIFT) - 1)) - kernels.CODES
    return np.copysign((np.abs(bucket) << kernels.MANTISSA).view(np.float64), bucket)


def _window(values: Floats) -> tuple[int, int]:
    """The lowest and highest bucket of the values, without those of NaN."""
    if not len(values):
        return 0, 0
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    return (_bucket(low), _bucket(high)) if low == low else (0, 0)


def _bucket(value: float) -> int:
    code = int(np.abs(np.float64(value)).view(np.int64) >> kernels.MANTISSA)
    return -code if value < 0 else code


def _moved(codes: Index, index: Index, shift: int) -> tuple[Index, NDArray[np.bool_]]:
    """Codes whose group `index[j]` became group j, and which of them still have a group."""
    slots = codes >> shift
    target = np.full(max(int(slots.max(initial=-1)), int(index.max(initial=-1))) + 1, -1, np.int64)
    target[index[index >= 0]] = np.flatnonzero(index >= 0)
    return (codes & ((1 << shift) - 1)) | (target[slots] << shift), target[slots] >= 0


def _sorted(codes: Index, counts: Index, n_groups: int) -> Buckets:
    if np.all(codes[1:] >= codes[:-1]):
        return Buckets(codes, counts, n_groups)
    order = np.argsort(codes, kind="stable")
    return Buckets(codes[order], counts[order], n_groups)


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
        codes = kernels.tag_slots(rows.known_slots(self.column), kernels.frozen(self._hashes(rows)))
        return self._folded(np.sort(kernels.factorize(codes)[1]), self.empty(), rows.n_slots)

    def _hashes(self, rows: Rows) -> Index:
        kind = rows.arrow(self.column).type
        if pa.types.is_floating(kind):
            return kernels.hash_words(kernels.frozen((rows.floats(self.column) + 0.0).view(np.int64)))
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            return kernels.hash_words(rows.words(self.column))
        codes, values = rows.coded(self.column)
        return np.append(hash_values(values), 0)[codes]

    def arrange(self, state: Hashes, index: Index) -> Hashes:
        codes, found = _moved(state.codes, index, 32)
        groups, kept = _moved(state.groups << 32, index, 32)
        order = np.argsort(groups[kept])
        return Hashes(np.sort(codes[found]), (groups[kept] >> 32)[order], state.registers[kept][order], len(index))

    def merge(self, left: Hashes, right: Hashes) -> Hashes:
        groups = np.union1d(left.groups, right.groups)
        registers = np.zeros((len(groups), 1 << 14), np.uint8)
        for side in (left, right):
            place = np.searchsorted(groups, side.groups)
            registers[place] = np.maximum(registers[place], side.registers)
        large = Hashes(left.codes[:0], groups, registers, left.n_groups)
        return self._folded(np.union1d(left.codes, right.codes), large, left.n_groups)

    def _folded(self, codes: Index, large: Hashes, n_groups: int) -> Hashes:
        """The hashes of groups that are large, or became so, moved into registers."""
        groups, sizes = np.unique(codes >> 32, return_counts=True)
        moving = np.union1d(groups[sizes > self.limit], np.intersect1d(groups, large.groups))
        if not len(moving):
            return Hashes(codes, large.groups, large.registers, n_groups)
        every = np.union1d(large.groups, moving)
        registers = np.zeros((len(every), 1 << 14), np.uint8)
        registers[np.searchsorted(every, large.groups)] = large.registers
        folds = np.isin(codes >> 32, moving)
        places = np.searchsorted(every, codes[folds] >> 32)
        kernels.raise_registers(registers, kernels.frozen(places), kernels.frozen(codes[folds] & 0xFFFFFFFF))
        return Hashes(codes[~folds], every, registers, n_groups)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return min(8 * n_rows, 8 * self.limit * n_groups) + (1 << 14) * min(n_groups, n_rows // self.limit)

    def count(self, state: Hashes) -> Index:
        """The distinct values of every group, rounded."""
        counts = np.bincount(state.codes >> 32, minlength=state.n_groups).astype(np.int64)
        counts[state.groups] = np.round([_estimate(row) for row in state.registers]).astype(np.int64)
        return counts


def hash_values(values: pa.Array) -> Index:
    """32-bit hashes of the bytes of an Arrow array without nulls: strings, bytes, or what has a text."""
    kind = values.type
    if not (pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)):
        values = values.cast(pa.large_string())
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64, len(values) + 1, values.offset * 8) if len(values) else np.zeros(1, np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    hashes: Index = kernels.hash_bytes(kernels.frozen(ends), kernels.frozen(content))
    return hashes


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
