"""Graph: map, merge and chain as Dask tasks. The one module that knows `dask.task_spec`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bigml.graph.scan import MERGE_FAN_IN, Scan, merge
from bigml.part import Part


@dataclass
class Graph:
    """Tasks by key, and the keys that are asked for.

    Keys start with `prefix`, unique to one execution: a repeated call computes again and never picks up half of another.
    """

    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    tasks: dict[str, Any] = field(default_factory=dict)
    levels: list[list[str]] = field(default_factory=list)

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


def scan_graph(scan: Scan) -> tuple[Graph, str]:
    """The tree of a scan and the key of its merged states; its shape depends on the parts alone."""
    graph = Graph()
    level = [graph.add("fold", function, *arguments) for function, arguments in scan.tasks()]
    reducers = tuple(job.reducer for job in scan.jobs)
    graph.levels.append(level)
    while len(level) > 1:
        groups = [level[i : i + MERGE_FAN_IN] for i in range(0, len(level), MERGE_FAN_IN)]
        level = [group[0] if len(group) == 1 else graph.add("merge", merge, reducers, graph.refs(group)) for group in groups]
        graph.levels.append(level)
    return graph, level[0]
