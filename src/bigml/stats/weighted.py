"""Weighted: aggregations of a column in which each row counts as much as a column of weights says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.aggregations import PERCENTILE, QUANTILE, Output, is_number
from bigml.stats.cells import Cell
from bigml.stats.keys import plain
from bigml.stats.sketches import QUANTILE_ERROR
from bigml.stats.weighing import WeightedQuantiles
from bigml.stats.weights import WeightedMoments

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("sum", "mean", "var", "std", "median")


@dataclass(frozen=True)
class Weighted:
    """A weighted aggregation; `weighted` makes one.

    Attributes:
        function: What is asked for.
        by: The column of weights.
        counts: Whether weights are numbers of rows.
    """

    function: str
    by: str
    counts: bool = True

    @property
    def name(self) -> str:
        return f"{self.function} by {self.by}"

    def output(self, column: str, schema: pa.Schema) -> Output:
        _check(self.name, column, schema)
        if self.by not in schema.names:
            raise ColumnError.missing(self.by, schema.names, where=f"weights of `{column}`")
        _check("weights", self.by, schema)
        cell, read = self._cell(column)
        error = QUANTILE_ERROR if isinstance(cell, WeightedQuantiles) else ""
        return Output(column, self.name, cell, read, _as_floats, error, (self.by,))

    def _cell(self, column: str) -> tuple[Cell[Any], Any]:
        if self.function in {"sum", "mean", "var", "std"}:
            moments = WeightedMoments(column, self.by)
            read = getattr(moments, self.function)
            return moments, partial(read, counts=self.counts) if self.function in {"var", "std"} else read
        quantiles = WeightedQuantiles(column, self.by)
        q = 0.5 if self.function == "median" else float(self.function[1:]) / 100
        return quantiles, partial(quantiles.quantile, q=q)


def _check(what: str, column: str, schema: pa.Schema) -> None:
    kind = plain(schema.field(column).type)
    if not (is_number(kind) or pa.types.is_boolean(kind)):
        raise SchemaError(f"a column of numbers for `{what}`", got=f"type {kind}", where=f"column `{column}`")


def _as_floats(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values, dtype="float64")


def weighted(function: str, *, by: str, counts: bool = True) -> Weighted:
    """An aggregation for `agg` in which each row counts as much as another column says.

    Rows without a value, without a weight, or of weight zero count nothing. Whole weights stand for that many equal rows: the
    result is that of the rows repeated. A quantile is the least value whose share of the weight, with that of all lesser ones,
    reaches it (`inverted_cdf` of numpy.quantile); it is a sketch, whose error is in `result.attrs`.

    Args:
        function: sum, mean, var, std, median or a percentile such as p95.
        by: The column of weights: numbers of zero or more.
        counts: Whether weights are numbers of rows, so that var divides by their sum less one; or else by how sure a value is,
            and it divides by what makes it unbiased then, sum(w) - sum(w**2) / sum(w), as `aweights` of numpy.cov.

    Raises:
        ConfigError: There is no such function with weights.
        ColumnError, SchemaError: In `agg`: a column is not there, or not of numbers.
        DataError: While reading: a weight is negative or infinite.

    >>> import bigml, pandas as pd
    >>> fares = bigml.from_pandas(pd.DataFrame({"route": ["a", "a", "b"], "fare": [10.0, 40.0, 7.0], "seats": [2, 1, 5]}))
    >>> fares.groupby("route").agg(fare=bigml.weighted("mean", by="seats")).compute()["fare"].to_dict()
    {'a': 20.0, 'b': 7.0}
    """
    if function not in NAMES and not QUANTILE.fullmatch(str(function)):
        if PERCENTILE.fullmatch(str(function)):
            raise ConfigError("a percentile from p0 to p100", got=f"`{function}`", where="weighted")
        do = f"Use {', '.join(NAMES)} or a percentile such as p95."
        raise ConfigError("an aggregation that takes weights", got=f"`{function}`", where="weighted", do=do)
    return Weighted(function, by, counts)
