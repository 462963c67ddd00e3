"""Encoded: columns of Parquet files that are nothing but codes of dictionaries, read as codes.

What is not of the plain kind that most writers write (flat columns, version 1 pages, a dictionary for all values) is left to
pyarrow, and so is what is damaged: it tells what is wrong.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.sources import runs
from bigml.sources.footers import parsed
from bigml.sources.pieces import Piece
from bigml.sources.storage import Storage
from bigml.stats.kernels import frozen

CODECS = {"SNAPPY": "snappy", "ZSTD": "zstd", "GZIP": "gzip", "BROTLI": "brotli", "UNCOMPRESSED": ""}
KINDS = {
    ("DOUBLE", "None"): pa.float64(),
    ("FLOAT", "None"): pa.float32(),
    ("INT32", "None"): pa.int32(),
    ("INT64", "None"): pa.int64(),
    ("INT32", "Int(bitWidth=32, isSigned=true)"): pa.int32(),
    ("INT64", "Int(bitWidth=64, isSigned=true)"): pa.int64(),
    ("BYTE_ARRAY", "String"): pa.string(),
}
"""What is read as codes: a type that is stored, and how it is meant."""
DATA, DICTIONARY = 0, 2
"""Kinds of pages."""
PLAIN, OF_DICTIONARY = (0, 2), (2, 8)
"""Encodings of dictionaries and of codes, of old files and of new ones."""
LEVELS = 3
"""The encoding of levels."""
SHORTEST_PAGE = 64
"""Bytes of a column to each of its pages, at least: shorter ones are not worth it."""
ZEROS = pa.compress(bytes(2 * runs.SLACK), "zstd", asbytes=True)
"""A frame of zeros."""
WORTH = 0.6
"""Stored bytes of numbers, beside those they have in memory, up to which they may all be codes."""


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


def read_coded(storage: Storage, pieces: Sequence[Piece], schema: pa.Schema) -> dict[str, Coded]:
    """The columns of whole row groups that can be read as codes: those of the schema that have its types in all files.

    Holds the stored bytes of one column, and those of one page decompressed, beside the codes.
    """
    names = [field.name for field in schema if field.type in KINDS.values()]
    lying = [_stretches(parsed(storage, piece.path), piece, names) for piece in pieces]
    names = [name for name in names if all(name in one for one in lying)]
    out = {}
    with ExitStack() as stack:
        files = [stack.enter_context(open(piece.path, "rb", buffering=0)).fileno() for piece in pieces] if names else []
        for name in names:
            places = [(file, stretch) for file, one in zip(files, lying, strict=True) for stretch in one[name]]
            found = _joined(places) if all(stretch.kind == schema.field(name).type for _, stretch in places) else None
            if found is not None:
                out[name] = found
    return out


def _stretches(footer: pq.FileMetaData, piece: Piece, names: Sequence[str]) -> dict[str, list[Stretch]]:
    """Where the columns of these names lie: those that may be read as codes."""
    leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
    paths = [leaf.path for leaf in leaves]
    groups = [footer.row_group(group) for group in range(piece.first, piece.last + 1)]
    found = {}
    for name in names:
        at = paths.index(name) if paths.count(name) == 1 else -1
        kind = KINDS.get((leaves[at].physical_type, str(leaves[at].logical_type))) if at >= 0 else None
        if kind is None or leaves[at].max_repetition_level or leaves[at].max_definition_level > 1:
            continue
        columns = [group.column(at) for group in groups]
        whole = sum(column.num_values for column in columns) == piece.n_rows
        if whole and all(_may_be_coded(column, kind, piece.size) for column in columns):
            found[name] = [_stretch(column, leaves[at].max_definition_level == 1, kind) for column in columns]
    return found


def _may_be_coded(column: Any, kind: pa.DataType, size: int) -> bool:
    if not column.has_dictionary_page or column.compression not in CODECS:
        return False
    width = 4 if pa.types.is_string(kind) else kind.bit_width // 8
    is_small = column.total_uncompressed_size <= WORTH * width * column.num_values + (1 << 16)
    return is_small and 0 < column.dictionary_page_offset <= size - column.total_compressed_size


def _stretch(column: Any, optional: bool, kind: pa.DataType) -> Stretch:
    start = column.dictionary_page_offset
    return Stretch(start, column.total_compressed_size, column.num_values, optional, CODECS[column.compression], kind)


def _joined(places: Sequence[tuple[int, Stretch]]) -> Coded | None:
    """The column that lies in these stretches of open files; None where it is not all codes."""
    pages = []
    for file, stretch in places:
        found = Pages.of(stretch, np.frombuffer(os.pread(file, stretch.nbytes, stretch.start), np.uint8))
        if found is None:
            return None
        pages.append(found)
    return coded(pages)


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a stretch, decompressed: the dictionary, then codes.

    Attributes:
        raw: Their bytes, one page behind the other, and more behind them.
        ends: Where each page ends.
        values: How many values each has.
    """

    stretch: Stretch
    raw: NDArray[np.uint8]
    ends: NDArray[np.int64]
    values: NDArray[np.int64]

    @classmethod
    def of(cls, stretch: Stretch, stored: NDArray[np.uint8]) -> Pages | None:
        """None where they are not what is read here."""
        headers = np.empty((2 + stretch.nbytes // SHORTEST_PAGE, runs.FIELDS), np.int64)
        n = runs.find_pages(frozen(stored), headers)
        found = headers[:n] if n > 1 and _is_plain(headers[:n].tolist(), stretch) else None
        raw = None if found is None else _decompressed(stored, found, stretch.codec)
        return None if found is None or raw is None else cls(stretch, raw, found[:, runs.SIZE].cumsum(), found[:, runs.VALUES])

    def dictionary(self) -> pa.Array | None:
        """The values of the dictionary; None where its bytes make no sense."""
        n, kind, raw = int(self.values[0]), self.stretch.kind, self.raw[: self.ends[0]]
        if not pa.types.is_string(kind):
            width = kind.bit_width // 8
            return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(raw[: n * width])]) if len(raw) >= n * width else None
        texts, ends = raw.copy(), np.zeros(n + 1, np.int32)
        if not runs.text_ends(texts, ends):
            return None
        return pa.StringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(texts))

    def decode(self, lookup: NDArray[np.int32], out: NDArray[np.int32]) -> int:
        """Write the place of each row's value, -1 for null; how many are null, -1 where bytes make no sense.

        Args:
            lookup: The place of each value of the dictionary.
        """
        pages = np.column_stack([self.ends[:-1], self.ends[1:], self.values[1:]])
        return int(runs.decode_pages(frozen(self.raw), frozen(pages), self.stretch.optional, frozen(lookup), out))


