"""Stored: the role of a source towards the files that hold its rows, and one such file."""

from __future__ import annotations

import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.errors import SourceError
from bigml.sources.manifest import BLOCK
from bigml.sources.storage import Paths, Storage

if TYPE_CHECKING:
    from bigml.sources.source import Source


@dataclass(frozen=True)
class StoredFile:
    """A file and where it lies."""

    storage: Storage
    path: str

    @property
    def name(self) -> str:
        """Its path, with the protocol unless it lies on the local disk; a file has one name, whatever links lead to it."""
        return os.path.realpath(self.path) if self.storage.is_local else f"{self.storage.protocol}://{self.path}"

    def checksum(self) -> str:
        """CRC-32 of all its bytes, read a block at a time."""
        value = 0
        with self.storage.filesystem.open(self.path, "rb") as file:
            while block := file.read(BLOCK):
                value = zlib.crc32(block, value)
        return f"{value:08x}"


class Stored(ABC):
    """What a source tells of its files; one that has none is known by its token."""

    @property
    @abstractmethod
    def token(self) -> str:
        """A key of the content: equal tokens mean equal rows."""

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files that hold the rows of its parts."""
        return ()

    @property
    def known_as(self) -> frozenset[str]:
        """The names of its files, or its own."""
        return frozenset(file.name for file in self.files) or frozenset([f"{type(self).__name__} {self.token}"])

    @property
    def members(self) -> tuple[Any, ...]:
        """The sources that it is made of; itself where it is made of none."""
        return (self,)

    def only(self, names: Collection[str]) -> Any:
        """The same source with the rows of these files alone.

        Raises:
            SourceError: They are some of the files that make a row.
        """
        if not self.known_as <= set(names):
            seen = ", ".join(sorted(self.known_as.difference(names)))
            raise SourceError("files that belong together all new or all seen before", got="some of each", where=seen)
        return self

    def reopened(self, path: Paths, columns: Sequence[str]) -> Source:
        """Other files, opened as those of this source were; of their columns these are needed.

        Raises:
            SourceError: The source is not one of files that are opened by their paths.
        """
        del columns
        do = "Make a source of the new rows and pass that."
        raise SourceError("a source", got=f"{path}", where=f"for rows of a {type(self).__name__}", do=do)
