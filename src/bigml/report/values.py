"""Values as JSON that comes back exactly: floats to the last bit, tuples as tuples, keys of any type.

What JSON has no word for becomes an object with one key that begins with `$`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bigml.errors import DataError

Leaf = Callable[[Any], Mapping[str, Any]]


def refuse(value: Any) -> Mapping[str, Any]:
    """The leaf of a tree without files: there is none."""
    raise DataError(
        "numbers, text, times, paths, or tuples, lists, dicts of them, arrays, pandas objects or fitted models",
        got=f"`{type(value).__module__}.{type(value).__qualname__}`",
        where="in a value to be stored",
    )


def to_json(value: Any, leaf: Leaf = refuse) -> Any:
    """The value as what `json.dumps` takes; `leaf` says how anything else is written.

    >>> to_json({"a": (1, 2.5), 3: None})
    {'$items': [['a', {'$tuple': [1, 2.5]}], [3, None]]}
    """
    if _is_own(value):
        return _record(value, leaf)
    match value:
        case None | bool() | str():
            return value
        case np.generic():
            return to_json(value.item(), leaf)
        case int() | float():
            return value
        case tuple():
            return {"$tuple": [to_json(item, leaf) for item in value]}
        case list():
            return [to_json(item, leaf) for item in value]
        case Mapping():
            return _mapping(value, leaf)
        case datetime() | date() | timedelta():
            return _time(value)
        case Path():
            return {"$path": str(value)}
    return dict(leaf(value))


def from_json(data: Any, leaf: Callable[[str, Any], Any] | None = None) -> Any:
    """The value that `to_json` was given; `leaf(kind, content)` reads what its own leaf wrote.

    >>> from_json(to_json({"a": (1, 2.5), 3: None}))
    {'a': (1, 2.5), 3: None}
    """
    if isinstance(data, list):
        return [from_json(item, leaf) for item in data]
    if not isinstance(data, dict):
        return data
    kind, content = next(iter(data.items())) if len(data) == 1 else ("", None)
    if not kind.startswith("$"):
        return {key: from_json(item, leaf) for key, item in data.items()}
    if kind in _READERS:
        return _READERS[kind](content, leaf)
    if leaf is None:
        raise DataError("a value that was stored", got=f"one of kind `{kind}`")
    return leaf(kind, content)


def dumps(value: Any) -> str:
    """JSON text for people and programs: anything not finite is null, tables and unknown objects are text."""
    return json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(value: Any) -> Any:
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return float(value) if np.isfinite(value) else None
        case Mapping():
            return {str(key): _strict(item) for key, item in value.items()}
        case list() | tuple():
            return [_strict(item) for item in value]
    return _strict(value.tolist()) if isinstance(value, np.generic | np.ndarray) else str(value)


def _mapping(value: Mapping[Any, Any], leaf: Leaf) -> Any:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: to_json(item, leaf) for key, item in value.items()}
    return {"$items": [[to_json(key, leaf), to_json(item, leaf)] for key, item in value.items()]}


def _time(value: Any) -> dict[str, Any]:
    if type(value).__module__.split(".")[0] == "pandas":  # counts nanoseconds, which the standard library's times cannot
        return {"$pandas": [isinstance(value, datetime), value.isoformat(), getattr(value, "unit", "ns")]}
    match value:
        case timedelta():
            return {"$seconds": [value.days, value.seconds, value.microseconds]}
        case datetime():
            return {"$datetime": value.isoformat()}
    return {"$date": value.isoformat()}


def _is_own(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("bigml.")


def _record(value: Any, leaf: Leaf) -> dict[str, Any]:
    kind = type(value)
    content = {field.name: to_json(getattr(value, field.name), leaf) for field in fields(value) if field.init}
    return {"$record": [kind.__module__, kind.__qualname__, content]}


def _read_record(content: Any, leaf: Callable[[str, Any], Any] | None) -> Any:
    module, name, values = content
    kind = getattr(importlib.import_module(module), name, None) if module.startswith("bigml.") else None
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise DataError("a record of bigml", got=f"`{module}.{name}`", where="in a stored value")
    return kind(**{key: from_json(item, leaf) for key, item in values.items()})


def _read_pandas(content: Any, leaf: object) -> Any:
    import pandas as pd

    is_moment, text, unit = content
    return (pd.Timestamp(text) if is_moment else pd.Timedelta(text)).as_unit(unit)


_READERS: dict[str, Callable[[Any, Any], Any]] = {
    "$tuple": lambda content, leaf: tuple(from_json(item, leaf) for item in content),
    "$items": lambda content, leaf: {from_json(key, leaf): from_json(item, leaf) for key, item in content},
    "$seconds": lambda content, leaf: timedelta(*content),
    "$datetime": lambda content, leaf: datetime.fromisoformat(content),
    "$date": lambda content, leaf: date.fromisoformat(content),
    "$pandas": _read_pandas,
    "$path": lambda content, leaf: Path(content),
    "$record": _read_record,
}
