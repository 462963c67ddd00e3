"""Folders: Hive partitions, where `key=value/` in a path stands for a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.errors import ColumnError, SchemaError

NULL = "__HIVE_DEFAULT_PARTITION__"


def check_keys(schema: pa.Schema, keys: Sequence[str]) -> None:
    """Refuse partition keys that cannot be folders.

    Raises:
        ColumnError: A key is not a column.
        SchemaError: A key is a float or nested, its name cannot be that of a folder, or no other column is left.
    """
    for key in keys:
        if key not in schema.names:
            raise ColumnError.missing(key, schema.names, where="in partition_by")
        kind = schema.field(key).type
        if pa.types.is_floating(kind) or pa.types.is_nested(kind):
            raise SchemaError("a partition key of few exact values", got=f"{kind}", where=f"column `{key}`")
        if not key or set(key) & set("/=\0"):
            raise SchemaError("a partition key whose name can be a folder's", got=f"{key!r}", do="Rename the column.")
    if keys and set(keys) >= set(schema.names):
        raise SchemaError("a column beside the partition keys", got="none", where="in partition_by")


def by_folder(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each folder, without the key columns, folders in the order of their first row, rows in theirs.

    >>> table = pa.table({"k": ["b", None, "b"], "x": [1, 2, 3]})
    >>> [(folder, rows["x"].to_pylist()) for folder, rows in by_folder(table, ["k"])]
    [('k=b', [1, 3]), ('k=__HIVE_DEFAULT_PARTITION__', [2])]
    """
    if not keys:
        yield "", table
        return
    slots = np.zeros(table.num_rows, dtype=np.int64)
    for key in keys:
        codes = _codes(table.column(key))
        slots = _dense(slots * (int(codes.max(initial=0)) + 1) + codes)
    rest = table.drop_columns(list(keys))
    order = np.argsort(slots, kind="stable")
    starts = np.flatnonzero(np.diff(slots[order], prepend=-1))
    for positions in np.split(order, starts[1:]) if len(order) else ():
        yield _folder(table, keys, int(positions[0])), rest.take(pa.array(positions))


def _codes(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    array = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return array.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _dense(slots: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Slots renumbered from 0 in the order of their first row: keys never overflow, however many there are."""
    _, first, inverse = np.unique(slots, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _folder(table: pa.Table, keys: Sequence[str], row: int) -> str:
    return "/".join(f"{key}={_text(table.column(key)[row])}" for key in keys)


def _text(value: pa.Scalar) -> str:
    if isinstance(value, pa.DictionaryScalar):
        value = value.value
    return quote(value.cast(pa.string()).as_py(), safe="") if value.is_valid else NULL
