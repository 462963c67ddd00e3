"""Summarising: the reducers that learn in one scan what a step must know of each column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Array, Chunk
from bigml.errors import DataError
from bigml.learning.preprocessing.summary import Spread, Summary, Want, Wants, is_number, plain
from bigml.learning.tally import Tally
from bigml.stats.codes import coded_counts, near_counts
from bigml.stats.kernels import frozen
from bigml.stats.moments import Moment, Moments
from bigml.stats.reducer import Reducer
from bigml.stats.sweep import swept, swept_numbers
from bigml.stats.tallying import count_few

FEW_BITS = 13
"""Distinct numbers are counted in a table of this many bits, half full at most."""
MOST_VALUES = 100_000
"""Distinct values of a column that is encoded, at most."""
EXACT_INTEGERS = 2.0**53
"""Whole numbers below this are float64 numbers."""
Rows: TypeAlias = range | NDArray[np.int64]
"""Numbers of rows."""


class _Gaps(NamedTuple):
    missing: int = 0
    first: int = -1

    @classmethod
    def of(cls, missing: int, first: int, rows: Rows) -> _Gaps:
        """So many of these rows, the first of them at this position."""
        return cls(missing, int(rows[first])) if missing else cls()

    @classmethod
    def among(cls, present: NDArray[np.bool_], rows: Rows) -> _Gaps:
        where = np.flatnonzero(~present)
        return cls.of(len(where), int(where[0]) if len(where) else -1, rows)

    def merge(self, other: _Gaps) -> _Gaps:
        if not self.missing or not other.missing:
            return self if self.missing else other
        firsts = [first for first in (self.first, other.first) if first >= 0]
        return _Gaps(self.missing + other.missing, min(firsts, default=-1))


class _Counts(NamedTuple):
    values: pa.Array
    rows: NDArray[np.int64]
    gaps: _Gaps


@dataclass(frozen=True)
class Counted:
    """A reducer: every distinct value with its count, refused beyond `most`."""

    column: str
    kind: pa.DataType
    most: int = MOST_VALUES

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> _Counts:
        return _Counts(pa.array([], plain(self.kind)), np.empty(0, np.int64), _Gaps())

    def update(self, state: _Counts, chunk: Chunk) -> _Counts:
        """Block by block as it lies in memory: each may have a dictionary of its own."""
        return self._merged([state, *(self._counts(block, rows) for block, rows in _blocks(chunk, self.column))])

    def _counts(self, block: Array, rows: Rows) -> _Counts:
        if isinstance(block, pa.DictionaryArray):
            return _dictionary_counts(block, rows)
        near = near_counts(block)
        if near is not None:
            return _Counts(pa.array(near.values, plain(self.kind)), near.rows, _Gaps.of(near.missing, near.first, rows))
        array = block if isinstance(block, pa.Array) else pa.array(np.ascontiguousarray(block))
        present = ~_absent(array)
        known = array if present.all() else array.filter(pa.array(present))
        values, counts = _few(known) or _many(known)
        return _Counts(values.cast(plain(self.kind)), counts, _Gaps.among(present, rows))

    def merge(self, left: _Counts, right: _Counts) -> _Counts:
        return self._merged([left, right])

    def _merged(self, states: Sequence[_Counts]) -> _Counts:
        gaps = reduce(_Gaps.merge, (state.gaps for state in states))
        values, rows = _united([state for state in states if len(state.values)] or states[:1])
        if len(values) > self.most:
            do = "Group rare values with assign(...), or fit on `source.sample(n)` with plain scikit-learn."
            got, where = f"at least {len(values):,}", f"column `{self.column}`"
            raise DataError(f"at most {self.most:,} distinct values", got=got, where=where, do=do)
        return _Counts(values, rows, gaps)

    def finish(self, state: _Counts) -> Summary:
        order = pc.array_sort_indices(state.values)
        return Summary(state.values.take(order), state.rows[order.to_numpy()], *state.gaps, knows=frozenset([Want.VALUES]))

    def forecast_nbytes(self, n_rows: int) -> int:
        return 40 * min(n_rows, self.most)


def _united(states: Sequence[_Counts]) -> tuple[pa.Array, NDArray[np.int64]]:
    """The distinct values of all states and their rows."""
    if len(states) == 1:
        return states[0].values, states[0].rows
    if all(state.values.equals(states[0].values) for state in states[1:]):
        return states[0].values, np.sum([state.rows for state in states], axis=0)
    coded = pa.concat_arrays([state.values for state in states]).dictionary_encode()
    rows = np.zeros(len(coded.dictionary), np.int64)
    np.add.at(rows, coded.indices.to_numpy(), np.concatenate([state.rows for state in states]))
    return coded.dictionary, rows


def _blocks(chunk: Chunk, column: str) -> Iterator[tuple[Array, Rows]]:
    """A column as it lies in memory, block by block, with the numbers of the rows."""
    array, at = chunk.column(column), 0
    for block in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        yield block, chunk.rows[at : at + len(block)]
        at += len(block)


def _dictionary_counts(array: pa.DictionaryArray, rows: Rows) -> _Counts:
    """Rows of each value of a dictionary, by its codes; null or NaN among its values is missing."""
    values = array.dictionary
    counts, first = coded_counts(array)
    gone = np.append(_absent(values), True)
    missing = int(counts[gone].sum())
    if missing > counts[-1]:
        codes = array.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        first = int(gone[codes].argmax())
    used = np.flatnonzero((counts > 0) & ~gone)
    known = values if len(used) == len(values) else values.take(pa.array(used))
    return _Counts(known, counts[used], _Gaps.of(missing, first, rows))


def _absent(values: pa.Array) -> NDArray[np.bool_]:
    """Where a value is null or NaN."""
    if not (values.null_count or pa.types.is_floating(values.type)):
        return np.zeros(len(values), np.bool_)
    absent: NDArray[np.bool_] = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    return absent


def _few(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64]] | None:
    """Distinct values and their rows, when they are float64 numbers or signed integers and few."""
    floating = pa.types.is_float64(array.type)
    if not (floating or pa.types.is_signed_integer(array.type)):
        return None
    numbers = array.to_numpy(zero_copy_only=False)
    words = np.ascontiguousarray(numbers + 0.0).view(np.int64) if floating else numbers.astype(np.int64)
    table, fits = count_few(frozen(words), floating, FEW_BITS)
    if not fits:
        return None
    found = table[table[:, 1] > 0]
    values = np.ascontiguousarray(found[:, 0])
    return pa.array(values.view(np.float64) if floating else values), found[:, 1].copy()


def _many(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct values and their rows."""
    if pa.types.is_floating(array.type):
        array = pa.array(array.to_numpy(zero_copy_only=False) + 0.0)  # -0.0 equals 0.0
    found = pc.value_counts(array)
    return found.field("values"), found.field("counts").to_numpy()


