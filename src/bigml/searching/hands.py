"""Hands: the rows of a part, encoded for whoever learns from them and sorted by cell; kept in files if needed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from scipy import sparse

from bigml.chunk import Chunk
from bigml.graph.mapping import map_parts
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.graph.reader import Reader
from bigml.learning.batch import Batch, Encoder
from bigml.learning.blocks import Block, mapped
from bigml.learning.cache import kept, scratch
from bigml.learning.worth import local
from bigml.part import Part
from bigml.searching.cells import Partition, sorting
from bigml.searching.failures import Failure, catching
from bigml.sources.memmap import ArraySource
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

Piece: TypeAlias = Batch | Chunk
Hand: TypeAlias = tuple[tuple[Piece, ...] | Failure, ...]
"""By encoding, by cell: its rows; a failure where the rows cannot be encoded so."""


@dataclass(frozen=True, eq=False)
class Sorted:
    """Rows cell by cell.

    Attributes:
        rows: All of them.
        edges: Where each cell begins and the last ends.
    """

    rows: Piece
    edges: tuple[int, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The rows of each cell, without a copy."""
        return tuple(_between(self.rows, start, stop) for start, stop in pairwise(self.edges))


def _between(rows: Piece, start: int, stop: int) -> Piece:
    if isinstance(rows, Chunk):
        return rows.slice(start, stop)
    if not sparse.issparse(rows.X):
        return rows.rows_between(start, stop)
    ends = rows.X.indptr[start : stop + 1]
    held = slice(ends[0], ends[-1])
    X = sparse.csr_matrix((rows.X.data[held], rows.X.indices[held], ends - ends[0]), shape=(stop - start, rows.X.shape[1]))
    return replace(replace(rows, X=np.empty((rows.n_rows, 0))).rows_between(start, stop), X=X)


@dataclass(frozen=True, eq=False)
class Feed:
    """Makes the hand of a chunk.

    Attributes:
        partition: Tells the cells.
        encoders: What makes batches; None for rows as they are read.
        raw: Columns that rows as they are read must have.
    """

    partition: Partition
    encoders: tuple[Encoder | None, ...]
    raw: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        encoded = [name for encoder in self.encoders if encoder is not None for name in encoder.columns]
        return tuple(dict.fromkeys([*self.partition.dealer.columns, *encoded, *self.raw]))

    def __call__(self, chunk: Chunk, where: str = "") -> Hand:
        """The hand of all rows of a chunk."""
        return tuple(one if isinstance(one, Failure) else one.pieces for one in self.sorted(chunk, where))

    def sorted(self, chunk: Chunk, where: str = "") -> tuple[Sorted | Failure, ...]:
        """By encoding the rows that are in cells, cell by cell."""
        order, edges = sorting(self.partition.dealer(chunk), self.partition.n_cells)
        order, edges = order[edges[0] :], edges - edges[0]
        return tuple(self._encoded(encoder, chunk, order, tuple(edges.tolist()), where) for encoder in self.encoders)

    def _encoded(self, encoder: Encoder | None, chunk: Chunk, order: Any, edges: tuple[int, ...], where: str) -> Sorted | Failure:
        if encoder is None:
            return Sorted(chunk.select(self.raw).take(order), edges)
        with catching() as caught:
            return Sorted(encoder.checked(encoder(chunk, where)).take(order) if chunk.n_rows else encoder(chunk), edges)
        return caught.failed


@dataclass(frozen=True, eq=False)
class Dealt:
    """A reducer of chunks, or of hands that were kept: gives hands to a reducer of them."""

    feed: Feed
    inner: Any

    @property
    def columns(self) -> tuple[str, ...]:
        return self.feed.columns

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, chunk: Any) -> Any:
        if isinstance(chunk, tuple):
            return self.inner.update(state, chunk)
        return self.inner.update(state, self.feed(chunk)) if chunk.n_rows else state

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> Any:
        return self.inner.finish(state)


Blocks: TypeAlias = tuple[tuple[Block, tuple[int, ...]] | Failure, ...]
"""By encoding its rows in files, cell by cell, and where each cell begins and the last ends."""


@dataclass(frozen=True, eq=False)
class KeepHand:
    """Keeps the hand of one part, each encoding in a folder of its own; None when the disk is full.

    All cells of an encoding are in the same files: a process may have but so many files open.
    """

    feed: Feed
    directory: str

    def __call__(self, part: Part, chunk: Chunk) -> Blocks | None:
        found: list[tuple[Block, tuple[int, ...]] | Failure] = []
        for i, some in enumerate(self.feed.sorted(chunk, str(part))):
            if isinstance(some, Failure):
                found.append(some)
                continue
            folder = Path(self.directory, f"{i}")
            folder.mkdir(exist_ok=True)
            block = kept(str(folder), some.rows, None, part.index) if isinstance(some.rows, Batch) else None
            if block is None:
                return None
            found.append((block, some.edges))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class KeptHands:
    """A reader of hands that were kept, in the place of the source that they were made of: its "chunks" are hands."""

    directory: str
    parts: tuple[Part, ...]

    @property
    def n_rows(self) -> int:
        return sum(part.n_rows for part in self.parts)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema({"hand": pa.binary()})

    @property
    def token(self) -> str:
        return self.directory

    @property
    def root(self) -> KeptHands:
        return self

    @property
    def widths(self) -> Mapping[str, float]:
        # Mapped pages are the system's, which takes them back.
        return {"hand": sum(part.nbytes for part in self.parts) / max(self.n_rows, 1)}

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        del columns
        return ("hand",)

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Any]:
        del columns
        return (self._hand(part.ref) for part in parts)

    def _hand(self, blocks: Blocks) -> Hand:
        return tuple(one if isinstance(one, Failure) else self._mapped(i, *one) for i, one in enumerate(blocks))

    def _mapped(self, encoding: int, block: Block, edges: tuple[int, ...]) -> tuple[Piece, ...]:
        return Sorted(mapped(str(Path(self.directory, f"{encoding}")), block), edges).pieces

    def view(self, chunk: Any, columns: Sequence[str]) -> Any:
        del columns
        return chunk

    def lean(self) -> KeptHands:
        return replace(self, parts=())


