"""AtomicFile: a file that appears under its name only when it is whole."""

from __future__ import annotations

import os
import secrets
import zlib
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from bigml.errors import writing
from bigml.sources.manifest import crc32

TEMPORARY = ".tmp-"


def disk(path: Path) -> AbstractContextManager[None]:
    """Errors of the file system, told as a WriteError."""
    return writing("a disk that takes the data", where=f"{path}", do="What stood there before still stands.")


class AtomicFile:
    """A binary file written under a temporary name, flushed to the disk and renamed by `publish`.

    Until then nothing is seen under `path`; `discard` leaves no trace. Writing twice to one path is safe: each writer
    has a temporary file of its own, and the last rename wins. Counts its bytes and their CRC-32.

    >>> path = Path("a.txt")
    >>> with AtomicFile(path) as file:
    ...     _ = file.write(b"whole")
    ...     path.exists()
    False
    >>> path.read_text()
    'whole'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.crc32 = 0
        self.discarded = False
        self._temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
        self._descriptor: int | None = None
        with disk(path):
            self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    @property
    def closed(self) -> bool:
        return self._descriptor is None

    def write(self, data: Any) -> int:
        """Append all bytes of a buffer; after `discard` they are dropped, so that who holds the file can still close."""
        view = memoryview(data).cast("B")
        if self.discarded:
            return len(view)
        self.crc32 = zlib.crc32(view, self.crc32)
        self.bytes += len(view)
        rest = view
        with disk(self.path):
            while rest:
                rest = rest[os.write(self._open, rest) :]
        return len(view)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back: writes are not buffered here."""

    def reserve(self, nbytes: int) -> None:
        """Take the room on the disk now, so that a full disk is found before the work."""
        with disk(self.path):
            os.posix_fallocate(self._open, 0, max(nbytes, 1))

    def rewrite(self, head: bytes) -> None:
        """Replace the first bytes; the whole file is read again for its checksum."""
        with disk(self.path):
            os.pwrite(self._open, head, 0)
            self.crc32 = crc32(self._temporary)

    def publish(self) -> None:
        """Flush to the disk and rename to `path`."""
        with disk(self.path):
            os.fsync(self._open)
            self._close()
            os.replace(self._temporary, self.path)

    def discard(self) -> None:
        """Remove the temporary file, if there still is one; never raises for the file system."""
        self.discarded = True
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self._temporary)

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self.path} is published or discarded")
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.discard()


def flush_directory(directory: Path) -> None:
    """Make renames and removals in a directory last through a power cut."""
    with disk(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
