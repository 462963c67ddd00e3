"""ArraySource: arrays in local files (.npy, raw, IDX) as a source of zero-copy views."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from bigml.chunk import Chunk
from bigml.errors import SchemaError, SourceError
from bigml.part import Part
from bigml.sources.arrays import NPY_MAGIC, Rows, StoredArray, idx_array, npy_array, raw_array
from bigml.sources.source import Source
from bigml.sources.storage import Storage
from bigml.sources.stored import StoredFile
from bigml.sources.writing import finished_files

PART_BYTES = 64 << 20
MOST_ROWS = 1 << 20


@dataclass(frozen=True, repr=False, eq=False)
class ArraySource(Source):
    """The rows of an array, and of a target beside it; made by `bigml.read_memmap` and `bigml.read_idx`.

    Columns are views on the mapped file: reading them touches only the pages that are used.
    """

    x: StoredArray
    y: StoredArray | None
    names: tuple[str, ...]
    target: str
    part_rows: int
    key: str

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one row of X before it was flattened to columns."""
        return self.x.shape[1:]

    @cached_property
    def schema(self) -> pa.Schema:
        kinds = [self.x.dtype[name] for name in self.names] if self.x.dtype.names else [self.x.dtype] * len(self.names)
        fields = [pa.field(name, _arrow_type(kind)) for name, kind in zip(self.names, kinds, strict=True)]
        return pa.schema([*fields, pa.field(self.target, _arrow_type(self.y.dtype))] if self.y else fields)

    @property
    def token(self) -> str:
        return self.key

    @cached_property
    def widths(self) -> Mapping[str, float]:
        return {item.name: max(item.type.bit_width / 8, 1.0) for item in self.schema}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        rows = self.x.shape[0]
        width = self.x.row_bytes + (self.y.dtype.itemsize if self.y else 0)
        run = 0 if self.x.zipped else -1
        starts = range(0, rows, self.part_rows)
        sizes = [min(self.part_rows, rows - start) for start in starts]
        ref = os.path.basename(self.x.path)
        return tuple(Part(i, start, n, n * width, ref, run) for i, (start, n) in enumerate(zip(starts, sizes, strict=True)))

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        with ExitStack() as files:
            x = files.enter_context(self.x.opened())
            y = files.enter_context(self.y.opened()) if self.y else None
            for part in parts:
                yield self._chunk(part, columns, x, y)

    def _chunk(self, part: Part, columns: Sequence[str], x: Rows, y: Rows | None) -> Chunk:
        start, stop = part.offset, part.offset + part.n_rows
        chunk = Chunk({}, range(start, stop))
        wanted = [name for name in columns if name != self.target or y is None]
        if wanted:
            chunk = self._features(_native(x(start, stop)), wanted, start)
        if y is not None and self.target in columns:
            chunk = chunk.with_columns({self.target: _native(y(start, stop)).reshape(-1)})
        return chunk.select(columns)

    def _features(self, rows: NDArray[Any], wanted: Sequence[str], start: int) -> Chunk:
        """Views on columns; neighbouring ones stay one block, so that a matrix of them needs no copy."""
        if rows.dtype.names:
            return Chunk({name: rows[name] for name in wanted}, range(start, start + len(rows)))
        matrix = rows.reshape(len(rows), len(self.names))
        at = [self._positions[name] for name in wanted]
        if at == list(range(at[0], at[0] + len(at))):
            return Chunk.from_matrix(matrix[:, at[0] : at[0] + len(at)], wanted, start)
        return Chunk({name: matrix[:, i] for name, i in zip(wanted, at, strict=True)}, range(start, start + len(rows)))

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return tuple(StoredFile(Storage(), one.path) for one in (self.x, self.y) if one is not None)

    def lean(self) -> ArraySource:
        return replace(self)


