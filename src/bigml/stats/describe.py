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
from bigml.stats.moments import Moment, Moments, from_words
from bigml.stats.quantiles import ColumnQuantiles
from bigml.stats.sketches import DISTINCT_ERROR
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
class Measured:
    """What summaries of numbers and of times share: the state, of moments and of ticks."""

    column: str
    kind: pa.DataType

    @property
    def moments(self) -> Moments:
        return Moments(self.column)

    @property
    def ticks(self) -> Ticks:
        return Ticks(self.column, timed=pa.types.is_temporal(self.kind))

    def start(self) -> tuple[Moment, Ticked]:
        return _nothing(self.moments), self.ticks.start()

    def partial(self, rows: Rows) -> tuple[Moment, Ticked]:
        return self.moments.partial(rows), self.ticks.partial(rows)

    def merge(self, left: tuple[Moment, Ticked], right: tuple[Moment, Ticked]) -> tuple[Moment, Ticked]:
        return self.moments.merge(left[0], right[0]), self.ticks.merge(left[1], right[1])

    def known(self, state: tuple[Moment, Ticked]) -> int:
        return int(state[0].n[0])

    def quartiles(self, state: tuple[Moment, Ticked]) -> dict[str, float]:
        """The quartiles by name, NaN without rows."""
        return {name: self.ticks.quantile(state[1], q) if self.known(state) else np.nan for name, q in QUARTILES.items()}

    def forecast_nbytes(self, n_rows: int) -> int:
        return self.moments.forecast_nbytes(n_rows, 1) + self.ticks.forecast_nbytes(n_rows)


class NumberSummary(Measured):
    """Count, mean, std, min, quartiles and max."""

    def describe(self, state: tuple[Moment, Ticked]) -> pd.Series[Any]:
        import pandas as pd

        moments, moment = self.moments, state[0]
        values = {"count": float(moment.n[0]), "mean": moments.mean(moment)[0], "std": moments.std(moment)[0]}
        values |= {"min": moments.min(moment)[0]} | self.quartiles(state)
        return pd.Series(values | {"max": moments.max(moment)[0]}, name=self.column)

    def error(self, state: tuple[Moment, Ticked]) -> str:
        bits = state[1].shift - 53
        stated = f"quartiles: each order statistic is at most {100 * 2.0**bits:.2g} % (2**{bits}) off"
        return stated if state[1].shift else ""


class TimeSummary(Measured):
    """Count, mean, min, quartiles and max of points in time or durations; durations have a std too."""

    def describe(self, state: tuple[Moment, Ticked]) -> pd.Series[Any]:
        import pandas as pd

        names = ["mean", *(["std"] if pa.types.is_duration(self.kind) else []), "min", *QUARTILES, "max"]
        words = self._words(state) if self.known(state) else dict.fromkeys(names, np.nan)
        times = _times([words[name] for name in names], self.kind)
        return pd.Series([self.known(state), *times], index=["count", *names], name=self.column, dtype=object)

    def _words(self, state: tuple[Moment, Ticked]) -> dict[str, float]:
        moment, ticked = state
        spread = {"mean": self.moments.mean(moment)[0], "std": self.moments.std(moment)[0]}
        return spread | {"min": int(ticked.lows[0]), "max": int(ticked.highs[-1])} | self.quartiles(state)

    def error(self, state: tuple[Moment, Ticked]) -> str:
        return f"quartiles: at most {1 << state[1].shift >> 1} {self.kind.unit} off" if state[1].shift else ""


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

    def quantile(self, state: tuple[Any, ...], shares: Sequence[float], column: str | None = None) -> pd.DataFrame:
        """Any quantiles of the columns of numbers, or of one of them, from a state."""
        pairs = zip(self.summaries, state[1:], strict=True)
        kept = {one.column: own[1] for one, own in pairs if isinstance(one, NumberSummary)}
        return ColumnQuantiles(tuple(kept), tuple(shares)).quantile(tuple(kept.values()), shares, column)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return sum(summary.forecast_nbytes(n_rows) for summary in self.summaries)


def describe(schema: pa.Schema, columns: Sequence[str] | None = None) -> Describe:
    """The reducer whose result has the layout of `frame.describe(include="all")` in pandas.

    Quartiles are exact up to 16,384 distinct values of a column; beyond, `result.attrs["error"]` says how far off they are
    at most. `result.attrs["nulls"]` counts the missing rows of each column. Means are float64 for any column. The top among
    equally frequent values is the smallest. A column with more than 262,144 distinct values that are not numbers has an
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
        return NumberSummary(column, kind)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return TimeSummary(column, kind)
    return NestedSummary(column) if pa.types.is_nested(kind) else ValueSummary(column, kind)
