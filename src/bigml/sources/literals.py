"""Literals: plain values of a formula as they are compared with a column of some type."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.errors import SchemaError


def literal(value: Any, kind: pa.DataType) -> Any:
    """The value as it is compared with a column of this type: text as a time, a plain number as a float of its width.

    Raises:
        SchemaError: Text that is no date or time of such a column.

    >>> literal("2014-03-01", pa.date32()), literal(0.1, pa.float32())
    (datetime.date(2014, 3, 1), 0.10000000149011612)
    """
    if pa.types.is_date(kind) and isinstance(value, str):
        return _moment(value, kind)
    if pa.types.is_timestamp(kind) and isinstance(value, str | datetime.date):
        return _moment(value, kind)
    if pa.types.is_floating(kind) and type(value) in (int, float, bool):
        with np.errstate(over="ignore"):
            return float(np.float64(value) if pa.types.is_float64(kind) else np.float32(value))
    return value


def scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """A literal for Arrow, times in the zone of a column of this type."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None and pa.types.is_timestamp(kind) and kind.tz:
        nanoseconds = kind.unit == "ns" or getattr(value, "nanosecond", 0)
        return pa.scalar(value, pa.timestamp("ns" if nanoseconds else "us", kind.tz))
    return pa.scalar(value)


def literals(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Those of the values that a column of this type can hold, as an array of the type."""
    if pa.types.is_null(kind):
        return pa.nulls(0)
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        values = [_whole(value) for value in values if _is_within(value, limits)]
    return pa.array([literal(value, kind) for value in values], kind)


def _is_within(value: Any, limits: Any) -> bool:
    return not isinstance(value, int | float | np.number) or bool(limits.min <= value <= limits.max and value == int(value))


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, int | float | np.number) else value


def is_missing(value: Any) -> bool:
    """Whether a plain value is None, NaN, NaT or pandas' NA."""
    try:
        return value is None or bool(operator.ne(value, value))
    except TypeError:  # of pandas' NA, which is neither equal to itself nor unequal
        return True


def _moment(value: str | datetime.date, kind: pa.DataType) -> datetime.date:
    """A date, or a time in the zone of the column.

    Raises:
        SchemaError: The text is neither, or it has a zone and the column none.
    """
    if isinstance(value, datetime.datetime):
        return value
    try:
        moment = _parsed(str(value), kind)
        if isinstance(moment, datetime.datetime) and moment.tzinfo is None and pa.types.is_timestamp(kind) and kind.tz:
            moment = pc.assume_timezone(pa.scalar(moment, pa.timestamp("us")), kind.tz).as_py()
    except ValueError as error:
        expected = "a date or time such as '2014-03-01' or '2014-03-01 12:30'"
        raise SchemaError(expected, got=f"'{value}'", where=f"for a column of type {kind}", do=f"{error}") from error
    return moment


def _parsed(text: str, kind: pa.DataType) -> datetime.date:
    if pa.types.is_date(kind) and len(text) <= len("2014-03-01"):
        return datetime.date.fromisoformat(text)
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is not None and (pa.types.is_date(kind) or kind.tz is None):
        raise ValueError("The column has no time zone, the text has one.")
    return moment
