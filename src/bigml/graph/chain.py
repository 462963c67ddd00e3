"""Chain: a sequential state over parts (`partial_fit`), with the next parts prepared while one is learned from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.chunk import Chunk
from bigml.graph import execute
from bigml.graph.mapping import apply
from bigml.graph.progress import ProgressLike, reporting
from bigml.graph.reader import Reader
from bigml.graph.tree import Graph
from bigml.part import Part

if TYPE_CHECKING:
    from distributed import Client

WINDOW = 3
"""Parts prepared ahead of the one that is being learned from, at most; this bounds memory."""


@dataclass(frozen=True)
class Chain:
    """A fold over parts in a given order that must be sequential.

    Attributes:
        reader: Where the parts come from.
        columns: Columns to read.
        prepare: `prepare(part, chunk) -> batch`: pure; runs ahead and in parallel.
        step: `step(state, batch) -> state`: pure: it copies what it changes, so a step that runs twice counts once.
    """

    reader: Reader
    columns: tuple[str, ...]
    prepare: Callable[[Part, Chunk], Any]
    step: Callable[[Any, Any], Any]

    def run(
        self,
        state: Any,
        order: Sequence[Part],
        *,
        every: int,
        save: Callable[[int, Any], None],
        client: Client | None = None,
        progress: ProgressLike = None,
        title: str = "chain",
    ) -> Any:
        """The state after all parts of the order, the same bits on threads and on any cluster.

        Args:
            state: The first state.
            order: The parts, in the order of learning.
            every: `save` is called after this many parts and at the end; on a cluster, the death of a worker repeats at
                most this many parts.
            save: `save(n_done, state)`, in this process.
        """
        with reporting(progress, title) as bar:
            bar(0, len(order))
            states = self._on_threads(state, order) if client is None else self._on_cluster(state, order, client, every)
            for done, new in states:
                state = new
                bar(done, len(order))
                if done % every == 0 or done == len(order):
                    save(done, state)
        return state

    def _on_threads(self, state: Any, order: Sequence[Part]) -> Iterator[tuple[int, Any]]:
        lean, waiting = self.reader.lean(), iter(order)
        ahead: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(execute.n_threads(), thread_name_prefix="bigml-prepare")
        try:
            for done in range(1, len(order) + 1):
                while len(ahead) < WINDOW and (part := next(waiting, None)) is not None:
                    ahead.append(pool.submit(apply, lean, part, self.columns, self.prepare))
                state = self.step(state, ahead.popleft().result())
                yield done, state
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _on_cluster(self, state: Any, order: Sequence[Part], client: Client, every: int) -> Iterator[tuple[int, Any]]:
        for start in range(0, len(order), every):
            segment = order[start : start + every]
            graph, steps = self._segment(state, segment)
            state = execute.run(graph, [steps[-1]], client=client, progress=_silent, counted=steps)[0]
            yield start + len(segment), state

    def _segment(self, state: Any, parts: Sequence[Part]) -> tuple[Graph, list[str]]:
        """The graph of some steps: a part is prepared only when the step `WINDOW` before it is done."""
        graph, lean = Graph(), self.reader.lean()
        steps: list[str] = []
        current: Any = state
        for i, part in enumerate(parts):
            after = steps[i - WINDOW : i - WINDOW + 1] if i >= WINDOW else []
            batch = graph.add("prepare", apply, lean, part, self.columns, self.prepare, after=after)
            steps.append(graph.add("step", self.step, current, graph.ref(batch)))
            current = graph.ref(steps[-1])
        return graph, steps


def _silent(done: int, total: int) -> None:
    del done, total
