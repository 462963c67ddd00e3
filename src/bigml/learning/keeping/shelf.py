"""Shelf: numbered files in a directory, the newest found again after a kill and never trusted when its hash is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bigml.sources.atomic import AtomicFile, disk

KEPT = 2
"""Newest files that stay: the second is there in case the first is corrupt."""


class Shelf:
    """Checkpoints in a directory of their own.

    A file has a SHA-256, a head of JSON and a payload of bytes. It is written under a temporary name, flushed and renamed, so a
    kill leaves the one before.

    Args:
        directory: Made when it is not there.
        stem: Before the number in the name of a file.
        magic: The line that a file begins with.
    """

    def __init__(self, directory: str | Path, stem: str, magic: bytes) -> None:
        self._directory, self._stem, self._magic = Path(directory), stem, magic
        with disk(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)

    def put(self, number: int, head: Mapping[str, Any], payload: bytes) -> None:
        """Write the file with this (growing) number; older ones than the one before are removed."""
        body = json.dumps(head).encode() + b"\n" + payload
        with AtomicFile(self._directory / f"{self._stem}-{number:012d}.bigml") as file:
            file.write(self._magic + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        for path in self._files()[KEPT:]:
            path.unlink(missing_ok=True)

    def whole(self) -> Iterator[tuple[Path, dict[str, Any], bytes]]:
        """The files that are whole, newest first, with head and payload; a corrupt one is passed over with a warning."""
        for path in self._files():
            try:
                head, payload = self._read(path)
            except ValueError as error:
                warnings.warn(f"checkpoint {path} is corrupt ({error}): the one before it is used", stacklevel=5)
                continue
            yield path, head, payload

    def clear(self) -> None:
        """Remove the files, and the directory when nothing else is in it."""
        for path in self._files():
            path.unlink(missing_ok=True)
        if not any(self._directory.iterdir()):
            self._directory.rmdir()

    def _files(self) -> list[Path]:
        """Newest first."""
        name = re.compile(rf"{self._stem}-(\d{{12}})\.bigml")
        return sorted((path for path in self._directory.iterdir() if name.fullmatch(path.name)), reverse=True)

    def _read(self, path: Path) -> tuple[dict[str, Any], bytes]:
        with disk(path):
            data = path.read_bytes()
        if not data.startswith(self._magic):
            raise ValueError("it does not begin as one")
        digest, _, body = data[len(self._magic) :].partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError("its hash is wrong")
        head, _, payload = body.partition(b"\n")
        return json.loads(head), payload
