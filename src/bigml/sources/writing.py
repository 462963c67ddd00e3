"""Writing: a data set of files that appears whole or not at all.

Files are written under temporary names, flushed to the disk and renamed to names that hold the write's generation; the
manifest comes last, by one rename, and only then are the files of the generation before it removed.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import WriteError
from bigml.sources import folders
from bigml.sources.atomic import AtomicFile, disk, flush_directory
from bigml.sources.claim import claimed, current, settle
from bigml.sources.manifest import MANIFEST, FileRecord, Manifest, finished_files
from bigml.sources.parquet_file import Layout, ParquetFileWriter, stored

__all__ = [
    "DatasetWriter",
    "FileRecord",
    "Layout",
    "Manifest",
    "Target",
    "dataset",
    "finished_files",
    "write_part",
]

OPEN_FILES = 128
HELD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """Where the parts of one write go: all that a task needs to know, small and picklable."""

    directory: str
    generation: str
    schema: pa.Schema
    layout: Layout = field(default_factory=Layout)

    def path(self, stem: str, suffix: str = ".parquet", folder: str = "") -> Path:
        """The final path of a file, unique to this write."""
        return Path(self.directory, folder, f"{stem}-{self.generation}{suffix}")

    def relative(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()


def write_part(target: Target, index: int, tables: Iterable[pa.Table | Chunk]) -> tuple[FileRecord, ...]:
    """Write tables as the part with this number: one file, or one a folder when the target is partitioned.

    A task for any worker that sees the directory. Run twice, at once or in turn, it gives the same files and records.
    Holds a row group a file, at most 256 MiB in all. On failure no file of it is left.

    Returns:
        The records of its files, for `DatasetWriter.add`; none when there are no rows.
    """
    with _PartFiles(target, index) as files:
        for table in tables:
            files.write(table.to_arrow() if isinstance(table, Chunk) else table)
    return tuple(files.records)


def _write_parts(target: Target, tables: Iterator[pa.Table], rows_per_file: int, numbers: Iterator[int]) -> Iterator[FileRecord]:
    """A stream of tables as parts of about this many rows; yields the records as files end."""
    for head in tables:
        yield from write_part(target, next(numbers), _up_to(rows_per_file, itertools.chain([head], tables)))


def _up_to(rows: int, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        yield table
        rows -= table.num_rows
        if rows <= 0:
            return


class _PartFiles:
    """The open files of one part, by folder."""

    def __init__(self, target: Target, index: int) -> None:
        self._target, self._index, self._sequence = target, index, 0
        self._schema = _without(target.schema, target.layout.partition_by)
        self._open: dict[str, ParquetFileWriter] = {}
        self.records: list[FileRecord] = []

    def write(self, table: pa.Table) -> None:
        for folder, rows in folders.by_folder(conformed(table, self._target.schema), self._target.layout.partition_by):
            if rows.num_rows:
                self._file(folder).write(rows)
        if len(self._open) > OPEN_FILES:
            self._finish()
        elif sum(file.held for file in self._open.values()) > HELD_BYTES:
            for file in self._open.values():
                file.flush()

    def _file(self, folder: str) -> ParquetFileWriter:
        if folder not in self._open:
            stem = f"part-{self._index:05d}" + (f".{self._sequence:03d}" if self._sequence else "")
            path = self._target.path(stem, folder=folder)
            with disk(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._open[folder] = ParquetFileWriter(path, self._schema, self._target.layout)
        return self._open[folder]

    def _finish(self) -> None:
        """Close all files; what follows goes to files of the next sequence number."""
        while self._open:
            _, file = self._open.popitem()
            self.records.append(file.finish(self._target.relative(file.path)))
        self._sequence += 1

    def __enter__(self) -> _PartFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for file in self._open.values():
                file.discard()
        self.records.sort(key=lambda record: record.path)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the columns and types of the schema.

    Raises:
        WriteError: A column is missing or does not convert without loss.
    """
    if table.schema.equals(schema):
        return table
    try:
        return table.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WriteError("rows of the data set's schema", got=str(error), do="Convert the column first.") from error


