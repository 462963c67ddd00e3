"""Schemas: what counts as the same column in several files, and how its chunks are made alike."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bigml.chunk import Chunk
from bigml.errors import SchemaError


def unify(schemas: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """One schema for all, in the first one's order of columns.

    Safe differences are unified: the order of columns, the width of integers and floats, integer and float, nullability,
    string, large_string and dictionary, a column that is all null. Anything else is refused.

    Args:
        schemas: Pairs of a name for errors (a file) and its schema; at least one.

    Raises:
        SchemaError: A column is missing or more, or its types do not fit; names the file, the column and both types.

    >>> unify([("a", pa.schema({"x": pa.int32()})), ("b", pa.schema({"x": pa.float32()}))]).field("x").type
    DataType(double)
    """
    first_name, merged = schemas[0]
    merged = pa.schema([pa.field(field.name, field.type) for field in merged])
    for name, schema in schemas[1:]:
        merged = _merge(first_name, merged, name, schema)
    return merged


def _merge(first_name: str, merged: pa.Schema, name: str, schema: pa.Schema) -> pa.Schema:
    _same_columns(first_name, merged, name, schema)
    return pa.schema([pa.field(field.name, _merged_type(field, first_name, name, schema)) for field in merged])


def _same_columns(first_name: str, merged: pa.Schema, name: str, schema: pa.Schema) -> None:
    missing = [column for column in merged.names if column not in schema.names]
    extra = [column for column in schema.names if column not in merged.names]
    if missing:
        kind = merged.field(missing[0]).type
        expected, got = f"column `{missing[0]}` of type {kind} as in {first_name}", "no such column"
    elif extra:
        kind = schema.field(extra[0]).type
        expected, got = f"no column `{extra[0]}`, as in {first_name}", f"one of type {kind}"
    else:
        return
    raise SchemaError(expected, got=got, where=f"in {name}", do=_remedy(missing, extra))


def _remedy(missing: Sequence[str], extra: Sequence[str]) -> str:
    for column in missing:
        same = [other for other in extra if other.lower() == column.lower()]
        if same:
            return f"It has `{same[0]}`: read such files by themselves and rename() the column."
    return 'Name the columns to read (columns=), or join sources with bigml.concat(a, b, columns="common").'


def _merged_type(field: pa.Field, first_name: str, name: str, schema: pa.Schema) -> pa.DataType:
    other = schema.field(field.name).type
    kind = common_type(field.type, other)
    if kind is not None:
        return kind
    expected = f"column `{field.name}` of type {field.type} as in {first_name}"
    do = f'Pass types={{"{field.name}": ...}}, drop the file, or set such files aside with on_mismatch="quarantine".'
    raise SchemaError(expected, got=f"{other}", where=f"in {name}", do=do)


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The type that holds values of both without surprise; None when there is none.

    >>> common_type(pa.int16(), pa.int64()), common_type(pa.int64(), pa.string())
    (DataType(int64), None)
    """
    if left == right:
        return left
    for one, other in ((left, right), (right, left)):
        if pa.types.is_null(one):
            return other
    if is_text(left) and is_text(right):
        return pa.string()
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return _wider_integer(left, right)
    if _is_number(left) and _is_number(right):
        return pa.float64()
    return None


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are text, however they are encoded."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _wider_integer(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if pa.types.is_signed_integer(left) == pa.types.is_signed_integer(right):
        return max(left, right, key=lambda kind: kind.bit_width)
    return pa.int64()


def cast_chunk(chunk: Chunk, schema: pa.Schema) -> Chunk:
    """The chunk with its columns in the schema's types; text may stay a dictionary, which costs nothing."""
    changed = {}
    for field in schema:
        kind = chunk.kind(field.name)
        if kind != field.type and not (is_text(kind) and is_text(field.type)):
            changed[field.name] = pc.cast(chunk.arrow(field.name), field.type)
    return chunk.with_columns(changed).select(schema.names) if changed else chunk.select(schema.names)


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values in another type of the same nature: a number stays a number, text stays text.

    Raises:
        ArrowInvalid: The types differ in nature, or the type cannot hold a value.
    """
    both_times = pa.types.is_temporal(array.type) and pa.types.is_temporal(kind)
    if array.type != kind and common_type(array.type, kind) is None and not both_times:
        raise pa.ArrowInvalid(f"{array.type} is no {kind}")
    return pc.cast(array, kind)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type without its encoding: a dictionary's values, any text as string.

    >>> plain(pa.dictionary(pa.int32(), pa.large_string()))
    DataType(string)
    """
    if is_text(kind):
        return pa.string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind
