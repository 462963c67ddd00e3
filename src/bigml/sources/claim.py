"""Claim: a directory kept to one writer, and nothing in it but what was finished."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bigml.errors import WriteError
from bigml.sources.atomic import TEMPORARY, disk, flush_directory
from bigml.sources.manifest import MANIFEST, MARKER, Manifest

OURS = re.compile(rf"({re.escape(TEMPORARY)}.+)|((part-[0-9.]+|X|y|_[a-z]+)-[0-9a-f]{{12}}\.(parquet|npy|csv))")
"""Names that this module gives; a sweep touches no others."""


class Claim:
    """The right to write into a directory: a locked marker file, which also tells readers that nothing is finished yet.

    The lock goes with its process, so the marker of a killed writer is taken over without guessing from process numbers.

    Raises:
        WriteError: Another living writer holds the claim.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / MARKER
        with disk(self.path):
            self._descriptor = self._locked()

    def _locked(self) -> int:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_still_there(descriptor):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise WriteError(
                    "a directory that nobody else writes to",
                    got="a writer at work",
                    where=f"{self.path.parent}",
                    do="Wait for it, or choose another directory.",
                ) from None
            os.close(descriptor)

    def _is_still_there(self, descriptor: int) -> bool:
        """Whether the locked file is the one under the path: its last owner may have removed it in between."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the marker, then unlock: never the other way round."""
        with suppress(OSError):
            os.unlink(self.path)
        os.close(self._descriptor)


@contextmanager
def claimed(root: Path) -> Iterator[Path]:
    """The directory, made and kept to this writer; on an exception only what was finished stays in it."""
    with made(root):
        _check_ours(root)
        claim = Claim(root)
        try:
            flush_directory(root)
            yield root
        except BaseException:
            with suppress(OSError):
                settle(root, current(root))
            raise
        finally:
            claim.release()


@contextmanager
def made(root: Path) -> Iterator[None]:
    """Make the directory and those above it; on an exception remove those that were made."""
    missing = list(itertools.takewhile(lambda folder: not folder.exists(), (root, *root.parents)))
    try:
        with disk(root):
            root.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check_ours(root: Path) -> None:
    names = os.listdir(root)
    if names and MANIFEST not in names and MARKER not in names:
        raise WriteError(
            "an empty directory or a data set that bigml wrote",
            got=f"other files ({', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''})",
            where=f"{root}",
            do="Choose another directory.",
        )


def current(root: Path) -> Manifest | None:
    return Manifest.load(root) if (root / MANIFEST).exists() else None


def settle(root: Path, manifest: Manifest | None) -> None:
    """Bring the directory to what the manifest says: plain names for its matrices, and no files of other writes."""
    if manifest and manifest.kind == "npy":
        for file in (*manifest.files, *manifest.attachments):
            _link(root / f"{file.path.rpartition('-')[0]}.npy", file.path)
    sweep(root, manifest)


def _link(path: Path, target: str) -> None:
    """A symbolic link put in place by a rename; a file that is no link is left alone."""
    if path.exists() and not path.is_symlink():
        return
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    os.symlink(target, temporary)
    os.replace(temporary, path)


def sweep(root: Path, manifest: Manifest | None) -> None:
    """Remove what writes left that is not in the manifest, and the folders that this leaves empty; links are not followed."""
    kept = {file.path for file in (*manifest.files, *manifest.attachments)} if manifest else set()
    for folder, folders_below, names in os.walk(root):
        folders_below[:] = [name for name in folders_below if "=" in name]
        for name in names:
            path = Path(folder, name)
            own = os.readlink(path) if path.is_symlink() else name
            if OURS.fullmatch(own) and path.with_name(own).relative_to(root).as_posix() not in kept:
                path.unlink(missing_ok=True)
    for folder, _, _ in os.walk(root, topdown=False):
        if "=" in os.path.basename(folder) and Path(folder) != root:
            with suppress(OSError):
                os.rmdir(folder)
