"""Scan: the work of one pass over a root, and the pure functions that its tasks run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bigml.chunk import Chunk
from bigml.graph.reader import Reader
from bigml.part import Part
from bigml.stats.reducer import Reducer

MERGE_FAN_IN = 8
"""States merged by one task."""
FOLDS = 64
"""Tasks into which parts are gathered once there are more parts than this; short of 16 parts a task."""
MOST_PARTS_A_FOLD = 16


@dataclass(frozen=True)
class Job:
    """One reducer over one view of the root; `indices` are the parts that the view keeps."""

    reader: Reader
    reducer: Reducer[Any, Any]
    indices: frozenset[int]


@dataclass(frozen=True)
class Scan:
    """One pass over a root that serves many jobs.

    The shape (which parts make one task, which states are merged in which order) depends on the parts alone, never on
    threads or workers: one worker and eight give the same bits.
    """

    root: Reader
    jobs: tuple[Job, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Reader, Reducer[Any, Any]]]) -> Scan:
        """The scan that serves these (reader, reducer) pairs, all of one root."""
        jobs = tuple(Job(reader, reducer, frozenset(part.index for part in reader.parts)) for reader, reducer in pairs)
        return cls(pairs[0][0].root, jobs)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts that at least one job wants, in order."""
        wanted = {part.index: part for job in self.jobs for part in job.reader.parts}
        return tuple(wanted[index] for index in sorted(wanted))

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
        jobs = tuple(Job(job.reader.lean(), job.reducer, frozenset()) for job in self.jobs)
        root = self.root.lean()
        out = []
        for parts in self.folds:
            skips = tuple(tuple(part.index in job.indices for part in parts) for job in self.jobs)
            out.append((fold, (root, parts, self.columns, jobs, skips)))
        return out

    def finish(self, states: Sequence[Any]) -> tuple[Any, ...]:
        """Results from the merged states, one for each job."""
        return tuple(job.reducer.finish(state) for job, state in zip(self.jobs, states, strict=True))


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
    states = [job.reducer.start() for job in jobs]
    for i, chunk in enumerate(read(root, parts, columns)):
        for j, job in enumerate(jobs):
            if wanted[j][i]:
                states[j] = _update(job, states[j], chunk, parts[i])
    return tuple(states)


def _update(job: Job, state: Any, chunk: Chunk, part: Part) -> Any:
    try:
        return job.reducer.update(state, job.reader.view(chunk, job.reducer.columns))
    except Exception as error:
        error.add_note(f"in {part}")
        raise


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
    rows = iter(states)
    merged = list(next(rows))
    for row in rows:
        merged = [reducer.merge(a, b) for reducer, a, b in zip(reducers, merged, row, strict=True)]
    return tuple(merged)
