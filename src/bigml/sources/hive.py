"""Hive: partition keys read from `key=value` folders of a path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from bigml.errors import SchemaError
from bigml.sources.folders import NULL

Keys = tuple[tuple[str, str | None], ...]
"""Names and undecoded values of one file's keys; None is null."""

INTEGER = re.compile(r"-?\d{1,18}")


def keys_of(folders: Sequence[str]) -> Keys:
    """The keys in the names of folders, outermost first.

    >>> keys_of(["year=2014", "origin=San%20Jos%C3%A9", "other"])
    (('year', '2014'), ('origin', 'San José'))
    """
    pairs = (folder.partition("=") for folder in folders if "=" in folder)
    return tuple((unquote(name), None if value == NULL else unquote(value)) for name, _, value in pairs)


def key_schema(files: Sequence[tuple[str, Keys]], types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Name and type of each key: the given type, integers when all values are, text otherwise.

    Raises:
        SchemaError: Files differ in the names of their keys.
    """
    first, keys = files[0]
    names = [name for name, _ in keys]
    for path, others in files:
        if [name for name, _ in others] != names:
            got = ", ".join(name for name, _ in others) or "none"
            expected = f"the partition keys {', '.join(names) or '(none)'} as in {first}"
            do = "Read such files by themselves, or pass partitioning=None."
            raise SchemaError(expected, got=got, where=f"in {path}", do=do)
    values = {name: {others[i][1] for _, others in files} for i, name in enumerate(names)}
    return pa.schema([pa.field(name, types.get(name) or _inferred(values[name])) for name in names])


def _inferred(values: set[str | None]) -> pa.DataType:
    known = [value for value in values if value is not None]
    return pa.int64() if known and all(INTEGER.fullmatch(value) for value in known) else pa.string()


def typed(keys: Keys, schema: pa.Schema, path: str) -> tuple[Any, ...]:
    """The values of a file's keys in their types.

    Raises:
        SchemaError: A value does not fit its type.
    """
    return tuple(_typed(name, value, schema.field(name).type, path) for name, value in keys)


def _typed(name: str, value: str | None, kind: pa.DataType, path: str) -> Any:
    try:
        return pa.scalar(value, pa.string()).cast(kind).as_py()
    except pa.ArrowInvalid as error:
        raise SchemaError(f"partition key `{name}` of type {kind}", got=f"{value!r}", where=f"in {path}") from error


def key_column(value: Any, kind: pa.DataType, n_rows: int) -> pa.Array:
    """A key as a column of equal values; text as a dictionary of one word, which costs four bytes a row."""
    if value is None or not pa.types.is_string(kind):
        return pa.repeat(pa.scalar(value, kind), n_rows)
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n_rows), pa.array([value]))
