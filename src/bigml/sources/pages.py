"""PageReader: the rows of pieces, decoded; one open file at a time, one row group's slices through one iterator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bigml.chunk import Array
from bigml.coded import Coded
from bigml.errors import BigmlError, SourceError
from bigml.sources.footers import opened, reason
from bigml.sources.pieces import Piece
from bigml.sources.schemas import is_text
from bigml.sources.storage import Storage

ENCODED = "bigml.sources.encoded"
"""Where columns are read as codes: its loops are compiled by numba, which takes a while to import."""
STREAM_BUFFER = 1 << 20
"""Compressed bytes of a column held at once while a large row group is read in slices."""


class PageReader:
    """Reads pieces in order; a file stays open while pieces of it follow each other. For one thread.

    Args:
        storage: Where the files are.
        schema: The columns to read and the types to give them.
        dictionaries: Text columns to read as Arrow dictionaries.
        coded: Whether columns may be read as codes, those of local files.
    """

    def __init__(self, storage: Storage, schema: pa.Schema, dictionaries: frozenset[str], *, coded: bool = False) -> None:
        self._storage = storage
        codable = pa.schema([field for field in schema if not is_text(field.type) or field.name in dictionaries])
        self._codes = import_module(ENCODED).CodeReader(storage, codable) if coded and storage.is_local else None
        self._dictionaries = [name for name in schema.names if name in dictionaries]
        self._schema = pa.schema([_encoded(field, dictionaries) for field in schema])
        self._file: pq.ParquetFile | None = None
        self._key: tuple[str, bool] | None = None
        self._slices: _Slices | None = None

    def read(self, pieces: Sequence[Piece]) -> dict[str, Array | Coded]:
        """The columns of a part's pieces, one piece after the other, in the schema's types; text as dictionaries where asked.

        Raises:
            SourceError: A file is gone, was changed, is damaged, or holds a value that its type cannot take.
        """
        found = self._as_codes(pieces)
        rest = pa.schema([field for field in self._schema if field.name not in found])
        if rest.names:
            tables = [self._piece(piece, rest) for piece in pieces]
            table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
            found |= zip(rest.names, table.columns, strict=True)
        return found

    def _as_codes(self, pieces: Sequence[Piece]) -> dict[str, Array | Coded]:
        if self._codes is None:
            return {}
        for piece in pieces:
            _check_unchanged(self._storage, piece)
        try:
            found: dict[str, Array | Coded] = self._codes.read(pieces)
        except (pa.ArrowException, OSError, IndexError, OverflowError):
            # The file is gone, damaged or another one: reading it as ever tells of that.
            return {}
        return found

    def _piece(self, piece: Piece, schema: pa.Schema) -> pa.Table:
        file = self._opened(piece)
        try:
            read = self._whole if piece.start is None else self._sliced
            table = read(file, piece, schema.names)
            out = _conformed(table, schema)
        except BigmlError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            do = "The file is damaged, or its values do not fit the types: write it again, or pass types=."
            raise SourceError("readable rows", got=reason(error), where=f"{piece}", do=do) from error
        if out.num_rows != piece.n_rows:
            raise SourceError(f"{piece.n_rows:,} rows", got=f"{out.num_rows:,}", where=f"{piece}", do=REOPEN)
        return out

    def _whole(self, file: pq.ParquetFile, piece: Piece, names: list[str]) -> pa.Table:
        groups = range(piece.first, piece.last + 1)
        return file.read_row_groups(groups, columns=names, use_threads=False)

    def _sliced(self, file: pq.ParquetFile, piece: Piece, names: list[str]) -> pa.Table:
        start = piece.start or 0
        if self._slices is None or not self._slices.can_reach(piece.first, start, names):
            batches = file.iter_batches(piece.n_rows, row_groups=[piece.first], columns=names, use_threads=False)
            self._slices = _Slices(piece.first, names, batches)
        return self._slices.take(start, piece.n_rows)

    def _opened(self, piece: Piece) -> pq.ParquetFile:
        """The piece's file; small row groups are read at once, large ones through a small buffer."""
        key = (piece.path, piece.start is not None)
        if self._file is None or self._key != key:
            self.close()
            _check_unchanged(self._storage, piece)
            buffer = STREAM_BUFFER if piece.start is not None else 0
            self._file = opened(self._storage, piece.path, read_dictionary=self._dictionaries, buffer_size=buffer)
            self._key = key
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._slices = self._key = None

    def __enter__(self) -> PageReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Slices:
    """Rows of one row group, taken from front to back."""

    def __init__(self, group: int, names: Sequence[str], batches: Iterator[pa.RecordBatch]) -> None:
        self._group, self._names, self._batches = group, names, batches
        self._position = 0
        self._rest: pa.RecordBatch | None = None

    def can_reach(self, group: int, start: int, names: Sequence[str]) -> bool:
        return group == self._group and names == self._names and start >= self._position

    def take(self, start: int, n_rows: int) -> pa.Table:
        """Rows start to start + n_rows; what lies before is decoded batch by batch and dropped."""
        kept: list[pa.RecordBatch] = []
        missing = n_rows
        while missing and (batch := self._next()) is not None:
            skipped = min(max(start - self._position, 0), batch.num_rows)
            wanted = batch.slice(skipped, missing)
            self._position += skipped + wanted.num_rows
            missing -= wanted.num_rows
            self._rest = batch.slice(skipped + wanted.num_rows) if skipped + wanted.num_rows < batch.num_rows else None
            if wanted.num_rows:
                kept.append(wanted)
        return pa.Table.from_batches(kept) if kept else pa.table({})

    def _next(self) -> pa.RecordBatch | None:
        if self._rest is not None:
            return self._rest
        with suppress(StopIteration):
            return next(self._batches)
        return None


REOPEN = "The file was changed since the source was opened: open it again."


def _check_unchanged(storage: Storage, piece: Piece) -> None:
    try:
        size = storage.size(piece.path)
    except OSError:
        return
    if size != piece.size:
        raise SourceError(
            f"a file of {piece.size:,} bytes, as when it was opened", got=f"{size:,} bytes", where=piece.path, do=REOPEN
        )


def _encoded(field: pa.Field, dictionaries: frozenset[str]) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in dictionaries else field


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema.equals(schema):
        return table
    columns = [_converted(table.column(field.name), field) for field in schema]
    return pa.table(columns, schema=schema)


def _converted(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    stored, kind = column.type, field.type
    if stored == kind:
        return column
    if pa.types.is_null(stored):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string()).dictionary_encode()
    if pa.types.is_dictionary(stored):
        column = column.cast(stored.value_type)
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(f"column `{field.name}` does not convert from {stored} to {kind}: {error}") from error
