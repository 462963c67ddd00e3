"""Leaf file: a JSON header and flat arrays in one file that appears when it is whole, and is checked when it is read.

The layout: the line `MAGIC`; eight bytes, little-endian, with the length of the header; the header as JSON; the arrays, numbers
as they lie in memory, Arrow arrays and tables as IPC streams; last the SHA-256 of all that. Nothing in it is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bigml.errors import BigmlError, SourceError
from bigml.sources.atomic import AtomicFile, flush_directory
from bigml.stats.leaves import PLAIN

MAGIC = b"bigml statistic\n"
VERSION = 1
"""Of the layout, and of what the numbers of states mean."""
DIGEST = hashlib.sha256().digest_size
BROKEN = (
    BigmlError,
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
"""What a file that is whole but makes no sense may raise."""
AGAIN = "Compute the statistic anew, or take a copy of the file."


def write(path: Path, header: Mapping[str, Any], arrays: Sequence[Any]) -> None:
    """Write the file: a reader sees the old one or all of the new one.

    Raises:
        WriteError: The disk does not take it; what stood there before still stands.
    """
    blobs = [_blob(array) for array in arrays]
    text = json.dumps({"version": VERSION, **header, "arrays": [kind for kind, _ in blobs]}).encode()
    digest = hashlib.sha256()
    with AtomicFile(path) as file:
        for piece in (MAGIC, len(text).to_bytes(8, "little"), text, *(blob for _, blob in blobs)):
            digest.update(piece)
            file.write(piece)
        file.write(digest.digest())
    flush_directory(path.parent)


def _blob(array: Any) -> tuple[dict[str, Any], Any]:
    """How an array is read again, and its bytes."""
    if isinstance(array, np.ndarray):
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return {"dtype": plain.dtype.str, "shape": array.shape, "nbytes": plain.nbytes}, plain.tobytes()
    is_table = isinstance(array, pa.Table)
    table = array if is_table else pa.table({"values": array})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    blob = sink.getvalue().to_pybytes()
    return {"table": is_table, "nbytes": len(blob)}, blob


def read(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The header and the arrays.

    Raises:
        SourceError: There is no such file, or it is of another kind, damaged, cut short or of a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        got = f"{error.strerror or error}".lower().removeprefix("is ")
        raise SourceError("a saved statistic", got=got, where=f"{path}") from error
    _check(content, path)
    with rebuilding(path):
        return _parsed(memoryview(content)[len(MAGIC) : -DIGEST], path)


def _check(content: bytes, path: Path) -> None:
    if not content.startswith(MAGIC):
        got = "another kind of file" if content else "an empty file"
        do = "`plan.keep().save(path)` writes one. It may also have been damaged."
        raise SourceError("a saved statistic", got=got, where=f"{path}", do=do)
    if hashlib.sha256(memoryview(content)[:-DIGEST]).digest() != content[-DIGEST:]:
        raise SourceError("a whole saved statistic", got="one that was damaged or cut short", where=f"{path}", do=AGAIN)


@contextmanager
def rebuilding(path: Path) -> Iterator[None]:
    """Whatever fails here is told as a file that cannot be rebuilt.

    Raises:
        SourceError: Something failed.
    """
    try:
        yield
    except SourceError:
        raise
    except BROKEN as error:
        what = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        wanted, got = "a saved statistic that this version of bigml rebuilds", f"another one ({what})"
        raise SourceError(wanted, got=got, where=f"{path}", do=AGAIN) from error


def _parsed(content: memoryview, path: Path) -> tuple[dict[str, Any], list[Any]]:
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    if header["version"] != VERSION:
        do = "Update bigml, or save it again with this version."
        raise SourceError(f"a saved statistic of version {VERSION}", got=f"version {header['version']}", where=f"{path}", do=do)
    return header, list(_arrays(header["arrays"], content[start:]))


def _arrays(kinds: Sequence[Mapping[str, Any]], content: memoryview) -> Iterator[Any]:
    start = 0
    for kind in kinds:
        stop = start + kind["nbytes"]
        yield _array(kind, content[start:stop])
        start = stop
    if start != len(content):
        raise ValueError("more or fewer bytes than its arrays have")


def _array(kind: Mapping[str, Any], blob: memoryview) -> Any:
    if "dtype" not in kind:
        table = pa.ipc.open_stream(pa.py_buffer(bytes(blob))).read_all()
        table.validate(full=True)
        return table if kind["table"] else table.column(0).combine_chunks()
    dtype = np.dtype(kind["dtype"])
    if dtype.kind not in PLAIN:
        raise ValueError(f"an array of {dtype}")
    return np.frombuffer(blob, dtype).astype(dtype.newbyteorder("="), copy=True).reshape(kind["shape"])
