"""Cache: the design matrix written once, so that later scans and epochs neither decode nor encode again."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from bigml.graph.scratch import scratch as temporary
from bigml.learning.batch import Batch, Encoder
from bigml.learning.blocks import Block, mapped, written
from bigml.part import Part
from bigml.sources.atomic import AtomicFile, disk

INDEX = "index.json"
ROOM = 2 << 30
"""Bytes of the disk that a cache leaves free; where they are not, rows are encoded anew in every scan."""
PREFIX = "bigml-cache-"


def room(directory: str | os.PathLike[str]) -> int:
    """Bytes that a cache in this directory may take, which need not be there yet; less than 0 when the disk is too full."""
    path = Path(directory).absolute()
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    return shutil.disk_usage(there).free - ROOM


def kept(directory: str, batch: Batch, dtype: str | None = None, part: int = -1) -> Block | None:
    """The block of a batch that was written; None when the disk has no room."""
    return None if room(directory) < 0 else written(directory, batch, dtype, part)


@dataclass(frozen=True)
class Keep:
    """A reducer of batches that writes each to the directory; the result is its blocks in order, None when the disk is full.

    The state is a tuple of blocks, or None from the moment that there is no room.
    """

    directory: str
    dtype: str | None = None
    columns: tuple[str, ...] = ()

    def start(self) -> tuple[Block, ...] | None:
        return ()

    def update(self, state: tuple[Block, ...] | None, batch: Batch) -> tuple[Block, ...] | None:
        block = None if state is None else kept(self.directory, batch, self.dtype)
        return None if block is None or state is None else (*state, block)

    def merge(self, left: tuple[Block, ...] | None, right: tuple[Block, ...] | None) -> tuple[Block, ...] | None:
        return None if left is None or right is None else left + right

    def finish(self, state: tuple[Block, ...] | None) -> tuple[Block, ...] | None:
        return None if state is None else tuple(sorted(state, key=lambda block: block.first))


@dataclass(frozen=True, eq=False)
class Cached:
    """A reader of kept batches, in the place of the source that they were made of: its "chunks" are `Batch`es."""

    directory: str
    blocks: tuple[Block, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """One for each block, with the index of the part that it was made of, where that is known."""
        numbers = [i if block.part < 0 else block.part for i, block in enumerate(self.blocks)]
        return tuple(
            Part(i, block.first, block.n_rows, block.nbytes, block) for i, block in zip(numbers, self.blocks, strict=True)
        )

    @property
    def n_rows(self) -> int:
        return sum(block.n_rows for block in self.blocks)

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self.blocks)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema({"batch": pa.binary()})

    @property
    def token(self) -> str:
        return self.directory

    @property
    def root(self) -> Cached:
        return self

    @property
    def widths(self) -> Mapping[str, float]:
        # Mapped pages are the system's, which takes them back; a solver's working copy of a block is what counts.
        return {"batch": self.nbytes / max(self.n_rows, 1)}

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        del columns
        return ("batch",)

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Any]:
        del columns
        return (mapped(self.directory, part.ref) for part in parts)

    def view(self, chunk: Any, columns: Sequence[str]) -> Any:
        del columns
        return chunk

    def lean(self) -> Cached:
        return replace(self, blocks=())


@contextmanager
def scratch(place: str | os.PathLike[str] | None, key: str) -> Iterator[str]:
    """A directory for one cache: `place/key`, which stays for the next run, or one that is removed at the end."""
    if place is not None:
        directory = Path(place, key)
        with disk(directory):
            directory.mkdir(parents=True, exist_ok=True)
        yield str(directory)
        return
    with temporary(PREFIX) as own:
        yield own


def key_of(token: str, encoder: Encoder, dtype: str | None) -> str:
    """A key of what is kept: the rows' content and everything that encodes them."""
    return hashlib.blake2b(token.encode() + pickle.dumps(encoder) + str(dtype).encode(), digest_size=16).hexdigest()


def remember(directory: str, blocks: Sequence[Block]) -> None:
    """Say that the cache is whole."""
    with AtomicFile(Path(directory, INDEX)) as file:
        file.write(json.dumps([asdict(block) for block in blocks]).encode())


def remembered(directory: str) -> Cached | None:
    """The cache that an earlier run left whole; None when there is none."""
    try:
        blocks = json.loads(Path(directory, INDEX).read_text())
    except (OSError, ValueError):
        return None
    return Cached(directory, tuple(Block(**{**block, "fields": tuple(block["fields"])}) for block in blocks))
