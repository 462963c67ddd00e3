"""Pruning: parts that provably hold no row for which a condition is true are not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bigml.part import Part
from bigml.sources.bounds import Bounds, key_bounds, outcome, stored_bounds
from bigml.sources.expression import Expression
from bigml.sources.footers import each_footer, leaves
from bigml.sources.pieces import Pieces
from bigml.sources.storage import Storage

GroupBounds = Sequence[Mapping[str, Bounds]]
"""Bounds of columns for each row group of a file."""


def kept(
    parts: Sequence[Part], condition: Expression, storage: Storage, schema: pa.Schema, keys: Sequence[str]
) -> tuple[Part, ...]:
    """The parts that may hold a row for which the condition is true."""
    kinds = {name: schema.field(name).type for name in keys}
    by_keys = [part for part in parts if outcome(condition, _of_keys(part.ref, kinds)).true]
    wanted = [name for name in sorted(condition.columns) if name in schema.names and name not in keys]
    if not wanted or not by_keys:
        return tuple(by_keys)
    paths = list(dict.fromkeys(piece.path for part in by_keys for piece in part.ref.pieces))
    groups = each_footer(storage, paths, _reader(schema, wanted))
    return tuple(part for part in by_keys if _may_hold(part.ref, condition, groups, _of_keys(part.ref, kinds)))


def _of_keys(pieces: Pieces, kinds: Mapping[str, pa.DataType]) -> dict[str, Bounds]:
    return {name: key_bounds(value, kind) for (name, kind), value in zip(kinds.items(), pieces.keys, strict=True)}


def _may_hold(pieces: Pieces, condition: Expression, groups: Mapping[str, GroupBounds], keys: Mapping[str, Bounds]) -> bool:
    return any(
        outcome(condition, {**keys, **groups[piece.path][g]}).true
        for piece in pieces.pieces
        for g in range(piece.first, piece.last + 1)
    )


def _reader(schema: pa.Schema, names: Sequence[str]) -> Callable[[pq.FileMetaData], GroupBounds]:
    """A function that takes the bounds of these columns from a file's footer."""

    def bounds(footer: pq.FileMetaData) -> GroupBounds:
        stored = footer.schema.to_arrow_schema()
        at = dict(leaves(stored, footer.num_columns))
        out: list[dict[str, Bounds]] = []
        for g in range(footer.num_row_groups):
            group = footer.row_group(g)
            out.append({name: _bounds(group, stored, schema, name, at) for name in names})
        return out

    return bounds


def _bounds(group: Any, stored: pa.Schema, schema: pa.Schema, name: str, at: Mapping[int, int]) -> Bounds:
    position = stored.get_field_index(name)
    kind = schema.field(name).type
    if position not in at or pa.types.is_nested(stored.field(position).type):
        return Bounds()
    return stored_bounds(group.column(at[position]).statistics, stored.field(position).type, kind)