class _Numbers(NamedTuple):
    moment: Moment
    gaps: _Gaps
    tally: Tally


@dataclass(frozen=True)
class Measured:
    """A reducer: moments and extremes of a numeric column, and a tally of its numbers when quantiles are wanted."""

    column: str
    kind: pa.DataType
    quantiles: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def moments(self) -> Moments:
        return Moments(self.column)

    def start(self) -> _Numbers:
        nothing = self.moments.arrange(self.moments.empty(), np.array([-1]))
        return _Numbers(nothing, _Gaps(), Tally.empty())

    def update(self, state: _Numbers, chunk: Chunk) -> _Numbers:
        moment, gaps = self._swept(chunk)
        self._check_finite(chunk, moment)
        tally = state.tally
        if self.quantiles:
            values = chunk.floats(self.column)
            present = values if not gaps.missing else values[~np.isnan(values)]
            tally = tally.merge(Tally.of(present, exact=tally.exact))
        return _Numbers(self._both(state.moment, moment), state.gaps.merge(gaps), tally)

    def _swept(self, chunk: Chunk) -> tuple[Moment, _Gaps]:
        """Moments and gaps of the chunk, as it lies in memory where its values are plain numbers."""
        blocks = [block for block, _ in _blocks(chunk, self.column)]
        moment, first = swept(*blocks) or swept_numbers(chunk.floats(self.column))
        return moment, _Gaps.of(chunk.n_rows - int(moment.n[0]), first, chunk.rows)

    def _check_finite(self, chunk: Chunk, moment: Moment) -> None:
        if not moment.n[0] or (isfinite(moment.low[0]) and isfinite(moment.high[0])):
            return
        row = int(chunk.row_numbers[np.flatnonzero(np.isinf(chunk.floats(self.column)))[0]])
        do = f'Drop such rows: source.where("{self.column} < 1e308"), or repair them with assign(...).'
        raise DataError("finite numbers", got="infinity", where=f"column `{self.column}`, row {row:,}", do=do)

    def merge(self, left: _Numbers, right: _Numbers) -> _Numbers:
        tally = left.tally.merge(right.tally) if self.quantiles else left.tally
        return _Numbers(self._both(left.moment, right.moment), left.gaps.merge(right.gaps), tally)

    def _both(self, left: Moment, right: Moment) -> Moment:
        if not left.n[0] or not right.n[0]:
            return left if left.n[0] else right
        return self.moments.merge(left, right)

    def finish(self, state: _Numbers) -> Summary:
        moment, count = state.moment, int(state.moment.n[0])
        if not count:
            everything = frozenset([Want.VALUES])
            return Summary(pa.array([], self.kind), np.empty(0, np.int64), *state.gaps, spread=Spread(), knows=everything)
        low, high = float(moment.low[0]), float(moment.high[0])
        values, counts = np.array([low, high]), np.zeros(2, np.int64)
        if self.quantiles:
            values = np.append(values, np.clip(state.tally.values, low, high))
            counts = np.append(counts, state.tally.counts)
        spread = Spread(count, float(self.moments.mean(moment)[0]), float(moment.squares[0]))
        told = pa.array(values).cast(self.kind, safe=False)
        return Summary(told, counts, *state.gaps, spread=spread, knows=self._knows(state, max(-low, high)))

    def _knows(self, state: _Numbers, largest: float) -> Wants:
        """An exact tally holds every value, unless they are integers that float64 does not hold."""
        known = {Want.MISSING, Want.MOMENTS}
        if self.quantiles:
            exact = state.tally.exact and (pa.types.is_floating(self.kind) or largest < EXACT_INTEGERS)
            known |= {Want.QUANTILES, Want.VALUES} if exact else {Want.QUANTILES}
        return frozenset(known)

    def forecast_nbytes(self, n_rows: int) -> int:
        return 1 << 20 if self.quantiles else 256


