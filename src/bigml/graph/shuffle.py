"""Shuffle: rows partitioned by the hash of their keys, for results with more groups than fit in memory at once.

Tasks that read parts hand on rows, not states: each partition's rows wait in files of this machine, or in the memory of
workers, and are reduced by a task of their own in the very order and shape of an undivided scan, hence to the same bits.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import SourceError
from bigml.graph.reader import Reader, decoding_least
from bigml.graph.scratch import full_disk
from bigml.part import Part
from bigml.stats.reducer import Reducer

S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)

ROW = "__bigml_row__"
"""The column of row numbers beside the rows that wait."""
PROBED_ROWS = 500_000
"""Rows at either end that are looked at to tell how many groups there may be."""
SAFETY = 4
HELD_BYTES = 64 << 20
"""Bytes of rows that a task gathers before it writes them to a file."""
TOGETHER_BYTES = 64 << 20
"""Bytes of rows of one partition that are reduced at once: with what is made of them they take some five times as much."""


@runtime_checkable
class Partitionable(Reducer[S, R_co], Protocol[S, R_co]):
    """A reducer of groups, whose rows can be partitioned by their keys: each partition gives a piece of the result."""

    def partitioned(self, chunk: Chunk, n: int) -> tuple[Chunk, NDArray[np.int64]]:
        """The chunk's rows, partition by partition, and the n + 1 positions at which partitions begin and end."""
        ...

    def remainder(self, chunk: Chunk) -> S:
        """A state without groups that knows what all partitions must know of the chunk."""
        ...

    def keys_only(self) -> Partitionable[S, Any]:
        """The same groups, of which nothing is asked."""
        ...

    def n_groups(self, state: S) -> int:
        """The groups of a state."""
        ...

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        """Upper estimate of the bytes of a state of so many groups."""
        ...

    def piece(self, state: S) -> Any:
        """The result of one partition."""
        ...

    def joined(self, pieces: Sequence[Any]) -> R_co:
        """The result from those of all partitions."""
        ...


@runtime_checkable
class AtOnce(Partitionable[S, R_co], Protocol[S, R_co]):
    """A reducer that makes the state of a whole tree of merges faster than the tree does."""

    @property
    def numbered(self) -> bool:
        """Whether it looks at the numbers of rows."""
        ...

    def at_once(self, chunk: Chunk, ends: NDArray[np.int64], levels: Sequence[NDArray[np.int64]]) -> S | None:
        """The state that chunks would have, were each reduced and these states merged level by level; None: it must be done so.

        Args:
            chunk: The rows of all chunks, one after the other.
            ends: Where the rows of each chunk end.
            levels: For each level the number of the node that takes in each chunk; the last has one node.
        """
        ...


@dataclass(frozen=True)
class Shuffle:
    """How rows are partitioned.

    Attributes:
        n: Partitions.
        directory: Where their rows wait; None means in the memory of the workers that read them.
    """

    n: int
    directory: str | None = None


class Extent(NamedTuple):
    """Batches of rows in an Arrow IPC file: one of the scratch directory, or one in memory."""

    file: str | bytes
    batches: tuple[int, ...]


class Divided(NamedTuple):
    """What a task that reads parts knows of a shuffled job: the remainder, and for each partition where its rows wait."""

    remainder: Any
    partitions: tuple[tuple[Extent, ...], ...]


class Sorter:
    """Takes chunks in and gives their rows out by partition; what a task fills while it reads its parts."""

    def __init__(self, reducer: Partitionable[Any, Any], shuffle: Shuffle) -> None:
        self._reducer, self._shuffle = reducer, shuffle
        self._remainder = reducer.start()
        self._numbered = not isinstance(reducer, AtOnce) or reducer.numbered
        self._held: list[list[pa.RecordBatch]] = []
        self._nbytes = 0
        self._extents: list[list[Extent]] = [[] for _ in range(shuffle.n)]

    def add(self, chunk: Chunk) -> None:
        """Partition the chunk's rows."""
        self._remainder = self._reducer.merge(self._remainder, self._reducer.remainder(chunk))
        moved, ends = self._reducer.partitioned(chunk, self._shuffle.n)
        rows = _batch(moved, numbered=self._numbered)
        self._held.append([rows.slice(start, stop - start) for start, stop in pairwise(ends)])
        self._nbytes += rows.nbytes
        if self._shuffle.directory is not None and self._nbytes > HELD_BYTES:
            self._write()

    def divided(self) -> Divided:
        """All that was added."""
        if self._held:
            self._write()
        return Divided(self._remainder, tuple(map(tuple, self._extents)))

    def _write(self) -> None:
        """Move the rows that are held to one file on the disk, or to one for each partition in memory."""
        held, self._held, self._nbytes = self._held, [], 0
        partitions = list(zip(*held, strict=True))
        if self._shuffle.directory is None:
            files: list[str | bytes] = [_in_memory(batches) for batches in partitions]
            numbers = [tuple(range(len(held)))] * len(partitions)
        else:
            files = [_on_disk(self._shuffle.directory, partitions)] * len(partitions)
            numbers = [tuple(range(p * len(held), (p + 1) * len(held))) for p in range(len(partitions))]
        for extents, file, batches in zip(self._extents, files, numbers, strict=True):
            extents.append(Extent(file, batches))


