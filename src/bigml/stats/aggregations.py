"""Aggregations: the names that `agg` takes, what each needs of a column, and how its results become pandas values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats import wording
from bigml.stats.cells import Cell, Rows
from bigml.stats.central import CentralMoments
from bigml.stats.extremes import Edge, Extremes, Known
from bigml.stats.keys import Index, plain
from bigml.stats.moments import Moments, Totals, from_words, whole
from bigml.stats.reducer import Reducer
from bigml.stats.sketches import DISTINCT_ERROR, QUANTILE_ERROR, Distinct, Quantiles

if TYPE_CHECKING:
    import pandas as pd

SPREADS = ("var", "std", "sem")
SHAPES = ("skew", "kurt")
ANY = ("size", "count", "first", "last")
ORDERED = (*ANY, "min", "max", "nunique")
NAMES = (*ORDERED, "sum", "mean", *SPREADS, *SHAPES, "median")
QUANTILE = re.compile(r"p(\d{1,2}(\.\d+)?|100)")
PERCENTILE = re.compile(r"p-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Output:
    """One column of a grouped result.

    Attributes:
        column: The column that is aggregated.
        name: The aggregation's name.
        cell: Where its state is kept; None for `size`, which every grouped state has.
        read: From a state of that cell to one value per group.
        shape: From those values, the column's type and whether it has nulls, to a pandas Series.
        error: What is known of the error of a sketch; empty for exact results.
        others: More columns that the cell reads.
        over: What is made, at the end, of the values of all groups together.
    """

    column: str
    name: str
    cell: Cell[Any] | None
    read: Callable[[Any], Any]
    shape: Callable[[Any, pa.DataType, bool], pd.Series[Any]]
    error: str = ""
    others: tuple[str, ...] = ()
    over: Callable[[pd.Series[Any]], pd.Series[Any]] | None = None

    def arrow_type(self, kind: pa.DataType) -> pa.DataType:
        """The Arrow type of the values, of a column of this plain type.

        Raises:
            ConfigError: It is a reducer of the user's, which may give anything, or it takes the values of all groups.
        """
        if isinstance(self.cell, Custom):
            do = "Compute it, and write the result by pandas."
            raise ConfigError("aggregations by name", got=f"the reducer `{self.name}`", where=f"column `{self.column}`", do=do)
        if self.over:
            do = "Compute it, or write the plain aggregation and go on from there."
            raise ConfigError("aggregations group by group", got=f"`{self.name}`", where=f"column `{self.column}`", do=do)
        if self.name in {"size", "count", "nunique"}:
            return pa.int64()
        if self.name in ORDERED:
            return kind
        if self.name in SPREADS and pa.types.is_timestamp(kind):
            return pa.duration(kind.unit)
        if pa.types.is_temporal(kind):
            return kind
        if self.name == "sum" and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            return pa.uint64() if pa.types.is_unsigned_integer(kind) else pa.int64()
        return pa.float64()


def typed(values: Any, kind: pa.DataType) -> pa.Array:
    """The values of an output as an Arrow array of this type; NaN stands for none."""
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if pa.types.is_temporal(kind):
        return from_words(np.where(np.isnan(values), 0, values).astype(np.int64), np.isnan(values), kind)
    return pa.array(values, from_pandas=True).cast(kind)


@runtime_checkable
class Asked(Protocol):
    """An aggregation that takes more than a name to describe, such as `bigml.weighted("mean", by="weight")`."""

    @property
    def name(self) -> str:
        """Its name in a result."""
        ...

    def output(self, column: str, schema: pa.Schema) -> Output:
        """What it gives of this column.

        Raises:
            ColumnError: There is no such column.
            SchemaError: The column's type has no such aggregation.
        """
        ...


Wanted: TypeAlias = str | Asked | Reducer[Any, Any]


def planned(aggregations: Mapping[str, Wanted | Sequence[Wanted]], schema: pa.Schema) -> tuple[tuple[Output, ...], bool]:
    """The outputs of these aggregations by column, and whether each column has a single one, not in a list.

    Raises:
        ColumnError: There is no such column.
        ConfigError: No aggregation has that name, or none is asked for.
        SchemaError: The column's type has no such aggregation, or one is asked for twice.
    """
    found: list[Output] = []
    for column, wanted in aggregations.items():
        if column not in schema.names:
            raise ColumnError.missing(column, schema.names)
        several: Any = wanted if isinstance(wanted, list | tuple) else [wanted]
        found += outputs(column, several, schema)
    if not found:
        raise ConfigError("at least one aggregation", got="none", where="agg", do='For example agg(arr_delay="mean").')
    return tuple(found), not any(isinstance(wanted, list | tuple) for wanted in aggregations.values())


def outputs(column: str, wanted: Iterable[Wanted], schema: pa.Schema) -> list[Output]:
    """The outputs of these aggregations of a column.

    Raises:
        ConfigError: No aggregation has that name.
        SchemaError: The column's type has no such aggregation, or one is asked for twice.
    """
    kind = schema.field(column).type
    wrong = [one for one in wanted if not isinstance(one, str | Asked | Reducer) or isinstance(one, type)]
    if wrong:
        raise wording.no_name(wrong[0], NAMES, f"column `{column}`")
    names = [name_of(one) for one in wanted]
    if len(set(names)) < len(names):
        raise SchemaError("each aggregation once", got=", ".join(names), where=f"column `{column}`", do="Drop the repeated one.")
    _check([one for one in wanted if isinstance(one, str)], column, kind)
    spread = any(name in SPREADS for name in names)
    found = [_output(one, name, column, schema, spread) for one, name in zip(wanted, names, strict=True)]
    kind = plain(kind)
    is_small = pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind.bit_width <= 32)
    return _shared(found) if is_small else found


def _shared(found: Sequence[Output]) -> list[Output]:
    """The same outputs; where moments of a small integer are kept, they tell its exact count, sum and extremes too."""
    moments = next((output.cell for output in found if isinstance(output.cell, Moments)), None)
    return [
        replace(output, cell=moments, read=partial(whole, read=output.read))
        if moments is not None and isinstance(output.cell, Totals)
        else output
        for output in found
    ]


def _output(one: Wanted, name: str, column: str, schema: pa.Schema, spread: bool) -> Output:
    if isinstance(one, str):
        return _named(one, column, plain(schema.field(column).type), spread)
    return one.output(column, schema) if isinstance(one, Asked) else _custom(one, name, column)


def name_of(one: Wanted) -> str:
    """What an aggregation is called in a result."""
    return one if isinstance(one, str) else str(getattr(one, "name", type(one).__name__))


def _check(names: Iterable[str], column: str, kind: pa.DataType) -> None:
    allowed = _allowed(plain(kind))
    for name in names:
        general = "median" if QUANTILE.fullmatch(name) else name
        if PERCENTILE.fullmatch(name) and general not in NAMES:
            raise ConfigError("a percentile from p0 to p100", got=f"`{name}`", where=f"column `{column}`")
        if general not in NAMES:
            raise wording.unknown(name, NAMES, f"column `{column}`")
        if general not in allowed:
            do = f"Use one of: {', '.join(allowed)}."
            raise SchemaError(f"a column that has a `{name}`", got=f"type {kind}", where=f"column `{column}`", do=do)


def _allowed(kind: pa.DataType) -> tuple[str, ...]:
    if is_number(kind) or pa.types.is_boolean(kind):
        return NAMES
    if pa.types.is_timestamp(kind):
        return (*ORDERED, "mean", "std")
    if pa.types.is_duration(kind):
        return (*ORDERED, "sum", "mean", "std", "median")
    return ANY if pa.types.is_nested(kind) else ORDERED


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are taken as numbers; a column of nulls is."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _named(name: str, column: str, kind: pa.DataType, spread: bool) -> Output:
    if name == "size":
        return Output(column, name, None, np.asarray, _whole)
    if name == "nunique":
        distinct = Distinct(column)
        return Output(column, name, distinct, distinct.count, _whole, DISTINCT_ERROR)
    if name == "median" or QUANTILE.fullmatch(name):
        return _quantile(name, column)
    if name in {"first", "last"}:
        edge = Edge(column, kind, last=name == "last")
        return Output(column, name, edge, edge.value, _typed)
    return _moment(name, column, kind, spread)


def _quantile(name: str, column: str) -> Output:
    sketch = Quantiles(column)
    q = 0.5 if name == "median" else float(name[1:]) / 100
    return Output(column, name, sketch, partial(sketch.quantile, q=q), _real, QUANTILE_ERROR)


def _moment(name: str, column: str, kind: pa.DataType, spread: bool) -> Output:
    cell = _cell(name, column, kind, spread)
    shapes = {"count": _whole, "sum": _total, "min": _extreme, "max": _extreme, "mean": _mean}
    return Output(column, name, cell, getattr(cell, name), shapes.get(name, _spread))


def _cell(name: str, column: str, kind: pa.DataType, spread: bool) -> Any:
    """Numbers in float64 where that is exact or asked for, otherwise the cheapest cell that is exact."""
    in_floats = pa.types.is_floating(kind) or pa.types.is_null(kind)
    in_words = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)
    extreme = name in {"min", "max"}
    if name in SHAPES:
        return CentralMoments(column)
    if in_floats or name in {"mean", *SPREADS} or (pa.types.is_decimal(kind) and name == "sum"):
        return Moments(column, spread)
    if in_words and not (extreme and pa.types.is_uint64(kind)):
        return Totals(column, kind)
    return Extremes(column, kind) if extreme else Known(column)


@dataclass(frozen=True, eq=False)
class Custom:
    """A user's reducer over the rows of each group; it is given a chunk of one column.

    Args:
        column: The column whose values it is given.
        reducer: The reducer; a single entry in its `columns` renames the column.
    """

    column: str
    reducer: Reducer[Any, Any]

    def empty(self) -> tuple[Any, ...]:
        return ()

    def partial(self, rows: Rows) -> tuple[Any, ...]:
        order = np.argsort(rows.slots, kind="stable")
        ends = np.searchsorted(rows.slots[order], np.arange(rows.n_slots + 1))
        chunk = rows.chunk.select([self.column]).rename(self._names).take(order)
        return tuple(self._reduced(chunk, start, stop) for start, stop in pairwise(ends))

    @property
    def _names(self) -> dict[str, str]:
        return {self.column: next(iter(self.reducer.columns), self.column)}

    def _reduced(self, chunk: Chunk, start: int, stop: int) -> Any:
        return self.reducer.update(self.reducer.start(), chunk.slice(start, stop)) if stop > start else self.reducer.start()

    def arrange(self, state: tuple[Any, ...], index: Index) -> tuple[Any, ...]:
        return tuple(state[i] if i >= 0 else self.reducer.start() for i in index)

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(self.reducer.merge, left, right))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        forecast = getattr(self.reducer, "forecast_nbytes", None)
        return n_groups * (forecast(max(n_rows // max(n_groups, 1), 1)) if forecast else 1024)

    def value(self, state: tuple[Any, ...]) -> list[Any]:
        return [self.reducer.finish(one) for one in state]


def _custom(reducer: Reducer[Any, Any], name: str, column: str) -> Output:
    if len(reducer.columns) > 1:
        got = f"columns {', '.join(reducer.columns)}"
        raise SchemaError("a Reducer of one column", got=got, where=f"column `{column}`", do="Aggregate one column at a time.")
    cell = Custom(column, reducer)
    return Output(column, name, cell, cell.value, _as_given)


def _whole(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values, dtype="int64")


def _real(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    import pandas as pd

    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return _times(values, kind)
    return pd.Series(values.astype(np.float32) if pa.types.is_float32(kind) else values)


def _mean(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    # pandas keeps the mean alone of a float32 column in float64.
    return _real(values, pa.float64() if pa.types.is_float32(kind) else kind, has_nulls)


def _spread(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    # The spread of points in time is a duration.
    return _real(values, pa.duration(kind.unit) if pa.types.is_timestamp(kind) else kind, has_nulls)


def _times(values: Any, kind: pa.DataType) -> pd.Series[Any]:
    missing = np.isnan(values)
    words = np.where(missing, 0, values).astype(np.int64)
    return series_of(from_words(words, missing, kind))


def _total(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    import pandas as pd

    if pa.types.is_duration(kind):
        return series_of(from_words(values, np.zeros(len(values), np.bool_), kind))
    if has_nulls or values.dtype == np.float64:
        return _real(values.astype(np.float64), kind, has_nulls)
    return pd.Series(_narrowed(values, kind))


def _narrowed(values: Any, kind: pa.DataType) -> Any:
    """Sums of small integers go back to the column's type where they all fit, as in pandas."""
    if not pa.types.is_integer(kind):
        return values
    limits = np.iinfo(kind.to_pandas_dtype())
    return values.astype(limits.dtype) if np.all((values >= limits.min) & (values <= limits.max)) else values


def _typed(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    return _real(values, kind, has_nulls) if isinstance(values, np.ndarray) else series_of(values, has_nulls)


def _extreme(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    series = _typed(values, kind, has_nulls)
    return series.where(series.notna(), np.nan) if series.dtype == object else series


def _as_given(values: Any, kind: pa.DataType, has_nulls: bool) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values) if len(values) else pd.Series(values, dtype=object)


def series_of(values: pa.Array, has_nulls: bool = False) -> pd.Series[Any]:
    """The values with the type that pandas gives their column; integers become floats in a column that has nulls."""
    if has_nulls and pa.types.is_integer(values.type):
        values = values.cast(pa.float64(), safe=False)
    series: pd.Series[Any] = pa.chunked_array([values]).to_pandas()
    return series.astype(object) if has_nulls and pa.types.is_boolean(values.type) else series


def index_of(values: pa.Array, name: str, has_nulls: bool = False) -> pd.Index[Any]:
    """The values as a pandas index; NaN stands for null among objects."""
    import pandas as pd

    series = series_of(values, has_nulls)
    if series.dtype != object:
        return pd.Index(series, name=name)
    return pd.Index([np.nan if value is None else value for value in series], name=name)
