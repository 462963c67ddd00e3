"""Pivot: tables of groups, as pandas' `pivot_table` and `crosstab` make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from bigml.errors import ConfigError
from bigml.stats.aggregations import Wanted
from bigml.stats.groupby import group_sizes, grouped
from bigml.stats.layout import Pivot
from bigml.stats.margins import Margined

SHARES = {True: "all", "all": "all", "index": "index", "columns": "columns", False: ""}


def pivot_table(
    values: str | Sequence[str],
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    aggfunc: Wanted | Mapping[str, Wanted] = "mean",
    fill_value: Any = None,
    margins: bool = False,
) -> Pivot | Margined:
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

    >>> from bigml.chunk import Chunk
    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"], "delay": [3.0, 5.0, 4.0]})
    >>> pivot = pivot_table("delay", ["day"], ["carrier"], schema=table.schema, fill_value=0.0)
    >>> reduce_chunks(pivot, [Chunk.from_arrow(table)]).to_dict()
    {'AA': {1: 3.0, 2: 4.0}, 'UA': {1: 5.0, 2: 0.0}}
    """
    return _margined(replace(_pivot(values, index, columns, aggfunc, schema), fill=fill_value), margins)


def _pivot(
    values: str | Sequence[str],
    index: Sequence[str],
    columns: Sequence[str],
    aggfunc: Wanted | Mapping[str, Wanted],
    schema: pa.Schema,
) -> Pivot:
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
    return Pivot(grouped((*index, *columns), wanted, schema=schema), len(index), single=isinstance(values, str))


def _margined(pivot: Pivot, margins: bool) -> Pivot | Margined:
    return Margined(pivot) if margins else pivot


def crosstab(
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    values: str | None = None,
    aggfunc: Wanted | None = None,
    normalize: bool | str = False,
    margins: bool = False,
) -> Pivot | Margined:
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

    >>> from bigml.chunk import Chunk
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
        pivot = _pivot(values, index, columns, aggfunc, schema)
    else:
        pivot = Pivot(group_sizes((*index, *columns), schema=schema), len(index), 0)
    return _margined(replace(pivot, shares=SHARES[normalize]), margins)
