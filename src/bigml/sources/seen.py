"""Seen: the files that a statistic has taken in, by path, size and checksum."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bigml.errors import SourceError
from bigml.sources.stored import StoredFile

THREADS = 4
"""Files whose checksums are worked out at once."""


@dataclass(frozen=True)
class SeenFile:
    """A file as it was.

    Attributes:
        path: Where it lay; of a source without files what it is.
        size: Its bytes; of a source without files its rows.
        checksum: CRC-32 of all its bytes; of a source without files its token.
        stamp: Of the file system. While this is the same, the file is taken to be so, and is not read for its checksum.
    """

    path: str
    size: int
    checksum: str
    stamp: str = ""

    def is_like(self, other: SeenFile) -> bool:
        """Whether they have the same bytes."""
        return (self.size, self.checksum) == (other.size, other.checksum)

    def check(self, now: SeenFile) -> None:
        """Compare the file with what it is now.

        Raises:
            SourceError: It has changed.
        """
        if not self.is_like(now):
            expected = f"the file as it was seen, of {self.size:,} bytes with checksum {self.checksum}"
            got = f"{now.size:,} bytes with checksum {now.checksum}"
            do = "The rows that it held cannot be taken out again: compute the statistic anew with `plan.keep()`."
            raise SourceError(expected, got=got, where=self.path, do=do)


@dataclass(frozen=True)
class Seen:
    """What has been taken in.

    Attributes:
        files: In the order in which they were.
        rows: Numbers that their rows took: rows of files to come are numbered from here.
    """

    files: tuple[SeenFile, ...] = ()
    rows: int = 0

    def sight(self, root: Any) -> Sight:
        """Which files of a source are new, and which have been seen.

        Files that have been seen and not been touched since are not read; all others are, for their checksums.

        Raises:
            SourceError: A file has changed since it was seen, or is gone.
        """
        known = {file.path: file for file in self.files}
        found = look(root, known)
        for file in found:
            known.get(file.path, file).check(file)
        new = [file for file in found if file.path not in known]
        moved = self._moved(new, root)
        fresh = tuple(file for file in new if file not in moved.values())
        return Sight(root, fresh, tuple(file.path for file in found if file not in fresh), moved)

    def _moved(self, new: list[SeenFile], root: Any) -> dict[str, SeenFile]:
        """New files that are like one that is no longer where it was seen, by the path that this had; one for each."""
        moved: dict[str, SeenFile] = {}
        for file in new:
            alike = (old.path for old in self.files if old.is_like(file) and old.path not in moved)
            gone = next((path for path in alike if not _exists(root, path)), None)
            moved |= {gone: file} if gone is not None else {}
        return moved

    def with_rows(self, sight: Sight) -> Seen:
        """What has been seen, and where it lies now, once the new files are taken in."""
        files = (sight.moved.get(file.path, file) for file in self.files)
        return Seen((*files, *sight.fresh), self.rows + (sight.root.extent.rows if sight.fresh else 0))


@dataclass(frozen=True)
class Sight:
    """A source as a statistic sees it.

    Attributes:
        root: The source that owns the storage.
        fresh: New files.
        skipped: Paths of those that have been seen.
        moved: Those of them that lay elsewhere, by the path that they had.
    """

    root: Any
    fresh: tuple[SeenFile, ...]
    skipped: tuple[str, ...]
    moved: Mapping[str, SeenFile]

    @property
    def unseen(self) -> Any:
        """The source without the rows of files that have been seen."""
        return self.root.only({file.path for file in self.fresh}) if self.skipped else self.root

    def check(self) -> None:
        """Look at the new files once more, after they were read.

        Raises:
            SourceError: One has changed in the meantime.
        """
        known = {file.path: file for file in self.fresh}
        for file in look(self.unseen, known):
            known[file.path].check(file)


def look(root: Any, known: Mapping[str, SeenFile]) -> list[SeenFile]:
    """The files of a source as they are now; each once."""
    files = {file.name: file for member in root.members for file in member.files}
    bare = [member for member in root.members if member.parts and not member.files]
    tables = [SeenFile(name, one.extent.rows, one.token) for one in bare for name in one.known_as]
    with ThreadPoolExecutor(min(THREADS, len(files) or 1), "bigml-checksums") as pool:
        return [*pool.map(lambda file: _as_it_is(file, known.get(file.name)), files.values()), *tables]


def _as_it_is(file: StoredFile, known: SeenFile | None) -> SeenFile:
    try:
        size, stamp = file.storage.size(file.path), file.storage.stamp(file.path)
        if known is not None and (known.size, known.stamp) == (size, stamp):
            return known
        return SeenFile(file.name, size, file.checksum(), stamp)
    except OSError as error:
        raise SourceError("a file that can be read", got=f"{error.strerror or error}", where=file.path) from error


def _exists(root: Any, path: str) -> bool:
    storages = [file.storage for member in root.members for file in member.files[:1]]
    return any(storage.filesystem.exists(path) for storage in storages)
