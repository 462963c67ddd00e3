"""StoredArray: a plain array in a local file (.npy, raw bytes, IDX), whose rows are mapped or streamed, never unpickled."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bigml.errors import SourceError

NPY_MAGIC = b"\x93NUMPY"
GZIP_MAGIC = b"\x1f\x8b"
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
IDX_REMEDY = "Use bigml.read_memmap() for other arrays."
BLOCK = 1 << 20

Rows = Callable[[int, int], NDArray[Any]]
"""`rows(start, stop)`: an array of shape (stop - start, ...)."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its bytes begin at `offset`, in row-major order unless `fortran`, perhaps compressed by gzip."""

    path: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int = 0
    fortran: bool = False
    zipped: bool = False

    @property
    def expected_bytes(self) -> int:
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def stamp(self) -> str:
        found = os.stat(self.path)
        return f"{self.path} {found.st_size} {found.st_mtime_ns}"

    def check(self) -> None:
        """Compare the file's length with the shape.

        Raises:
            SourceError: It is shorter or longer, or gone.
        """
        size = _unzipped_size(self.path, self.expected_bytes) if self.zipped else _size(self.path)
        if size == self.expected_bytes:
            return
        raise SourceError(
            f"{self.expected_bytes:,} bytes for shape {self.shape} of {self.dtype} from byte {self.offset}",
            got=f"{size:,} bytes",
            where=self.path,
            do="Check dtype, shape and offset, or write the file again.",
        )

    @contextmanager
    def opened(self) -> Iterator[Rows]:
        """A function that gives rows: views on the mapped file, or copies of a compressed one."""
        if not self.zipped:
            yield self._mapped
            return
        with gzip.open(self.path) as stream:
            yield _Streamed(self, stream)

    def _mapped(self, start: int, stop: int) -> NDArray[Any]:
        """Views on the file; its length is checked first, since reading a map beyond the end of its file kills the process."""
        self.check()
        if stop <= start or not self.row_bytes:
            return np.empty((stop - start, *self.shape[1:]), self.dtype)
        if self.fortran:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order="F")[start:stop]
        shape = (stop - start, *self.shape[1:])
        return np.memmap(self.path, self.dtype, "r", self.offset + start * self.row_bytes, shape)


class _Streamed:
    """Rows of a compressed array; going forward costs nothing twice, going back begins anew."""

    def __init__(self, array: StoredArray, stream: gzip.GzipFile) -> None:
        self._array, self._stream = array, stream

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        array = self._array
        wanted = (stop - start) * array.row_bytes
        try:
            self._stream.seek(array.offset + start * array.row_bytes)
            data = self._stream.read(wanted)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError("a whole gzip file", got=f"{error}", where=array.path, do="Fetch it again.") from error
        if len(data) != wanted:
            raise SourceError(f"{wanted:,} bytes for rows {start:,} to {stop:,}", got=f"{len(data):,}", where=array.path)
        return np.frombuffer(data, array.dtype).reshape(stop - start, *array.shape[1:])


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError as error:
        raise SourceError("a file", got="nothing there", where=path) from error


def _unzipped_size(path: str, expected: int) -> int:
    """The length that the gzip trailer claims; counted by decompressing when it claims another than expected."""
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        if struct.unpack("<I", file.read(4))[0] == expected % (1 << 32):
            return expected
    size = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(BLOCK):
                size += len(block)
    except (OSError, EOFError, zlib.error):
        return size
    return size


def npy_array(path: str) -> StoredArray:
    """The array of a .npy file, from its header.

    Raises:
        SourceError: It is no .npy file, holds Python objects (which are never unpickled), or has another length.
    """
    with _open(path) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(file)
        except KeyError as error:
            raise SourceError("a .npy file of version 1 or 2", got=f"version {error}", where=path) from error
        except (ValueError, SyntaxError, TokenError) as error:
            raise SourceError("a .npy file", got=f"a damaged header ({error})", where=path) from error
        return checked(StoredArray(path, dtype, shape, file.tell(), fortran))


def raw_array(path: str, dtype: DTypeLike, shape: tuple[int, ...], offset: int) -> StoredArray:
    """The array of a file of bare numbers.

    Raises:
        SourceError: The file's length is not that of the shape.
    """
    _size(path)
    return checked(StoredArray(path, np.dtype(dtype), tuple(shape), offset))


def idx_array(path: str) -> StoredArray:
    """The array of an IDX file, plain or compressed by gzip.

    Raises:
        SourceError: It is no IDX file, or its length is not that in its header.
    """
    with _open(path) as file:
        zipped = file.read(2) == GZIP_MAGIC
    with gzip.open(path) if zipped else _open(path) as file:
        try:
            head = file.read(4)
            dtype = np.dtype(IDX_TYPES[head[2]])
            shape = struct.unpack(f">{head[3]}I", file.read(4 * head[3]))
        except (KeyError, IndexError, struct.error, OSError, EOFError, zlib.error) as error:
            raise SourceError("an IDX file", got=f"one without its header ({error})", where=path, do=IDX_REMEDY) from error
    if head[:2] != b"\0\0":
        raise SourceError("an IDX file", got=f"one that begins with {head!r}", where=path, do=IDX_REMEDY)
    return checked(StoredArray(path, dtype, shape, 4 + 4 * len(shape), zipped=zipped))


def _open(path: str) -> Any:
    try:
        return open(path, "rb")
    except OSError as error:
        raise SourceError("a file", got=f"{error.strerror}", where=path) from error


def checked(array: StoredArray) -> StoredArray:
    """The array, after checks of its type, dimensions and length."""
    kinds = [array.dtype[name] for name in array.dtype.names] if array.dtype.names else [array.dtype]
    if any(kind.kind not in "biuf" for kind in kinds):
        do = "Python objects are never unpickled; text belongs in Parquet files."
        raise SourceError("numbers or booleans", got=f"dtype {array.dtype}", where=array.path, do=do)
    if not array.shape:
        raise SourceError("an array of one dimension or more", got="a single value", where=array.path)
    array.check()
    return array
