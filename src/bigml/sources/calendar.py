"""Calendar: parts of dates and times in a formula, such as the hour, and times rounded down to a span."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from bigml.chunk import Array
from bigml.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from bigml.sources.expression import Expression

UNITS = {
    "ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second", "min": "minute", "h": "hour",
    "d": "day", "w": "week", "mo": "month", "q": "quarter", "y": "year",
}  # fmt: skip
SPAN = re.compile(r"(\d*)\s*([a-z]+)", re.IGNORECASE)
OF_DAYS = ("year", "quarter", "month", "day", "weekday", "day_of_year", "week")
"""Parts that dates without a time have too."""

_PARTS: Mapping[str, Callable[[Array], Array]] = {
    "year": pc.year, "quarter": pc.quarter, "month": pc.month, "week": pc.iso_week, "day": pc.day, "day_of_year": pc.day_of_year,
    "weekday": partial(pc.day_of_week, count_from_zero=True), "hour": pc.hour, "minute": pc.minute, "second": pc.second,
}  # fmt: skip
PARTS = tuple(_PARTS)


@dataclass(frozen=True)
class Calendar:
    """Parts of dates and times, by the names of pandas: `bigml.col("time").dt.hour`.

    All are whole numbers; a time with a zone is read as the clocks there show it. Missing stays missing.

    >>> import bigml, pandas as pd
    >>> rows = bigml.from_pandas(pd.DataFrame({"time": pd.to_datetime(["2024-02-29 13:05", "2024-03-01 09:30"]), "n": [1, 2]}))
    >>> rows.groupby(hour=bigml.col("time").dt.hour).agg(n="sum").compute()["n"].to_dict()
    {9: 2, 13: 1}
    >>> rows.groupby(day=bigml.col("time").dt.floor("1d")).size().compute()["size"].tolist()
    [1, 1]
    """

    of: Expression

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Expression:
            do = f"There are {', '.join(PARTS)}; floor('1d') and the like round down."
            raise AttributeError(f"Times in a formula have no `dt.{name}`. {do}")

    @property
    def year(self) -> Expression:
        return self._part("year")

    @property
    def quarter(self) -> Expression:
        """From 1."""
        return self._part("quarter")

    @property
    def month(self) -> Expression:
        """From 1."""
        return self._part("month")

    @property
    def week(self) -> Expression:
        """Of the year by ISO 8601, from 1."""
        return self._part("week")

    @property
    def day(self) -> Expression:
        """Of the month, from 1."""
        return self._part("day")

    @property
    def weekday(self) -> Expression:
        """Monday is 0."""
        return self._part("weekday")

    @property
    def day_of_year(self) -> Expression:
        """From 1."""
        return self._part("day_of_year")

    @property
    def hour(self) -> Expression:
        return self._part("hour")

    @property
    def minute(self) -> Expression:
        return self._part("minute")

    @property
    def second(self) -> Expression:
        return self._part("second")

    def floor(self, span: str) -> Expression:
        """The beginning of the span that a time is in: "15min", "1h", "1d", "1w" (from Monday), "1mo", "1q", "1y".

        Spans of several are counted from 1970, as pandas does.

        Raises:
            ConfigError: It is no such span.
        """
        spanned(span)
        return self.of.applied("floor", span)

    def _part(self, name: str) -> Expression:
        return self.of.applied("part", name)


def spanned(span: str) -> tuple[int, str]:
    """How many of which unit.

    >>> spanned("15min"), spanned("h")
    ((15, 'minute'), (1, 'hour'))
    """
    match = SPAN.fullmatch(span.strip())
    unit = UNITS.get(match[2].lower()) if match else None
    n = int(match[1] or 1) if match else 0
    if unit is None or n < 1:
        wanted = f"a span of time such as 15min, with a unit of {', '.join(UNITS)}"
        raise ConfigError(wanted, got=f"{span!r}", where="in dt.floor")
    return n, unit


def part(array: Array, name: str) -> Array:
    """A part of dates or times, as int32.

    Raises:
        SchemaError: They are no dates and times, or dates without a time are asked for one.
    """
    _check(array.type, name, dates=name in OF_DAYS)
    return _PARTS[name](array).cast(pa.int32())


def floored(array: Array, span: str) -> Array:
    """The beginnings of the spans.

    Raises:
        SchemaError: They are no dates and times.
    """
    _check(array.type, f'floor("{span}")', dates=True)
    n, unit = spanned(span)
    return pc.floor_temporal(array, n, unit)


def _check(kind: pa.DataType, what: str, *, dates: bool) -> None:
    if not (pa.types.is_timestamp(kind) or (dates and pa.types.is_date(kind))):
        wanted = "a column of timestamps or dates" if dates else "a column of timestamps"
        raise SchemaError(wanted, got=f"{kind}", where=f"in dt.{what}", do='Cast it: bigml.col("t").cast("timestamp[us]").')
