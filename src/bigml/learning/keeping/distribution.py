"""Distribution: how the values of a column were spread, small enough to be kept beside a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import chdtri

from bigml.chunk import Chunk
from bigml.learning.tally import Tally
from bigml.stats.counts import Counted
from bigml.stats.counts import Tally as Values
from bigml.stats.keys import plain
from bigml.stats.order import floats
from bigml.stats.reducer import Reducer

BINS = 10
"""Bins of numbers with equal shares of the rows; a value that alone holds such a share has a bin of its own."""
COMPARED = 20
"""The most frequent categories, which the stability index compares one by one; it takes the others together."""
KEPT = 10_000
"""Categories that are kept, the most frequent ones."""
COUNTED = 100_000
"""Distinct values up to which a column is one of categories."""
CHANCE = 0.001
"""How often rows of one and the same distribution may look like a drift."""


def psi(expected: Sequence[int], found: Sequence[int]) -> float:
    """The population stability index of rows by bin: the sum of (q - p) ln(q / p) over the bins' shares p and q.

    Half a row is added to each bin of both, so that an empty bin has a logarithm; equal counts have an index of 0 for
    certain. NaN when either has no rows. Usual reading: below 0.1 no shift, 0.1 to 0.25 a moderate one, above 0.25 a large
    one (Siddiqi 2006, Credit Risk Scorecards, Wiley). It is the divergence of Jeffreys (1946).

    >>> psi([50, 50], [50, 50]), round(psi([50_000, 50_000], [80_000, 20_000]), 3)
    (0.0, 0.416)
    """
    if not sum(expected) or not sum(found):
        return math.nan
    p, q = (np.asarray(counts, dtype=np.float64) + 0.5 for counts in (expected, found))
    p, q = p / p.sum(), q / q.sum()
    return float((q - p) @ np.log(q / p))


def chance(expected: Sequence[int], found: Sequence[int]) -> float:
    """The index that rows of one distribution exceed with a probability of 0.001 only.

    The index over 1/n + 1/m is about chi-squared with (bins - 1) degrees of freedom for samples of n and m rows (Yurdakul
    and Naranjo 2020, Journal of Risk Model Validation 14(4)).
    """
    spread = 1 / max(sum(expected), 1) + 1 / max(sum(found), 1)
    return float(chdtri(max(len(expected) - 1, 1), CHANCE) * spread)


class Shift(NamedTuple):
    """How far a column has moved: the stability index, and what chance alone explains."""

    psi: float
    chance: float

    @classmethod
    def of(cls, expected: Sequence[int], found: Sequence[int]) -> Shift:
        return cls(psi(expected, found), chance(expected, found))


@dataclass(frozen=True)
class Distribution:
    """The values of one column.

    Attributes:
        n_rows: All rows.
        missing: Those without a value (null or NaN).
        edges: Of numbers, the upper ends of all bins but the last, which has none; an end belongs to its bin.
        values: Of categories, as text, the most frequent first.
        counts: Rows in each bin, or of each category.
        others: Rows of categories that are not among `values`.
    """

    n_rows: int
    missing: int
    edges: tuple[float, ...] | None = None
    values: tuple[str, ...] | None = None
    counts: tuple[int, ...] = ()
    others: int = 0

    @property
    def missing_share(self) -> float:
        return self.missing / self.n_rows if self.n_rows else math.nan

    def counter(self, column: str, kind: pa.DataType) -> Reducer[Any, Distribution]:
        """What finds the distribution of other rows in the same bins or categories."""
        if self.values is not None and not pa.types.is_nested(kind):
            return Categories(column, plain(kind))
        return Binned(column, self.edges) if self.edges is not None and is_measured(kind) else Presence(column)

    def shift(self, found: Distribution) -> Shift:
        """How far the values of the found rows are from these; NaN where they cannot be compared."""
        if self.values is None or found.values is None:
            return Shift.of(self.counts, found.counts) if len(self.counts) == len(found.counts) else Shift(math.nan, 0.0)
        known = dict(zip(found.values, found.counts, strict=True))
        compared = [known.get(value, 0) for value in self.values[:COMPARED]]
        rest, now = sum(self.counts[COMPARED:]) + self.others, sum(known.values()) + found.others - sum(compared)
        more = [rest] if rest or now else []
        return Shift.of([*self.counts[:COMPARED], *more], [*compared, now] if more else compared)

    def missing_shift(self, found: Distribution) -> Shift:
        """How far the share of missing values has moved."""
        rows = [(one.missing, one.n_rows - one.missing) for one in (self, found)]
        return Shift.of(rows[0], rows[1])

    def unseen(self, found: Distribution) -> Mapping[str, int]:
        """Categories of the found rows that were not there, with their rows; none where not all were kept."""
        if self.values is None or found.values is None or self.others:
            return {}
        known = set(self.values)
        return {value: n for value, n in zip(found.values, found.counts, strict=True) if value not in known}


def is_measured(kind: pa.DataType) -> bool:
    """Whether values of the type are compared as numbers."""
    kind = plain(kind)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal, pa.types.is_decimal)
    return any(test(kind) for test in tests) and not pa.types.is_interval(kind)


def is_word(kind: pa.DataType) -> bool:
    """Whether values of the type are categories."""
    return bool(pa.types.is_large_string(plain(kind)))


def sketch(column: str, kind: pa.DataType, encoded: bool = False) -> Reducer[Any, Distribution]:
    """What finds a column's distribution; `encoded` numbers are categories."""
    if is_word(kind) or (encoded and not pa.types.is_nested(kind)):
        return Categories(column, plain(kind))
    return Numbers(column) if is_measured(kind) else Presence(column)


