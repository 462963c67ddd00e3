"""Bounds: what is known of a column's values in some rows, and whether a formula can be true of any of them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bigml.sources.expression import Expression
from bigml.sources.schemas import is_text


@dataclass(frozen=True, slots=True)
class Bounds:
    """The values of a column in some rows.

    Attributes:
        low: No value is less; None when unknown.
        high: No value is greater; None when unknown.
        nulls: Whether there may be nulls.
        values: Whether there may be values that are not null.
        nan: Whether there may be NaN, which bounds leave out.
    """

    low: Any = None
    high: Any = None
    nulls: bool = True
    values: bool = True
    nan: bool = True


class Outcome(NamedTuple):
    """Which results a formula may have in some rows; too much is safe, too little is not."""

    true: bool = True
    false: bool = True
    null: bool = True


ANYTHING = Outcome()

Possible = Callable[[Any, Any, Any], bool]

_CAN_BE_TRUE: Mapping[str, Possible] = {
    "eq": lambda low, high, value: bool(low <= value <= high),
    "ne": lambda low, high, value: bool(low != value or high != value),
    "lt": lambda low, high, value: bool(low < value),
    "le": lambda low, high, value: bool(low <= value),
    "gt": lambda low, high, value: bool(high > value),
    "ge": lambda low, high, value: bool(high >= value),
}
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
_MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def outcome(condition: Expression, bounds: Mapping[str, Bounds]) -> Outcome:
    """The results that the formula may have where the columns are within their bounds; unknown columns may hold anything.

    >>> from bigml.sources.expression import parse
    >>> outcome(parse("x > 5 and k == 'a'"), {"x": Bounds(1, 3)}).true
    False
    """
    match condition.form:
        case ("and_", left, right):
            return _both(outcome(left, bounds), outcome(right, bounds))
        case ("or_", left, right):
            return _negated(_both(_negated(outcome(left, bounds)), _negated(outcome(right, bounds))))
        case ("not", inner):
            return _negated(outcome(inner, bounds))
        case ("null", Expression(form=("column", name))) if name in bounds:
            found = bounds[name]
            return Outcome(found.nulls or found.nan, found.values, False)
        case ("in", Expression(form=("column", name)), values) if name in bounds:
            return Outcome(any(_compared("eq", bounds[name], value).true for value in _rounded(values)), True, True)
        case (name, Expression(form=("column", column)), Expression(form=("value", value))) if column in bounds:
            return _compared(name, bounds[column], value)
        case (name, Expression(form=("value", value)), Expression(form=("column", column))) if column in bounds:
            return _compared(_MIRRORED.get(name, "other"), bounds[column], value)
        case _:
            return ANYTHING


def _rounded(values: Iterable[Any]) -> Iterator[Any]:
    """The values, and floats as 32 bits hold them too: Arrow casts a list to the column's type before it compares."""
    for value in values:
        yield value
        if isinstance(value, float):
            with np.errstate(over="ignore"):
                yield float(np.float32(value))


def _both(left: Outcome, right: Outcome) -> Outcome:
    """Kleene's `and`."""
    null = (left.null and (right.null or right.true)) or (right.null and left.true)
    return Outcome(left.true and right.true, left.false or right.false, null)


def _negated(inner: Outcome) -> Outcome:
    return Outcome(inner.false, inner.true, inner.null)


def _compared(name: str, bounds: Bounds, value: Any) -> Outcome:
    """The results of comparing values within bounds with a constant; NaN is unequal to anything."""
    if name not in _CAN_BE_TRUE or value is None or bounds.low is None or bounds.high is None:
        return Outcome(bounds.values, bounds.values, True) if name in _CAN_BE_TRUE and value is not None else ANYTHING
    low, high = bounds.low, bounds.high
    if isinstance(value, float) or isinstance(low, float):
        low, high, value = float(low), float(high), float(value)
        if math.isnan(value):
            return ANYTHING
    try:
        true, false = _CAN_BE_TRUE[name](low, high, value), _CAN_BE_TRUE[_OPPOSITE[name]](low, high, value)
    except TypeError:
        return ANYTHING
    return Outcome(true or (bounds.nan and name == "ne"), false or (bounds.nan and name != "ne"), bounds.nulls)


def are_ordered(kind: pa.DataType) -> bool:
    """Whether bounds of such a column can be compared with Python values exactly."""
    if pa.types.is_timestamp(kind):
        return kind.unit != "ns"
    plain = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind) or pa.types.is_boolean(kind)
    return plain or pa.types.is_date32(kind) or is_text(kind)


def stored_bounds(statistics: Any, stored: pa.DataType, kind: pa.DataType) -> Bounds:
    """The bounds in the statistics of one stored column, for a column of this (unified) type.

    Args:
        statistics: pyarrow's statistics of a column in a row group, or None.
        stored: The column's type in the file.
        kind: The column's type in the source, to which values are cast when they are read.
    """
    floating = pa.types.is_floating(stored)
    if statistics is None:
        return Bounds(nan=floating)
    nulls = not statistics.has_null_count or statistics.null_count > 0
    values = not statistics.has_null_count or statistics.num_values > 0
    unknown = Bounds(nulls=nulls, values=values, nan=floating)
    if not statistics.has_min_max or not (are_ordered(stored) and are_ordered(kind)) or not _keeps_order(stored, kind):
        return unknown
    low, high = _converted(statistics.min, kind), _converted(statistics.max, kind)
    return unknown if low is None or high is None else Bounds(low, high, nulls, values, floating)


def _keeps_order(stored: pa.DataType, kind: pa.DataType) -> bool:
    numbers = all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in (stored, kind))
    rounds = pa.types.is_float32(kind)
    return stored == kind or (numbers and not rounds) or (is_text(stored) and is_text(kind))


def _converted(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if pa.types.is_floating(kind):
        return float(value)
    return value if isinstance(value, (bool, int, float, str, datetime.date)) else None


def key_bounds(value: Any) -> Bounds:
    """The bounds of a column whose values are all this one."""
    nan = isinstance(value, float)
    return Bounds(nulls=True, values=False, nan=False) if value is None else Bounds(value, value, nulls=False, nan=nan)
