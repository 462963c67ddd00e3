"""Summary: what one scan learns of each raw column, so that every preprocessing step can be fitted from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.learning.tally import Tally
from bigml.stats.kernels import frozen
from bigml.stats.moments import Moment, Moments
from bigml.stats.reducer import Reducer
from bigml.stats.sweep import coded_counts, swept, swept_numbers
from bigml.stats.tallying import count_few

FEW_BITS = 13
"""Distinct numbers are counted in a table of this many bits, half full at most."""
MOST_VALUES = 100_000
"""Distinct values of a column that is encoded, at most."""


class Want(Enum):
    """What a step needs to know of a column."""

    MISSING = "how many rows have no value"
    MOMENTS = "count, mean, squared deviations, extremes"
    QUANTILES = "a tally of its numbers"
    VALUES = "every distinct value with its count"
    ROWS = "nothing, but a few rows as they are: a function makes something else of it"
    NOTHING = "nothing: it is passed on as it is"


Wants: TypeAlias = frozenset[Want]
FREE: Wants = frozenset([Want.NOTHING, Want.ROWS])
"""What needs no knowledge of all rows."""
EXACT_INTEGERS = 2.0**53
"""Whole numbers below this are float64 numbers."""


@dataclass(frozen=True)
class Spread:
    """How many rows have a value, their mean and the sum of squared deviations from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.int64]) -> Spread:
        """Of values that stand for `weights` rows each; two passes, so a large mean does not spoil the deviations."""
        count = int(weights.sum())
        if not count:
            return cls()
        mean = float(np.average(values, weights=weights))
        return cls(count, mean, float((values - mean) ** 2 @ weights))

    def affine(self, slope: float, shift: float) -> Spread:
        """The spread of slope * x + shift."""
        return Spread(self.count, self.mean * slope + shift, self.squares * slope * slope)

    def filled(self, value: float, rows: int) -> Spread:
        """The spread with so many rows more that hold this value."""
        if not rows:
            return self
        share, delta = rows / (self.count + rows), value - self.mean
        return Spread(self.count + rows, self.mean + delta * share, self.squares + delta * delta * self.count * share)


@dataclass(frozen=True, eq=False)
class Summary:
    """One column, in all rows.

    Attributes:
        values: Some of its values, distinct and without null: all of them, a tally of them, or the extremes.
        counts: Rows of each of those values; 0 for extremes, which only mark the range.
        missing: Rows without a value (null or NaN).
        first_missing: Number of the first of them; -1 when there is none.
        spread: The exact spread where `values` and `counts` do not tell it.
        knows: What it tells of the column; `Want.VALUES` tells everything.
    """

    values: pa.Array
    counts: NDArray[np.int64]
    missing: int = 0
    first_missing: int = -1
    spread: Spread | None = None
    knows: Wants = frozenset()


class _Gaps(NamedTuple):
    missing: int = 0
    first: int = -1

    def seen(self, chunk: Chunk, present: NDArray[np.bool_]) -> _Gaps:
        where = np.flatnonzero(~present)
        return self.merge(_Gaps(len(where), int(chunk.rows[where[0]]))) if len(where) else self

    def merge(self, other: _Gaps) -> _Gaps:
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
        if pa.types.is_dictionary(chunk.kind(self.column)):
            return self._by_code(state, chunk)
        array = chunk.arrow(self.column)
        gaps, few = _Gaps(), _few(array)
        if few is not None and few[1].sum() == len(array):
            return self.merge(state, _Counts(*few, gaps))
        if array.null_count or pa.types.is_floating(array.type):
            present = ~array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
            gaps = gaps.seen(chunk, present)
            array = array if present.all() else array.filter(pa.array(present))
        return self.merge(state, _Counts(*(few or _many(array, plain(self.kind))), gaps))

    def _by_code(self, state: _Counts, chunk: Chunk) -> _Counts:
        """Block by block as it lies in memory: each has a dictionary of its own."""
        column, at = chunk.column(self.column), 0
        for block in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            state = self.merge(state, _dictionary_counts(block, chunk.rows[at : at + len(block)]))
            at += len(block)
        return state

    def merge(self, left: _Counts, right: _Counts) -> _Counts:
        if left.values.equals(right.values):
            return _Counts(left.values, left.rows + right.rows, left.gaps.merge(right.gaps))
        coded = pa.concat_arrays([left.values, right.values]).dictionary_encode()
        if len(coded.dictionary) > self.most:
            do = "Group rare values with assign(...), or fit on `source.sample(n)` with plain scikit-learn."
            got, where = f"at least {len(coded.dictionary):,}", f"column `{self.column}`"
            raise DataError(f"at most {self.most:,} distinct values", got=got, where=where, do=do)
        rows = np.zeros(len(coded.dictionary), np.int64)
        np.add.at(rows, coded.indices.to_numpy(), np.concatenate([left.rows, right.rows]))
        return _Counts(coded.dictionary, rows, left.gaps.merge(right.gaps))

    def finish(self, state: _Counts) -> Summary:
        order = pc.array_sort_indices(state.values)
        return Summary(state.values.take(order), state.rows[order.to_numpy()], *state.gaps, knows=frozenset([Want.VALUES]))

    def forecast_nbytes(self, n_rows: int) -> int:
        return 40 * min(n_rows, self.most)


