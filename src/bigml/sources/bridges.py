"""Bridges: a source as pandas, Arrow and dask collections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import BudgetError
from bigml.graph.budget import readable
from bigml.graph.mapping import map_parts
from bigml.graph.progress import ProgressLike
from bigml.graph.reader import Reader
from bigml.graph.scan import read
from bigml.part import Part
from bigml.sources.manifest import FileRecord, Manifest
from bigml.sources.npy_file import write_matrices
from bigml.sources.schemas import plain
from bigml.sources.sized import Sized
from bigml.sources.writing import Layout, Target, dataset, write_part

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client


LIMIT = 2 << 30
"""Decoded bytes above which a whole source is not put into memory unless told."""


def to_arrow(source: Sized, *, limit: int, client: Client | None) -> pa.Table:
    """All rows as one Arrow table.

    Raises:
        BudgetError: The estimated size is above the limit.
    """
    share = 1.0 if source.n_rows is None else source.n_rows / max(source.stored_rows, 1)
    if source.nbytes * share > limit:
        do = "Use select(), where(), sample(n) or iter_chunks(), or pass a larger limit= in bytes."
        raise BudgetError(f"at most {readable(limit)} in memory", got=f"about {readable(source.nbytes)}", do=do)
    tables = map_parts(source, _table, columns=source.columns, client=client, title="read")
    empty = plain_schema(source.schema).empty_table()
    return pa.concat_tables([empty, *tables]) if tables else empty


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with dictionaries replaced by their values' types."""
    return pa.schema([pa.field(field.name, plain(field.type)) for field in schema])


def _table(part: Part, chunk: Chunk) -> pa.Table:
    table = chunk.to_arrow()
    return table.cast(plain_schema(table.schema))


def to_pandas(source: Sized, *, limit: int, client: Client | None) -> pd.DataFrame:
    """All rows as a pandas DataFrame with a fresh index."""
    frame: pd.DataFrame = to_arrow(source, limit=limit, client=client).to_pandas(ignore_metadata=True)
    return frame


def to_dask_dataframe(source: Sized) -> Any:
    """A dask.dataframe with one partition a part; integers and booleans are nullable, since any partition may lack some."""
    import dask.dataframe as dd

    meta = Chunk.from_arrow(plain_schema(source.schema).empty_table()).to_pandas(nullable=True)
    return dd.from_map(_partition, source.parts, reader=source.lean(), columns=source.columns, meta=meta, label="bigml-read")


def _partition(part: Part, *, reader: Reader, columns: Sequence[str]) -> pd.DataFrame:
    return next(read(reader, (part,), columns)).to_pandas(nullable=True)


def to_dask_array(source: Sized, columns: Sequence[str] | None, *, dtype: Any) -> Any:
    """A dask.array with known chunk sizes, one chunk a part; parts that a filter empties are left out."""
    import dask.array as da
    from dask import delayed

    names = source.known(source.columns if columns is None else columns)
    sizes = source.row_counts
    if sizes is None:
        sizes = tuple(map_parts(source, _count, columns=(), title="count"))
    lean, block = source.lean(), delayed(_block, pure=True)
    pairs = [(part, n) for part, n in zip(source.parts, sizes, strict=True) if n]
    arrays = [da.from_delayed(block(lean, part, names, dtype), (n, len(names)), dtype=dtype) for part, n in pairs]
    return da.concatenate(arrays) if arrays else da.zeros((0, len(names)), dtype=dtype)


def _count(part: Part, chunk: Chunk) -> int:
    return chunk.n_rows


def _block(reader: Reader, part: Part, columns: Sequence[str], dtype: Any) -> np.ndarray[Any, Any]:
    return next(read(reader, (part,), columns)).matrix(columns, dtype)


@dataclass(frozen=True)
class WritePart:
    """A map task that writes a part's rows as files of the target; run twice, it leaves the files of one."""

    target: Target

    def __call__(self, part: Part, chunk: Chunk) -> tuple[FileRecord, ...]:
        return write_part(self.target, part.index, [chunk])


def write_parquet(
    source: Sized, path: str | Path, *, partition_by: Sequence[str], client: Client | None, progress: ProgressLike
) -> Manifest:
    """Write each part as Parquet files, then the manifest: a reader sees all of the old rows or all of the new.

    Parts are written in parallel, on the workers of a client too, which must see the directory.
    """
    schema = plain_schema(source.schema)
    with dataset(path, schema, layout=Layout(partition_by=tuple(partition_by))) as writer:
        write = WritePart(writer.target)
        for records in map_parts(source, write, columns=source.columns, client=client, progress=progress, title="write"):
            writer.add(records)
    return writer.manifest()


def write_memmap(source: Sized, path: str | Path, *, columns: Sequence[str] | None, target: str | None, dtype: Any) -> Manifest:
    """Write X.npy, and y.npy when there is a target, part after part in this process; one part is held."""
    names = source.known([name for name in source.columns if name != target] if columns is None else columns)
    wanted = (*names, *source.known([target] if target and target not in names else []))
    chunks = source.iter_chunks(wanted)
    return write_matrices(path, chunks, source.schema, columns=names, target=target, dtype=dtype, rows=source.n_rows)
