"""Pivot: groups laid out as a table, some keys down and the others across, with margins that are folded from the same state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.errors import ConfigError, DataError
from bigml.stats.aggregations import Wanted
from bigml.stats.derived import Derived, OfGroups
from bigml.stats.folding import folded
from bigml.stats.groupby import Grouped, GroupState, Piece, group_sizes, grouped
from bigml.stats.layout import Layout, Margins, of_one, shared

if TYPE_CHECKING:
    import pandas as pd

ALL = "All"
Aggfunc = Wanted | Sequence[Wanted] | Mapping[str, Wanted | Sequence[Wanted]]
SHARES = {True: "all", "all": "all", "index": "index", "columns": "columns", False: ""}


@dataclass(frozen=True)
class Table(Derived[GroupState]):
    """Groups as a table.

    Attributes:
        inner: The groups, by the keys down and then those across.
        layout: How they are laid out.
        single: Whether the columns do not name the aggregated column.
        several: Whether there is a table for each aggregation, side by side.
        shares: Of what a cell is told as a share: all, index (its row), columns (its column), or empty.
    """

    inner: Grouped
    layout: Layout
    single: bool = True
    several: bool = False
    shares: str = ""

    def made(self, frame: pd.DataFrame, margins: Margins | None = None) -> pd.DataFrame:
        """The table of the groups' frame."""
        import pandas as pd

        if not self.several:
            table = self._one(frame, margins)
        else:
            names = list(dict.fromkeys(frame.columns.get_level_values(1)))
            pieces = [self._one(of_one(frame, name), margins.of(name) if margins else None) for name in names]
            table = pd.concat(pieces, keys=names, axis=1)
        table.attrs = frame.attrs
        return table

    def _one(self, frame: pd.DataFrame, margins: Margins | None) -> pd.DataFrame:
        table: Any = self.layout.table(frame, margins)
        if self.single and table.columns.nlevels > 1:
            table.columns = table.columns.droplevel(0)
        table = table.dropna(how="all", axis=1) if self.layout.dropna else table
        return shared(table, self.shares, margins is not None) if self.shares else table


@dataclass(frozen=True)
class Pivot(OfGroups, Table):
    """A table without margins; `pivot_table` and `crosstab` make one."""

    def finish(self, state: GroupState) -> pd.DataFrame:
        return self.made(self.inner.finish(state))

    def piece(self, state: GroupState) -> Piece:
        """The result of some of the groups."""
        return self.inner.piece(state)

    def joined(self, pieces: Sequence[Piece]) -> pd.DataFrame:
        """The table of disjoint groups."""
        return self.made(self.inner.joined(pieces))


@dataclass(frozen=True)
class Margined(Table):
    """A table with a row and a column more that tell the same of all rows, for which the states of all groups are held."""

    def finish(self, state: GroupState) -> pd.DataFrame:
        frame = self.inner.finish(state)
        return self.made(frame, self._margins(frame, state))

    def _margins(self, frame: pd.DataFrame, state: GroupState) -> Margins:
        taken = [name for i, name in enumerate(self.inner.by) if self.layout.name in frame.index.get_level_values(i)]
        if taken:
            wanted = f"keys other than `{self.layout.name}`, the name of the margins"
            do = "Give another `margins_name`, rename that value, or leave out the margins."
            raise DataError(wanted, got="one", where=f"column `{taken[0]}`", do=do)
        down, n = self.layout.down, len(self.inner.by)
        return Margins(self._margin(state, range(down)), self._margin(state, range(down, n)), self._margin(state, ()))

    def _margin(self, state: GroupState, keep: Sequence[int]) -> pd.DataFrame:
        coarse, own = folded(self.inner, state, keep, ALL)
        return coarse.finish(own)


