"""Frequent: the most frequent values of a column, for many groups at once, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.stats import kernels
from bigml.stats.cells import Rows
from bigml.stats.hashing import hash_words, hashes, shuffled_words
from bigml.stats.keys import Index
from bigml.stats.sketches import moved

DEPTH = 5
"""Counters of each value; the least of them tells its count."""


class Seen(NamedTuple):
    """Values of groups, by group: their rows, and where the first of their rows stands in a shuffled order of all rows.

    Groups with more distinct values than are kept count in `tables`, of shape (k, DEPTH, width); the rows of their values are 0.
    """

    groups: Index
    values: pa.Array
    counts: Index
    first: Index
    large: Index
    tables: NDArray[np.int64]
    n_groups: int


class Leaders(NamedTuple):
    """The most frequent values of every group, group by group, with their counts and by how much these may be too high."""

    groups: Index
    values: pa.Array
    counts: Index
    errors: Index


@njit(nogil=True, cache=True)
def _tally(places: Any, first: Any, counts: Any, least: Any) -> None:
    for i in range(places.size):
        p = places[i]
        if p >= 0:
            counts[p] += 1
            least[p] = min(least[p], first[i])


@njit(nogil=True, cache=True)
def _count(tables: Any, at: Any, cells: Any, counts: Any) -> None:
    """Add counts to the tables at `at`, in one cell of each of their rows."""
    for i in range(at.size):
        for j in range(cells.shape[0]):
            tables[at[i], j, cells[j, i]] += counts[i]


@njit(nogil=True, cache=True)
def _least(tables: Any, at: Any, cells: Any) -> Any:
    out = np.empty(at.size, np.int64)
    for i in range(at.size):
        out[i] = tables[at[i], 0, cells[0, i]]
        for j in range(1, cells.shape[0]):
            out[i] = min(out[i], tables[at[i], j, cells[j, i]])
    return out


@dataclass(frozen=True)
class Frequent:
    """The most frequent values of a column; null and NaN are left out.

    Exact up to `limit` distinct values in a group. Beyond, rows are counted by Count-Min (Cormode and Muthukrishnan 2005) from
    32-bit hashes of the values. The candidates are the values whose first rows, in one shuffled order of all rows, come first: a
    draw of values by their frequency (Cohen and Kaplan 2007). Both depend on values and row numbers alone, so results are the
    same for any chunking and any order of merges.

    Args:
        column: A column of values that can be compared.
        kind: Its plain Arrow type.
        limit: Distinct values of a group that are kept. A value that has the share p of the rows is missed with a probability
            below exp(-p * limit).
        width: Counters in a row of a table, a power of two: a count is too high by more than e / width of the rows of the group
            with a probability below exp(-5).
    """

    column: str
    kind: pa.DataType
    limit: int
    width: int

    def empty(self) -> Seen:
        nothing = np.empty(0, np.int64)
        return Seen(nothing, pa.array([], self.kind), nothing, nothing, nothing, np.empty((0, DEPTH, self.width), np.int64), 0)

    def partial(self, rows: Rows) -> Seen:
        codes, values = rows.coded(self.column)
        mixed = np.empty(len(codes), np.int64)
        kernels.mix_codes(rows.slots, kernels.frozen(codes), len(values), False, mixed)
        places, distinct = kernels.factorize(mixed)
        counts, least = np.zeros(len(distinct), np.int64), np.full(len(distinct), np.iinfo(np.int64).max)
        _tally(places, shuffled_words(kernels.frozen(rows.chunk.row_numbers)), counts, least)
        groups, code = np.divmod(distinct, max(len(values), 1))
        order = np.argsort(groups, kind="stable")
        taken = values.take(pa.array(code[order])).cast(self.kind)
        empty = self.empty()._replace(n_groups=rows.n_slots)
        return self._bounded(empty._replace(groups=groups[order], values=taken, counts=counts[order], first=least[order]))

    def arrange(self, state: Seen, index: Index) -> Seen:
        groups, order = moved(state.groups << 32, index, state.n_groups, 32)
        large, tables = moved(state.large << 32, index, state.n_groups, 32)
        values = state.values.take(pa.array(order))
        return Seen(groups >> 32, values, state.counts[order], state.first[order], large >> 32, state.tables[tables], len(index))

    def merge(self, left: Seen, right: Seen) -> Seen:
        groups = np.concatenate([left.groups, right.groups])
        coded = pa.concat_arrays([left.values, right.values]).dictionary_encode()
        n = max(len(coded.dictionary), 1)
        mixed, place = np.unique(groups * n + coded.indices.to_numpy(zero_copy_only=False), return_inverse=True)
        counts, first = np.zeros(len(mixed), np.int64), np.full(len(mixed), np.iinfo(np.int64).max)
        np.add.at(counts, place, np.concatenate([left.counts, right.counts]))
        np.minimum.at(first, place, np.concatenate([left.first, right.first]))
        groups, code = np.divmod(mixed, n)
        large = np.union1d(left.large, right.large)
        tables = np.zeros((len(large), DEPTH, self.width), np.int64)
        for side in (left, right):
            tables[np.searchsorted(large, side.large)] += side.tables
        return self._bounded(Seen(groups, coded.dictionary.take(pa.array(code)), counts, first, large, tables, left.n_groups))

    def _bounded(self, state: Seen) -> Seen:
        """Groups that are large, or became so, count in tables, and keep the candidates whose first rows come first."""
        sizes = np.bincount(state.groups, minlength=state.n_groups)
        is_large = sizes > self.limit
        is_large[state.large] = True
        if not is_large.any():
            return state
        large = np.flatnonzero(is_large)
        tables = np.zeros((len(large), DEPTH, self.width), np.int64)
        tables[np.searchsorted(large, state.large)] = state.tables
        of_large = np.flatnonzero(is_large[state.groups] & (state.counts > 0))
        at = np.searchsorted(large, state.groups[of_large])
        _count(tables, at, self._cells(state.values.take(pa.array(of_large))), state.counts[of_large])
        counts = np.where(is_large[state.groups], 0, state.counts)
        kept = self._kept(state)
        values = state.values.take(pa.array(kept))
        return Seen(state.groups[kept], values, counts[kept], state.first[kept], large, tables, state.n_groups)

    def _kept(self, state: Seen) -> Index:
        order = np.lexsort((state.first, state.groups))
        starts = np.searchsorted(state.groups, state.groups)
        # Groups are sorted: the places that a group has are the same before and after its values are.
        return np.sort(order[np.arange(len(order)) - starts < self.limit])

    def _cells(self, values: pa.Array) -> Index:
        """The counter of each value in each row of a table."""
        found = hashes(Rows(Chunk({self.column: values}, range(len(values)))), self.column)
        return np.array([hash_words(kernels.frozen(found | (j + 1 << 40))) & (self.width - 1) for j in range(DEPTH)])

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        tables = 8 * DEPTH * self.width * min(n_groups, n_rows // self.limit)
        return 56 * min(n_rows, self.limit * n_groups) + tables

    def leaders(self, state: Seen, n: int) -> Leaders:
        """The n most frequent values of every group, equal counts by value ascending."""
        counts, errors = self._counts(state)
        ranks = np.empty(len(counts), np.int64)
        ranks[pc.array_sort_indices(state.values).to_numpy()] = np.arange(len(counts))
        order = np.lexsort((ranks, -counts, state.groups))
        order = order[np.arange(len(order)) - np.searchsorted(state.groups, state.groups) < n]
        return Leaders(state.groups[order], state.values.take(pa.array(order)), counts[order], errors[order])

    def _counts(self, state: Seen) -> tuple[Index, Index]:
        counts, errors = state.counts.copy(), np.zeros(len(state.counts), np.int64)
        of_large = np.flatnonzero(np.isin(state.groups, state.large))
        at = np.searchsorted(state.large, state.groups[of_large])
        counts[of_large] = _least(state.tables, at, self._cells(state.values.take(pa.array(of_large))))
        bounds = np.ceil(np.e / self.width * state.tables[:, 0].sum(axis=1)).astype(np.int64)
        errors[of_large] = np.minimum(bounds[at], counts[of_large] - 1)
        return counts, errors
