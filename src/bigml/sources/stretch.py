"""Stretch: a column in one row group of a file, and the pages of one stretch or several as the codes that these hold."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.sources import runs
from bigml.stats.kernels import frozen, room

Headers: TypeAlias = NDArray[np.int64]
"""Of shape (n_pages, runs.FIELDS): of each stretch the dictionary's page, then pages of codes."""

SHORTEST_PAGE = 64
"""Bytes of a column to each of its pages, at least: shorter ones are not worth it."""
MOST_MORE = 1 << 16
"""Rows around a slice that may be decoded with it, since pages are decoded whole."""
FEW_VALUES = 1 << 12
"""Different values that are always few; beside more rows an eighth of them."""
ZEROS = np.frombuffer(pa.compress(bytes(2 * runs.SLACK), "zstd", asbytes=True), np.uint8)
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


def headers_of(stretches: Sequence[Stretch], stored: NDArray[np.uint8]) -> Headers | None:
    """Of the pages in the bytes of stretches; None where they are not dictionaries and codes for all rows."""
    ends = np.cumsum([one.nbytes for one in stretches])
    found = np.zeros((2 * len(stretches) + int(ends[-1]) // SHORTEST_PAGE, runs.FIELDS), np.int64)
    n = runs.find_pages(frozen(stored[: ends[-1]]), frozen(ends), np.zeros(runs.DEEPEST, np.int64), found)
    return found[:n] if n > 0 and _are_coded(found[:n], stretches) else None


def _are_coded(headers: Headers, stretches: Sequence[Stretch]) -> bool:
    """Whether each stretch is a page of a dictionary and then pages of codes for all its rows."""
    is_first = np.diff(headers[:, runs.STRETCH], prepend=-1) > 0
    if not np.array_equal(headers[:, runs.KIND], np.where(is_first, runs.DICTIONARY, runs.DATA)):
        return False
    dictionaries, codes = headers[is_first], headers[~is_first]
    optional = np.array([one.optional for one in stretches])[codes[:, runs.STRETCH]]
    rows = np.bincount(codes[:, runs.STRETCH], codes[:, runs.VALUES], len(stretches))
    return bool(
        np.array_equal(rows, [one.n_rows for one in stretches])
        and headers[:, runs.VALUES].min() >= 0
        and (dictionaries[:, runs.VALUES] <= dictionaries[:, runs.SIZE]).all()
        and _are_among(dictionaries[:, runs.ENCODING], runs.PLAIN, runs.PLAIN_DICTIONARY)
        and _are_among(codes[:, runs.ENCODING], runs.PLAIN_DICTIONARY, runs.RUNS_OF_CODES)
        and (codes[optional, runs.LEVELS] == runs.RUNS).all()
    )


def _are_among(numbers: NDArray[np.int64], one: int, other: int) -> bool:
    return bool(((numbers == one) | (numbers == other)).all())


def sliced(headers: Headers, rows: slice) -> tuple[Headers, slice] | None:
    """The pages of one stretch that hold these rows, and where among theirs these are; None where they hold many more."""
    ends = headers[1:, runs.VALUES].cumsum()
    first, last = int(np.searchsorted(ends, rows.start, "right")), int(np.searchsorted(ends, rows.stop))
    skipped = int(ends[first - 1]) if first else 0
    if int(ends[last]) - skipped > 2 * (rows.stop - rows.start) + MOST_MORE:
        return None
    return headers[[0, *range(first + 1, last + 2)]], slice(rows.start - skipped, rows.stop - skipped)


def decoded(stretches: Sequence[Stretch], headers: Headers, stored: NDArray[np.uint8]) -> Coded | None:
    """The column in the pages of stretches, one after the other.

    None where they are damaged, which pyarrow will tell, or where values are many: they would have to be told apart.

    Args:
        headers: Of the pages, all of them or not.
        stored: Their bytes, and maybe others.
    """
    is_code, ends = headers[:, runs.KIND] == runs.DATA, headers[:, runs.SIZE].cumsum()
    dictionaries, codes = headers[~is_code], headers[is_code]
    counts, rows = dictionaries[:, runs.VALUES], codes[:, runs.VALUES]
    if counts.sum() > FEW_VALUES + rows.sum() // 8:
        return None
    raw = _decompressed(headers, stored, {one.codec for one in stretches})
    values = None if raw is None else _dictionary(raw, dictionaries, ends[~is_code], stretches[0].kind)
    if raw is None or values is None:
        return None
    united = values.dictionary_encode()
    lookup, bits, begins = _lookup(counts, united.indices.to_numpy())
    of, levels = codes[:, runs.STRETCH], np.array([one.optional for one in stretches])
    last = ends[is_code]
    pages = np.column_stack([last - codes[:, runs.SIZE], last, rows, levels[of], bits[of], begins[of]])
    most, out = int(rows.max(initial=0)), room(int(rows.sum()), np.int32)
    scratch = room(most, np.int32), room(most + 8, np.int32)
    nulls = runs.decode_pages((frozen(raw), frozen(raw.view(np.uint64))), frozen(pages), frozen(lookup), scratch, out)
    return Coded(frozen(out), united.dictionary, int(nulls)) if nulls >= 0 else None


def _lookup(counts: NDArray[np.int64], found: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What `runs.decode_pages` looks up, found[i] for the i-th value of all dictionaries; by dictionary bits and where it begins.

    Args:
        counts: Values of each dictionary.
    """
    bits = np.array([n.bit_length() for n in counts.tolist()])
    ends = np.cumsum(1 << bits)
    begins, lookup = ends - (1 << bits), np.full(ends[-1], -1, np.int32)
    lookup[np.arange(len(found)) + np.repeat(begins - (counts.cumsum() - counts), counts)] = found
    return lookup, bits, begins


def _decompressed(headers: Headers, stored: NDArray[np.uint8], codecs: set[str]) -> NDArray[np.uint8] | None:
    """The bytes of all pages, and at least `runs.SLACK` more, a multiple of 8 in all; None where they are damaged."""
    codec, *others = codecs
    places = headers[:, (runs.START, runs.STORED)].tolist()
    pages = [stored[start : start + nbytes] for start, nbytes in places]
    checksums = headers[:, runs.CHECKSUM].tolist()
    if others or not all(map(_is_whole, pages, checksums)):
        return None
    sizes = headers[:, runs.SIZE].tolist()
    size = sum(sizes) + 2 * runs.SLACK
    try:
        if codec == "zstd":
            # Frames that follow each other are one stream: they are decompressed at once, and zeros behind them.
            frames = room(sum(map(len, pages)) + len(ZEROS), np.uint8)
            raw = pa.decompress(np.concatenate([*pages, ZEROS], out=frames), size, codec)
        else:
            plain: list[Any] = [
                pa.decompress(page, n, codec) if codec and n else page for page, n in zip(pages, sizes, strict=True)
            ]
            raw = pa.py_buffer(b"".join([*plain, bytes(2 * runs.SLACK)]))
    except (pa.ArrowException, OSError, ValueError):
        return None
    return np.frombuffer(raw, np.uint8)[: size // 8 * 8] if len(raw) == size else None


def _is_whole(page: NDArray[np.uint8], checksum: int) -> bool:
    return checksum == runs.NO_CHECKSUM or zlib.crc32(page.data) == checksum & 0xFFFFFFFF


def _dictionary(raw: NDArray[np.uint8], headers: Headers, ends: NDArray[np.int64], kind: pa.DataType) -> pa.Array | None:
    """The values of dictionaries whose bytes end there, one after the other; None where their bytes make no sense."""
    sizes, n = headers[:, runs.SIZE], int(headers[:, runs.VALUES].sum())
    used = sizes if pa.types.is_string(kind) else headers[:, runs.VALUES] * (kind.bit_width // 8)
    if np.any(used > sizes):
        return None
    begins = ends - sizes
    values = np.concatenate([raw[at : at + nbytes] for at, nbytes in zip(begins.tolist(), used.tolist(), strict=True)])
    if not pa.types.is_string(kind):
        return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(values)])
    places = np.zeros(n + 1, np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(places), pa.py_buffer(values)) if runs.text_ends(values, places) else None