def _batch(chunk: Chunk, *, numbered: bool) -> pa.RecordBatch:
    """The chunk's rows, with their numbers; dictionaries, which files would repeat, are decoded."""
    arrays = [chunk.arrow(name) for name in chunk.names]
    plain = [array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array for array in arrays]
    numbers = {ROW: pa.array(chunk.row_numbers)} if numbered else {}
    return pa.record_batch([*plain, *numbers.values()], names=[*chunk.names, *numbers])


def _in_memory(batches: Sequence[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    _write_all(sink, batches)
    return bytes(sink.getvalue())


def _on_disk(directory: str, partitions: Sequence[Sequence[pa.RecordBatch]]) -> str:
    path = Path(directory, f"{secrets.token_hex(8)}.arrow")
    with full_disk(directory), pa.OSFile(str(path), "wb") as sink:
        _write_all(sink, [batch for batches in partitions for batch in batches])
    return str(path)


def _write_all(sink: Any, batches: Sequence[pa.RecordBatch]) -> None:
    with pa.ipc.new_file(sink, batches[0].schema) as file:
        for batch in batches:
            file.write_batch(batch)


def chunks(extents: Iterable[Extent]) -> Iterator[Chunk]:
    """The rows that wait there, in their order.

    Raises:
        SourceError: A file of them is gone or damaged.
    """
    for extent in extents:
        with ExitStack() as stack:
            for batch in _batches(stack, [extent]):
                yield _chunk(pa.Table.from_batches([batch]))


def together(waiting: Sequence[Sequence[Extent]]) -> tuple[Chunk, NDArray[np.int64], NDArray[np.int64]] | None:
    """All rows that wait there in one chunk, where the rows of each batch end, and the number of its fold; None if too many."""
    with ExitStack() as stack:
        found = [(fold, batch) for fold, extents in enumerate(waiting) for batch in _batches(stack, extents)]
        if not found or sum(batch.nbytes for _, batch in found) > TOGETHER_BYTES:
            return None
        table = pa.Table.from_batches([batch for _, batch in found]).combine_chunks()
        return _chunk(table), np.cumsum([len(batch) for _, batch in found]), np.array([fold for fold, _ in found])


def _batches(stack: ExitStack, extents: Iterable[Extent]) -> Iterator[pa.RecordBatch]:
    for file, batches in extents:
        with _waiting(file):
            opened = stack.enter_context(pa.memory_map(file) if isinstance(file, str) else pa.BufferReader(file))
            reader = pa.ipc.open_file(opened)
            yield from map(reader.get_batch, batches)


@contextmanager
def _waiting(file: str | bytes) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        where = file if isinstance(file, str) else "in memory"
        do = "Run it again, with TMPDIR on a disk that nobody tidies up meanwhile."
        raise SourceError("the rows that wait in a temporary file", got=f"{error}".rstrip("."), where=where, do=do) from error


def _chunk(table: pa.Table) -> Chunk:
    columns = dict(zip(table.column_names, table.columns, strict=True))
    numbers = columns.pop(ROW, None)
    return Chunk(columns, range(table.num_rows) if numbers is None else numbers.to_numpy())


def forecast_groups(reader: Reader, reducer: Partitionable[Any, Any]) -> int:
    """How many groups there may be, from the first rows and the last ones; more rather than fewer.

    Where both have the same groups, what they share tells how many there are (Lincoln 1930); where they share few, as in
    a sorted column, groups grow with the rows.
    """
    n_rows = sum(part.n_rows for part in reader.parts)
    head, tail = _ends(reader.parts)
    reducer = reducer.keys_only()
    with ThreadPoolExecutor(2, "bigml-forecast") as pool:
        first, last = pool.map(partial(_state, reader, reducer), (head, tail))
    union = reducer.n_groups(reducer.merge(first, last))
    if not tail:
        return union
    few, more = reducer.n_groups(first), reducer.n_groups(last)
    linear = few + (union - few) * (n_rows - sum(part.n_rows for part in head)) // max(sum(part.n_rows for part in tail), 1)
    shared = few + more - union
    return min(linear, SAFETY * few * more // shared) if shared else linear


def _ends(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The first parts and the last ones, with about a million rows each."""
    head: list[Part] = []
    tail: list[Part] = []
    rest = deque(parts)
    while rest and (not head or sum(part.n_rows for part in head) < PROBED_ROWS):
        head.append(rest.popleft())
    while rest and (not tail or sum(part.n_rows for part in tail) < PROBED_ROWS):
        tail.append(rest.pop())
    return head, tail


def _state(reader: Reader, reducer: Reducer[Any, Any], parts: Sequence[Part]) -> Any:
    needed = set(reader.needs(reducer.columns))
    state, root = reducer.start(), decoding_least(reader.root, [reducer], sum(part.n_rows for part in parts))
    for chunk in root.scan(parts, [name for name in root.schema.names if name in needed]):
        state = reducer.update(state, reader.view(chunk, reducer.columns))
    return state
