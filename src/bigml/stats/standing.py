"""Standing: how a group's aggregate stands among those of all groups, as its share of their sum or as its rank."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.errors import ConfigError, SchemaError
from bigml.stats.aggregations import Asked, Output, is_number, outputs
from bigml.stats.keys import plain

if TYPE_CHECKING:
    import pandas as pd

ADDITIVE = ("size", "count", "sum")
METHODS = ("average", "min", "max", "first", "dense")


def _inner(of: str | Asked, column: str, schema: pa.Schema, what: str) -> Output:
    output = outputs(column, [of], schema)[0]
    kind = plain(schema.field(column).type)
    if output.name not in {"size", "count", "nunique"} and not (is_number(kind) or pa.types.is_boolean(kind)):
        raise SchemaError(f"a column of numbers for `{what}`", got=f"type {kind}", where=f"column `{column}`")
    return output


@dataclass(frozen=True)
class Share:
    """The share of the sum over all groups; `share` makes one."""

    of: str

    @property
    def name(self) -> str:
        return f"share of {self.of}"

    def output(self, column: str, schema: pa.Schema) -> Output:
        return replace(_inner(self.of, column, schema, self.name), name=self.name, over=_shares)


def _shares(values: pd.Series[Any]) -> pd.Series[Any]:
    numbers = values.astype("float64")
    total = _total(numbers.dropna())
    return numbers / (total if total else np.nan)


def _total(numbers: pd.Series[Any]) -> float:
    # Exactly rounded where that can be, so that the order of the groups does not show.
    with suppress(OverflowError):
        if np.isfinite(numbers).all():
            return math.fsum(numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(numbers.sum())


@dataclass(frozen=True)
class Rank:
    """The rank among all groups; `rank` makes one."""

    of: str | Asked
    ascending: bool = True
    method: str = "average"

    @property
    def name(self) -> str:
        return f"rank of {self.of if isinstance(self.of, str) else self.of.name}"

    def output(self, column: str, schema: pa.Schema) -> Output:
        return replace(_inner(self.of, column, schema, self.name), name=self.name, over=self._ranks)

    def _ranks(self, values: pd.Series[Any]) -> pd.Series[Any]:
        method: Any = self.method
        return values.rank(ascending=self.ascending, method=method)


def share(of: str) -> Share:
    """An aggregation for `agg` of groups: the size, count or sum of a group as a share of that of all groups.

    NaN where all of them together are zero.

    Args:
        of: size, count or sum.

    Raises:
        ConfigError: Of anything else shares do not add up to one.
        SchemaError: In `agg`: the column is not of numbers.

    >>> import bigml, pandas as pd
    >>> sales = bigml.from_pandas(pd.DataFrame({"shop": ["a", "b", "a"], "price": [2.0, 5.0, 3.0]}))
    >>> sales.groupby("shop").agg(price=["sum", bigml.share("sum")]).compute()["price"]["share of sum"].to_dict()
    {'a': 0.5, 'b': 0.5}
    """
    if of not in ADDITIVE:
        raise ConfigError(
            f"one of {', '.join(ADDITIVE)}", got=f"`{of}`", where="share", do="Shares of others do not add up to one."
        )
    return Share(of)


def rank(of: str | Asked, *, ascending: bool = True, method: str = "average") -> Rank:
    """An aggregation for `agg` of groups: the rank of a group by an aggregate among all groups, as pandas' `Series.rank`.

    Args:
        of: The aggregate.
        ascending: Whether the smallest has rank 1.
        method: What equal ones get: average, min, max, first (in the order of the result) or dense.

    Raises:
        ConfigError: There is no such method, or in `agg` no such aggregation.
        SchemaError: In `agg`: the column's type has no such aggregation, or it is not of numbers.

    >>> import bigml, pandas as pd
    >>> sales = bigml.from_pandas(pd.DataFrame({"shop": ["a", "b", "a"], "price": [2.0, 5.0, 3.0]}))
    >>> sales.groupby("shop").agg(price=bigml.rank("mean", ascending=False)).compute()["price"].to_dict()
    {'a': 2.0, 'b': 1.0}
    """
    if method not in METHODS:
        raise ConfigError(f"one of {', '.join(METHODS)}", got=f"`{method}`", where="method of rank")
    return Rank(of, ascending, method)
