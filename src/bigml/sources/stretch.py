"""Stretch: a column in one row group of a file, and the pages of one stretch or several as the codes that these hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.sources import runs
from bigml.stats.kernels import frozen

Headers: TypeAlias = NDArray[np.int64]
"""Of shape (n_pages, runs.FIELDS): of each stretch the dictionary's page, then pages of codes."""
Read: TypeAlias = Callable[[int, int], bytes | memoryview]
"""Gives so many bytes from a place among those of all stretches, fewer where they end."""

SHORTEST_PAGE = 64
"""Bytes of a column to each of its pages, at least: shorter ones are not worth it."""
MOST_MORE = 1 << 16
"""Rows around a slice that may be decoded with it, since pages are decoded whole."""
ZEROS = pa.compress(bytes(2 * runs.SLACK), "zstd", asbytes=True)
"""A frame of zeros."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A column in one row group of a file.

    Attributes:
        start: Where its bytes begin in the file.
        nbytes: How many there are.
        n_rows: Its values, null or not.
        optional: Whether values can be null.
        codec: How pages are compressed, none if empty.
        kind: The type of the values.
    """

    start: int
    nbytes: int
    n_rows: int
    optional: bool
    codec: str
    kind: pa.DataType


def headers_of(stretches: Sequence[Stretch], stored: bytes) -> Headers | None:
    """Of the pages in the bytes of stretches; None where they are not dictionaries and codes for all rows."""
    ends = np.cumsum([one.nbytes for one in stretches])
    if ends[-1] != len(stored):
        return None
    found = np.empty((2 * len(stretches) + len(stored) // SHORTEST_PAGE, runs.FIELDS), np.int64)
    n = runs.find_pages(frozen(np.frombuffer(stored, np.uint8)), frozen(ends), found)
    rows, optional = np.array([one.n_rows for one in stretches]), np.array([one.optional for one in stretches])
    return found[:n] if n > 0 and runs.are_coded(frozen(found[:n]), frozen(rows), frozen(optional)) else None


def sliced(headers: Headers, rows: slice) -> tuple[Headers, slice] | None:
    """The pages of one stretch that hold these rows, and where among theirs these are; None where they hold many more."""
    ends = headers[1:, runs.VALUES].cumsum()
    first, last = int(np.searchsorted(ends, rows.start, "right")), int(np.searchsorted(ends, rows.stop))
    skipped = int(ends[first - 1]) if first else 0
    if int(ends[last]) - skipped > 2 * (rows.stop - rows.start) + MOST_MORE:
        return None
    return headers[[0, *range(first + 1, last + 2)]], slice(rows.start - skipped, rows.stop - skipped)


def decoded(stretches: Sequence[Stretch], headers: Headers, read: Read) -> Coded | None:
    """The column in the pages of stretches, one after the other; None where they are damaged, which pyarrow will tell.

    Args:
        headers: Of the pages, all of them or not.
    """
    raw = _decompressed(headers, read, {one.codec for one in stretches})
    if raw is None:
        return None
    ends, is_dictionary = headers[:, runs.SIZE].cumsum(), headers[:, runs.KIND] == runs.DICTIONARY
    begins, values = ends - headers[:, runs.SIZE], headers[:, runs.VALUES]
    dictionaries = [raw[a:b] for a, b in zip(begins[is_dictionary].tolist(), ends[is_dictionary].tolist(), strict=True)]
    found = _dictionary(dictionaries, values[is_dictionary], stretches[0].kind)
    if found is None:
        return None
    of, last = headers[~is_dictionary, runs.STRETCH], values[is_dictionary].cumsum()
    optional = np.array([one.optional for one in stretches])[of]
    places = last[of] - values[is_dictionary][of], last[of]
    pages = np.column_stack([begins[~is_dictionary], ends[~is_dictionary], values[~is_dictionary], optional, *places])
    united = found.dictionary_encode()
    codes = _room(4 * int(values[~is_dictionary].sum())).view(np.int32)
    nulls = runs.decode_pages(frozen(raw), frozen(pages), frozen(united.indices.to_numpy()), codes)
    return Coded(frozen(codes), united.dictionary, int(nulls)) if nulls >= 0 else None


def _decompressed(headers: Headers, read: Read, codecs: set[str]) -> NDArray[np.uint8] | None:
    """The bytes of all pages, and at least `runs.SLACK` more, a multiple of 8 in all; None where they are damaged."""
    codec, *others = codecs
    pages = [read(start, nbytes) for start, nbytes in headers[:, (runs.START, runs.STORED)].tolist()]
    checksums = headers[:, (runs.HAS_CHECKSUM, runs.CHECKSUM)].tolist()
    if others or any(has and zlib.crc32(page) != checksum for page, (has, checksum) in zip(pages, checksums, strict=True)):
        return None
    sizes = headers[:, runs.SIZE].tolist()
    size = sum(sizes) + 2 * runs.SLACK
    try:
        if codec == "zstd":
            # Frames that follow each other are one stream: they are decompressed at once, and zeros behind them.
            raw = pa.decompress(b"".join([*pages, ZEROS]), size, codec)
        else:
            plain = [pa.decompress(page, n, codec) if codec and n else page for page, n in zip(pages, sizes, strict=True)]
            raw = pa.py_buffer(b"".join([*plain, bytes(2 * runs.SLACK)]))
    except (pa.ArrowException, OSError, ValueError):
        return None
    return np.frombuffer(raw, np.uint8)[: size // 8 * 8] if len(raw) == size else None


def _dictionary(pages: Sequence[NDArray[np.uint8]], counts: NDArray[np.int64], kind: pa.DataType) -> pa.Array | None:
    """The values in the pages of dictionaries, one after the other; None where their bytes make no sense."""
    n = int(counts.sum())
    if pa.types.is_string(kind):
        texts, ends = np.concatenate(pages), np.zeros(n + 1, np.int32)
        return pa.StringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(texts)) if runs.text_ends(texts, ends) else None
    widths = (counts * (kind.bit_width // 8)).tolist()
    if any(len(page) < width for page, width in zip(pages, widths, strict=True)):
        return None
    values = np.concatenate([page[:width] for page, width in zip(pages, widths, strict=True)])
    return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(values)])


def _room(nbytes: int) -> NDArray[np.uint8]:
    """Bytes of any content, of Arrow's memory: what was given back is used again, where numpy's would be zeroed by the system."""
    return np.frombuffer(pa.allocate_buffer(nbytes), np.uint8)
