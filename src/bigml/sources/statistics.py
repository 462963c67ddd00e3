"""Statistics of a source as plans: the reducers of `bigml.stats` over a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.errors import ConfigError
from bigml.graph.plan import Plan
from bigml.graph.reader import Reader
from bigml.stats import catalogue
from bigml.stats.reducer import Reducer

if TYPE_CHECKING:
    import pandas as pd

Aggregates = str | Reducer[Any, Any] | Sequence[str | Reducer[Any, Any]]


@dataclass(frozen=True)
class GroupBy:
    """Rows grouped by equal values of some columns."""

    reader: Reader
    by: tuple[str, ...]
    dropna: bool = True
    sort: bool = True

    def agg(self, columns: Mapping[str, Aggregates] | None = None, /, **more: Aggregates) -> Plan[pd.DataFrame]:
        """A plan for `df.groupby(by).agg(...)`: a pandas DataFrame with pandas' names and types.

        Args:
            columns: Column to aggregate(s): count, size, sum, mean, var, std, sem, min, max, first, last, nunique, median,
                a percentile such as p95, or a Reducer of your own, which sees the column's values of one group.
            more: The same by keyword.

        Raises:
            ConfigError: No columns are named, or no aggregation has that name.
            SchemaError: The column's type has no such aggregation.

        Errors of sketched aggregates (nunique, median, percentiles) are stated in `result.attrs["error"]`.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0]}))
        >>> source.groupby("k").agg(x=["count", "mean"]).compute()["x"]["mean"].tolist()
        [3.5, 2.0]
        """
        if not isinstance(columns or {}, Mapping):
            do = 'Name the columns: agg(arr_delay="mean") or agg({"arr_delay": ["mean", "max"]}).'
            raise ConfigError("aggregations by column", got=f"{columns!r}", where="agg", do=do)
        wanted = {**(columns or {}), **more}
        reducer = catalogue.grouped(self.by, wanted, schema=self.reader.schema, dropna=self.dropna, sort=self.sort)
        return Plan(self.reader, reducer, f"groupby {', '.join(self.by)}")

    def size(self) -> Plan[pd.DataFrame]:
        """A plan for the number of rows in each group, in a column `size`."""
        reducer = catalogue.group_sizes(self.by, schema=self.reader.schema, dropna=self.dropna, sort=self.sort)
        return Plan(self.reader, reducer, f"sizes by {', '.join(self.by)}")


def describe(reader: Reader, columns: Sequence[str] | None) -> Plan[pd.DataFrame]:
    """A plan for pandas' describe."""
    return Plan(reader, catalogue.describe(reader.schema, columns), "describe")


def quantile(reader: Reader, shares: Sequence[float], columns: Sequence[str] | None) -> Plan[pd.DataFrame]:
    """A plan for pandas' quantile."""
    return Plan(reader, catalogue.quantiles(shares, columns, schema=reader.schema), "quantile")


def value_counts(reader: Reader, column: str, *, normalize: bool, dropna: bool) -> Plan[pd.Series[Any]]:
    """A plan for pandas' value_counts."""
    return Plan(
        reader, catalogue.value_counts(column, schema=reader.schema, normalize=normalize, dropna=dropna), f"value_counts {column}"
    )


def correlation(reader: Reader, columns: Sequence[str] | None) -> Plan[pd.DataFrame]:
    """A plan for pandas' corr."""
    return Plan(reader, catalogue.correlation(columns, schema=reader.schema), "corr")


def covariance(reader: Reader, columns: Sequence[str] | None) -> Plan[pd.DataFrame]:
    """A plan for pandas' cov."""
    return Plan(reader, catalogue.covariance(columns, schema=reader.schema), "cov")


def histogram(reader: Reader, column: str, bins: int, limits: tuple[float, float] | None) -> Plan[Any]:
    """A plan for numpy's histogram."""
    return Plan(reader, catalogue.histogram(column, bins, range=limits, schema=reader.schema), f"histogram {column}")
