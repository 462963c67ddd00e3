"""Rounds: each shard takes some steps from the same weights, then the weights are averaged; nothing but pure tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.errors import DataError
from bigml.graph import execute
from bigml.graph.progress import Progress
from bigml.graph.tree import Graph
from bigml.training.feed import Blocks, Fed, Feed
from bigml.training.replica import Build, Replica, added, replica
from bigml.training.shards import Order, Shard, rows
from bigml.training.state import Average, State
from bigml.training.stepping import Ready
from bigml.training.variables import Arrays

if TYPE_CHECKING:
    from distributed import Client

GROUP_NBYTES = 8 << 20
"""Inputs that are handed to a model in one go, so that it is called seldom: about so many bytes of batches."""
FIRST = 4
"""Batches that are handed to it first."""

Visited = tuple[State, Arrays]
"""The state after a visit to a shard, and the sums of metrics."""
Kept = tuple[Arrays, int]
"""The slots of a shard, and the rows that they have seen in a leg."""


def _to_nobody(n: int) -> None:
    del n


def _any_number() -> int:
    return sys.maxsize


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a task needs to learn from some batches of a shard.

    Attributes:
        build: Makes the model where there is none yet.
        blocks: Gives the encoded rows of a block by its number.
        feed: Makes inputs and targets of them.
        batch_size: Rows of a step.
        seed: Decides the order of rows and random numbers.
        shuffle: Whether rows are permuted.
    """

    build: Build
    blocks: Blocks
    feed: Feed
    batch_size: int
    seed: int
    shuffle: bool = True

    def fed(self, order: Order, begin: int, end: int) -> Fed:
        """The rows of batches number begin to end of an epoch's order."""
        return self.feed(rows(self.blocks, order, begin * self.batch_size, min(end * self.batch_size, order.shard.n_rows)))

    def n_rounds(self, shards: Sequence[Shard], local_steps: int) -> int:
        """Rounds of so many steps in an epoch: as many as the largest shard takes."""
        return -(-max(shard.n_steps(self.batch_size) for shard in shards) // local_steps)

    def sample(self, shard: Shard) -> Callable[[], Fed]:
        """Some rows, to make a model ready with."""
        return lambda: self.fed(Order(shard, 0, 0, shuffle=False), 0, 1)

    def visit(self, state: State, shard: Shard, epoch: int, begin: int, end: int) -> Visited:
        """The state after steps begin to end of an epoch on a shard, and the sums of metrics; a pure function.

        Raises:
            DataError: The loss is no number any more.
        """
        with replica(self.build, self.sample(shard)) as here:
            return self.learned(here, state, self.order(shard, epoch), begin, end)

    def order(self, shard: Shard, epoch: int) -> Order:
        """The order in which a shard is learned from in an epoch."""
        return Order(shard, self.seed, epoch, self.shuffle)

    def learned(
        self, here: Replica, state: State, order: Order, begin: int, end: int, *, told: Callable[[int], None] = _to_nobody
    ) -> Visited:
        """What a visit makes of a state, by this replica; it tells how many steps are done now and then."""
        shard, seed = order.shard, [self.seed, order.epoch, order.shard.number, begin]
        end = min(end, shard.n_steps(self.batch_size))
        here.put(state, seed)
        for low, high, stacks in self.groups(order, self.spans(begin, end, lambda: here.n_batches), here.steps.ready):
            here.train(stacks, high - low)
            told(high - begin)
        n_rows = max(min(end * self.batch_size, shard.n_rows) - begin * self.batch_size, 0)
        new, metrics = here.state(n_rows), here.metrics
        if not finite(new, metrics):
            here.put(state, seed)
            self.check(new, metrics, order, *self._first(here, order, begin, end))
        return new, metrics

    def _first(self, here: Replica, order: Order, begin: int, end: int) -> tuple[int, int]:
        """The first batch behind which loss or weights are no numbers, as a span: batches are learned from again, one by one."""
        for step in range(begin, end):
            here.train(here.steps.ready(self.fed(order, step, step + 1), self.batch_size), 1)
            if not finite(here.state(), here.metrics):
                return step, step + 1
        return begin, end

    def spans(self, begin: int, end: int, most: Callable[[], int] = _any_number) -> Iterator[tuple[int, int]]:
        """Batches number begin to end, some at a time: a few first, since nobody gathers them ahead, then as many as may be.

        Args:
            most: Tells, whenever it is asked, how many at most.
        """
        shapes = [one.shape for one in self.feed.inputs] or [self.feed.shape]
        largest = max(1, GROUP_NBYTES // (4 * self.batch_size * sum(map(prod, shapes))))
        n = min(FIRST, largest, most())
        while begin < end:
            yield begin, min(begin + n, end)
            begin, n = begin + n, min(largest, most())

    def groups(self, order: Order, spans: Iterable[tuple[int, int]], ready: Ready) -> Iterator[tuple[int, int, Any]]:
        """Begin and end of each span of batches, and the rows; the next ones are gathered while these are learned from."""

        def made(low: int, high: int) -> tuple[int, int, Any]:
            return low, high, ready(self.fed(order, low, high), self.batch_size)

        with ThreadPoolExecutor(1) as pool:
            ahead: list[Future[tuple[int, int, Any]]] = []
            for span in spans:
                ahead.append(pool.submit(made, *span))
                yield from (one.result() for one in ahead[:-1])
                ahead = ahead[-1:]
            yield from (one.result() for one in ahead)

    def check(self, state: State, metrics: Arrays, order: Order, begin: int, end: int) -> None:
        """Refuse a loss or weights that are no numbers.

        Raises:
            DataError: They are not, after batches begin to end.
        """
        if finite(state, metrics):
            return
        what = f"batch {begin}" if end - begin == 1 else f"batches {begin} to {end - 1}"
        parts = self._parts(order, begin, end)
        where = f"after {what} of epoch {order.epoch + 1} on shard {order.shard.number}, with rows of {parts}"
        do = "Take a smaller learning rate, clip gradients, or look for extreme values in the inputs."
        raise DataError("a loss and weights that are finite numbers", got="NaN or infinity", where=where, do=do)

    def _parts(self, order: Order, begin: int, end: int) -> str:
        """The names of the parts whose rows are in batches."""
        owners, _ = order.places(begin * self.batch_size, min(end * self.batch_size, order.shard.n_rows))
        parts = sorted({self.blocks.part(number) for number in np.unique(owners).tolist()})
        more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
        return f"part{'s' if len(parts) > 1 else ''} {', '.join(map(str, parts[:5]))}{more}"

    def judged(self, state: State, shard: Shard) -> Arrays:
        """The sums of metrics over all rows of a shard."""
        order, n = Order(shard, 0, 0, shuffle=False), shard.n_steps(self.batch_size)
        with replica(self.build, self.sample(shard)) as here:
            here.put(state)
            for _, _, stacks in self.groups(order, self.spans(0, n), here.steps.ready):
                here.steps.judge(stacks)
            return here.metrics


def finite(state: State, metrics: Arrays) -> bool:
    """Whether all weights that are learned are numbers, and so the sum of losses, which is the first of metrics."""
    arrays = (*state.trainable, *metrics[:1])
    return all(np.isfinite(array.astype(np.float32) if array.dtype.kind != "f" else array).all() for array in arrays)


@dataclass(frozen=True, eq=False)
class Rounds:
    """Rounds over all shards.

    Attributes:
        lesson: How a shard is learned from.
        shards: All of them.
        local_steps: Steps of each shard in a round.
        average: Makes one state of those of all shards.
    """

    lesson: Lesson
    shards: tuple[Shard, ...]
    local_steps: int
    average: Average

    @property
    def n_rounds(self) -> int:
        """In an epoch."""
        return self.lesson.n_rounds(self.shards, self.local_steps)

    def leg(
        self, state: State, epoch: int, first: int, last: int, *, client: Client | None, progress: Progress
    ) -> tuple[State, Arrays]:
        """The state after rounds first to last of an epoch, and the sums of metrics in them.

        A round averages the weights; what the optimizer keeps stays with its shard until the end of the leg, and on its worker.
        """
        if len(self.shards) == 1 and not self.average.momentum:
            return self._alone(state, epoch, first, last, client=client, progress=progress)
        graph, H = Graph(), self.local_steps
        now, slots = graph.add("begin", _begun, state), [graph.ref(graph.add("seat", _seat)) for _ in self.shards]
        visits: list[str] = []
        for turn in range(first, last):
            where = (epoch, turn * H, (turn + 1) * H)
            at = graph.ref(graph.add("state", _light, graph.ref(now)))
            pairs = zip(slots, self.shards, strict=True)
            keys = [graph.add("visit", _visit, self.lesson, at, own, shard, *where) for own, shard in pairs]
            visits += keys
            if turn + 1 < last:
                slots = [graph.ref(graph.add("slots", _kept, graph.ref(key))) for key in keys]
                keys = [graph.add("weights", _weights, graph.ref(key)) for key in keys]
            now = graph.add("average", _ended, self.average, graph.ref(now), graph.refs(keys))
        (found,) = execute.run(graph, [now], client=client, progress=progress, counted=visits)
        return found[0], added(found[1])

    def _alone(self, state: State, epoch: int, first: int, last: int, *, client: Client | None, progress: Progress) -> Visited:
        """The same with one shard, which has nothing to be averaged: all rounds are one visit."""
        lesson, (shard,), n, where = self.lesson, self.shards, last - first, (first * self.local_steps, last * self.local_steps)
        if client is None:
            with replica(lesson.build, lesson.sample(shard)) as here:
                told = ticking(progress, n, self.local_steps)
                done = lesson.learned(here, state, lesson.order(shard, epoch), *where, told=told)
        else:
            graph = Graph()
            keys = [graph.add("visit", lesson.visit, state, shard, epoch, *where)]
            (done,) = execute.run(graph, keys, client=client, progress=progress, counted=[])
        progress(n, n)
        return done


def ticking(progress: Progress, n_rounds: int, local_steps: int) -> Callable[[int], None]:
    """Tells of rounds when steps are told of."""
    return lambda steps: progress(min(steps // local_steps, n_rounds), n_rounds)


def _begun(state: State) -> tuple[State, list[Arrays]]:
    return state, []


def _light(found: tuple[State, list[Arrays]]) -> State:
    """What visits begin with: the velocity is nothing to them."""
    return replace(found[0], velocity=())


def _visit(lesson: Lesson, state: State, kept: Kept | None, shard: Shard, *where: int) -> Visited:
    """A visit; its slots are those that the shard kept, where there are any."""
    slots, seen = (state.slots, 0) if kept is None else kept
    new, metrics = lesson.visit(replace(state, slots=slots), shard, *where)
    return replace(new, seen=seen + new.n_rows), metrics


def _seat() -> None:
    """Nothing, somewhere: Dask takes a task to where something that it needs is, so by these the first tasks spread."""


def _kept(visited: Visited) -> Kept:
    return visited[0].slots, visited[0].seen


def _weights(visited: Visited) -> Visited:
    return replace(visited[0], slots=()), visited[1]


def _ended(average: Average, before: tuple[State, list[Arrays]], visits: Sequence[Visited]) -> tuple[State, list[Arrays]]:
    """The state after a round, and the sums of metrics of all rounds so far."""
    return average(before[0], [state for state, _ in visits]), [*before[1], added([metrics for _, metrics in visits])]


def _judged(lesson: Lesson, found: tuple[State, list[Arrays]], shard: Shard) -> Arrays:
    return lesson.judged(found[0], shard)


def judged(lesson: Lesson, state: State, shards: Sequence[Shard], *, client: Client | None, progress: Progress) -> Arrays:
    """The sums of metrics over all rows of some shards."""
    graph = Graph()
    now = graph.ref(graph.add("begin", _begun, state))
    keys = [graph.add("judge", _judged, lesson, now, shard, after=[graph.add("seat", _seat)]) for shard in shards]
    return added(execute.run(graph, keys, client=client, progress=progress, counted=keys))