def _without(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    gone = set(names)
    return pa.schema([item for item in schema if item.name not in gone], metadata=schema.metadata)


class DatasetWriter:
    """One write of a data set: gathers the records of its files and publishes them together.

    Attributes:
        target: What tasks need to write parts of it.
        metadata: What to remember in the manifest; may be changed until the end.
    """

    def __init__(self, target: Target, kind: str, metadata: Mapping[str, Any]) -> None:
        self.target, self.metadata = target, dict(metadata)
        self._kind = kind
        self._files: list[FileRecord] = []
        self._attachments: list[FileRecord] = []
        self._numbers = itertools.count()

    def add(self, records: Iterable[FileRecord]) -> None:
        """Make these files part of the data set, after those added before."""
        self._files += records

    def write(self, tables: Iterable[pa.Table], rows_per_file: int = 4_000_000) -> None:
        """Write a stream of tables in this process and add its files."""
        self.add(_write_parts(self.target, iter(tables), rows_per_file, self._numbers))

    def attach(self, stem: str, suffix: str) -> AtomicFile:
        """A file beside the data; add it with `attached` once it is published."""
        return AtomicFile(self.target.path(stem, suffix))

    def attached(self, file: AtomicFile, rows: int) -> None:
        """Make a published file an attachment of the data set."""
        self._attachments.append(self.record(file, rows))

    def record(self, file: AtomicFile, rows: int) -> FileRecord:
        """The record of a published file."""
        return FileRecord(self.target.relative(file.path), rows, file.bytes, file.crc32)

    def manifest(self) -> Manifest:
        """The manifest of what was added so far."""
        return Manifest(
            kind=self._kind,
            generation=self.target.generation,
            columns=tuple((item.name, str(item.type)) for item in self.target.schema),
            files=tuple(self._files),
            partition_by=self.target.layout.partition_by,
            attachments=tuple(self._attachments),
            metadata=self.metadata,
        )

    def publish(self) -> Manifest:
        """Make the data set visible: the one moment at which readers change from old to new."""
        if not self._files and self._kind == "parquet":
            self.add([_empty_file(self.target)])
        manifest = self.manifest()
        root = Path(self.target.directory)
        for folder in _folders(manifest):
            flush_directory(root / folder)
        with AtomicFile(root / MANIFEST) as file:
            file.write(manifest.dump())
        flush_directory(root)
        return manifest


def _empty_file(target: Target) -> FileRecord:
    """A file without rows, so that the columns can be read."""
    path = target.path("part-00000")
    file = ParquetFileWriter(path, _without(target.schema, target.layout.partition_by), target.layout)
    try:
        return file.finish(target.relative(path))
    finally:
        file.discard()


def _folders(manifest: Manifest) -> list[Path]:
    """Every folder that holds a file of the manifest, with the folders above it, deepest first."""
    found = {folder for file in (*manifest.files, *manifest.attachments) for folder in Path(file.path).parents}
    return sorted(found, key=lambda folder: -len(folder.parts))


@contextmanager
def dataset(
    directory: str | Path,
    schema: pa.Schema,
    *,
    layout: Layout | None = None,
    kind: str = "parquet",
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[DatasetWriter]:
    """Write a data set into a local directory; whole at the end of the block, or not at all.

    Readers see what stood there before until the block ends, even through a rewrite, a full disk or a kill. An exception
    leaves the old data byte for byte and no new file. What a killed writer left is removed by the next write.

    Args:
        directory: Made if it is not there; one with other files in it is refused.
        schema: The columns, partition keys included.
        layout: How Parquet files are laid out.
        kind: "parquet" or "npy".
        metadata: Remembered in the manifest; must be valid JSON.

    Raises:
        WriteError: The directory holds other files, another writer is at work, or the disk is full.

    >>> with dataset("numbers", pa.schema({"x": pa.int64()})) as writer:
    ...     writer.write([pa.table({"x": [1, 2]}), pa.table({"x": [3]})])
    >>> finished_files(writer.target.directory).rows
    3
    """
    layout = layout or Layout()
    folders.check_keys(schema, layout.partition_by)
    schema = stored(schema) if kind == "parquet" else schema
    with claimed(_local(directory)) as root:
        settle(root, current(root))
        writer = DatasetWriter(Target(str(root), secrets.token_hex(6), schema, layout), kind, metadata or {})
        yield writer
        manifest = writer.publish()
        with suppress(OSError):
            settle(root, manifest)


def _local(directory: str | Path) -> Path:
    text = os.fspath(directory)
    if "://" in text:
        raise WriteError("a local directory", got=text, do="Write to a local path and copy the finished data set.")
    return Path(text).absolute()
