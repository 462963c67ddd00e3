"""Pivot: groups laid out as a table, some keys down and the others across, with margins that are folded from the same state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ConfigError, DataError
from bigml.stats.aggregations import Wanted
from bigml.stats.folding import folded
from bigml.stats.groupby import Grouped, GroupState, group_sizes, grouped

if TYPE_CHECKING:
    import pandas as pd

ALL = "All"
SHARES = {True: "all", "all": "all", "index": "index", "columns": "columns", False: ""}


@dataclass(frozen=True)
class Pivot:
    """Groups as a table; `pivot_table` and `crosstab` make one.

    Attributes:
        grouped: The groups, by the keys down and then those across.
        down: How many keys go down.
        fill: What stands where there are no rows; None for a missing value.
        margins: Whether a row and a column `All` tell the same of all rows.
        single: Whether the columns do not name the aggregated column.
        shares: Of what a cell is told as a share: all, index (its row), columns (its column), or empty.
    """

    grouped: Grouped
    down: int
    fill: Any = None
    margins: bool = False
    single: bool = True
    shares: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.grouped.columns

    def start(self) -> GroupState:
        return self.grouped.start()

    def update(self, state: GroupState, chunk: Chunk) -> GroupState:
        return self.grouped.update(state, chunk)

    def merge(self, left: GroupState, right: GroupState) -> GroupState:
        return self.grouped.merge(left, right)

    def merge_all(self, states: Sequence[GroupState]) -> GroupState:
        return self.grouped.merge_all(states)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return self.grouped.forecast_nbytes(n_rows)

    def finish(self, state: GroupState) -> pd.DataFrame:
        frame = self.grouped.finish(state)
        table: Any = self._table(frame.dropna(how="all"))
        if self.margins and len(table):
            table = self._with_margins(table, state)
        if self.single and table.columns.nlevels > 1:
            table.columns = table.columns.droplevel(0)
        table = table.dropna(how="all", axis=1)
        table = _shared(table, self.shares, self.margins) if self.shares else table
        table.attrs = frame.attrs
        return table

    def _table(self, frame: pd.DataFrame) -> pd.DataFrame:
        across = list(range(self.down, len(self.grouped.by)))
        table: Any = frame.unstack(across, fill_value=self.fill) if across else frame
        table = table.sort_index(axis=1)
        return table if self.fill is None else table.fillna(self.fill)

    def _with_margins(self, table: Any, state: GroupState) -> pd.DataFrame:
        import pandas as pd

        n = len(self.grouped.by)
        every = {name: column.iloc[0] for name, column in self._margin(state, ()).items()}
        bottom: dict[Any, Any] = {(name,): value for name, value in every.items()} if self.down == n else {}
        if self.down < n:
            table = self._with_column(table, self._margin(state, range(self.down)))
            margin = self._margin(state, range(self.down, n))
            bottom = {(name, *_tuple(key)): value for name, column in margin.items() for key, value in column.items()}
            bottom |= {(name, *_named(n - self.down)): value for name, value in every.items()}
        row = [bottom.get(_tuple(column), self.fill) for column in table.columns]
        last = pd.DataFrame([row], columns=table.columns, index=_index([_named(self.down)], table.index))
        return pd.concat([table, last.infer_objects()])

    def _with_column(self, table: pd.DataFrame, margin: pd.DataFrame) -> pd.DataFrame:
        """The table with a column `All` behind those of each value."""
        import pandas as pd

        pieces = []
        for value in dict.fromkeys(table.columns.get_level_values(0)):
            last = margin[[value]].reindex(table.index)
            last.columns = _index([(value, *_named(table.columns.nlevels - 1))], table.columns)
            pieces += [table[[value]], last]
        return pd.concat(pieces, axis=1)

    def _margin(self, state: GroupState, keep: Sequence[int]) -> pd.DataFrame:
        coarse, own = folded(self.grouped, state, keep, ALL)
        frame = coarse.finish(own)
        taken = [name for name in coarse.by if ALL in frame.index.get_level_values(name)] if keep else []
        if taken:
            do = "Rename that value, or leave out the margins."
            raise DataError(f"keys other than `{ALL}`, the name of the margins", got="one", where=f"column `{taken[0]}`", do=do)
        return frame


def _tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _named(n: int) -> tuple[str, ...]:
    return (ALL, *[""] * (n - 1))


def _index(keys: Sequence[tuple[Any, ...]], like: pd.Index[Any]) -> pd.Index[Any]:
    import pandas as pd

    if like.nlevels == 1:
        return pd.Index([key[0] for key in keys], name=like.name)
    return pd.MultiIndex.from_tuples(keys, names=like.names)


def _shared(table: pd.DataFrame, of: str, margins: bool) -> pd.DataFrame:
    """Cells as shares; with margins, the shares of these among each other, where they add up to one."""
    import pandas as pd

    if not margins or not len(table):
        return _shares(table, of)
    core = _shares(table.iloc[:-1, :-1], of)
    if of in {"all", "columns"}:
        core = pd.concat([core, table.iloc[:-1, -1:] / table.iloc[:-1, -1].sum()], axis=1)
    if of in {"all", "index"}:
        last = table.iloc[-1:, :-1] / table.iloc[-1, :-1].sum()
        if of == "all":
            last[table.columns[-1]] = 1.0
        core = pd.concat([core, last])
    return core.fillna(0)


def _shares(table: pd.DataFrame, of: str) -> pd.DataFrame:
    if of == "all":
        return (table / table.sum(axis=1).sum(axis=0)).fillna(0)
    by_row = of == "index"
    return table.div(table.sum(axis=1 if by_row else 0), axis=0 if by_row else 1).fillna(0)


def pivot_table(
    values: str | Sequence[str],
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    aggfunc: Wanted | Mapping[str, Wanted] = "mean",
    fill_value: Any = None,
    margins: bool = False,
) -> Pivot:
    """The reducer whose result is that of `frame.pivot_table(values, index, columns, aggfunc, ...)` in pandas.

    Margins tell of the same rows as the cells (pandas leaves out of them all rows in which any value is missing).

    Args:
        values: What is aggregated; of a single name the columns do not tell it.
        index: The keys down.
        columns: The keys across; none for a column for each of the values.
        schema: The types of all columns.
        aggfunc: An aggregation that `agg` takes, or one for each of the values by name.
        fill_value: What stands where there are no rows.
        margins: Whether a row and a column `All` tell the same of all rows.

    Raises:
        ColumnError: No such column.
        ConfigError: No aggregation has that name, there are several for one column, or no keys go down.
        SchemaError: A column's type has no such aggregation, or cannot be a key.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"], "delay": [3.0, 5.0, 4.0]})
    >>> pivot = pivot_table("delay", ["day"], ["carrier"], schema=table.schema, fill_value=0.0)
    >>> reduce_chunks(pivot, [Chunk.from_arrow(table)]).to_dict()
    {'AA': {1: 3.0, 2: 4.0}, 'UA': {1: 5.0, 2: 0.0}}
    """
    names = [values] if isinstance(values, str) else list(values)
    wanted: dict[str, Any] = {
        name: aggfunc[name] if isinstance(aggfunc, Mapping) and name in aggfunc else aggfunc for name in names
    }
    several = [name for name, one in wanted.items() if isinstance(one, list | tuple | Mapping)]
    if several:
        got = "several" if not isinstance(aggfunc, Mapping) else "none or several"
        raise ConfigError(
            "one aggregation of each column", got=got, where=f"aggfunc of `{several[0]}`", do="Make a table for each."
        )
    if not index:
        raise ConfigError("one or more columns for the index", got="none", where="in pivot_table")
    groups = grouped((*index, *columns), wanted, schema=schema)
    return Pivot(groups, len(index), fill_value, margins, isinstance(values, str))


def crosstab(
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    values: str | None = None,
    aggfunc: Wanted | None = None,
    normalize: bool | str = False,
    margins: bool = False,
) -> Pivot:
    """The reducer whose result is that of `pandas.crosstab` of columns of one frame.

    Args:
        index: The keys down.
        columns: The keys across.
        schema: The types of all columns.
        values: What is aggregated; without it, rows are counted.
        aggfunc: How.
        normalize: Whether cells are shares: of all (True or "all"), of their row ("index") or of their column ("columns").
        margins: Whether a row and a column `All` tell the same of all rows.

    Raises:
        ColumnError: No such column.
        ConfigError: One of values and aggfunc alone, no keys on one side, or another `normalize`.
        SchemaError: A column's type has no such aggregation, or cannot be a key.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"]})
    >>> reduce_chunks(crosstab(["day"], ["carrier"], schema=table.schema), [Chunk.from_arrow(table)]).to_dict()
    {'AA': {1: 1, 2: 1}, 'UA': {1: 1, 2: 0}}
    """
    if (values is None) != (aggfunc is None):
        got = "values alone" if aggfunc is None else "aggfunc alone"
        raise ConfigError("values and aggfunc together, or neither", got=got, where="in crosstab")
    if normalize not in SHARES:
        raise ConfigError('True, False, "all", "index" or "columns"', got=f"{normalize!r}", where="normalize of crosstab")
    if not index or not columns:
        raise ConfigError("columns for the index and for the columns", got="none of one", where="in crosstab")
    if values is not None and aggfunc is not None:
        pivot = pivot_table(values, index, columns, schema=schema, aggfunc=aggfunc, margins=margins)
    else:
        pivot = Pivot(group_sizes((*index, *columns), schema=schema), len(index), 0, margins)
    return replace(pivot, shares=SHARES[normalize])
