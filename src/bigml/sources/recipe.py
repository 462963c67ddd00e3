"""Recipe: what a view does to the rows of its source, as plain values that can be written down and applied to another."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.errors import ConfigError
from bigml.sources.expression import Expression
from bigml.sources.operations import Assign, Call, Operation, Select, Where

if TYPE_CHECKING:
    from bigml.sources.source import Source

Recipe = list[Any]
"""A list of `["select", pairs]`, `["where", formula]` and `["assign", [name, formula], ...]`."""


def recipe_of(operations: Sequence[Operation]) -> Recipe:
    """What these operations do.

    Raises:
        ConfigError: One of them cannot be done to other rows, or not be written down.
    """
    return [_step(operation) for operation in operations]


def _step(operation: Operation) -> list[Any]:
    match operation:
        case Select(pairs):
            return ["select", [list(pair) for pair in pairs]]
        case Where(condition):
            return ["where", _written(condition)]
        case Assign(items) if not any(isinstance(value, Call) for _, value in items):
            return ["assign", *([name, _written(value)] for name, value in items)]
        case Assign():
            raise _refused("a function given to assign", "Write the column as a formula of `bigml.col(...)`.")
    raise _refused("rows chosen by number or hash", "Keep a statistic of all rows, or choose them with `where`.")


def _refused(got: str, do: str) -> ConfigError:
    return ConfigError("select, rename, where and assign by formulas alone before a statistic that is kept", got=got, do=do)


def _written(value: Any) -> Any:
    match value:
        case Expression():
            return {"formula": [value.form[0], *map(_written, value.form[1:])]}
        case tuple():
            return [_written(item) for item in value]
        case None | bool() | int() | str():
            return value
        case float():
            return {"float": float(value).hex()}
        case np.bool_() | np.integer():
            return value.item()
        case datetime.datetime() if not getattr(value, "nanosecond", 0):
            return {"time": value.isoformat()}
        case datetime.date() if not isinstance(value, datetime.datetime):
            return {"date": value.isoformat()}
    raise _refused(f"a {type(value).__name__} in a formula", "Write it as a number, or a date or time as text.")


def _read(value: Any) -> Any:
    match value:
        case {"formula": [str(function), *operands]}:
            form = tuple(_read(operand) for operand in operands)
            columns = [one.columns for one in form if isinstance(one, Expression)]
            own = [str(form[0])] if function == "column" else []
            return Expression(frozenset(own).union(*columns), (function, *form))
        case list():
            return tuple(_read(item) for item in value)
        case {"float": str(text)}:
            return float.fromhex(text)
        case {"time": str(text)}:
            return datetime.datetime.fromisoformat(text)
        case {"date": str(text)}:
            return datetime.date.fromisoformat(text)
        case Mapping():
            raise ValueError(f"an unknown value in a formula: {sorted(value)}")
    return value


def checked(recipe: Recipe) -> Recipe:
    """A recipe that comes from a file.

    Raises:
        ValueError: It is none.
    """
    for kind, *items in recipe:
        if kind not in _STEPS:
            raise ValueError(f"no step is called `{kind}`")
        _read(items)
    return recipe


def applied(recipe: Recipe, source: Source) -> Source:
    """The source, seen through what the recipe says; columns that cannot be made of those that it has are left out.

    Raises:
        ColumnError: A column of a condition is not there.
        SchemaError: A column has a type that does not fit.
    """
    for kind, *items in recipe:
        source = _STEPS[kind](source, *items)
    return source


def _selected(source: Source, pairs: Sequence[tuple[str, str]]) -> Source:
    names = {old: new for new, old in pairs if old in source.columns}
    return source.select(list(names)).rename(names)


def _filtered(source: Source, condition: Any) -> Source:
    return source.where(_read(condition))


def _extended(source: Source, *items: tuple[str, Any]) -> Source:
    for name, value in items:
        formula = _read(value)
        if formula.columns.issubset(source.columns):
            source = source.assign(**{name: formula})
        elif name in source.columns:
            source = source.drop(name)
    return source


_STEPS: Mapping[str, Callable[..., Any]] = {"select": _selected, "where": _filtered, "assign": _extended}
