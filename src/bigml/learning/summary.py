"""Summary: what one scan learns of each raw column, so that every preprocessing step can be fitted from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.learning.tally import Tally
from bigml.stats.reducer import Reducer

MOST_VALUES = 100_000
"""Distinct values of a column that is encoded, at most."""


class Want(Enum):
    """What a step needs to know of a column."""

    MOMENTS = "count, mean, squared deviations, extremes"
    QUANTILES = "a tally of its numbers"
    VALUES = "every distinct value with its count"
    NOTHING = "nothing: it is passed on as it is"


@dataclass(frozen=True)
class Moments:
    """Count of the values that are there, their mean and the sum of squared deviations from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> Moments:
        """Two passes, so a large mean does not spoil the deviations; NaN must be left out."""
        count = len(values) if weights is None else int(weights.sum())
        if not count:
            return cls()
        mean = float(np.average(values, weights=weights))
        deviations = values - mean
        squares = deviations * deviations
        return cls(count, mean, float(squares.sum() if weights is None else squares @ weights))

    def merge(self, other: Moments) -> Moments:
        """Chan, Golub and LeVeque (1983)."""
        if not self.count or not other.count:
            return self if self.count else other
        count, delta = self.count + other.count, other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        return Moments(count, mean, self.squares + other.squares + delta * delta * (self.count * (other.count / count)))

    def affine(self, slope: float, shift: float) -> Moments:
        """The moments of slope * x + shift."""
        return Moments(self.count, self.mean * slope + shift, self.squares * slope * slope)


@dataclass(frozen=True, eq=False)
class Summary:
    """One column, in all rows.

    Attributes:
        values: Some of its values, distinct and without null: all of them, a tally of them, or the extremes.
        counts: Rows of each of those values; 0 for extremes, which only mark the range.
        missing: Rows without a value (null or NaN).
        first_missing: Number of the first of them; -1 when there is none.
        moments: Exact moments where `values` and `counts` do not tell them.
    """

    values: pa.Array
    counts: NDArray[np.int64]
    missing: int = 0
    first_missing: int = -1
    moments: Moments | None = None


class _Gaps(NamedTuple):
    missing: int = 0
    first: int = -1

    def seen(self, chunk: Chunk, present: NDArray[np.bool_]) -> _Gaps:
        where = np.flatnonzero(~present)
        return self.merge(_Gaps(len(where), int(chunk.row_numbers[where[0]]))) if len(where) else self

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
        array = chunk.arrow(self.column)
        gaps = _Gaps()
        if array.null_count or pa.types.is_floating(plain(array.type)):
            present = ~array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
            gaps = gaps.seen(chunk, present)
            array = array if present.all() else array.filter(pa.array(present))
        if pa.types.is_floating(array.type):
            array = pa.array(array.to_numpy(zero_copy_only=False) + 0.0)  # -0.0 equals 0.0
        found = pc.value_counts(array)
        return self.merge(state, _Counts(found.field("values").cast(plain(self.kind)), found.field("counts").to_numpy(), gaps))

    def merge(self, left: _Counts, right: _Counts) -> _Counts:
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
        return Summary(state.values.take(order), state.rows[order.to_numpy()], *state.gaps)

    def forecast_nbytes(self, n_rows: int) -> int:
        return 40 * min(n_rows, self.most)


class _Numbers(NamedTuple):
    moments: Moments
    low: float
    high: float
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

    def start(self) -> _Numbers:
        return _Numbers(Moments(), np.inf, -np.inf, _Gaps(), Tally.empty())

    def update(self, state: _Numbers, chunk: Chunk) -> _Numbers:
        values = chunk.floats(self.column)
        present = ~np.isnan(values)
        if not present.all():
            state = state._replace(gaps=state.gaps.seen(chunk, present))
            values = values[present]
        if not len(values):
            return state
        self._check_finite(chunk, present, values)
        low, high = min(state.low, float(values.min())), max(state.high, float(values.max()))
        tally = state.tally.merge(Tally.of(values, exact=state.tally.exact)) if self.quantiles else state.tally
        return _Numbers(state.moments.merge(Moments.of(values)), low, high, state.gaps, tally)

    def _check_finite(self, chunk: Chunk, present: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
        if np.isfinite(values).all():
            return
        row = int(chunk.row_numbers[present][np.flatnonzero(~np.isfinite(values))[0]])
        do = f'Drop such rows: source.where("{self.column} < 1e308"), or repair them with assign(...).'
        raise DataError("finite numbers", got="infinity", where=f"column `{self.column}`, row {row:,}", do=do)

    def merge(self, left: _Numbers, right: _Numbers) -> _Numbers:
        low, high = min(left.low, right.low), max(left.high, right.high)
        return _Numbers(left.moments.merge(right.moments), low, high, left.gaps.merge(right.gaps), left.tally.merge(right.tally))

    def finish(self, state: _Numbers) -> Summary:
        if not state.moments.count:
            return Summary(pa.array([], self.kind), np.empty(0, np.int64), *state.gaps, moments=Moments())
        values, counts = np.array([state.low, state.high]), np.zeros(2, np.int64)
        if self.quantiles:
            values = np.append(values, np.clip(state.tally.values, state.low, state.high))
            counts = np.append(counts, state.tally.counts)
        return Summary(pa.array(values).cast(self.kind, safe=False), counts, *state.gaps, moments=state.moments)

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
        return Summary(pa.array([], plain(self.kind)), np.empty(0, np.int64))

    def update(self, state: Summary, chunk: Chunk) -> Summary:
        array = chunk.arrow(self.column)
        present = array.is_valid().to_numpy(zero_copy_only=False)
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


def summary_of(field: pa.Field, wants: frozenset[Want]) -> Reducer[Any, Summary]:
    """The reducer that learns what is wanted of a column."""
    if Want.VALUES in wants:
        return Counted(field.name, field.type)
    if wants - {Want.NOTHING} and is_number(field.type):
        return Measured(field.name, field.type, Want.QUANTILES in wants)
    return Glimpsed(field.name, field.type)


def is_number(kind: pa.DataType) -> bool:
    """Whether moments make sense."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: a dictionary decoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
