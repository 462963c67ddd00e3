"""Counts: how often each distinct value of a column occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.aggregations import series_of
from bigml.stats.cells import Rows
from bigml.stats.derived import Derived, OfGroups
from bigml.stats.groupby import Grouped, GroupState, group_sizes
from bigml.stats.keys import Index, encode, plain
from bigml.stats.sketches import Distinct, Hashes

if TYPE_CHECKING:
    import pandas as pd


class Counted(NamedTuple):
    """Distinct values, the rows of each, rows that are missing, rows that are known; beyond the limit only hashes."""

    values: pa.Array
    counts: Index
    missing: int
    known: int
    hashes: Hashes | None = None


FORECAST_VALUES = 10_000
"""Distinct values for which a state is forecast, since their number is known only after the scan."""


@dataclass(frozen=True)
class Tally:
    """Exact counts of the distinct values of a column; NaN is missing.

    Memory grows with the distinct values. With a limit, a column that has more of them loses the counts and keeps a
    HyperLogLog sketch; which of the two depends on the values alone, not on their order.

    Args:
        column: The column.
        kind: Its plain Arrow type.
        limit: Distinct values to keep at most; 0 for all.
    """

    column: str
    kind: pa.DataType
    limit: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> Counted:
        return Counted(pa.array([], type=self.kind), np.zeros(0, np.int64), 0, 0)

    def update(self, state: Counted, chunk: Chunk) -> Counted:
        return self.merge(state, self._partial(chunk)) if chunk.n_rows else state

    def _partial(self, chunk: Chunk) -> Counted:
        codes, values = Rows(chunk).coded(self.column)
        every = np.bincount(codes.astype(np.int64) + 1, minlength=len(values) + 1)
        used = np.flatnonzero(every[1:])
        missing = int(every[0])
        return Counted(values.take(pa.array(used)).cast(self.kind), every[1:][used], missing, chunk.n_rows - missing)

    def merge(self, left: Counted, right: Counted) -> Counted:
        missing, known = left.missing + right.missing, left.known + right.known
        values, counts = _added(left, right)
        if left.hashes is None and right.hashes is None and (not self.limit or len(values) <= self.limit):
            return Counted(values, counts, missing, known)
        hashes = self._distinct.merge(self._hashed(left), self._hashed(right))
        return Counted(values[:0], counts[:0], missing, known, hashes)

    @property
    def _distinct(self) -> Distinct:
        return Distinct(self.column)

    def _hashed(self, state: Counted) -> Hashes:
        if state.hashes is not None:
            return state.hashes
        return self._distinct.partial(Rows(Chunk({self.column: state.values}, range(len(state.values)))))

    def unique(self, state: Counted) -> int:
        """The distinct values; an estimate beyond the limit."""
        return len(state.values) if state.hashes is None else int(self._distinct.count(state.hashes)[0])

    def finish(self, state: Counted) -> tuple[pa.Array, Index]:
        """Values and counts, the most frequent first, equal counts by value ascending."""
        values, counts = ascending(state.values, state.counts)
        order = np.argsort(-counts, kind="stable")
        return values.take(pa.array(order)), counts[order]

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state of at most 10,000 distinct values of at most 32 bytes."""
        return 48 * min(n_rows, self.limit or n_rows, FORECAST_VALUES) + (1 << 15)


def _added(left: Counted, right: Counted) -> tuple[pa.Array, Index]:
    if left.values.equals(right.values):
        return left.values, left.counts + right.counts
    codes, values = encode(pa.concat_arrays([left.values, right.values]).dictionary_encode())
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, codes, np.concatenate([left.counts, right.counts]))
    return values, counts


def ascending(values: pa.Array, counts: Index) -> tuple[pa.Array, Index]:
    """Values in ascending order, and their counts.

    >>> ascending(pa.array(["b", "a"]), np.array([1, 2]))[1].tolist()
    [2, 1]
    """
    order = pc.array_sort_indices(values).to_numpy() if len(values) > 1 else np.arange(len(values))
    return values.take(pa.array(order)), counts[order]


@dataclass(frozen=True)
class ValueCounts(OfGroups, Derived[GroupState]):
    """Sizes of groups of equal values, as pandas gives counts; `value_counts` makes one."""

    inner: Grouped
    normalize: bool = False
    sort: bool = True

    def finish(self, state: GroupState) -> pd.Series[int] | pd.Series[float]:
        import pandas as pd

        values, counts = state.keys.values(0), state.sizes
        if self.sort:
            # Keys are in ascending order, a missing one last, and so are those of equal counts.
            order = np.argsort(-counts, kind="stable")
            values, counts = values.take(pa.array(order)), counts[order]
        # Where groupby puts NaN among objects, value_counts keeps None.
        index = pd.Index(series_of(values, bool(state.nulls[0])), name=self.inner.by[0])
        if self.normalize:
            return pd.Series(counts / max(counts.sum(), 1), index=index, name="proportion", dtype="float64")
        return pd.Series(counts, index=index, name="count", dtype="int64")

    def piece(self, state: GroupState) -> GroupState:
        """The counts of some of the values."""
        return state

    def joined(self, pieces: Sequence[GroupState]) -> pd.Series[int] | pd.Series[float]:
        """The result from the counts of disjoint values."""
        return self.finish(self.inner.merge_all(pieces))

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of `table`: the value, and its `count`.

        Raises:
            ConfigError: Shares are asked for, or the column is called `count`.
        """
        if self.normalize:
            do = "Write the counts, and divide them by their sum."
            raise ConfigError("counts", got="normalize=True", where="value_counts in write_parquet", do=do)
        return self.inner.arrow_schema

    def table(self, state: GroupState) -> pa.Table:
        """The counts as an Arrow table, in ascending order of the values."""
        return self.inner.table(state)


def value_counts(
    column: str, *, schema: pa.Schema, normalize: bool = False, dropna: bool = True, sort: bool = True
) -> ValueCounts:
    """The reducer whose result is that of `Series.value_counts` in pandas; its memory grows with the distinct values.

    Equal counts are in ascending order of the values (pandas: by first appearance), a missing value after them; without
    `sort`, all values are.

    Args:
        column: The column.
        schema: The types of all columns.
        normalize: Whether fractions are wanted, not counts.
        dropna: Whether missing values are left out.
        sort: Whether the most frequent value comes first.

    Raises:
        ColumnError: No such column.
        SchemaError: The column holds lists or structs.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"carrier": ["UA", "AA", "UA"]})
    >>> reduce_chunks(value_counts("carrier", schema=table.schema), [Chunk.from_arrow(table)]).to_dict()
    {'UA': 2, 'AA': 1}
    """
    if column not in schema.names:
        raise ColumnError.missing(column, schema.names)
    kind = plain(schema.field(column).type)
    if pa.types.is_nested(kind):
        raise SchemaError("a column of plain values", got=f"{kind}", where=f"column `{column}`", do="Derive a plain column.")
    sizes = group_sizes(column, schema=schema, dropna=dropna)
    return ValueCounts(replace(sizes, labels=("count",)), normalize, sort)
