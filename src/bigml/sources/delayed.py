"""DaskSource: a dask.dataframe as a source; a partition is computed when its part is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import SourceError
from bigml.part import Part
from bigml.sources.opened import Opened
from bigml.sources.schemas import cast_chunk, plain, unify
from bigml.sources.source import Source


@dataclass(frozen=True, repr=False, eq=False)
class DaskSource(Opened, Source):
    """Partitions of a dask.dataframe, each computed in the task that reads it."""

    frame: Any

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        wanted = pa.schema([self.unified.field(name) for name in columns])
        for part in parts:
            yield self._chunk(part, wanted)

    def _chunk(self, part: Part, wanted: pa.Schema) -> Chunk:
        if not wanted.names:
            return Chunk({}, range(part.offset, part.offset + part.n_rows))
        table = _table(_computed(self.frame, wanted.names, part.ref.number))
        if table.num_rows != part.n_rows:
            do = "Its graph must give the same rows each time: seed what is random."
            raise SourceError(f"{part.n_rows:,} rows, as at first", got=f"{table.num_rows:,}", where=f"{part}", do=do)
        return cast_chunk(Chunk.from_arrow(table, part.offset), wanted)

    def lean(self) -> DaskSource:
        return replace(self, own_parts=())


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a dask.dataframe."""

    number: int

    def __str__(self) -> str:
        return f"partition {self.number}"


_PLANNING = Lock()
"""Held while dask plans: its cached properties lock one another out for ever when two threads plan at once (Python 3.11)."""


def _computed(frame: Any, columns: Sequence[str], number: int) -> Any:
    """Some columns of one partition, computed in this thread."""
    from dask import get

    with _PLANNING:
        delayed = frame[list(columns)].partitions[number].to_delayed()[0]
        graph = dict(delayed.dask)
    return get(graph, delayed.key)


def _table(frame: Any) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def from_dask(frame: Any) -> DaskSource:
    """A source of a dask.dataframe's partitions; the index is left out.

    Its lengths and types are found by computing every partition once, now; after that a partition is computed when it is read.

    Raises:
        SourceError: It is no dask.dataframe.
        SchemaError: Partitions differ in columns or types.

    >>> import bigml, pandas as pd, dask.dataframe as dd
    >>> frame = dd.from_pandas(pd.DataFrame({"x": [1, 2, 3]}), npartitions=2)
    >>> bigml.from_dask(frame).n_rows
    3
    """
    if not hasattr(frame, "to_delayed") or not hasattr(frame, "partitions"):
        raise SourceError("a dask.dataframe", got=f"`{type(frame).__name__}`", where="in from_dask")
    from dask import compute, delayed
    from dask.base import tokenize

    found = compute(*[delayed(_facts, pure=True)(partition) for partition in frame.to_delayed()])
    schema = unify([(f"partition {i}", kind) for i, (_, kind, _) in enumerate(found)])
    rows = max(sum(n for n, _, _ in found), 1)
    sizes = {name: sum(widths[name] for _, _, widths in found) / rows for name in schema.names}
    parts: list[Part] = []
    offset = 0
    for i, (n, _, widths) in enumerate(found):
        if n:
            parts.append(Part(len(parts), offset, n, int(sum(widths.values())), Partition(i)))
        offset += n
    return DaskSource(tuple(parts), schema, sizes, tokenize(frame), frame)


def _facts(frame: Any) -> tuple[int, pa.Schema, dict[str, int]]:
    """Rows, types and bytes of one partition."""
    table = _table(frame)
    schema = pa.schema([pa.field(item.name, plain(item.type)) for item in table.schema])
    return table.num_rows, schema, {name: column.nbytes for name, column in zip(table.column_names, table.columns, strict=True)}
