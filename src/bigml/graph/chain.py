"""Chain: a sequential state over parts (`partial_fit`), with the next parts prepared while one is learned from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from bigml.chunk import Chunk
from bigml.graph import execute
from bigml.graph.heap import give_back, map_large_blocks
from bigml.graph.mapping import apply
from bigml.graph.progress import ProgressLike, reporting, silent
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
        mix: `mix(number, batches) -> batches`: pure: exchanges rows among the batches of one window of parts; as many come back.
            It may empty the list that it is given, so that what it has exchanged takes no memory.
        window: Parts in a window; the one that is learned from, the next, and the parts that it is mixed of are held at most.
    """

    reader: Reader
    columns: tuple[str, ...]
    prepare: Callable[[Part, Chunk], Any]
    step: Callable[[Any, Any], Any]
    mix: Callable[[int, list[Any]], list[Any]] | None = None
    window: int = 1

    def run(
        self,
        state: Any,
        order: Sequence[Part],
        *,
        every: int,
        save: Callable[[int, Any], None],
        begin: int = 0,
        client: Client | None = None,
        progress: ProgressLike = None,
        title: str = "chain",
    ) -> Any:
        """The state after all parts of the order, the same bits on threads and on any cluster.

        Args:
            state: The first state.
            order: The parts, in the order of learning.
            every: `save` is called after this many parts, or the whole windows that hold them, and at the end; on a cluster,
                the death of a worker repeats at most as many.
            save: `save(n_done, state)`, in this process.
            begin: Parts of the order, in whole windows, that the state has learned from already.
        """
        every = self.window * -(-every // self.window)
        with reporting(progress, title) as bar:
            bar(begin, len(order))
            run = (
                self._on_threads(state, order, begin) if client is None else self._on_cluster(state, order, begin, client, every)
            )
            for done, new in run:
                state = new
                bar(done, len(order))
                if done % every == 0 or done == len(order):
                    save(done, state)
        return state

    def _windows(self, order: Sequence[Part], begin: int, end: int | None = None) -> Iterator[tuple[int, Sequence[Part]]]:
        """The windows from one position of the order to another, with their numbers."""
        for start in range(begin, len(order) if end is None else end, self.window):
            yield start // self.window, order[start : start + self.window]

    def _on_threads(self, state: Any, order: Sequence[Part], begin: int) -> Iterator[tuple[int, Any]]:
        map_large_blocks()
        pool = ThreadPoolExecutor(execute.n_threads(), thread_name_prefix="bigml-prepare")
        coming = self._coming(pool, self._windows(order, begin))
        try:
            ahead = deque(islice(coming, max(WINDOW // self.window, 1)))
            done = begin
            while ahead:
                batches = deque(ahead.popleft().result())
                ahead.extend(islice(coming, 1))
                while batches:
                    # A batch goes when it is learned: by then rows of the next window take its place.
                    state = self.step(state, batches.popleft())
                    done += 1
                    yield done, state
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _coming(self, pool: ThreadPoolExecutor, windows: Iterator[tuple[int, Sequence[Part]]]) -> Iterator[Future[list[Any]]]:
        """The batches of each window; they are prepared as soon as they are asked for."""
        lean = self.reader.lean()
        for number, parts in windows:
            # Its parts are before it in the queue of the pool, so it never waits for what cannot begin. Nothing else holds them.
            prepare = partial(_prepared, lean, columns=self.columns, prepare=self.prepare)
            yield pool.submit(self._mixed, number, [pool.submit(prepare, part) for part in parts])

    def _mixed(self, number: int, prepared: list[Future[Any]]) -> list[Any]:
        # The pool holds the list until this returns: what is in it would stay.
        batches = [prepared.pop(0).result() for _ in range(len(prepared))]
        mixed = batches if self.mix is None else self.mix(number, batches)
        give_back()
        return mixed

    def _on_cluster(self, state: Any, order: Sequence[Part], begin: int, client: Client, every: int) -> Iterator[tuple[int, Any]]:
        for start in range(begin, len(order), every):
            end = min(start + every, len(order))
            graph, steps = self._segment(state, list(self._windows(order, start, end)))
            state = execute.run(graph, [steps[-1]], client=client, progress=silent, counted=steps)[0]
            yield end, state

    def _segment(self, state: Any, windows: Sequence[tuple[int, Sequence[Part]]]) -> tuple[Graph, list[str]]:
        """The graph of some steps: a window is prepared only when a step that is some parts before it is done."""
        graph, lean = Graph(), self.reader.lean()
        steps: list[str] = []
        current: Any = state
        for number, parts in windows:
            last = len(steps) - max(WINDOW, self.window)
            after = steps[last : last + 1] if last >= 0 else []
            batches = [graph.add("prepare", apply, lean, part, self.columns, self.prepare, after=after) for part in parts]
            mixed = None if self.mix is None else graph.add("mix", self.mix, number, graph.refs(batches))
            for i, batch in enumerate(batches):
                if mixed is None:
                    steps.append(graph.add("step", self.step, current, graph.ref(batch)))
                else:
                    steps.append(graph.add("step", _step_of, self.step, current, graph.ref(mixed), i))
                current = graph.ref(steps[-1])
        return graph, steps


def _prepared(reader: Reader, part: Part, *, columns: Sequence[str], prepare: Callable[[Part, Chunk], Any]) -> Any:
    """The batch of a part; what it took to make it is given back."""
    batch = apply(reader, part, columns, prepare)
    give_back()
    return batch


def _step_of(step: Callable[[Any, Any], Any], state: Any, batches: Sequence[Any], i: int) -> Any:
    """The step with one of the batches of a window."""
    return step(state, batches[i])