@dataclass(frozen=True)
class Glimpsed:
    """A reducer: one value of a column that no step learns from, and how many are missing."""

    column: str
    kind: pa.DataType

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> Summary:
        return Summary(pa.array([], plain(self.kind)), np.empty(0, np.int64), knows=frozenset([Want.MISSING]))

    def update(self, state: Summary, chunk: Chunk) -> Summary:
        array = chunk.arrow(self.column)
        present = ~_absent(array)
        gaps = _Gaps(state.missing, state.first_missing).merge(_Gaps.among(present, chunk.rows))
        state = replace(state, missing=gaps.missing, first_missing=gaps.first)
        if len(state.values) or not present.any():
            return state
        value = array.take(pa.array(np.flatnonzero(present)[:1])).cast(plain(self.kind))
        return replace(state, values=value, counts=np.zeros(1, np.int64))

    def merge(self, left: Summary, right: Summary) -> Summary:
        gaps = _Gaps(left.missing, left.first_missing).merge(_Gaps(right.missing, right.first_missing))
        return replace(left if len(left.values) else right, missing=gaps.missing, first_missing=gaps.first)

    def finish(self, state: Summary) -> Summary:
        return state


def summary_of(field: pa.Field, wants: Wants) -> Reducer[Any, Summary]:
    """The reducer that learns what is wanted of a column."""
    if Want.VALUES in wants:
        return Counted(field.name, field.type)
    if wants & {Want.MOMENTS, Want.QUANTILES} and is_number(field.type):
        return Measured(field.name, field.type, Want.QUANTILES in wants)
    return Glimpsed(field.name, field.type)