def _dictionary_counts(array: pa.DictionaryArray, rows: range | NDArray[np.int64]) -> _Counts:
    """Rows of each value of a dictionary, by its codes; null or NaN among its values is missing."""
    values = array.dictionary
    counts, first = coded_counts(array)
    absent = np.append(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), True)
    missing = int(counts[absent].sum())
    if missing > counts[-1]:
        codes = array.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        first = int(absent[codes].argmax())
    used = np.flatnonzero((counts > 0) & ~absent)
    return _Counts(values.take(pa.array(used)), counts[used], _Gaps(missing, int(rows[first]) if missing else -1))


def _few(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64]] | None:
    """Distinct values and their rows, when they are float64 numbers or integers without nulls and few."""
    kind, floating = array.type, pa.types.is_float64(array.type)
    if not (floating or pa.types.is_signed_integer(kind)) or array.null_count:
        return None
    numbers = array.to_numpy(zero_copy_only=False)
    words = np.ascontiguousarray(numbers + 0.0).view(np.int64) if floating else numbers.astype(np.int64)
    table, fits = count_few(frozen(words), floating, FEW_BITS)
    if not fits:
        return None
    found = table[table[:, 1] > 0]
    values = np.ascontiguousarray(found[:, 0])
    return pa.array(values.view(np.float64) if floating else values).cast(kind), found[:, 1].copy()


def _many(array: pa.Array, kind: pa.DataType) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct values and their rows."""
    if pa.types.is_floating(array.type):
        array = pa.array(array.to_numpy(zero_copy_only=False) + 0.0)  # -0.0 equals 0.0
    found = pc.value_counts(array)
    return found.field("values").cast(kind), found.field("counts").to_numpy()


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
        return _Numbers(self.moments.merge(state.moment, moment), state.gaps.merge(gaps), tally)

    def _swept(self, chunk: Chunk) -> tuple[Moment, _Gaps]:
        """Moments and gaps of the chunk, block by block as it lies in memory where its values are plain numbers."""
        column = chunk.column(self.column)
        blocks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        state, at = _Numbers(self.start().moment, _Gaps(), Tally.empty()), 0
        for block in blocks:
            moment, first = swept(block) or swept_numbers(chunk.slice(at, at + len(block)).floats(self.column))
            missing = len(block) - int(moment.n[0])
            gaps = _Gaps(missing, int(chunk.rows[at + first])) if missing else _Gaps()
            state, at = _Numbers(self.moments.merge(state.moment, moment), state.gaps.merge(gaps), state.tally), at + len(block)
        return state.moment, state.gaps

    def _check_finite(self, chunk: Chunk, moment: Moment) -> None:
        if not moment.n[0] or np.isfinite([moment.low[0], moment.high[0]]).all():
            return
        row = int(chunk.row_numbers[np.flatnonzero(np.isinf(chunk.floats(self.column)))[0]])
        do = f'Drop such rows: source.where("{self.column} < 1e308"), or repair them with assign(...).'
        raise DataError("finite numbers", got="infinity", where=f"column `{self.column}`, row {row:,}", do=do)

    def merge(self, left: _Numbers, right: _Numbers) -> _Numbers:
        moment = self.moments.merge(left.moment, right.moment)
        return _Numbers(moment, left.gaps.merge(right.gaps), left.tally.merge(right.tally))

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
        present = ~array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        gaps = _Gaps(state.missing, state.first_missing).seen(chunk, present)
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


def is_number(kind: pa.DataType) -> bool:
    """Whether moments make sense."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: a dictionary decoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
