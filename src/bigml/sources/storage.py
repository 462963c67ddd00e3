"""Storage: where files lie, on the local disk or behind any fsspec URL, and which of them make a data set."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bigml.errors import SourceError
from bigml.sources.manifest import MANIFEST, Manifest, footer_crc32
from bigml.sources.writing import finished_files

LOCAL = "file"
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Storage:
    """A file system, picklable: the local one, or one of fsspec's with its options."""

    protocol: str = LOCAL
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def filesystem(self) -> Any:
        """The fsspec file system; fsspec keeps one instance a process."""
        import fsspec

        return fsspec.filesystem(self.protocol, **self.options)

    @property
    def is_local(self) -> bool:
        return self.protocol == LOCAL

    def open(self, path: str) -> Any:
        """What pyarrow reads from: the path itself on the local disk, an open file elsewhere."""
        return path if self.is_local else self.filesystem.open(path, "rb")

    def footer_crc32(self, path: str) -> int:
        """The checksum of a Parquet file's footer."""
        with open(path, "rb") if self.is_local else self.filesystem.open(path, "rb") as file:
            return footer_crc32(file)

    def size(self, path: str) -> int:
        """The bytes of a file.

        Raises:
            FileNotFoundError: It is gone.
        """
        return os.stat(path).st_size if self.is_local else int(self.filesystem.size(path))

    def stamp(self, path: str) -> str:
        """Changes when the file is changed."""
        if self.is_local:
            found = os.stat(path)
            return f"{found.st_size}-{found.st_mtime_ns}"
        return str(self.filesystem.ukey(path))


@dataclass(frozen=True)
class Listing:
    """The files of a data set, in order.

    Attributes:
        files: Path of each file and the folders between it and what the user named, for partition keys.
        manifest: Of the data set that bigml wrote there, if it is one.
    """

    storage: Storage
    files: tuple[tuple[str, tuple[str, ...]], ...]
    manifest: Manifest | None = None

    @property
    def checksums(self) -> dict[str, int]:
        """The checksums of the files' footers, by path, where they are known."""
        if self.manifest is None:
            return {}
        pairs = zip(self.files, self.manifest.files, strict=True)
        return {path: record.footer for (path, _), record in pairs if record.footer is not None}


def listing(path: Paths, options: Mapping[str, Any]) -> Listing:
    """The files that a path stands for: a file, a directory (recursive), a glob, a URL, or a list of these.

    In a directory, names that begin with `.` or `_` are not data; a directory with a manifest holds its files alone.

    Raises:
        SourceError: Nothing is there, nothing matches, or a list mixes file systems.
    """
    if not isinstance(path, (str, os.PathLike)):
        return _joined([listing(one, options) for one in path])
    from fsspec.core import url_to_fs

    text = os.fspath(path)
    filesystem, root = url_to_fs(text, **options)
    protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
    storage = Storage(protocol, dict(filesystem.storage_options))
    if filesystem.isfile(root):
        return Listing(storage, ((root, ()),))
    if filesystem.isdir(root):
        return _directory(storage, root)
    if any(mark in root for mark in "*?["):
        return _matching(storage, root)
    raise SourceError("a file, directory or glob", got="nothing there", where=text, do=_nearest(filesystem, root))


def _joined(listings: Sequence[Listing]) -> Listing:
    if not listings:
        raise SourceError("at least one path", got="an empty list", where="in read_parquet")
    if any(one.storage != listings[0].storage for one in listings):
        do = "Read each by itself and join them with bigml.concat()."
        raise SourceError("paths on one file system", got="several", where="in a list of paths", do=do)
    files = tuple(file for one in listings for file in one.files)
    return Listing(listings[0].storage, files, listings[0].manifest if len(listings) == 1 else None)


def _directory(storage: Storage, root: str) -> Listing:
    manifest = _manifest(storage, root)
    if manifest is not None:
        if manifest.kind != "parquet":
            raise SourceError(
                "a data set of Parquet files", got=f"one of {manifest.kind}", where=root, do="Use bigml.read_memmap()."
            )
        paths = [f"{root.rstrip('/')}/{file.path}" for file in manifest.files]
    else:
        paths = [path for path in sorted(storage.filesystem.find(root)) if not _is_hidden(_below(path, root))]
    if not paths:
        raise SourceError(
            "Parquet files", got="no file", where=f"in the directory {root}", do="Names that begin with . or _ are left out."
        )
    return Listing(storage, tuple((path, _below(path, root)[:-1]) for path in paths), manifest)


def _manifest(storage: Storage, root: str) -> Manifest | None:
    """The manifest of a directory; looked for twice, since a rewrite may remove old files while it is checked."""
    if not storage.is_local:
        path = f"{root.rstrip('/')}/{MANIFEST}"
        return Manifest.parse(storage.filesystem.cat_file(path), path) if storage.filesystem.exists(path) else None
    try:
        return finished_files(root)
    except SourceError:
        return finished_files(root)


def _matching(storage: Storage, pattern: str) -> Listing:
    fixed = PurePosixPath(*_until_magic(PurePosixPath(pattern).parts))
    files: list[tuple[str, tuple[str, ...]]] = []
    found = sorted(storage.filesystem.glob(pattern))
    if not _is_hidden(_below(pattern, str(fixed))):
        found = [path for path in found if not _is_hidden(_below(path, str(fixed)))]
    for path in found:
        inside = _directory(storage, path).files if storage.filesystem.isdir(path) else ((path, ()),)
        files += [(name, _below(name, str(fixed))[:-1]) for name, _ in inside]
    if not files:
        raise SourceError(
            "at least one file that matches", got="none", where=pattern, do="Check the pattern; quote it in a shell."
        )
    return Listing(storage, tuple(dict.fromkeys(files)))


def _until_magic(parts: Sequence[str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if any(mark in part for mark in "*?["):
            break
        out.append(part)
    return out


def _below(path: str, root: str) -> tuple[str, ...]:
    """The parts of a path under a root that holds it."""
    return PurePosixPath(path).relative_to(PurePosixPath(root)).parts


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith((".", "_")) and "=" not in part for part in parts)


def _nearest(filesystem: Any, root: str) -> str:
    folder = str(Path(root).parent)
    if not filesystem.isdir(folder):
        return f"There is no directory {folder} either."
    names = [Path(path).name for path in filesystem.ls(folder, detail=False)]
    near = difflib.get_close_matches(Path(root).name, names, n=1)
    return f"Did you mean `{near[0]}`?" if near else ""