def _is_plain(headers: Sequence[Sequence[int]], stretch: Stretch) -> bool:
    """Whether these are headers of a dictionary's page and of pages of codes for all rows."""
    first, *rest = headers
    if first[runs.KIND] != DICTIONARY or first[runs.ENCODING] not in PLAIN or not 0 <= first[runs.VALUES] <= first[runs.SIZE]:
        return False
    coded = all(page[runs.KIND] == DATA and page[runs.ENCODING] in OF_DICTIONARY and page[runs.VALUES] >= 0 for page in rest)
    levelled = not stretch.optional or all(page[runs.LEVELS] == LEVELS for page in rest)
    return coded and levelled and sum(page[runs.VALUES] for page in rest) == stretch.n_rows


def _decompressed(stored: NDArray[np.uint8], headers: NDArray[np.int64], codec: str) -> NDArray[np.uint8] | None:
    """The bytes of all pages, and at least `runs.SLACK` more, a multiple of 8 in all; None where they are damaged."""
    places = headers[:, (runs.START, runs.STORED)].tolist()
    pages = [stored[start : start + nbytes].data for start, nbytes in places]
    checksums = headers[:, (runs.HAS_CHECKSUM, runs.CHECKSUM)].tolist()
    if any(has and zlib.crc32(page) != checksum for page, (has, checksum) in zip(pages, checksums, strict=True)):
        return None
    size, sizes = int(headers[:, runs.SIZE].sum()), headers[:, runs.SIZE].tolist()
    try:
        if codec == "zstd":
            # Frames that follow each other are one stream: they are decompressed at once, and zeros behind them.
            raw = pa.decompress(b"".join([*pages, ZEROS]), size + 2 * runs.SLACK, codec)
        else:
            plain = [_plain(page, nbytes, codec) for page, nbytes in zip(pages, sizes, strict=True)]
            raw = pa.py_buffer(b"".join([*plain, bytes(2 * runs.SLACK)]))
    except (pa.ArrowException, OSError, ValueError):
        return None
    return np.frombuffer(raw, np.uint8)[: (size + 2 * runs.SLACK) // 8 * 8] if len(raw) == size + 2 * runs.SLACK else None


def _plain(page: memoryview, nbytes: int, codec: str) -> Any:
    return pa.decompress(page, nbytes, codec) if codec and nbytes else page


def _room(nbytes: int) -> NDArray[np.uint8]:
    """Bytes of any content, of Arrow's memory: what was given back is used again, where numpy's would be zeroed by the system."""
    return np.frombuffer(pa.allocate_buffer(nbytes), np.uint8)


def coded(pages: Sequence[Pages]) -> Coded | None:
    """The column of these pages one after the other; None where bytes make no sense, which pyarrow will tell."""
    found = [one.dictionary() for one in pages]
    dictionaries = [one for one in found if one is not None]
    if len(dictionaries) < len(pages):
        return None
    united = pa.concat_arrays(dictionaries).dictionary_encode()
    lookup = united.indices.to_numpy()
    codes = _room(4 * sum(one.stretch.n_rows for one in pages)).view(np.int32)
    at = place = nulls = 0
    for one, dictionary in zip(pages, dictionaries, strict=True):
        places, rows = lookup[place : place + len(dictionary)], codes[at : at + one.stretch.n_rows]
        missing = one.decode(places, rows)
        if missing < 0:
            return None
        nulls, at, place = nulls + missing, at + len(rows), place + len(dictionary)
    return Coded(frozen(codes), united.dictionary, nulls)