@dataclass(frozen=True, eq=False)
class Some:
    """Some parts of a reader."""

    reader: Reader
    parts: tuple[Part, ...]

    @property
    def schema(self) -> pa.Schema:
        return self.reader.schema

    @property
    def token(self) -> str:
        return self.reader.token

    @property
    def root(self) -> Reader:
        return self.reader.root

    @property
    def widths(self) -> Mapping[str, float]:
        return self.reader.widths

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        return self.reader.needs(columns)

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        return self.reader.scan(parts, columns)

    def view(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        return self.reader.view(chunk, columns)

    def lean(self) -> Some:
        return Some(self.reader.lean(), ())


@dataclass(eq=False)
class Table:
    """Where hands come from: dealt anew of the source in every scan, or as they were kept.

    Attributes:
        source: The rows.
        feed: Deals them.
        kept: The hands in files; None when they are not kept.
        client: Where scans run; None means threads of this process.
        parts: Those that are looked at; None for all.
        scans: Of the source so far.
    """

    source: Source
    feed: Feed
    kept: KeptHands | None = None
    client: Client | None = None
    parts: tuple[Part, ...] | None = None
    scans: int = 0

    @property
    def reader(self) -> Reader:
        whole: Reader = self.kept or self.source
        return whole if self.parts is None else Some(whole, self.parts)

    @property
    def is_near(self) -> bool:
        """Whether hands are no more than views of files, for every worker: looking at them again costs nothing."""
        return self.kept is not None or is_matrix(self.source, self.feed)

    def of(self, parts: Iterable[Part]) -> Table:
        """The same of some parts."""
        chosen = {part.index: part for part in parts}
        return replace(self, parts=tuple(chosen[index] for index in sorted(chosen)), scans=0)

    def hand(self, part: Part, chunk: Any) -> Hand:
        """The hand of a part, whatever the reader gives."""
        return chunk if self.kept is not None else self.feed(chunk, str(part))

    def lean(self) -> Table:
        """The same, as a task carries it."""
        bare = None if self.kept is None else self.kept.lean()
        return replace(self, source=self.source.lean(), kept=bare, client=None, parts=None)

    def scan(self, reducer: Any, *, title: str, progress: ProgressLike = False) -> Any:
        """The result of a reducer of hands over all rows."""
        self.scans += self.kept is None
        return Plan(self.reader, Dealt(self.feed, reducer), title).compute(self.client, progress=progress)


def is_matrix(source: Source, feed: Feed) -> bool:
    """Whether rows are learned from as they lie in mapped files."""
    return isinstance(source, ArraySource) and all(encoder is None or encoder.is_raw for encoder in feed.encoders)


def worth_keeping(source: Source, feed: Feed, client: Client | None, scans: int) -> str:
    """Why hands are not kept; empty when they are."""
    if scans < 2:
        return "one scan needs them"
    if is_matrix(source, feed):
        return "they are a matrix already"
    return "" if local(client) else "there are workers on other machines, which do not see the files of this one"


@contextmanager
def table(
    source: Source, feed: Feed, *, scans: int, client: Client | None, told: Callable[[], ProgressLike] = lambda: False
) -> Iterator[Table]:
    """Where hands come from while they are needed; what was kept is removed at the end.

    Args:
        scans: About how often they are needed.
        told: Gives what is told of the progress where they are kept.
    """
    bare = Table(source, feed, None, client)
    if worth_keeping(source, feed, client, scans):
        yield bare
        return
    with scratch(None, "") as directory:
        blocks = map_parts(
            source, KeepHand(feed, directory), columns=feed.columns, client=client, progress=told(), title="encode"
        )
        if any(one is None for one in blocks):
            bare.scans += 1
            yield bare
            return
        parts = tuple(_part(part, one) for part, one in zip(source.parts, blocks, strict=True) if one is not None)
        yield replace(bare, kept=KeptHands(directory, parts), scans=1)


def _part(part: Part, blocks: Blocks) -> Part:
    nbytes = sum(one[0].nbytes for one in blocks if not isinstance(one, Failure))
    return Part(part.index, part.offset, part.n_rows, nbytes, blocks)