def text(value: Any) -> str:
    """A category as text: 1, 1.0 and True are one, as they are to encoders."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)


class _Tallied(NamedTuple):
    n_rows: int
    tally: Tally


@dataclass(frozen=True)
class Numbers:
    """A reducer: bins of about equal shares of a column's numbers; the counts in the bins are exact."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> _Tallied:
        return _Tallied(0, Tally.empty())

    def update(self, state: _Tallied, chunk: Chunk) -> _Tallied:
        values = chunk.floats(self.column)
        return self.merge(state, _Tallied(len(values), Tally.of(values[~np.isnan(values)], exact=state.tally.exact)))

    def merge(self, left: _Tallied, right: _Tallied) -> _Tallied:
        return _Tallied(left.n_rows + right.n_rows, left.tally.merge(right.tally))

    def finish(self, state: _Tallied) -> Distribution:
        edges, counts = _binned(state.tally)
        return Distribution(state.n_rows, state.n_rows - sum(counts), edges=edges, counts=counts)

    def forecast_nbytes(self, n_rows: int) -> int:
        return 16 * min(n_rows, 1 << 17)


def _binned(tally: Tally) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges at the upper ends of values, or of buckets, so that the counts between them are exact."""
    if not len(tally.keys):
        return (), (0,)
    ends = floats(tally.keys if tally.exact else ((tally.keys + 1) << tally.level) - 1)
    below = np.cumsum(tally.counts)
    crossing = np.searchsorted(below, below[-1] * np.arange(1, BINS) / BINS)
    heavy = np.flatnonzero(tally.counts * BINS >= below[-1])
    cuts = np.unique(np.append(crossing, heavy - 1))
    cuts = cuts[(cuts >= 0) & (cuts < len(ends) - 1)]
    cuts = cuts[np.isfinite(ends[cuts])]
    return tuple(ends[cuts].tolist()), tuple(np.diff(below[cuts], prepend=0, append=below[-1]).tolist())


@dataclass(frozen=True)
class Binned:
    """A reducer: a column's numbers in known bins."""

    column: str
    edges: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> NDArray[np.int64]:
        return np.zeros(len(self.edges) + 2, np.int64)

    def update(self, state: NDArray[np.int64], chunk: Chunk) -> NDArray[np.int64]:
        values = chunk.floats(self.column)
        known = values[~np.isnan(values)]
        places = np.searchsorted(np.array(self.edges), known)
        return state + np.append(np.bincount(places, minlength=len(self.edges) + 1), len(values) - len(known))

    def merge(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        return left + right

    def finish(self, state: NDArray[np.int64]) -> Distribution:
        return Distribution(int(state.sum()), int(state[-1]), edges=self.edges, counts=tuple(state[:-1].tolist()))


@dataclass(frozen=True)
class Categories:
    """A reducer: a column's distinct values with their counts; only how many are missing beyond 100,000 distinct ones."""

    column: str
    kind: pa.DataType

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def _values(self) -> Values:
        return Values(self.column, self.kind, limit=COUNTED)

    def start(self) -> Counted:
        return self._values.start()

    def update(self, state: Counted, chunk: Chunk) -> Counted:
        return self._values.update(state, chunk)

    def merge(self, left: Counted, right: Counted) -> Counted:
        return self._values.merge(left, right)

    def finish(self, state: Counted) -> Distribution:
        found = Distribution(state.missing + state.known, state.missing)
        if state.hashes is not None:
            return found
        values, counts = self._values.finish(state)
        kept = tuple(text(value) for value in values[:KEPT].to_pylist())
        return replace(found, values=kept, counts=tuple(counts[:KEPT].tolist()), others=int(counts[KEPT:].sum()))

    def forecast_nbytes(self, n_rows: int) -> int:
        return self._values.forecast_nbytes(n_rows)


@dataclass(frozen=True)
class Presence:
    """A reducer: how many of a column's values are missing."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> tuple[int, int]:
        return 0, 0

    def update(self, state: tuple[int, int], chunk: Chunk) -> tuple[int, int]:
        return state[0] + chunk.n_rows, state[1] + chunk.nulls(self.column)

    def merge(self, left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
        return left[0] + right[0], left[1] + right[1]

    def finish(self, state: tuple[int, int]) -> Distribution:
        return Distribution(*state)