def _arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    return pa.from_numpy_dtype(dtype.newbyteorder("="))


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """The array in this machine's byte order: itself when it is."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def read_memmap(
    path: str | os.PathLike[str],
    *,
    y: str | os.PathLike[str] | None = None,
    columns: Sequence[str] | None = None,
    target: str = "target",
    dtype: DTypeLike | None = None,
    shape: Sequence[int] | None = None,
    offset: int = 0,
    part_bytes: int = PART_BYTES,
) -> ArraySource:
    """A source over an array on the local disk, mapped into memory: columns are zero-copy views.

    Args:
        path: A .npy file, a file of bare numbers (give dtype and shape), or a directory written by `write_memmap`.
        y: A .npy file of as many values as X has rows; it becomes the column `target`.
        columns: Names for the columns of X (default x0, x1, ...); an array of more dimensions is flattened row by row.
        target: Name for the column of y.
        dtype: Of a file of bare numbers.
        shape: Of a file of bare numbers; rows first.
        offset: Bytes before the numbers begin.
        part_bytes: Bytes of a part, at most.

    Raises:
        SourceError: The file's length is not what header or shape say, it holds Python objects (which are never unpickled),
            or X and y differ in rows. The length is checked again whenever a part is read.

    >>> import bigml
    >>> np.save("X.npy", np.arange(6.0).reshape(3, 2))
    >>> bigml.read_memmap("X.npy").to_pandas()["x1"].tolist()
    [1.0, 3.0, 5.0]
    """
    text = os.fspath(path)
    if os.path.isdir(text):
        if y is not None or columns is not None or dtype is not None or shape is not None:
            raise SourceError("a directory alone", got="y=, columns=, dtype= or shape= as well", where=text, do="Leave them out.")
        return _written(text, part_bytes)
    x = _array(text, dtype, shape, offset)
    return _source(x, _npy(os.fspath(y)) if y is not None else None, columns, target, part_bytes)


def _array(path: str, dtype: DTypeLike | None, shape: Sequence[int] | None, offset: int) -> StoredArray:
    if dtype is not None and shape is not None:
        return raw_array(path, dtype, tuple(shape), offset)
    if dtype is not None or shape is not None or offset:
        raise SourceError("dtype= and shape= together for a file of bare numbers", got="one of them", where=path)
    return _npy(path)


def _npy(path: str) -> StoredArray:
    if os.path.isfile(path):
        with open(path, "rb") as file:
            head = file.read(len(NPY_MAGIC))
        if head != NPY_MAGIC:
            do = "Pass dtype= and shape= for bare numbers; use bigml.read_idx() for IDX files."
            raise SourceError("a .npy file", got=f"one that begins with {head!r}", where=path, do=do)
    return npy_array(path)


def _written(directory: str, part_bytes: int) -> ArraySource:
    """The data set that `write_memmap` made: all old or all new."""
    manifest = finished_files(directory)
    if manifest is None or manifest.kind != "npy":
        got = "one without a manifest" if manifest is None else f"one of {manifest.kind} files"
        raise SourceError("a directory written by write_memmap()", got=got, where=directory)
    x = npy_array(os.path.join(directory, manifest.files[0].path))
    target = manifest.metadata["target"]
    y = npy_array(os.path.join(directory, manifest.attachments[0].path)) if target else None
    return _source(x, y, manifest.metadata["columns"], target or "target", part_bytes)


def read_idx(
    images: str | os.PathLike[str],
    *,
    y: str | os.PathLike[str] | None = None,
    columns: Sequence[str] | None = None,
    target: str = "target",
    part_bytes: int = PART_BYTES,
) -> ArraySource:
    """A source over IDX files, the format of MNIST, plain (mapped) or compressed by gzip (streamed, in one task).

    Args:
        images: The file of X; each row is flattened to columns, `source.item_shape` keeps its shape.
        y: The file of labels, one a row.
        columns: Names for the columns of X (default x0, x1, ...).
        target: Name for the column of y.
        part_bytes: Bytes of a part, at most.

    Raises:
        SourceError: A file is no IDX file, is not as long as its header says, or X and y differ in rows.
    """
    labels = idx_array(os.fspath(y)) if y is not None else None
    return _source(idx_array(os.fspath(images)), labels, columns, target, part_bytes)


def _source(x: StoredArray, y: StoredArray | None, columns: Sequence[str] | None, target: str, part_bytes: int) -> ArraySource:
    names = _names(x, columns)
    if y is not None:
        _check_target(x, y, target, names)
    rows = max(1, min(part_bytes // max(x.row_bytes, 1), MOST_ROWS))
    text = f"{x.stamp} {x} {y.stamp if y else ''} {names} {target} {rows}"
    return ArraySource(x, y, names, target, rows, hashlib.blake2b(text.encode(), digest_size=16).hexdigest())


def _names(x: StoredArray, columns: Sequence[str] | None) -> tuple[str, ...]:
    own = x.dtype.names
    width = len(own) if own else math.prod(x.shape[1:])
    names = tuple(columns) if columns is not None else (own or tuple(f"x{i}" for i in range(width)))
    if len(names) != width or len(set(names)) < width or (own and names != own):
        raise SchemaError(f"{width} different names of columns", got=f"{len(names)}", where=f"for {x.path}")
    return names


def _check_target(x: StoredArray, y: StoredArray, target: str, names: Sequence[str]) -> None:
    if math.prod(y.shape[1:]) != 1 or y.dtype.names:
        raise SourceError("one value of y a row", got=f"shape {y.shape}", where=y.path)
    if y.shape[0] != x.shape[0]:
        raise SourceError(f"as many rows in y as the {x.shape[0]:,} of X", got=f"{y.shape[0]:,}", where=y.path)
    if target in names:
        raise SchemaError("another name for y", got=f"`{target}`, a column of X", where=y.path, do="Pass target=.")
