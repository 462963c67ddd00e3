"""Groupby: split, apply, combine in one mergeable state; the result is what pandas gives for the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats import kernels
from bigml.stats.aggregations import Output, index_of, outputs
from bigml.stats.cells import Cell, Rows, arranged
from bigml.stats.extremes import FAR
from bigml.stats.keys import Grouping, Index, Keys, plain
from bigml.stats.reducer import Reducer

if TYPE_CHECKING:
    import pandas as pd

Wanted = str | Reducer[Any, Any]

FORECAST_GROUPS = 1_000
"""Groups for which a state is forecast, since their number is known only after the scan."""


@dataclass(frozen=True)
class GroupState:
    """What is known of every group.

    Attributes:
        keys: The groups.
        sizes: Rows of each group.
        nulls: Nulls of each column of the reducer, in any row; pandas turns such integers to floats.
        cells: One state per cell, in the order of the groups.
    """

    keys: Keys
    sizes: Index
    nulls: Index
    cells: tuple[Any, ...]


@dataclass(frozen=True)
class Arrivals:
    """The lowest row number of each group, which orders groups by first appearance."""

    column: str

    def empty(self) -> Index:
        return np.empty(0, np.int64)

    def partial(self, rows: Rows) -> Index:
        numbers = kernels.frozen(rows.chunk.row_numbers)
        return arranged(numbers, kernels.edge_positions(rows.slots, numbers, rows.n_slots, False), FAR)

    def arrange(self, state: Index, index: Index) -> Index:
        return arranged(state, index, FAR)

    def merge(self, left: Index, right: Index) -> Index:
        return np.minimum(left, right)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 8 * n_groups


@dataclass(frozen=True)
class Grouped:
    """Aggregations of columns by group; `grouped` makes one.

    Memory: a state holds a few dozen bytes per group and exact aggregation; `forecast_nbytes` adds the sketches.

    Attributes:
        by: The key columns.
        outputs: What is aggregated, in the order of the result's columns.
        schema: The types of the columns.
        dropna: Whether rows with a null key are left out.
        sort: Whether groups are sorted by key, or else by first appearance.
        labels: The names of the result's columns.
    """

    by: tuple[str, ...]
    outputs: tuple[Output, ...]
    schema: pa.Schema
    labels: tuple[str, ...] | tuple[tuple[str, str], ...]
    dropna: bool = True
    sort: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.by, *(output.column for output in self.outputs))))

    @property
    def cells(self) -> tuple[Cell[Any], ...]:
        arrivals = () if self.sort else (Arrivals(self.by[0]),)
        return (*dict.fromkeys(output.cell for output in self.outputs if output.cell is not None), *arrivals)

    @property
    def kinds(self) -> tuple[pa.DataType, ...]:
        return tuple(self.schema.field(name).type for name in self.by)

    def start(self) -> GroupState:
        nulls = np.zeros(len(self.columns), np.int64)
        return GroupState(Keys.none(self.kinds), np.zeros(0, np.int64), nulls, tuple(cell.empty() for cell in self.cells))

    def update(self, state: GroupState, chunk: Chunk) -> GroupState:
        return self.merge(state, self._partial(chunk)) if chunk.n_rows else state

    def _partial(self, chunk: Chunk) -> GroupState:
        grouping = Grouping.of(chunk, self.by, self.kinds, self.dropna)
        rows = Rows(chunk, grouping.slots, grouping.n_slots)
        cells = tuple(cell.arrange(cell.partial(rows), grouping.index) for cell in self.cells)
        nulls = np.array([chunk.nulls(name) for name in self.columns], np.int64)
        return GroupState(grouping.keys, grouping.sizes, nulls, cells)

    def merge(self, left: GroupState, right: GroupState) -> GroupState:
        keys, from_left, from_right = left.keys.union(right.keys)
        first, second = self._arranged(left, from_left), self._arranged(right, from_right)
        cells = tuple(cell.merge(a, b) for cell, a, b in zip(self.cells, first.cells, second.cells, strict=True))
        return GroupState(keys, first.sizes + second.sizes, left.nulls + right.nulls, cells)

    def _arranged(self, state: GroupState, index: Index | None) -> GroupState:
        if index is None:
            return state
        cells = tuple(cell.arrange(one, index) for cell, one in zip(self.cells, state.cells, strict=True))
        return GroupState(state.keys, arranged(state.sizes, index, 0), state.nulls, cells)

    def finish(self, state: GroupState) -> pd.DataFrame:
        import pandas as pd

        has_nulls = dict(zip(self.columns, state.nulls > 0, strict=True))
        series = [self._series(output, state, has_nulls[output.column]) for output in self.outputs]
        frame = pd.DataFrame(dict(enumerate(series)))
        frame.index = self._index(state.keys, has_nulls)
        frame.columns = pd.Index(list(self.labels))
        frame.attrs["error"] = {f"{one.column}:{one.name}": one.error for one in self.outputs if one.error}
        return frame if self.sort else frame.iloc[np.argsort(state.cells[-1])]

    def _series(self, output: Output, state: GroupState, has_nulls: bool) -> pd.Series[Any]:
        held = state.sizes if output.cell is None else state.cells[self.cells.index(output.cell)]
        return output.shape(output.read(held), plain(self.schema.field(output.column).type), has_nulls)

    def _index(self, keys: Keys, has_nulls: Mapping[str, bool]) -> pd.Index[Any]:
        import pandas as pd

        values = [index_of(keys.values(i), name, has_nulls[name]) for i, name in enumerate(self.by)]
        return values[0] if len(values) == 1 else pd.MultiIndex.from_arrays(values)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state of at most 1,000 groups; how many there will be, only the scan tells."""
        n_groups = min(n_rows, FORECAST_GROUPS)
        keys = n_groups * sum(4 + (kind.bit_width // 8 if pa.types.is_primitive(kind) else 24) for kind in self.kinds)
        return keys + 8 * n_groups + sum(cell.forecast_nbytes(n_rows, n_groups) for cell in self.cells)


def grouped(
    by: str | Sequence[str],
    aggregations: Mapping[str, Wanted | Sequence[Wanted]],
    *,
    schema: pa.Schema,
    dropna: bool = True,
    sort: bool = True,
) -> Grouped:
    """The reducer whose result equals `frame.groupby(by, dropna=dropna, sort=sort).agg(aggregations)` in pandas.

    Aggregations are count, size, sum, mean, var, std, sem, min, max, first, last, nunique, median, percentiles such as p95
    or p99.9, and reducers of one column. Nulls and NaN are missing. `nunique`, `median` and percentiles are sketches:
    `result.attrs["error"]` says how exact. Booleans with nulls are summed and averaged as floats. Means are float64 for any
    column, as in pandas.

    Args:
        by: The key columns.
        aggregations: For each column, one aggregation or several.
        schema: The types of all columns.
        dropna: Whether rows with a null key are left out.
        sort: Whether groups are sorted by key, or else by first appearance.

    Raises:
        ColumnError: No such column.
        ConfigError: No aggregation has that name, or nothing is asked for.
        SchemaError: The column's type has no such aggregation, or cannot be a key.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"carrier": ["AA", "UA", "AA"], "delay": [3.0, 5.0, 4.0]})
    >>> reducer = grouped("carrier", {"delay": ["count", "mean"]}, schema=table.schema)
    >>> reduce_chunks(reducer, [Chunk.from_arrow(table)]).loc["AA"].tolist()
    [2.0, 3.5]
    """
    keys = (by,) if isinstance(by, str) else tuple(by)
    for name in (*keys, *aggregations):
        if name not in schema.names:
            raise ColumnError.missing(name, schema.names)
    _check_keys(keys, schema)
    wanted = {name: [one] if isinstance(one, str | Reducer) else list(one) for name, one in aggregations.items()}
    found = tuple(output for name, every in wanted.items() for output in outputs(name, every, schema.field(name).type))
    if not found:
        raise ConfigError("at least one aggregation", got="none", where="agg", do='For example agg(arr_delay="mean").')
    flat = all(isinstance(one, str | Reducer) for one in aggregations.values())
    labels = tuple(one.column for one in found) if flat else tuple((one.column, one.name) for one in found)
    return Grouped(keys, found, schema, labels, dropna, sort)


def group_sizes(by: str | Sequence[str], *, schema: pa.Schema, dropna: bool = True, sort: bool = True) -> Grouped:
    """The reducer whose result equals `frame.groupby(by, ...).size().to_frame("size")` in pandas.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"carrier": ["AA", "UA", "AA"]})
    >>> reduce_chunks(group_sizes("carrier", schema=table.schema), [Chunk.from_arrow(table)])["size"].to_dict()
    {'AA': 2, 'UA': 1}
    """
    first = by if isinstance(by, str) else by[0]
    return replace(grouped(by, {first: "size"}, schema=schema, dropna=dropna, sort=sort), labels=("size",))


def _check_keys(keys: tuple[str, ...], schema: pa.Schema) -> None:
    if not keys or len(set(keys)) < len(keys):
        raise ConfigError("one or more different key columns", got=f"{list(keys)}", where="groupby")
    for name in keys:
        kind = plain(schema.field(name).type)
        if pa.types.is_nested(kind):
            raise SchemaError("a key column of plain values", got=f"{kind}", where=f"column `{name}`", do="Derive a plain key.")
