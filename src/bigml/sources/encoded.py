"""Encoded: columns of Parquet files that are nothing but codes of dictionaries, read as codes.

What is not of the plain kind that most writers write (flat columns, version 1 pages, a dictionary for all values) is left to
pyarrow, and so is what is damaged: it tells what is wrong.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bigml.coded import Coded
from bigml.sources import runs
from bigml.sources.footers import layout, parsed
from bigml.sources.pieces import Piece
from bigml.sources.storage import Storage
from bigml.sources.stretch import Headers, Stretch, decoded, headers_of, sliced
from bigml.stats.kernels import room

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
WORTH = 0.6
"""Stored bytes of numbers, beside those they have in memory, up to which they may all be codes."""
MOST_SLICED = 8 << 20
"""Stored bytes of a column in a row group up to which it is read in slices: they are read whole to find its pages."""


class CodeReader:
    """Reads columns of local files as codes. For one thread.

    Holds the stored bytes of one column of a part, and those of its pages decompressed, beside the codes.

    Args:
        schema: The columns that may be read, and the types that they must have.
    """

    def __init__(self, storage: Storage, schema: pa.Schema) -> None:
        self._storage = storage
        self._kinds = {field.name: field.type for field in schema if field.type in KINDS.values()}
        self._headers: dict[tuple[str, Stretch], Headers | None] = {}
        self._told: tuple[str, dict[str, tuple[int, bool]]] = ("", {})

    def read(self, pieces: Sequence[Piece]) -> dict[str, Coded]:
        """Those of the columns that can be read as codes in all pieces, one piece after the other."""
        lying = [dict(self._lying(piece)) for piece in pieces]
        names = [name for name in self._kinds if all(name in one for one in lying)]
        if pieces[0].start in {None, 0}:
            self._headers.clear()
        out = {}
        with ExitStack() as stack:
            files = [stack.enter_context(open(piece.path, "rb", buffering=0)).fileno() for piece in pieces] if names else []
            for name in names:
                places = [(file, stretch) for file, one in zip(files, lying, strict=True) for stretch in one[name]]
                found = self._whole(places) if pieces[0].start is None else self._slice(*places[0], pieces[0])
                if found is None:
                    # Not to be tried again in the parts that follow: what is read for nothing takes time too.
                    self._kinds.pop(name)
                else:
                    out[name] = found
        return out

    def _lying(self, piece: Piece) -> Iterator[tuple[str, list[Stretch]]]:
        """Where in the row groups of a piece columns lie that may be read as codes."""
        footer: pq.FileMetaData = parsed(self._storage, piece.path)
        groups = [footer.row_group(group) for group in range(piece.first, piece.last + 1)]
        for name, (at, optional) in self._flat(footer.schema).items():
            if name not in self._kinds:
                continue
            columns, kind = [group.column(at) for group in groups], self._kinds[name]
            n_rows = sum(column.num_values for column in columns)
            whole = n_rows == piece.n_rows if piece.start is None else n_rows >= piece.start + piece.n_rows
            if whole and all(_may_be_coded(column, kind, piece) for column in columns):
                yield name, [_stretch(column, optional, kind) for column in columns]

    def _flat(self, schema: pq.ParquetSchema) -> dict[str, tuple[int, bool]]:
        """The positions of flat columns of our types, and whether their values can be null; of equal schemas told once."""
        told = layout(schema)
        if self._told[0] != told:
            leaves = [schema.column(i) for i in range(len(schema))]
            found = {leaf.path: (at, leaf.max_definition_level == 1) for at, leaf in enumerate(leaves) if self._is_ours(leaf)}
            once = Counter(leaf.path for leaf in leaves)
            self._told = told, {name: place for name, place in found.items() if once[name] == 1}
        return self._told[1]

    def _is_ours(self, leaf: Any) -> bool:
        kind = self._kinds.get(leaf.path)
        stored = KINDS.get((leaf.physical_type, str(leaf.logical_type)))
        return kind is not None and stored == kind and leaf.max_repetition_level == 0 and leaf.max_definition_level <= 1

    def _whole(self, places: Sequence[tuple[int, Stretch]]) -> Coded | None:
        stretches = [stretch for _, stretch in places]
        stored = _read([(file, stretch.start, stretch.nbytes) for file, stretch in places])
        headers = None if stored is None else headers_of(stretches, stored)
        return None if stored is None or headers is None else decoded(stretches, headers, stored)

    def _slice(self, file: int, stretch: Stretch, piece: Piece) -> Coded | None:
        key, start = (piece.path, stretch), piece.start or 0
        if key not in self._headers:
            whole = _read([(file, stretch.start, stretch.nbytes)])
            self._headers[key] = None if whole is None else headers_of([stretch], whole)
        headers = self._headers[key]
        chosen = None if headers is None else sliced(headers, slice(start, start + piece.n_rows))
        if chosen is None:
            return None
        pages, rows = chosen
        begin, end = int(pages[1, runs.START]), int(pages[-1, runs.START] + pages[-1, runs.STORED])
        first = int(pages[0, runs.START] + pages[0, runs.STORED])
        stored = _read([(file, stretch.start, first), (file, stretch.start + begin, end - begin)])
        pages[1:, runs.START] += first - begin
        found = None if stored is None else decoded([stretch], pages, stored)
        return None if found is None else found.slice(rows.start, rows.stop)


def _read(places: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8] | None:
    """The bytes at places (file, start, how many), one after the other; None where a file ends before."""
    stored = room(sum(nbytes for _, _, nbytes in places), np.uint8)
    at = 0
    for file, start, nbytes in places:
        if os.preadv(file, [stored[at : at + nbytes].data], start) < nbytes:
            return None
        at += nbytes
    return stored


def _may_be_coded(column: Any, kind: pa.DataType, piece: Piece) -> bool:
    nbytes = column.total_compressed_size
    if not column.has_dictionary_page or column.compression not in CODECS or (piece.start is not None and nbytes > MOST_SLICED):
        return False
    width = 4 if pa.types.is_string(kind) else kind.bit_width // 8
    is_small = column.total_uncompressed_size <= WORTH * width * column.num_values + (1 << 16)
    return is_small and 0 < column.dictionary_page_offset <= piece.size - nbytes


def _stretch(column: Any, optional: bool, kind: pa.DataType) -> Stretch:
    start = column.dictionary_page_offset
    return Stretch(start, column.total_compressed_size, column.num_values, optional, CODECS[column.compression], kind)
