"""Bounds: what is known of a column's values in some rows, and whether a formula can be true of any of them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from bigml.sources.expression import Expression
from bigml.sources.literals import is_missing, literal, literals
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
        kind: The column's type, in which values are compared; None for that of the bounds.
    """

    low: Any = None
    high: Any = None
    nulls: bool = True
    values: bool = True
    nan: bool = True
    kind: pa.DataType | None = None

    @property
    def missing(self) -> bool:
        """Whether there may be missing values."""
        return self.nulls or self.nan


class Outcome(NamedTuple):
    """Which results a formula may have in some rows, missing being false; too much is safe, too little is not."""

    true: bool = True
    false: bool = True


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

    >>> from bigml.sources.formula import parse
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
            return Outcome(found.missing, found.values)
        case ("in", Expression(form=("column", name)), values) if name in bounds:
            return _among(bounds[name], values)
        case (name, Expression(form=("column", column)), Expression(form=("value", value))) if column in bounds:
            return _compared(name, bounds[column], value)
        case (name, Expression(form=("value", value)), Expression(form=("column", column))) if column in bounds:
            return _compared(_MIRRORED.get(name, "other"), bounds[column], value)
        case _:
            return ANYTHING


def _both(left: Outcome, right: Outcome) -> Outcome:
    return Outcome(left.true and right.true, left.false or right.false)


def _negated(inner: Outcome) -> Outcome:
    return Outcome(inner.false, inner.true)


def _among(bounds: Bounds, values: Sequence[Any]) -> Outcome:
    if any(is_missing(value) for value in values) and bounds.missing:
        return ANYTHING
    known = [value for value in values if not is_missing(value)]
    wanted = known if bounds.kind is None else literals(known, bounds.kind).to_pylist()
    return Outcome(any(_compared("eq", bounds, value).true for value in wanted), True)


def _compared(name: str, bounds: Bounds, value: Any) -> Outcome:
    """The results of comparing values within bounds with a constant; what is missing is unequal to anything."""
    if name not in _CAN_BE_TRUE:
        return ANYTHING
    true, false = _of_values(name, bounds, value) if bounds.values else (False, False)
    return Outcome(true or (bounds.missing and name == "ne"), false or (bounds.missing and name != "ne"))


def _of_values(name: str, bounds: Bounds, value: Any) -> Outcome:
    low, high, value = bounds.low, bounds.high, value if bounds.kind is None else literal(value, bounds.kind)
    if low is None or high is None or is_missing(value):
        return ANYTHING
    if isinstance(value, float) or isinstance(low, float):
        low, high, value = float(low), float(high), float(value)
    try:
        return Outcome(_CAN_BE_TRUE[name](low, high, value), _CAN_BE_TRUE[_OPPOSITE[name]](low, high, value))
    except TypeError:
        return ANYTHING


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
        return Bounds(nan=floating, kind=kind)
    nulls = not statistics.has_null_count or statistics.null_count > 0
    values = not statistics.has_null_count or statistics.num_values > 0
    unknown = Bounds(nulls=nulls, values=values, nan=floating, kind=kind)
    if not statistics.has_min_max or not (are_ordered(stored) and are_ordered(kind)) or not _keeps_order(stored, kind):
        return unknown
    low, high = _converted(statistics.min, kind), _converted(statistics.max, kind)
    return unknown if low is None or high is None else Bounds(low, high, nulls, values, floating, kind)


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


def key_bounds(value: Any, kind: pa.DataType | None = None) -> Bounds:
    """The bounds of a column of this type whose values are all this one."""
    if value is None:
        return Bounds(nulls=True, values=False, nan=False, kind=kind)
    return Bounds(value, value, nulls=False, nan=isinstance(value, float), kind=kind)
