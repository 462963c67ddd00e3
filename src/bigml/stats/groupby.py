"""Groupby: split, apply, combine in one mergeable state; the result is what pandas gives for the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats import kernels
from bigml.stats.aggregations import Output, Wanted, index_of, name_of, planned, typed
from bigml.stats.bulk import tree_of
from bigml.stats.cells import Absorbing, Cell, Rows, Wide, arranged, united
from bigml.stats.extremes import FAR, Known
from bigml.stats.hashing import partitioned
from bigml.stats.keys import Grouping, Index, Keys, plain
from bigml.stats.reducer import FORECAST_GROUPS
from bigml.stats.sketches import Quantiles

if TYPE_CHECKING:
    import pandas as pd

SIZES = Known("")
"""How sizes of groups are added up: as counts are."""


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


class Piece(NamedTuple):
    """The result of some of the groups: a row for each in the order of keys, and where each came where that orders them.

    Nulls are those of each column in any row, of whatever group.
    """

    keys: Keys
    rows: pd.DataFrame
    arrivals: Index
    nulls: Index


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

    def absorb(self, whole: Index, places: Index, part: Index) -> None:
        np.minimum.at(whole, places, part)

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
    reads_codes: ClassVar[bool] = True

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.by, *(name for output in self.outputs for name in (output.column, *output.others)))))

    @cached_property
    def cells(self) -> tuple[Cell[Any], ...]:
        arrivals = () if self.sort else (Arrivals(self.by[0]),)
        return (*dict.fromkeys(output.cell for output in self.outputs if output.cell is not None), *arrivals)

    @cached_property
    def _absorbing(self) -> list[Absorbing[Any]] | None:
        """The cells, where all of them are `Absorbing`."""
        cells = [cell for cell in self.cells if isinstance(cell, Absorbing)]
        return cells if len(cells) == len(self.cells) else None

    @cached_property
    def kinds(self) -> tuple[pa.DataType, ...]:
        return tuple(self.schema.field(name).type for name in self.by)

    def start(self) -> GroupState:
        nulls = np.zeros(len(self.columns), np.int64)
        return GroupState(Keys.none(self.kinds), np.zeros(0, np.int64), nulls, tuple(cell.empty() for cell in self.cells))

    def update(self, state: GroupState, chunk: Chunk) -> GroupState:
        return self.merge(state, self._partial(chunk)) if chunk.n_rows else state

    def _partial(self, chunk: Chunk) -> GroupState:
        grouping = Grouping.of(chunk, self.by, self.kinds, self.dropna)
        rows = Rows(chunk, grouping.slots, grouping.n_slots, name=(self.by, self.dropna))
        cells = tuple(cell.arrange(cell.partial(rows), grouping.index) for cell in self.cells)
        return GroupState(grouping.keys, grouping.sizes, self.nulls(chunk), cells)

    def nulls(self, chunk: Chunk) -> Index:
        """Nulls of each column."""
        return np.array([chunk.nulls(name) for name in self.columns], np.int64)

    def merge(self, left: GroupState, right: GroupState) -> GroupState:
        return self.merge_all([left, right])

    def merge_all(self, states: Sequence[GroupState]) -> GroupState:
        """The states merged from left to right; their groups are united but once."""
        nulls = np.sum([state.nulls for state in states], axis=0)
        if self._absorbing is not None:
            # States of no groups know nothing beyond nulls.
            states = [state for state in states if state.keys.n_groups] or states[:1]
            if len(states) == 1:
                return replace(states[0], nulls=nulls)
        keys, places = Keys.united([state.keys for state in states])
        by_cell = zip(*(state.cells for state in states), strict=True)
        cells = tuple(united(cell, parts, places, keys.n_groups) for cell, parts in zip(self.cells, by_cell, strict=True))
        sizes = united(SIZES, [state.sizes for state in states], places, keys.n_groups)
        return GroupState(keys, sizes, nulls, cells)

    def finish(self, state: GroupState) -> pd.DataFrame:
        return self.joined([self.piece(state)])

    def _over(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame after what is made of the values of all groups together."""
        for at, output in enumerate(self.outputs):
            if output.over:
                frame.isetitem(at, output.over(frame.iloc[:, at]).to_numpy())
        return frame

    def _values(self, output: Output, state: GroupState) -> Any:
        return output.read(state.sizes if output.cell is None else state.cells[self.cells.index(output.cell)])

    def _series(self, output: Output, state: GroupState, has_nulls: bool) -> pd.Series[Any]:
        return output.shape(self._values(output, state), plain(self.schema.field(output.column).type), has_nulls)

    def _index(self, keys: Keys, nulls: Index) -> pd.Index[Any]:
        import pandas as pd

        # Keys are the first columns.
        values = [index_of(keys.values(i), name, nulls[i] > 0) for i, name in enumerate(self.by)]
        return values[0] if len(values) == 1 else pd.MultiIndex.from_arrays(values)

    def quantile(self, state: GroupState, shares: Sequence[float], column: str | None = None) -> pd.DataFrame:
        """Any quantiles of a column of which a state keeps some: a column for each share, under the name of the column.

        Raises:
            ConfigError: It keeps quantiles of no column, or of none of this name, or of several and none is named.
        """
        kept = {one.column: one for one in self.outputs if isinstance(one.cell, Quantiles) and column in {None, one.column}}
        if len(kept) != 1:
            do = "Aggregate a median or a percentile of the column, and name it where there are several."
            raise ConfigError("one column of which quantiles are kept", got=", ".join(kept) or "none", where="in quantile", do=do)
        [(name, output)] = kept.items()
        sketch = Quantiles(name)
        held, arrivals = state.cells[self.cells.index(sketch)], state.cells[len(self.cells) - (not self.sort) :]
        outputs = tuple(replace(output, read=partial(sketch.quantile, q=share), over=None) for share in shares)
        narrow = replace(self, outputs=outputs, labels=tuple(map(str, shares)))
        nulls = state.nulls[[self.columns.index(one) for one in narrow.columns]]
        frame = narrow.finish(GroupState(state.keys, state.sizes, nulls, (held, *arrivals)))
        return frame.set_axis(list(shares), axis="columns").rename_axis(columns=name)

    def forecast_nbytes(self, n_rows: int, n_groups: int = FORECAST_GROUPS) -> int:
        """Upper estimate of the bytes of one state of so many groups; how many there will be, only the scan tells."""
        n_groups = min(n_rows, n_groups)
        keys = n_groups * sum(4 + (kind.bit_width // 8 if pa.types.is_primitive(kind) else 24) for kind in self.kinds)
        return keys + 8 * n_groups + sum(cell.forecast_nbytes(n_rows, n_groups) for cell in self.cells)

    def partitioned(self, chunk: Chunk, n: int) -> tuple[Chunk, Index]:
        """The rows by the hash of their keys, and where each of n partitions begins and ends."""
        return partitioned(chunk, self.by, n, self.dropna)

    @property
    def numbered(self) -> bool:
        """Whether row numbers count: for the first and last rows of groups, and for what reducers of one's own look at."""
        return not self.sort or self._absorbing is None

    def at_once(self, chunk: Chunk, ends: Index, levels: Sequence[Index]) -> GroupState | None:
        """The state of a tree of merges; None where it can only be had by walking the tree."""
        cells = self._absorbing
        if cells is None:
            return None
        grouping = Grouping.of(chunk, self.by, self.kinds, self.dropna)
        return GroupState(grouping.keys, grouping.sizes, self.nulls(chunk), tree_of(cells, grouping, chunk, ends, levels))

    def remainder(self, chunk: Chunk) -> GroupState:
        """A state without groups that knows what the statistics of a group need to know of other rows."""
        rows = Rows(chunk)
        cells = (cell.remainder(rows) if isinstance(cell, Wide) else cell.empty() for cell in self.cells)
        return replace(self.start(), nulls=self.nulls(chunk), cells=tuple(cells))

    def keys_only(self) -> Grouped:
        """The same groups, of which nothing is asked but their sizes."""
        return replace(self, outputs=(), labels=(), sort=True)

    def n_groups(self, state: GroupState) -> int:
        return state.keys.n_groups

    def piece(self, state: GroupState) -> Piece:
        """The result of some of the groups."""
        import pandas as pd

        has_nulls = dict(zip(self.columns, state.nulls > 0, strict=True))
        series = [self._series(output, state, has_nulls[output.column]) for output in self.outputs]
        rows = pd.DataFrame(dict(enumerate(series)))
        return Piece(state.keys, rows, state.cells[-1] if not self.sort else np.zeros(0, np.int64), state.nulls)

    def joined(self, pieces: Sequence[Piece]) -> pd.DataFrame:
        """The result from those of disjoint groups."""
        import pandas as pd

        # Rows without groups do not know the type of what a reducer of the user's gives.
        pieces = [piece for piece in pieces if piece.keys.n_groups] or pieces[:1]
        keys, places = Keys.joined([piece.keys for piece in pieces])
        order = np.argsort(places)
        rows = pieces[0].rows if len(pieces) == 1 else pd.concat([piece.rows for piece in pieces]).iloc[order]
        frame = rows.set_axis(self._index(keys, pieces[0].nulls)).set_axis(pd.Index(list(self.labels)), axis="columns")
        if not self.sort:
            frame = frame.iloc[np.argsort(np.concatenate([piece.arrivals for piece in pieces])[order])]
        frame.attrs["error"] = {f"{one.column}:{one.name}": one.error for one in self.outputs if one.error}
        return self._over(frame)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of `table`: the keys, then a column `x_mean` for each aggregation of x, or `x` where it has but one.

        Raises:
            ConfigError: Two columns would have one name, or an aggregation's type is not known before it is computed.
        """
        names = [label if isinstance(label, str) else "_".join(label) for label in self.labels]
        kinds = [output.arrow_type(plain(self.schema.field(output.column).type)) for output in self.outputs]
        return self.schema_with(list(zip(names, kinds, strict=True)))

    def schema_with(self, columns: Sequence[tuple[str, pa.DataType]]) -> pa.Schema:
        """The keys and then these columns.

        Raises:
            ConfigError: Two would have one name.
        """
        fields = [*zip(self.by, map(plain, self.kinds), strict=True), *columns]
        twice = sorted(name for name, count in Counter(name for name, _ in fields).items() if count > 1)
        if twice:
            do = 'Name aggregations by a list, agg(x=["mean"]), or give keys other names.'
            raise ConfigError("columns of different names", got=f"`{twice[0]}` twice", where="in write_parquet", do=do)
        return pa.schema(fields)

    def table(self, state: GroupState) -> pa.Table:
        """The result as an Arrow table, whose types do not depend on the rows: integers stay integers where some are null."""
        schema = self.arrow_schema
        keys = [state.keys.values(i) for i in range(len(self.by))]
        kinds = schema.types[len(keys) :]
        columns = [typed(self._values(output, state), kind) for output, kind in zip(self.outputs, kinds, strict=True)]
        table = pa.table([*keys, *columns], schema=schema)
        return table if self.sort else table.take(np.argsort(state.cells[-1]))


Named = tuple[str, str, Wanted]
"""An aggregation by the name that it gets in the result, the column and what is asked of it."""


def grouped(
    by: str | Sequence[str],
    aggregations: Mapping[str, Wanted | Sequence[Wanted]] | Sequence[Named],
    *,
    schema: pa.Schema,
    dropna: bool = True,
    sort: bool = True,
) -> Grouped:
    """The reducer whose result equals `frame.groupby(by, dropna=dropna, sort=sort).agg(aggregations)` in pandas.

    Aggregations are count, size, sum, mean, var, std, sem, skew, kurt, min, max, first, last, nunique, median, percentiles
    such as p95 or p99.9, and reducers of one column. Nulls and NaN are missing. `nunique`, `median` and percentiles are sketches:
    `result.attrs["error"]` says how exact. Booleans with nulls are summed and averaged as floats. Means are float64 for any
    column, as in pandas.

    Args:
        by: The key columns.
        aggregations: For each column, one aggregation or several; or a list of (name in the result, column, aggregation).
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
    check_keys(keys, schema)
    if not isinstance(aggregations, Mapping):
        return Grouped(keys, _named(aggregations, schema), schema, tuple(name for name, *_ in aggregations), dropna, sort)
    found, flat = planned(aggregations, schema)
    labels = tuple(one.column for one in found) if flat else tuple((one.column, one.name) for one in found)
    return Grouped(keys, found, schema, labels, dropna, sort)


def _named(aggregations: Sequence[Named], schema: pa.Schema) -> tuple[Output, ...]:
    by_column: dict[str, dict[str, Wanted]] = {}
    for _, column, one in aggregations:
        by_column.setdefault(column, {})[name_of(one)] = one
    found, _ = planned({column: list(wanted.values()) for column, wanted in by_column.items()}, schema)
    outputs = {(output.column, output.name): output for output in found}
    return tuple(outputs[column, name_of(one)] for _, column, one in aggregations)


def group_sizes(by: str | Sequence[str], *, schema: pa.Schema, dropna: bool = True, sort: bool = True) -> Grouped:
    """The reducer whose result equals `frame.groupby(by, ...).size().to_frame("size")` in pandas.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"carrier": ["AA", "UA", "AA"]})
    >>> reduce_chunks(group_sizes("carrier", schema=table.schema), [Chunk.from_arrow(table)])["size"].to_dict()
    {'AA': 2, 'UA': 1}
    """
    first = by if isinstance(by, str) else next(iter(by), "")
    check_keys((by,) if isinstance(by, str) else tuple(by), schema)
    return replace(grouped(by, {first: "size"}, schema=schema, dropna=dropna, sort=sort), labels=("size",))


def check_keys(keys: tuple[str, ...], schema: pa.Schema) -> None:
    """Check that there are one or more different columns to group by.

    Raises:
        ColumnError: There is no such column.
        ConfigError: There are none, or one twice.
        SchemaError: One holds lists or structs.
    """
    if not keys or len(set(keys)) < len(keys):
        raise ConfigError("one or more different key columns", got=f"{list(keys)}", where="groupby")
    for name in keys:
        if name not in schema.names:
            raise ColumnError.missing(name, schema.names)
        kind = plain(schema.field(name).type)
        if pa.types.is_nested(kind):
            raise SchemaError("a key column of plain values", got=f"{kind}", where=f"column `{name}`", do="Derive a plain key.")
