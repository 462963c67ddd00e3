"""NpyFile: a .npy matrix written row block by row block and published whole; data sets of such matrices."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError, SchemaError, WriteError
from bigml.sources.atomic import AtomicFile
from bigml.sources.manifest import Manifest
from bigml.sources.writing import DatasetWriter, dataset


class NpyFile:
    """Appends blocks of rows to a .npy file of any length; `finish` sets the number of rows and publishes.

    Args:
        path: The final name.
        dtype: Of the file; blocks are converted.
        width: Columns; None makes a vector.
        rows: The number of rows when it is known: the disk's room is taken at once, and another number is refused.

    Holds one block at most.
    """

    def __init__(self, path: Path, dtype: DTypeLike, *, width: int | None = None, rows: int | None = None) -> None:
        self.dtype, self.width, self.rows = np.dtype(dtype), width, 0
        self._expected = rows
        self.file = AtomicFile(path)
        try:
            if rows is not None:
                self.file.reserve(len(self._header(rows)) + rows * (width or 1) * self.dtype.itemsize)
            self.file.write(self._header(rows or 0))
        except BaseException:
            self.file.discard()
            raise

    def _header(self, rows: int) -> bytes:
        """The header; numpy pads it so that its length does not depend on the number of rows."""
        shape = (rows,) if self.width is None else (rows, self.width)
        out = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
        return out.getvalue()

    def append(self, block: NDArray[Any]) -> None:
        """Add rows: an array of shape (n, width), or (n,) for a vector."""
        self.rows += len(block)
        if block.size:
            self.file.write(np.ascontiguousarray(block, dtype=self.dtype))

    def finish(self) -> AtomicFile:
        """Publish the file with its number of rows.

        Raises:
            WriteError: The number of rows is not the expected one.
        """
        if self._expected is None:
            self.file.rewrite(self._header(self.rows))
        elif self.rows != self._expected:
            raise WriteError(f"{self._expected:,} rows", got=f"{self.rows:,}", where=f"{self.file.path}")
        self.file.publish()
        return self.file

    def __enter__(self) -> NpyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.discard()


def write_matrices(
    directory: str | Path,
    chunks: Iterable[Chunk],
    schema: pa.Schema,
    *,
    columns: Sequence[str],
    target: str | None = None,
    dtype: DTypeLike = np.float32,
    rows: int | None = None,
) -> Manifest:
    """Write X.npy, and y.npy when there is a target, as one data set: both old or both new.

    The files' own names hold the write's generation and are in the manifest (`files[0]` is X, `attachments[0]` is y);
    `X.npy` and `y.npy` are links to them.

    Args:
        directory: As for `dataset`.
        chunks: The rows, in order; one chunk is held.
        schema: Of the chunks.
        columns: The columns of X, numeric; nulls become NaN.
        target: The column of y: int64 when it is of integers or booleans, float64 otherwise.
        dtype: Of X.
        rows: How many there will be, when that is known.

    Raises:
        SchemaError: A column is not numeric.
        DataError: A null in a target of integers.
        WriteError: The disk is full, or the number of rows is another.
    """
    kinds = [(name, pa.from_numpy_dtype(np.dtype(dtype))) for name in columns]
    labels = _target_dtype(schema, target) if target else None
    if target and labels:
        kinds.append((target, pa.from_numpy_dtype(labels)))
    about = {"columns": list(columns), "target": target}
    with dataset(directory, pa.schema(kinds), kind="npy", metadata=about) as writer:
        if target and labels:
            with NpyFile(writer.target.path("y", ".npy"), labels, rows=rows) as y:
                _write_x(writer, _splitting(chunks, target, y), columns, dtype, rows)
                writer.attached(y.finish(), y.rows)
        else:
            _write_x(writer, chunks, columns, dtype, rows)
    return writer.manifest()


def _write_x(writer: DatasetWriter, chunks: Iterable[Chunk], columns: Sequence[str], dtype: DTypeLike, rows: int | None) -> None:
    with NpyFile(writer.target.path("X", ".npy"), dtype, width=len(columns), rows=rows) as x:
        for chunk in chunks:
            x.append(chunk.matrix(columns, dtype))
        writer.add([writer.record(x.finish(), x.rows)])


def _splitting(chunks: Iterable[Chunk], target: str, y: NpyFile) -> Iterable[Chunk]:
    """The chunks, after the target of each has gone to its own file."""
    for chunk in chunks:
        values = chunk.floats(target) if y.dtype.kind == "f" else _integers(chunk, target)
        y.append(values)
        yield chunk


def _target_dtype(schema: pa.Schema, target: str) -> np.dtype[Any]:
    kind = schema.field(target).type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return np.dtype(np.int64)
    if pa.types.is_floating(kind):
        return np.dtype(np.float64)
    do = "Encode it first, for instance with assign()."
    raise SchemaError("a numeric or boolean target", got=f"{kind}", where=f"column `{target}`", do=do)


def _integers(chunk: Chunk, target: str) -> NDArray[np.int64]:
    column = chunk.arrow(target)
    if column.null_count:
        raise DataError(
            "a target without nulls", got=f"{column.null_count:,} nulls", where=f"column `{target}`", do="Use dropna()."
        )
    return np.asarray(column.cast(pa.int64()))
