"""Describe: the summary of every column in one scan, laid out as pandas does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, SchemaError
from bigml.stats.aggregations import series_of
from bigml.stats.cells import Cell, Rows
from bigml.stats.counts import Counted, Tally
from bigml.stats.extremes import Known
from bigml.stats.keys import plain
from bigml.stats.moments import Moment, Moments, Total, Totals, from_words
from bigml.stats.sketches import DISTINCT_ERROR, QUANTILE_ERROR, Buckets, Quantiles
from bigml.stats.ticks import Ticked, Ticks

if TYPE_CHECKING:
    import pandas as pd

QUARTILES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}
DISTINCT_LIMIT = 1 << 18


class Summary(Protocol):
    """How one column is described."""

    @property
    def column(self) -> str: ...

    def start(self) -> Any: ...

    def partial(self, rows: Rows) -> Any: ...

    def merge(self, left: Any, right: Any) -> Any: ...

    def known(self, state: Any) -> int:
        """Rows that have a value."""
        ...

    def describe(self, state: Any) -> pd.Series[Any]: ...

    def error(self, state: Any) -> str:
        """What is not exact; empty when all is."""
        ...

    def forecast_nbytes(self, n_rows: int) -> int: ...


def _nothing(cell: Cell[Any]) -> Any:
    """The state of one group without rows."""
    return cell.arrange(cell.empty(), np.array([-1]))


@dataclass(frozen=True)
class NumberSummary:
    """Count, mean, std, min, quartiles and max."""

    column: str

    @property
    def cells(self) -> tuple[Moments, Quantiles]:
        return Moments(self.column), Quantiles(self.column)

    def start(self) -> tuple[Moment, Buckets]:
        moments, quantiles = self.cells
        return _nothing(moments), _nothing(quantiles)

    def partial(self, rows: Rows) -> tuple[Moment, Buckets]:
        moments, quantiles = self.cells
        return moments.partial(rows), quantiles.partial(rows)

    def merge(self, left: tuple[Moment, Buckets], right: tuple[Moment, Buckets]) -> tuple[Moment, Buckets]:
        moments, quantiles = self.cells
        return moments.merge(left[0], right[0]), quantiles.merge(left[1], right[1])

    def known(self, state: tuple[Moment, Buckets]) -> int:
        return int(state[0].n[0])

    def describe(self, state: tuple[Moment, Buckets]) -> pd.Series[Any]:
        import pandas as pd

        moments, quantiles = self.cells
        moment, buckets = state
        values = {"count": float(moment.n[0]), "mean": moments.mean(moment)[0], "std": moments.std(moment)[0]}
        values["min"] = moments.min(moment)[0]
        values |= {name: quantiles.quantile(buckets, q)[0] for name, q in QUARTILES.items()}
        return pd.Series(values | {"max": moments.max(moment)[0]}, name=self.column)

    def error(self, state: tuple[Moment, Buckets]) -> str:
        return f"quartiles: {QUANTILE_ERROR}"

    def forecast_nbytes(self, n_rows: int) -> int:
        return sum(cell.forecast_nbytes(n_rows, 1) for cell in self.cells)


@dataclass(frozen=True)
class TimeSummary:
    """Count, mean, min, quartiles and max of points in time or durations; durations have a std too."""

    column: str
    kind: pa.DataType

    @property
    def cells(self) -> tuple[Totals, Moments, Ticks]:
        return Totals(self.column, self.kind), Moments(self.column), Ticks(self.column)

    def start(self) -> tuple[Total, Moment, Ticked]:
        totals, moments, ticks = self.cells
        return _nothing(totals), _nothing(moments), ticks.start()

    def partial(self, rows: Rows) -> tuple[Total, Moment, Ticked]:
        totals, moments, ticks = self.cells
        return totals.partial(rows), moments.partial(rows), ticks.partial(rows)

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        totals, moments, ticks = self.cells
        return totals.merge(left[0], right[0]), moments.merge(left[1], right[1]), ticks.merge(left[2], right[2])

    def known(self, state: tuple[Any, ...]) -> int:
        return int(state[0].n[0])

    def describe(self, state: tuple[Any, ...]) -> pd.Series[Any]:
        import pandas as pd

        names = ["mean", *(["std"] if pa.types.is_duration(self.kind) else []), "min", *QUARTILES, "max"]
        words = self._words(state) if self.known(state) else dict.fromkeys(names, np.nan)
        times = _times([words[name] for name in names], self.kind)
        return pd.Series([self.known(state), *times], index=["count", *names], name=self.column, dtype=object)

    def _words(self, state: tuple[Any, ...]) -> dict[str, float]:
        _, moments, ticks = self.cells
        total, moment, ticked = state
        low, high = int(total.low[0]), int(total.high[0])
        quartiles = {name: max(ticks.quantile(ticked, q), low) for name, q in QUARTILES.items()}
        return {"mean": moments.mean(moment)[0], "std": moments.std(moment)[0], "min": low, "max": high} | quartiles

    def error(self, state: tuple[Any, ...]) -> str:
        width = Ticks(self.column).width(state[2])
        return f"quartiles: at most {width} {self.kind.unit} too early" if width > 1 else ""

    def forecast_nbytes(self, n_rows: int) -> int:
        return 16 * min(n_rows, 1 << 16) + 128


def _times(words: Sequence[float], kind: pa.DataType) -> list[Any]:
    missing = np.array([np.isnan(word) for word in words])
    whole = np.array([0 if gone else int(word) for word, gone in zip(words, missing, strict=True)], np.int64)
    return series_of(from_words(whole, missing, kind)).tolist()


@dataclass(frozen=True)
class ValueSummary:
    """Count, unique, top and freq, from exact counts of up to 262,144 distinct values."""

    column: str
    kind: pa.DataType

    @property
    def tally(self) -> Tally:
        return Tally(self.column, self.kind, DISTINCT_LIMIT)

    def start(self) -> Counted:
        return self.tally.start()

    def partial(self, rows: Rows) -> Counted:
        return self.tally.update(self.tally.start(), rows.chunk)

    def merge(self, left: Counted, right: Counted) -> Counted:
        return self.tally.merge(left, right)

    def known(self, state: Counted) -> int:
        return state.known

    def describe(self, state: Counted) -> pd.Series[Any]:
        import pandas as pd

        values, counts = self.tally.finish(state)
        top, freq = (series_of(values[:1]).tolist()[0], counts[0]) if len(values) else (np.nan, np.nan)
        row = {"count": state.known, "unique": self.tally.unique(state), "top": top, "freq": freq}
        return pd.Series(list(row.values()), index=list(row), name=self.column, dtype=object)

    def error(self, state: Counted) -> str:
        beyond = f"more than {DISTINCT_LIMIT:,} distinct values: top and freq are not known; unique is {DISTINCT_ERROR}"
        return "" if state.hashes is None else beyond

    def forecast_nbytes(self, n_rows: int) -> int:
        return self.tally.forecast_nbytes(n_rows)


@dataclass(frozen=True)
class NestedSummary:
    """The count alone, of lists, structs and other values that cannot be compared."""

    column: str

    def start(self) -> Any:
        return _nothing(Known(self.column))

    def partial(self, rows: Rows) -> Any:
        return Known(self.column).partial(rows)

    def merge(self, left: Any, right: Any) -> Any:
        return left + right

    def known(self, state: Any) -> int:
        return int(state[0])

    def describe(self, state: Any) -> pd.Series[Any]:
        import pandas as pd

        return pd.Series([self.known(state), *[np.nan] * 3], ["count", "unique", "top", "freq"], name=self.column, dtype=object)

    def error(self, state: Any) -> str:
        return "values of this type are counted, not compared"

    def forecast_nbytes(self, n_rows: int) -> int:
        return 8


@dataclass(frozen=True)
class Describe:
    """A summary of every column; `describe` makes one."""

    summaries: tuple[Summary, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(summary.column for summary in self.summaries)

    def start(self) -> tuple[Any, ...]:
        return (0, *(summary.start() for summary in self.summaries))

    def update(self, state: tuple[Any, ...], chunk: Chunk) -> tuple[Any, ...]:
        rows = Rows(chunk)
        return self.merge(state, (chunk.n_rows, *(summary.partial(rows) for summary in self.summaries)))

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        pairs = zip(self.summaries, left[1:], right[1:], strict=True)
        return (left[0] + right[0], *(summary.merge(a, b) for summary, a, b in pairs))

    def finish(self, state: tuple[Any, ...]) -> pd.DataFrame:
        import pandas as pd

        n_rows, *states = state
        pairs = list(zip(self.summaries, states, strict=True))
        described = [summary.describe(one) for summary, one in pairs]
        names = dict.fromkeys(name for series in sorted(described, key=len) for name in series.index)
        frame = pd.concat([series.reindex(list(names)) for series in described], axis=1)
        frame.attrs["nulls"] = {summary.column: n_rows - summary.known(one) for summary, one in pairs}
        frame.attrs["error"] = {summary.column: summary.error(one) for summary, one in pairs if summary.error(one)}
        return frame

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return sum(summary.forecast_nbytes(n_rows) for summary in self.summaries)


def describe(schema: pa.Schema, columns: Sequence[str] | None = None) -> Describe:
    """The reducer whose result has the layout of `frame.describe(include="all")` in pandas.

    Quartiles are sketches: `result.attrs["error"]` says how exact. `result.attrs["nulls"]` counts the missing rows of each
    column. The top among equally frequent values is the smallest. A column with more than 262,144 distinct values has an
    estimate of `unique`, and no `top` and `freq`.

    Args:
        schema: The types of all columns.
        columns: What is described; all columns by default.

    Raises:
        ColumnError: No such column.
        SchemaError: There are no columns.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"delay": [1.0, 2.0, 3.0]})
    >>> reduce_chunks(describe(table.schema), [Chunk.from_arrow(table)])["delay"].to_dict()["75%"]
    2.5
    """
    names = list(schema.names if columns is None else columns)
    for name in names:
        if name not in schema.names:
            raise ColumnError.missing(name, schema.names)
    if not names:
        raise SchemaError("one or more columns to describe", got="none")
    return Describe(tuple(_summary(name, plain(schema.field(name).type)) for name in names))


def _summary(column: str, kind: pa.DataType) -> Summary:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return NumberSummary(column)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return TimeSummary(column, kind)
    return NestedSummary(column) if pa.types.is_nested(kind) else ValueSummary(column, kind)
