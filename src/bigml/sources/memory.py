"""MemorySource: a table that is in memory already, cut into parts without copying."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import RawIOBase
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import SourceError
from bigml.part import Part
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 262_144


@dataclass(frozen=True, repr=False, eq=False)
class MemorySource(Source):
    """An Arrow table as a source. On a cluster each task carries the rows of the whole table: meant for small tables."""

    table: pa.Table
    part_rows: int = PART_ROWS

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    @cached_property
    def token(self) -> str:
        """A hash of the values, so that the same table in another process is the same source; worked out when first asked."""
        digest = hashlib.blake2b(str(self.part_rows).encode(), digest_size=16)
        with pa.ipc.new_stream(pa.PythonFile(_Hashing(digest), "w"), self.table.schema) as stream:
            stream.write_table(self.table, max_chunksize=self.part_rows)
        return digest.hexdigest()

    @cached_property
    def widths(self) -> Mapping[str, float]:
        rows = max(self.table.num_rows, 1)
        return {name: column.nbytes / rows for name, column in zip(self.table.column_names, self.table.columns, strict=True)}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        width = sum(self.widths.values())
        starts = range(0, self.table.num_rows, self.part_rows)
        sizes = [min(self.part_rows, self.table.num_rows - start) for start in starts]
        return tuple(Part(i, start, n, int(n * width)) for i, (start, n) in enumerate(zip(starts, sizes, strict=True)))

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        table = self.table.select(list(columns))
        for part in parts:
            chunk = Chunk.from_arrow(table.slice(part.offset, part.n_rows), part.offset)
            yield chunk if columns else Chunk({}, range(part.offset, part.offset + part.n_rows))

    def lean(self) -> MemorySource:
        return replace(self)


class _Hashing(RawIOBase):
    """A file that keeps nothing but a hash of what is written to it."""

    def __init__(self, digest: hashlib.blake2b) -> None:
        self._digest = digest

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)


def from_arrow(data: Any, *, part_rows: int = PART_ROWS) -> MemorySource:
    """A source over an Arrow table, record batch, reader, or anything with the Arrow C stream interface (polars, duckdb).

    Args:
        data: The rows; shared, not copied, where the format allows.
        part_rows: Rows a part.

    Raises:
        SourceError: The object offers no Arrow data.

    >>> import bigml, pyarrow as pa
    >>> bigml.from_arrow(pa.table({"x": [1, 2, 3]})).n_rows
    3
    """
    if isinstance(data, pa.RecordBatchReader):
        data = data.read_all()
    if not hasattr(data, "__arrow_c_stream__"):
        raise SourceError("an object with the Arrow C stream interface", got=f"`{type(data).__name__}`", where="in from_arrow")
    return MemorySource(_without_views(pa.table(data)), part_rows)


def _without_views(table: pa.Table) -> pa.Table:
    """The table with string views (polars' text) as strings: Arrow cannot take rows of views."""
    return table.cast(pa.schema([field.with_type(_without_view(field.type)) for field in table.schema]))


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _without_view(kind.value_type), kind.ordered)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def from_pandas(frame: pd.DataFrame, *, part_rows: int = PART_ROWS) -> MemorySource:
    """A source over a pandas DataFrame; the index is left out, NaN becomes null.

    >>> import bigml, pandas as pd
    >>> bigml.from_pandas(pd.DataFrame({"x": [1.5, None]})).columns
    ('x',)
    """
    return MemorySource(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(), part_rows)


def from_polars(frame: Any, *, part_rows: int = PART_ROWS) -> MemorySource:
    """A source over a polars DataFrame, through the Arrow C stream; a LazyFrame must be collected first."""
    return from_arrow(frame, part_rows=part_rows)


def as_source(data: Any) -> Source:
    """The source itself, or one over a table in memory: a pandas DataFrame or whatever `from_arrow` takes.

    Raises:
        SourceError: Neither a source nor a table.
    """
    import pandas as pd

    if isinstance(data, Source):
        return data
    if isinstance(data, pd.DataFrame):
        return from_pandas(data)
    if hasattr(data, "__arrow_c_stream__") and not isinstance(data, pd.Series):
        return from_arrow(data)
    do = "Make a source: bigml.read_parquet(path), bigml.from_pandas(frame), bigml.read_memmap(path)."
    raise SourceError("a source, or a table such as a pandas DataFrame", got=f"`{type(data).__name__}`", do=do)
