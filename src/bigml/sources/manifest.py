"""Manifest: the list of the files that make a finished data set, written last."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bigml.errors import SourceError

MANIFEST = "_manifest.json"
MARKER = "_writing"
FORMAT = "bigml data set"
VERSION = 1
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One whole file.

    Attributes:
        path: Under the data set, with `/` between folders.
        rows: Rows in it.
        bytes: Its length.
        crc32: Of all its bytes.
        footer: The CRC-32 of a Parquet file's footer, which page checksums do not cover; None for other files.
    """

    path: str
    rows: int
    bytes: int
    crc32: int
    footer: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished data set holds.

    Attributes:
        kind: "parquet" or "npy".
        generation: Names the write that made the files; it is part of each file's name.
        columns: Name and Arrow type of every column, partition keys included.
        files: The data files, in order of their rows.
        partition_by: Columns that are folders (`key=value/`) and not in the files.
        attachments: Files beside the data, such as rejected rows.
        metadata: What the caller wanted remembered.
    """

    kind: str
    generation: str
    columns: tuple[tuple[str, str], ...]
    files: tuple[FileRecord, ...]
    partition_by: tuple[str, ...] = ()
    attachments: tuple[FileRecord, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def nbytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """A key of the column names and types, in order."""
        return hashlib.sha256(json.dumps(self.columns).encode()).hexdigest()[:16]

    def paths(self, directory: str | Path) -> list[Path]:
        """The data files under the directory, in order."""
        return [Path(directory, file.path) for file in self.files]

    def dump(self) -> bytes:
        """The manifest as JSON."""
        head = {"format": FORMAT, "version": VERSION, "rows": self.rows, "fingerprint": self.fingerprint}
        return (json.dumps({**head, **asdict(self)}, indent=1) + "\n").encode()

    @classmethod
    def load(cls, directory: str | Path) -> Manifest:
        """The manifest of a directory.

        Raises:
            SourceError: The manifest cannot be read, is of a newer version, or names a file outside the directory.
            FileNotFoundError: There is none.
        """
        path = Path(directory, MANIFEST)
        return cls.parse(path.read_bytes(), f"{path}")

    @classmethod
    def parse(cls, text: bytes, where: str) -> Manifest:
        """The manifest in the bytes of its file.

        Raises:
            SourceError: The manifest cannot be read, is of a newer version, or names a file outside the directory.
        """
        try:
            return cls._parsed(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError("a manifest that bigml wrote", got=f"{error}", where=f"in {where}", do="Write it anew.") from error

    @classmethod
    def _parsed(cls, content: Mapping[str, Any]) -> Manifest:
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(f"{content['format']} version {content['version']}, not {FORMAT} version {VERSION}")
        return cls(
            kind=content["kind"],
            generation=content["generation"],
            columns=tuple((name, kind) for name, kind in content["columns"]),
            files=tuple(_record(item) for item in content["files"]),
            partition_by=tuple(content["partition_by"]),
            attachments=tuple(_record(item) for item in content["attachments"]),
            metadata=content["metadata"],
        )

    def check(self, directory: str | Path) -> None:
        """Compare every file's size with the manifest; nothing is read.

        Raises:
            SourceError: A file is gone or has another size.
        """
        for file in (*self.files, *self.attachments):
            path = Path(directory, file.path)
            size = path.stat().st_size if path.is_file() else None
            if size != file.bytes:
                raise SourceError(
                    f"a file of {file.bytes:,} bytes, as its manifest says",
                    got="no such file" if size is None else f"{size:,} bytes",
                    where=f"{path}",
                    do="The data set was changed after it was written: write it again.",
                )

    def verify(self, directory: str | Path) -> None:
        """Compare every byte of every file with the checksums of the manifest.

        Raises:
            SourceError: A file is gone or changed.
        """
        self.check(directory)
        for file in (*self.files, *self.attachments):
            path = Path(directory, file.path)
            found = crc32(path)
            if found != file.crc32:
                raise SourceError(
                    f"the checksum {file.crc32:08x}, as its manifest says",
                    got=f"{found:08x}",
                    where=f"{path}",
                    do="The file was damaged after it was written: write it again.",
                )


def _record(item: Mapping[str, Any]) -> FileRecord:
    path = PurePosixPath(item["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the path {str(path)!r} outside the data set")
    footer = item.get("footer")
    numbers = {name: int(item[name]) for name in ("rows", "bytes", "crc32")}
    return FileRecord(path=str(path), **numbers, footer=None if footer is None else int(footer))


def footer_crc32(file: IO[bytes]) -> int:
    """The CRC-32 of a Parquet file's footer, its length and its last magic; -1 when there is none."""
    try:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little") + 8
        file.seek(-length, os.SEEK_END)
    except (OSError, ValueError):
        return -1
    return zlib.crc32(file.read(length))


def crc32(path: str | Path) -> int:
    """The CRC-32 of a file's bytes, read a block at a time."""
    value = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value


def finished_files(directory: str | Path) -> Manifest | None:
    """The manifest of a directory that bigml wrote; None for any other directory.

    While a data set is rewritten this is the old one until the new one is whole.

    Raises:
        SourceError: The directory's first write has not finished, or its files are not those of its manifest.
    """
    try:
        manifest = Manifest.load(directory)
    except FileNotFoundError:
        if os.path.lexists(Path(directory, MARKER)):
            raise SourceError(
                "a finished data set",
                got="one whose writing has not ended",
                where=f"{directory}",
                do="Wait for its writer, or write it again if that was killed.",
            ) from None
        return None
    manifest.check(directory)
    return manifest
