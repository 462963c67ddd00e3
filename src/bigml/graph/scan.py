"""Scan: the work of one pass over a root, and the pure functions that its tasks run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from bigml.chunk import Chunk
from bigml.graph.reader import Reader, decoding_least, gaining, joined
from bigml.graph.shuffle import AtOnce, Divided, Extent, Shuffle, Sorter, chunks, together
from bigml.part import Part
from bigml.stats.reducer import Reducer, merged

T = TypeVar("T")
Sink: TypeAlias = Callable[[int, Any], Any]
"""Takes the number of a partition and its state."""

MERGE_FAN_IN = 8
"""States merged by one task."""
FOLDS = 64
"""Tasks into which parts are gathered once there are more parts than this; short of 16 parts a task."""
MOST_PARTS_A_FOLD = 16
WIDEST = 8.0
"""Bytes of numbers and codes, at most. Wider values, such as texts, may be long in one part and short in others."""
CODE = 4.0
"""Bytes of a code."""


@dataclass(frozen=True)
class Job:
    """One reducer over one view of the root; `indices` are the parts that the view keeps.

    Attributes:
        shuffle: How its rows are partitioned by their keys; None means that one state holds all groups.
        sink: What a state is handed to, whole or by partition, instead of being made into a result.
        groups: How many groups there may be, where that was looked at.
    """

    reader: Reader
    reducer: Reducer[Any, Any]
    indices: frozenset[int]
    shuffle: Shuffle | None = None
    sink: Sink | None = None
    groups: int | None = None

    @property
    def divisible(self) -> Any:
        """The reducer, of which a shuffled job knows that it is `Partitionable`."""
        return self.reducer

    def begun(self) -> Any:
        """What takes in the rows of a fold."""
        return Sorter(self.divisible, self.shuffle) if self.shuffle else self.reducer.start()

    def taken(self, state: Any, rows: Any) -> Any:
        """The state after these rows of the view."""
        if not self.shuffle:
            return self.reducer.update(state, rows)
        state.add(rows)
        return state

    def lean(self, reader: Reader | None = None) -> Job:
        """The same job without its parts: what a task carries; `reader` is the lean one, where other jobs have it too."""
        return replace(self, reader=reader or self.reader.lean(), indices=frozenset())


@dataclass(frozen=True)
class Scan:
    """One pass over a root that serves many jobs.

    The shape (which parts are read as one and make one task, which states are merged in which order) depends on the parts and
    on what is read of them, never on threads or workers: one worker and eight give the same bits.
    """

    root: Reader
    jobs: tuple[Job, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Reader, Reducer[Any, Any]]], sinks: Sequence[Sink | None] = ()) -> Scan:
        """The scan that serves these (reader, reducer) pairs, all of one root; `sinks` are theirs."""
        sinks = sinks or [None] * len(pairs)
        kept = [frozenset(part.index for part in reader.parts) for reader, _ in pairs]
        jobs = (Job(*pair, indices, sink=sink) for pair, indices, sink in zip(pairs, kept, sinks, strict=True))
        return cls(pairs[0][0].root, tuple(jobs))

    def spilling(self, directory: str) -> Scan:
        """The same scan, whose shuffled rows wait in files of this directory."""
        spilled = (replace(job, shuffle=job.shuffle and replace(job.shuffle, directory=directory)) for job in self.jobs)
        return replace(self, jobs=tuple(spilled))

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts that at least one job wants, in order; neighbours as one where that saves work."""
        wanted = {part.index: part for job in self.jobs for part in job.reader.parts}
        parts = tuple(wanted[index] for index in sorted(wanted))
        root = gaining(self.root, [job.reducer for job in self.jobs], sum(part.n_rows for part in parts))
        return parts if root is None else joined(root, parts, self._share, self._alike)

    @property
    def _share(self) -> float:
        """Bytes of the columns that are read, as codes, of those of all columns, in any part."""
        widths = [self.root.widths.get(name, 8.0) for name in self.columns]
        if any(width > WIDEST for width in widths):
            return 1.0
        # Columns of nothing but nulls may be of no width.
        return sum(min(width, CODE) for width in widths) / max(sum(self.root.widths.values()), 1e-9)

    def _alike(self, left: Part, right: Part) -> bool:
        """Whether the same jobs want both parts."""
        return all((left.index in job.indices) == (right.index in job.indices) for job in self.jobs)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The union of the root's columns that the jobs need, in the root's order."""
        wanted = {name for job in self.jobs for name in job.reader.needs(job.reducer.columns)}
        return tuple(name for name in self.root.schema.names if name in wanted)

    @cached_property
    def folds(self) -> tuple[tuple[Part, ...], ...]:
        """Parts gathered into tasks."""
        return fold_parts(self.parts)

    @property
    def row_nbytes(self) -> float:
        """Decoded bytes a row of the columns that are read."""
        return sum(self.root.widths.get(name, 8.0) for name in self.columns)

    def tasks(self) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """The first level of the graph: a function and its arguments for each fold."""
        # One lean reader for all jobs of one reader: they share what it makes of a chunk.
        lean = {id(job.reader): job.reader.lean() for job in self.jobs}
        jobs = tuple(job.lean(lean[id(job.reader)]) for job in self.jobs)
        root = decoding_least(self.root.lean(), [job.reducer for job in self.jobs], sum(part.n_rows for part in self.parts))
        out = []
        for parts in self.folds:
            skips = tuple(tuple(part.index in job.indices for part in parts) for job in self.jobs)
            out.append((fold, (root, parts, self.columns, jobs, skips)))
        return out

    def finish(self, found: Sequence[Any]) -> tuple[Any, ...]:
        """The jobs' results.

        Args:
            found: The merged states of jobs that are not shuffled, if there are any, then the pieces of those that are.
        """
        rest = iter(found)
        states = iter(next(rest)) if any(not job.shuffle for job in self.jobs) else iter(())
        return tuple(_finished(job, list(islice(rest, job.shuffle.n)) if job.shuffle else next(states)) for job in self.jobs)


def _finished(job: Job, state: Any) -> Any:
    if job.sink is not None:
        return state if job.shuffle else [job.sink(0, state)]
    return job.divisible.joined(state) if job.shuffle else job.reducer.finish(state)


def fold_parts(parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    """Consecutive parts gathered into tasks: a task costs a millisecond, so many small parts share one."""
    size = min(max(1, len(parts) // FOLDS), MOST_PARTS_A_FOLD)
    folds: list[list[Part]] = []
    for part in parts:
        same_run = bool(folds) and part.run >= 0 and folds[-1][-1].run == part.run
        if folds and (same_run or len(folds[-1]) < size):
            folds[-1].append(part)
        else:
            folds.append([part])
    return tuple(tuple(fold) for fold in folds)


def fold(
    root: Reader, parts: Sequence[Part], columns: Sequence[str], jobs: Sequence[Job], wanted: Sequence[Sequence[bool]]
) -> tuple[Any, ...]:
    """The states of the jobs after these parts: what a task of a scan runs.

    Args:
        wanted: For each job, for each part, whether the job's view keeps the part.
    """
    states = [job.begun() for job in jobs]
    for i, chunk in enumerate(read(root, parts, columns)):
        wanting = [j for j in range(len(jobs)) if wanted[j][i]]
        try:
            for j, rows in zip(wanting, _views(chunk, [jobs[j] for j in wanting]), strict=True):
                states[j] = jobs[j].taken(states[j], rows)
        except Exception as error:
            error.add_note(f"in {parts[i]}")
            raise
    return tuple(state.divided() if isinstance(state, Sorter) else state for state in states)


def _views(chunk: Any, jobs: Sequence[Job]) -> Iterator[Any]:
    """The rows of each job: a view is made once for all jobs of one reader, of all columns that they need."""
    made: dict[int, Any] = {}
    for job in jobs:
        alike = [other.reducer.columns for other in jobs if other.reader is job.reader]
        if id(job.reader) not in made:
            view = job.reader.view(chunk, tuple(dict.fromkeys(name for names in alike for name in names)))
            made[id(job.reader)] = view.shared() if len(alike) > 1 else view
        yield made[id(job.reader)].select(job.reducer.columns) if len(alike) > 1 else made[id(job.reader)]


def gather(job: Job, partition: int, waiting: Sequence[Sequence[Extent]], remainder: tuple[Any]) -> Any:
    """One partition's piece of a shuffled job's result: what a task runs once all parts are read.

    Args:
        waiting: For each fold, where its rows of the partition wait.
        remainder: What all partitions must know.
    """
    reducer = job.divisible
    state = _at_once(reducer, waiting)
    if state is None:
        level = [(_reduced(reducer, extents),) for extents in waiting]
        while len(level) > 1:
            level = [merge((reducer,), group) for group in gathered(level)]
        state = level[0][0]
    state = reducer.merge(state, remainder[0])
    return reducer.piece(state) if job.sink is None else job.sink(partition, state)


def gather_here(job: Job, number: int, partition: int, states: Sequence[Sequence[Any]], remainder: tuple[Any]) -> Any:
    """`gather` of the job with this number among those of the folds whose states these are."""
    return gather(job, partition, [waiting(state, number, partition) for state in states], remainder)


def _at_once(reducer: Any, waiting: Sequence[Sequence[Extent]]) -> Any:
    """The state of a partition whose rows can be held together; None for others."""
    found = together(waiting) if isinstance(reducer, AtOnce) else None
    if found is None:
        return None
    rows, ends, nodes = found
    levels = [nodes]
    while levels[-1].any():
        levels.append(levels[-1] // MERGE_FAN_IN)
    return reducer.at_once(rows, ends, levels)


def _reduced(reducer: Reducer[Any, Any], extents: Sequence[Extent]) -> Any:
    state = reducer.start()
    for chunk in chunks(extents):
        state = reducer.update(state, chunk)
    return state


def gathered(level: Sequence[T]) -> list[Sequence[T]]:
    """What is merged by one task of the next level of a tree."""
    return [level[i : i + MERGE_FAN_IN] for i in range(0, len(level), MERGE_FAN_IN)]


def unshuffled(jobs: Sequence[Job], states: Sequence[Any]) -> tuple[Any, ...]:
    """The states of the jobs that are not shuffled."""
    return tuple(state for job, state in zip(jobs, states, strict=True) if not job.shuffle)


def waiting(states: Sequence[Any], job: int, partition: int) -> tuple[Extent, ...]:
    """Where a fold's rows of a partition of a shuffled job wait."""
    divided: Divided = states[job]
    return divided.partitions[partition]


def remainder(states: Sequence[Any], job: int) -> tuple[Any]:
    """What all partitions of a shuffled job must know of a fold."""
    divided: Divided = states[job]
    return (divided.remainder,)


def read(root: Reader, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
    """The chunks of the parts; an error says at which part it happened."""
    chunks = root.scan(parts, columns)
    for part in parts:
        try:
            chunk = next(chunks)
        except Exception as error:
            error.add_note(f"while reading {part}")
            raise
        yield chunk


def merge(reducers: Sequence[Reducer[Any, Any]], states: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """States merged from left to right: what an inner task of the tree runs."""
    return tuple(merged(reducer, column) for reducer, column in zip(reducers, zip(*states, strict=True), strict=True))
