"""Drift: files of one data set whose schemas differ: unified where that is safe, refused or set aside where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bigml.errors import ColumnError, SchemaError
from bigml.sources.footers import Footer
from bigml.sources.schemas import plain, unify

Types = Mapping[str, str | pa.DataType]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that was set aside because its columns do not fit, with its rows."""

    path: str
    rows: int
    reason: str


@dataclass(frozen=True)
class Agreement:
    """The files that fit one schema, and those that do not."""

    schema: pa.Schema
    footers: tuple[Footer, ...]
    quarantined: tuple[Quarantined, ...] = ()


def agree(
    footers: Sequence[Footer], columns: Sequence[str] | None, types: Mapping[str, pa.DataType], *, quarantine: bool
) -> Agreement:
    """One schema for the files, as most rows have it.

    Args:
        columns: The columns to compare, in the order wanted; None compares all.
        types: Types that the caller gives to columns.
        quarantine: Set files that do not fit aside instead of raising.

    Raises:
        SchemaError: A file does not fit; names the file, the column and both types.
    """
    kinds = _kinds(footers)
    first = kinds[0][0]
    merged = _wanted(first, columns, types)
    aside: dict[int, SchemaError] = {}
    for kind in kinds[1:]:
        try:
            merged = unify([(first.path, merged), (kind[0].path, _wanted(kind[0], columns, types))])
        except SchemaError as error:
            if not quarantine:
                raise
            aside[id(kind[0].schema)] = error
    kept = tuple(footer for footer in footers if id(footer.schema) not in aside)
    gone = [Quarantined(one.path, one.rows, str(aside[id(one.schema)])) for one in footers if id(one.schema) in aside]
    return Agreement(merged, kept, tuple(gone))


def _kinds(footers: Sequence[Footer]) -> list[list[Footer]]:
    """Files gathered by schema, which equal files share; the one with most rows comes first."""
    kinds: dict[int, list[Footer]] = {}
    for footer in footers:
        kinds.setdefault(id(footer.schema), []).append(footer)
    return sorted(kinds.values(), key=lambda kind: (-sum(one.rows for one in kind), -len(kind)))


def _wanted(footer: Footer, columns: Sequence[str] | None, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns of one file under the types that the source shows."""
    names = footer.schema.names
    for name in columns or ():
        if name not in names:
            raise ColumnError.missing(name, names, where=f"in {footer.path}")
    fields = [footer.schema.field(name) for name in (names if columns is None else columns)]
    return pa.schema([pa.field(one.name, _type(one, types.get(one.name), footer.path)) for one in fields])


def _type(field: pa.Field, given: pa.DataType | None, path: str) -> pa.DataType:
    stored = plain(field.type)
    if given is None:
        return stored
    try:
        return pc.cast(pa.array([], stored), given).type
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise SchemaError(f"column `{field.name}` convertible to {given}", got=f"{stored}", where=f"in {path}") from error


def as_types(types: Types) -> dict[str, pa.DataType]:
    """Arrow types from their names.

    Raises:
        SchemaError: There is no such type.

    >>> as_types({"arr_delay": "float64"})
    {'arr_delay': DataType(double)}
    """
    return {name: _as_type(name, kind) for name, kind in types.items()}


def _as_type(name: str, kind: str | pa.DataType) -> pa.DataType:
    try:
        return plain(pa.type_for_alias(kind) if isinstance(kind, str) else kind)
    except ValueError as error:
        do = "Use a name such as int64, float64, string, bool, date32 or timestamp[us]."
        raise SchemaError("the name of an Arrow type", got=f"{kind!r}", where=f"for column `{name}` in types=", do=do) from error
