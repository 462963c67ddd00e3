"""Leaves: a state as a tree of plain values and the flat arrays at its ends, and as a state again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa

Tree = Any
"""What JSON holds: None, truth values, whole numbers, {"float": text}, {"array": position}, and lists of these."""

PLAIN = "biuf"
"""Kinds of numpy arrays that are nothing but numbers."""


def flattened(state: Any) -> tuple[Tree, list[Any]]:
    """The tree of a state, and its numpy arrays, Arrow arrays and tables in the order in which they are met.

    Raises:
        TypeError: Something in it is neither a number, an array of numbers, one of Arrow or a table, nor a tuple, NamedTuple
            or dataclass of such.

    >>> flattened((3, np.arange(2)))
    ([3, {'array': 0}], [array([0, 1])])
    """
    arrays: list[Any] = []
    return _flattened(state, arrays), arrays


def _flattened(value: Any, arrays: list[Any]) -> Tree:
    if isinstance(value, tuple) or _is_record(value):
        return [_flattened(item, arrays) for item in _items(value)]
    if isinstance(value, pa.Array | pa.Table) or (isinstance(value, np.ndarray) and value.dtype.kind in PLAIN):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return {"float": plain.hex()}
    if isinstance(plain, bool | int | NoneType):
        return plain
    raise TypeError(f"`{type(value).__name__}` in a state")


def _is_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else [getattr(value, field.name) for field in fields(value)]


def restored(like: Any, tree: Tree, arrays: Sequence[Any]) -> Any:
    """The state of this tree, built of the same types as another state of the same reducer.

    What may be None there is built by its annotation: no type is ever named by the tree.

    Args:
        like: A state of the reducer, such as its `start()`.
        tree: Made by `flattened`.
        arrays: Likewise.

    Raises:
        ValueError: The tree is not one of such a state.

    >>> restored((0, np.zeros(0, np.int64)), *flattened((3, np.arange(2))))
    (3, array([0, 1]))
    """
    if isinstance(like, tuple) or _is_record(like):
        return _record(like, tree, arrays)
    value = _leaf(tree, arrays)
    if not (like is None or value is None or _alike(like, value)):
        raise ValueError(f"{_kind(value)} where a state has {_kind(like)}")
    return value


def _record(like: Any, tree: Tree, arrays: Sequence[Any]) -> Any:
    items, kind = _items(like), type(like)
    if not isinstance(tree, list) or len(tree) != len(items):
        raise ValueError(f"another number of items than the {len(items)} of {kind.__name__}")
    absent = any(item is None for item in items)
    hints = list(get_type_hints(kind).values()) if absent and kind is not tuple else [None] * len(items)
    pairs = zip(items, hints, tree, strict=True)
    made = [restored(_blank(hint) if item is None and isinstance(own, list) else item, own, arrays) for item, hint, own in pairs]
    return tuple(made) if kind is tuple else kind(*made)


def _blank(hint: Any) -> Any:
    """A NamedTuple without values, of the annotation of what may be one."""
    for kind in get_args(hint) or (hint,):
        if isinstance(kind, type) and issubclass(kind, tuple) and kind is not tuple:
            make: Any = kind
            return make(*(None for _ in get_type_hints(kind)))
    raise ValueError("a state within a value")


def _leaf(tree: Tree, arrays: Sequence[Any]) -> Any:
    match tree:
        case {"array": int(position)} if 0 <= position < len(arrays):
            return arrays[position]
        case {"float": str(text)}:
            return float.fromhex(text)
        case None | bool() | int():
            return tree
    raise ValueError("no value of a state")


def _alike(like: Any, value: Any) -> bool:
    if isinstance(like, np.ndarray):
        return isinstance(value, np.ndarray) and like.dtype == value.dtype and like.ndim == value.ndim
    if isinstance(like, pa.Array):
        return isinstance(value, pa.Array) and bool(like.type == value.type)
    if isinstance(like, pa.Table):
        return isinstance(value, pa.Table) and bool(like.schema == value.schema)
    return isinstance(value, int | float)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} in {value.ndim} dimensions"
    return f"an Arrow array of {value.type}" if isinstance(value, pa.Array) else f"a {type(value).__name__}"
