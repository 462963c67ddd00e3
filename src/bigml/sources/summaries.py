"""Summaries: the statistics of all rows of a source, each a plan for what pandas gives for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bigml.errors import ConfigError
from bigml.graph.reader import Reader
from bigml.sources.kept import StatisticPlan
from bigml.sources.statistics import GroupPlan, asked, asked_by_group, named, wanted
from bigml.stats.quantiles import shares_of

if TYPE_CHECKING:
    import pandas as pd

Names = str | Sequence[str]


def flat(names: Sequence[Names]) -> tuple[str, ...]:
    """Names given one by one and in lists, as one tuple.

    Raises:
        ConfigError: Something else is among them.
    """
    found: list[Any] = []
    for item in names:
        found += [item] if isinstance(item, str) or not isinstance(item, Iterable) else item
    wrong = [one for one in found if not isinstance(one, str)]
    if wrong:
        do = "A formula gets a name first: groupby(month=bigml.col(...).dt.month), or assign(month=...)."
        raise ConfigError("names of columns", got=f"`{wrong[0]!r}` of type {type(wrong[0]).__name__}", do=do)
    return tuple(found)


def chosen(columns: Names | None) -> list[str] | None:
    """The names of columns, of which a single one may stand alone; None for all of them."""
    return None if columns is None else list(flat([columns]))


class Summaries:
    """What every source can be asked for; nothing is read until a plan is computed."""

    if not TYPE_CHECKING:

        def __getitem__(self, key: object) -> Any:
            do = 'Columns are chosen by .select("a", "b"), rows by .where("a > 3"), and .agg(a="mean") tells of a column.'
            raise ConfigError("a method of a source", got=f"[{key!r}]", do=do)

    def agg(self: Reader, columns: Mapping[str, Any] | None = None, /, **more: Any) -> StatisticPlan[Any]:
        """A plan for pandas' `agg` with all aggregations that groups have: a Series, or a DataFrame where lists are given."""
        aggregations = wanted(columns, more)
        if isinstance(named(aggregations, more, self.schema.names), list):
            do = 'Names of your own are for groups: agg(arr_delay="mean"), and rename the result.'
            raise ConfigError("aggregations by column", got="names of your own", where="agg of all rows", do=do)
        return asked(self, f"agg of {', '.join(aggregations)}", "aggregated", aggregations=aggregations)

    def crosstab(
        self: Reader,
        index: Names,
        columns: Names,
        values: str | None = None,
        aggfunc: Any = None,
        *,
        normalize: bool | str = False,
        margins: bool = False,
        dropna: bool = True,
        margins_name: str = "All",
    ) -> StatisticPlan[pd.DataFrame]:
        """A plan for `pandas.crosstab` of columns: rows counted, or `values` aggregated, by keys down and across.

        Args:
            index: The keys down.
            columns: The keys across.
            values: What is aggregated; without it, rows are counted.
            aggfunc: How: any aggregation that `agg` takes.
            normalize: Whether cells are shares: of all (True or "all"), of their row ("index") or of their column ("columns").
            margins: Whether a row and a column more tell the same of all rows.
            dropna: Whether rows with a missing key and lines without any value are left out; else, each key is combined with
                each.
            margins_name: What that row and that column are called.

        >>> import bigml, pandas as pd
        >>> rows = bigml.from_pandas(pd.DataFrame({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"]}))
        >>> rows.crosstab("day", "carrier").compute().to_dict()
        {'AA': {1: 1, 2: 1}, 'UA': {1: 1, 2: 0}}
        """
        sides = {"index": flat([index]), "columns": flat([columns])}
        options = {"values": values, "aggfunc": aggfunc, "normalize": normalize}
        options |= {"margins": margins, "dropna": dropna, "margins_name": margins_name}
        return asked(self, f"crosstab of {', '.join(flat([index, columns]))}", "crosstab", **sides, **options)

    def pivot_table(
        self: Reader,
        values: Names,
        index: Names,
        columns: Names = (),
        *,
        aggfunc: Any = "mean",
        fill_value: Any = None,
        margins: bool = False,
        dropna: bool = True,
        margins_name: str = "All",
    ) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `pivot_table`.

        Args:
            values: What is aggregated; of a single name the columns do not tell it.
            index: The keys down.
            columns: The keys across; none for a column for each of the values.
            aggfunc: Any aggregation that `agg` takes; a list of them, for a table of each, side by side; or one or several for
                each of the values by name.
            fill_value: What stands where there are no rows.
            margins: Whether a row and a column more tell the same of all rows.
            dropna: Whether rows with a missing key and lines without any value are left out; else, each key is combined with
                each.
            margins_name: What that row and that column are called.

        >>> import bigml, pandas as pd
        >>> rows = bigml.from_pandas(pd.DataFrame({"day": [1, 1, 2], "carrier": ["AA", "UA", "AA"], "delay": [3.0, 5.0, 4.0]}))
        >>> rows.pivot_table("delay", "day", "carrier", aggfunc=["mean", "count"]).compute()["mean"].loc[1].to_dict()
        {'AA': 3.0, 'UA': 5.0}
        """
        sides = {"index": flat([index]), "columns": flat([columns])}
        options = {"values": values, "aggfunc": aggfunc, "fill_value": fill_value}
        options |= {"margins": margins, "dropna": dropna, "margins_name": margins_name}
        return asked(self, f"pivot table by {', '.join(flat([index, columns]))}", "pivot_table", **sides, **options)

    def describe(self: Reader, columns: Names | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `describe(include="all")`."""
        return asked(self, "describe", "describe", columns=chosen(columns))

    def quantile(self: Reader, q: float | Sequence[float] = 0.5, columns: Names | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `quantile` of columns of numbers, a row for each share; its error is in `result.attrs`."""
        return asked(self, "quantile", "quantiles", shares=shares_of(q), columns=chosen(columns))

    def value_counts(self: Reader, column: str, *, normalize: bool = False, dropna: bool = True) -> GroupPlan[pd.Series[Any]]:
        """A plan for pandas' `value_counts` of one column; of more values than fit in memory, write them by `write_parquet`."""
        return asked_by_group(self, f"value_counts {column}", "value_counts", column=column, normalize=normalize, dropna=dropna)

    def most_frequent(self: Reader, column: str, n: int = 10) -> StatisticPlan[pd.DataFrame]:
        """A plan for the n most frequent values of a column in bounded memory: exact up to 65,536 distinct values."""
        return asked(self, f"most frequent {column}", "most_frequent", column=column, n=n)

    def corr(self: Reader, columns: Names | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `corr` (Pearson, pairwise complete) of the numeric columns."""
        return asked(self, "corr", "correlation", columns=chosen(columns))

    def cov(self: Reader, columns: Names | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `cov` (pairwise complete) of the numeric columns."""
        return asked(self, "cov", "covariance", columns=chosen(columns))

    def histogram(self: Reader, column: str, bins: int = 10, range: tuple[float, float] | None = None) -> StatisticPlan[Any]:
        """A plan for numpy's `histogram` of one column, (counts, edges): without `range`, exact up to 16,384 distinct values."""
        return asked(self, f"histogram {column}", "histogram", column=column, bins=bins, range=range)
