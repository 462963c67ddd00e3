"""Sketches: quantiles and distinct counts in bounded memory, mergeable in any order with bit-identical states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.stats import kernels
from bigml.stats.cells import Rows, arranged
from bigml.stats.keys import Index

Floats = NDArray[np.float64]

QUANTILE_ERROR = "each order statistic is at most 0.2 % (2**-9) too near to zero; whole numbers up to 1,023 are exact"
DISTINCT_ERROR = "exact up to 4,096 distinct values in a group (but for 32-bit hash collisions), then a standard error of 0.8 %"
WINDOW = 1 << 16


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
        bits = rows.floats(self.column).view(np.int64)
        exponents = np.flatnonzero(kernels.mark_exponents(bits))
        if rows.n_slots * len(exponents) * 512 <= max(WINDOW, 4 * len(bits)):
            return _dense(rows, bits, exponents)
        places, codes = kernels.factorize(kernels.bucket_codes(rows.slots, bits))
        counts, order = np.bincount(places[places >= 0], minlength=len(codes)), np.argsort(codes)
        return Buckets(codes[order], counts[order], rows.n_slots)

    def arrange(self, state: Buckets, index: Index) -> Buckets:
        codes, order = _moved(state.codes, index, state.n_groups, kernels.SLOT_SHIFT)
        return Buckets(codes, state.counts[order], len(index))

    def merge(self, left: Buckets, right: Buckets) -> Buckets:
        return merge_buckets(left, right)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 16 * min(n_rows, 20_000 + 500 * n_groups)

    def quantile(self, state: Buckets, q: float) -> Floats:
        """The q-quantile of every group, linear between two order statistics; NaN for a group without values."""
        starts = np.searchsorted(state.codes, np.arange(state.n_groups + 1, dtype=np.int64) << kernels.SLOT_SHIFT)
        before = np.append(0, np.cumsum(state.counts))
        return between_ranks(state, before[starts[:-1]], np.diff(before[starts]), q)


def merge_buckets(left: Buckets, right: Buckets) -> Buckets:
    """Counts of equal codes added."""
    if np.array_equal(left.codes, right.codes):
        return Buckets(left.codes, left.counts + right.counts, left.n_groups)
    codes, counts, size = kernels.merge_sorted(*map(kernels.frozen, (left.codes, left.counts, right.codes, right.counts)))
    return Buckets(codes[:size].copy(), counts[:size].copy(), left.n_groups)


def _dense(rows: Rows, bits: Index, exponents: Index) -> Buckets:
    """The buckets by a table over the exponents that occur."""
    negative = exponents >= 2048
    ascending = np.concatenate([exponents[negative][::-1], exponents[~negative]])
    places = np.zeros(4096, np.int64)
    places[ascending] = np.arange(len(ascending))
    table = kernels.count_buckets(rows.slots, bits, rows.n_slots, kernels.frozen(places), len(ascending))
    cells = np.flatnonzero(table)
    slot, exponent = np.divmod(cells >> 9, max(len(ascending), 1))
    bucket = _bucket(ascending[exponent], cells & 0x1FF) + kernels.CODES
    return _summed(Buckets((slot << kernels.SLOT_SHIFT) | bucket, table[cells].astype(np.int64), rows.n_slots))


def _bucket(top: Index, place: Index) -> Index:
    magnitude = (top & 0x7FF) << 9
    return np.where(top >= 2048, -(magnitude | (511 - place)), magnitude | place)


def _summed(state: Buckets) -> Buckets:
    """Repeated codes brought together: -0.0 and 0.0 share a bucket."""
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


def _moved(codes: Index, index: Index, n_groups: int, shift: int) -> tuple[Index, Index]:
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
        codes, _ = _moved(state.codes, index, state.n_groups, 32)
        groups, order = _moved(state.groups << 32, index, state.n_groups, 32)
        return Hashes(codes, groups >> 32, state.registers[order], len(index))

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
        groups = codes >> 32
        is_large = np.bincount(groups, minlength=n_groups) > self.limit
        is_large[large.groups] = True
        folds = is_large[groups]
        if not folds.any():
            return Hashes(codes, large.groups, large.registers, n_groups)
        place = np.cumsum(is_large) - 1
        registers = np.zeros((int(is_large.sum()), 1 << 14), np.uint8)
        registers[place[large.groups]] = large.registers
        kernels.raise_registers(registers, kernels.frozen(place[groups[folds]]), kernels.frozen(codes[folds] & 0xFFFFFFFF))
        return Hashes(codes[~folds], np.flatnonzero(is_large), registers, n_groups)

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
