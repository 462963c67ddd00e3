"""Graph: map, merge and chain as Dask tasks. The one module that knows `dask.task_spec`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bigml.graph.scan import Job, Scan, gather, gather_here, gathered, merge, remainder, unshuffled, waiting
from bigml.part import Part


@dataclass
class Graph:
    """Tasks by key, and the keys that are asked for.

    Keys start with `prefix`, unique to one execution: a repeated call computes again and never picks up half of another.
    """

    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    tasks: dict[str, Any] = field(default_factory=dict)
    levels: list[list[str]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def add(self, name: str, function: Callable[..., Any], *arguments: Any, after: Sequence[str] = ()) -> str:
        """A task; arguments made by `ref` are results of other tasks, `after` are tasks to wait for."""
        from dask.task_spec import Task, TaskRef

        key = f"{name}-{self.prefix}-{len(self.tasks)}"
        waits = [TaskRef(other) for other in after]
        self.tasks[key] = Task(key, _call, function, waits, *arguments) if waits else Task(key, function, *arguments)
        return key

    def parts(self, key: str) -> list[Part]:
        """The parts that the task with this key reads."""
        given = [item for argument in self.tasks[key].args for item in (argument if isinstance(argument, tuple) else (argument,))]
        return [item for item in given if isinstance(item, Part)]

    @staticmethod
    def ref(key: str) -> Any:
        """The result of the task with this key, as an argument of another task."""
        from dask.task_spec import TaskRef

        return TaskRef(key)

    @staticmethod
    def refs(keys: Sequence[str]) -> Any:
        """The list of the results of these tasks, as an argument of another task."""
        from dask.task_spec import List, TaskRef

        return List(*(TaskRef(key) for key in keys))


def _call(function: Callable[..., Any], waits: Sequence[Any], *arguments: Any) -> Any:
    del waits
    return function(*arguments)


def scan_graph(scan: Scan) -> tuple[Graph, list[str]]:
    """The tree of a scan, and the keys of the merged states and then of each shuffled job's pieces, in order.

    Its shape depends on the parts and on what is shuffled alone.
    """
    graph = Graph()
    folds = [graph.add("fold", function, *arguments) for function, arguments in scan.tasks()]
    graph.levels.append(folds)
    whole = [job for job in scan.jobs if not job.shuffle]
    if len(whole) == len(scan.jobs):
        return graph, [_tree(graph, folds, whole)]
    lean = tuple(job.lean() for job in scan.jobs)
    states = [_tree(graph, [graph.add("states", unshuffled, lean, Graph.ref(fold)) for fold in folds], whole)] if whole else []
    graph.pieces = [key for j, job in enumerate(lean) if job.shuffle for key in _shuffled(graph, folds, j, job)]
    graph.levels.append(graph.pieces)
    return graph, [*states, *graph.pieces]


def _tree(graph: Graph, level: list[str], jobs: Sequence[Job]) -> str:
    """States merged level by level; the key of the last."""
    reducers = tuple(job.reducer for job in jobs)
    while len(level) > 1:
        groups = gathered(level)
        level = [group[0] if len(group) == 1 else graph.add("merge", merge, reducers, graph.refs(group)) for group in groups]
        graph.levels.append(level)
    return level[0]


def _shuffled(graph: Graph, folds: Sequence[str], number: int, job: Job) -> list[str]:
    """A task for each partition, which takes its rows from every fold."""
    rests = [graph.add("remainder", remainder, graph.ref(fold), number) for fold in folds]
    rest = graph.ref(graph.add("merge", merge, (job.reducer,), graph.refs(rests)))
    keys = []
    shuffle: Any = job.shuffle
    for partition in range(shuffle.n):
        if shuffle.directory is not None:
            keys.append(graph.add("gather", gather_here, job, number, partition, graph.refs(folds), rest))
            continue
        # Rows that wait in the memory of workers are sent for alone.
        places = [graph.add("rows", waiting, graph.ref(fold), number, partition) for fold in folds]
        keys.append(graph.add("gather", gather, job, partition, graph.refs(places), rest))
    return keys
