"""Scratch: directories for what need not outlive a piece of work, and the removal of those that killed processes left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from bigml.errors import writing


@contextmanager
def scratch(prefix: str) -> Iterator[str]:
    """A directory of this process alone, removed at the end; `TMPDIR` says where.

    Raises:
        WriteError: No directory can be made there.
    """
    folder = tempfile.gettempdir()
    _sweep(Path(folder), prefix)
    with full_disk(folder):
        own = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=folder)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def full_disk(where: str) -> AbstractContextManager[None]:
    """Errors of the file system, told as a WriteError."""
    return writing("a disk that takes temporary files", where=where, do="Free some room, or set TMPDIR to another disk.")


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what killed processes of this user left."""
    for path in folder.glob(f"{prefix}*"):
        owner = path.name.removeprefix(prefix).partition("-")[0]
        with suppress(OSError):
            if owner.isdigit() and not Path("/proc", owner).exists() and path.stat().st_uid == os.getuid():
                shutil.rmtree(path, ignore_errors=True)