def pivot_table(
    values: str | Sequence[str],
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    aggfunc: Aggfunc = "mean",
    fill_value: Any = None,
    margins: bool = False,
    dropna: bool = True,
    margins_name: str = ALL,
) -> Pivot | Margined:
    """The reducer whose result is that of `frame.pivot_table(values, index, columns, aggfunc, ...)` in pandas.

    Margins tell of the same rows as the cells (pandas leaves out of them all rows in which any value is missing).

    Args:
        values: What is aggregated; of a single name the columns do not tell it.
        index: The keys down.
        columns: The keys across; none for a column for each of the values.
        schema: The types of all columns.
        aggfunc: An aggregation that `agg` takes; a list of them, for a table of each, side by side; or one or several for each
            of the values by name.
        fill_value: What stands where there are no rows.
        margins: Whether a row and a column more tell the same of all rows.
        dropna: Whether rows with a missing key and lines without any value are left out; else, each key is combined with each.
        margins_name: What that row and that column are called.

    Raises:
        ColumnError: No such column.
        ConfigError: No aggregation has that name, a value has none, or no keys go down.
        SchemaError: A column's type has no such aggregation, or cannot be a key.

    >>> from bigml.chunk import Chunk
    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"], "delay": [3.0, 5.0, 4.0]})
    >>> pivot = pivot_table("delay", ["day"], ["carrier"], schema=table.schema, fill_value=0.0)
    >>> reduce_chunks(pivot, [Chunk.from_arrow(table)]).to_dict()
    {'AA': {1: 3.0, 2: 4.0}, 'UA': {1: 5.0, 2: 0.0}}
    """
    if not index:
        raise ConfigError("one or more columns for the index", got="none", where="in pivot_table")
    wanted = _by_value([values] if isinstance(values, str) else list(values), aggfunc)
    groups = grouped((*index, *columns), wanted, schema=schema, dropna=dropna)
    layout = Layout(len(index), fill_value, _checked(margins_name), dropna)
    kind = Margined if margins else Pivot
    return kind(groups, layout, single=isinstance(values, str), several=isinstance(aggfunc, list | tuple))


def _by_value(names: Sequence[str], aggfunc: Aggfunc) -> dict[str, Any]:
    if not isinstance(aggfunc, Mapping):
        return dict.fromkeys(names, aggfunc)
    if set(aggfunc) != set(names):
        odd = sorted(set(aggfunc) ^ set(names))[0]
        got, do = ("none", "Name one.") if odd in names else ("one of another column", "Name it among the values.")
        raise ConfigError("an aggregation for each of the values", got=got, where=f"aggfunc of `{odd}`", do=do)
    return {name: aggfunc[name] for name in names}


def _checked(margins_name: object) -> str:
    if not isinstance(margins_name, str):
        raise ConfigError("text", got=f"{margins_name!r}", where="margins_name")
    return margins_name


def crosstab(
    index: Sequence[str],
    columns: Sequence[str],
    *,
    schema: pa.Schema,
    values: str | None = None,
    aggfunc: Wanted | None = None,
    normalize: bool | str = False,
    margins: bool = False,
    dropna: bool = True,
    margins_name: str = ALL,
) -> Pivot | Margined:
    """The reducer whose result is that of `pandas.crosstab` of columns of one frame.

    Args:
        index: The keys down.
        columns: The keys across.
        schema: The types of all columns.
        values: What is aggregated; without it, rows are counted.
        aggfunc: How.
        normalize: Whether cells are shares: of all (True or "all"), of their row ("index") or of their column ("columns").
        margins: Whether a row and a column more tell the same of all rows.
        dropna: Whether rows with a missing key and lines without any value are left out; else, each key is combined with each.
        margins_name: What that row and that column are called.

    Raises:
        ColumnError: No such column.
        ConfigError: One of values and aggfunc alone, several aggregations, no keys on one side, or another `normalize`.
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
        options: dict[str, Any] = {"margins": margins, "dropna": dropna, "margins_name": margins_name}
        pivot = pivot_table(values, index, columns, schema=schema, aggfunc=aggfunc, **options)
    else:
        sizes = group_sizes((*index, *columns), schema=schema, dropna=dropna)
        pivot = (Margined if margins else Pivot)(sizes, Layout(len(index), 0, _checked(margins_name), dropna))
    return replace(pivot, shares=SHARES[normalize])
