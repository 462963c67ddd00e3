"""ParquetFileWriter: one Parquet file, written in row groups of a bounded size and published whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bigml.errors import BigmlError
from bigml.sources.atomic import AtomicFile
from bigml.sources.manifest import FileRecord, footer_crc32


@dataclass(frozen=True, slots=True)
class Layout:
    """How Parquet files are laid out.

    Attributes:
        partition_by: Columns that become folders (`key=value/`), outermost first.
        compression: A codec of Parquet.
        level: The codec's level; None for codecs without.
        row_group_rows: Rows of a row group.
        row_group_bytes: Bytes of a row group in memory, when its rows are wide.
    """

    partition_by: tuple[str, ...] = ()
    compression: str = "zstd"
    level: int | None = 1
    row_group_rows: int = 1 << 18
    row_group_bytes: int = 64 << 20


class ParquetFileWriter:
    """Appends tables to a Parquet file with page checksums; the file appears on `finish`.

    Holds one row group of rows. Columns are dictionary-encoded while their dictionaries stay small.
    """

    def __init__(self, path: Path, schema: pa.Schema, layout: Layout) -> None:
        self.path, self.rows, self.held = path, 0, 0
        self._layout = layout
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._file = AtomicFile(path)
        self._schema = schema
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            compression=layout.compression,
            compression_level=layout.level,
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """Append a table of the file's schema."""
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        self.held += table.nbytes
        while self._waiting_rows >= (size := self._group_rows()):
            self._emit(size)

    def _group_rows(self) -> int:
        width = self.held / max(self._waiting_rows, 1)
        return max(1, min(self._layout.row_group_rows, int(self._layout.row_group_bytes / max(width, 1e-9))))

    def _emit(self, n_rows: int) -> None:
        table = pa.concat_tables(self._waiting)
        group, rest = table.slice(0, n_rows), table.slice(n_rows)
        self._writer.write_table(group.unify_dictionaries(), row_group_size=n_rows)
        self._waiting, self._waiting_rows, self.held = [rest], rest.num_rows, rest.nbytes

    def flush(self) -> None:
        """End the row group here."""
        if self._waiting_rows:
            self._emit(self._waiting_rows)

    def finish(self, path: str) -> FileRecord:
        """Write what is left and publish the file; `path` is its name in the record."""
        try:
            self.flush()
            self._writer.close()
            self._file.publish()
        except BaseException:
            self.discard()
            raise
        with open(self.path, "rb") as file:
            footer = footer_crc32(file)
        return FileRecord(path, self.rows, self._file.bytes, self._file.crc32, footer)

    def discard(self) -> None:
        """Leave no trace of the file, unless it was published."""
        self._file.discard()
        with suppress(OSError, BigmlError):
            self._writer.close()


def stored(schema: pa.Schema) -> pa.Schema:
    """The schema as it comes back from a Parquet file: seconds, for one, become milliseconds."""
    out = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), out)
    return pq.read_schema(pa.BufferReader(out.getvalue()))
