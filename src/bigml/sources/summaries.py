"""Summaries: the statistics of all rows of a source, each a plan for what pandas gives for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bigml.graph.reader import Reader
from bigml.sources.kept import StatisticPlan, shares_of
from bigml.sources.statistics import asked, wanted

if TYPE_CHECKING:
    import pandas as pd

Names = str | Sequence[str]


def flat(names: Sequence[Names]) -> tuple[str, ...]:
    """Names given one by one and in lists, as one tuple."""
    listed = [[item] if isinstance(item, str) or not isinstance(item, Iterable) else item for item in names]
    return tuple(name for item in listed for name in item)


class Summaries:
    """What every source can be asked for; nothing is read until a plan is computed."""

    def agg(self: Reader, columns: Mapping[str, Any] | None = None, /, **more: Any) -> StatisticPlan[Any]:
        """A plan for pandas' `agg` with all aggregations that groups have: a Series, or a DataFrame where lists are given."""
        aggregations = wanted(columns, more)
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
    ) -> StatisticPlan[pd.DataFrame]:
        """A plan for `pandas.crosstab` of columns: rows counted, or `values` aggregated, by keys down and across."""
        sides = {"index": flat([index]), "columns": flat([columns])}
        options = {"values": values, "aggfunc": aggfunc, "normalize": normalize, "margins": margins}
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
    ) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `pivot_table`; `aggfunc` is an aggregation, or one for each of the values by name."""
        sides = {"index": flat([index]), "columns": flat([columns])}
        options = {"values": values, "aggfunc": aggfunc, "fill_value": fill_value, "margins": margins}
        return asked(self, f"pivot table by {', '.join(flat([index, columns]))}", "pivot_table", **sides, **options)

    def describe(self: Reader, columns: Sequence[str] | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `describe(include="all")`."""
        return asked(self, "describe", "describe", columns=columns)

    def quantile(
        self: Reader, q: float | Sequence[float] = 0.5, columns: Sequence[str] | None = None
    ) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `quantile` of columns of numbers, a row for each share; its error is in `result.attrs`."""
        return asked(self, "quantile", "quantiles", shares=shares_of(q), columns=columns)

    def value_counts(self: Reader, column: str, *, normalize: bool = False, dropna: bool = True) -> StatisticPlan[pd.Series[Any]]:
        """A plan for pandas' `value_counts` of one column."""
        return asked(self, f"value_counts {column}", "value_counts", column=column, normalize=normalize, dropna=dropna)

    def most_frequent(self: Reader, column: str, n: int = 10) -> StatisticPlan[pd.DataFrame]:
        """A plan for the n most frequent values of a column in bounded memory: exact up to 65,536 distinct values."""
        return asked(self, f"most frequent {column}", "most_frequent", column=column, n=n)

    def corr(self: Reader, columns: Sequence[str] | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `corr` (Pearson, pairwise complete) of the numeric columns."""
        return asked(self, "corr", "correlation", columns=columns)

    def cov(self: Reader, columns: Sequence[str] | None = None) -> StatisticPlan[pd.DataFrame]:
        """A plan for pandas' `cov` (pairwise complete) of the numeric columns."""
        return asked(self, "cov", "covariance", columns=columns)

    def histogram(self: Reader, column: str, bins: int = 10, range: tuple[float, float] | None = None) -> StatisticPlan[Any]:
        """A plan for numpy's `histogram` of one column, (counts, edges): without `range`, exact up to 16,384 distinct values."""
        return asked(self, f"histogram {column}", "histogram", column=column, bins=bins, range=range)
