"""Questions: what many learners want to know of their rows, answered in one scan; equal questions are answered once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from bigml.chunk import Chunk
from bigml.learning.inquiry import Inquiry
from bigml.searching.failures import Failure, catching
from bigml.searching.hands import Hand, Piece


@dataclass(frozen=True, eq=False)
class Ask:
    """A question about some rows.

    Attributes:
        reducer: Of batches, or of chunks where rows are as they were read.
        encoding: How the rows are encoded.
        cells: Where they are.
    """

    reducer: Any
    encoding: int
    cells: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Gathering:
    """A question asked of one encoding by some asks: one state for all cells, or one a cell where the asks differ in cells."""

    reducer: Any
    encoding: int
    pools: tuple[tuple[int, ...], ...]

    def start(self) -> list[Any]:
        return [_tried(self.reducer.start) for _ in self.pools]

    def update(self, states: list[Any], hand: Hand) -> list[Any]:
        pieces = hand[self.encoding]
        if isinstance(pieces, Failure):
            return [pieces for _ in self.pools]
        return [self._pooled(state, [pieces[cell] for cell in pool]) for state, pool in zip(states, self.pools, strict=True)]

    def _pooled(self, state: Any, pieces: Sequence[Piece]) -> Any:
        for piece in pieces:
            if piece.n_rows and not isinstance(state, Failure):
                state = _tried(self.reducer.update, state, _chosen(piece, self.reducer))
        return state

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        return [self._merged(one, other) for one, other in zip(left, right, strict=True)]

    def _merged(self, one: Any, other: Any) -> Any:
        failed = one if isinstance(one, Failure) else other if isinstance(other, Failure) else None
        return failed or _tried(self.reducer.merge, one, other)

    def result(self, states: Sequence[Any], cells: tuple[int, ...]) -> Any:
        """The result over the rows of some cells."""
        used = [state for state, pool in zip(states, self.pools, strict=True) if set(pool) <= set(cells)]
        merged = reduce(self._merged, used)
        return merged if isinstance(merged, Failure) else _tried(self.reducer.finish, merged)


@dataclass(frozen=True, eq=False)
class Questions:
    """A reducer of hands: the answers to all asks, in their order; a failure in the place of an answer that there is not.

    Asks with equal reducers and encodings share their states, which are then gathered by cell and merged for each ask.
    """

    asks: tuple[Ask, ...]

    @cached_property
    def _places(self) -> list[tuple[Gathering, list[int]]]:
        """What is gathered, and for which asks."""
        alike: dict[Hashable, list[int]] = {}
        for i, ask in enumerate(self.asks):
            alike.setdefault((ask.encoding, _key(ask.reducer)), []).append(i)
        return [(self._gathering(numbers), numbers) for numbers in alike.values()]

    def _gathering(self, numbers: Sequence[int]) -> Gathering:
        asks = [self.asks[i] for i in numbers]
        wanted = {ask.cells for ask in asks}
        pools = tuple(wanted) if len(wanted) == 1 else tuple((cell,) for cell in sorted({c for cells in wanted for c in cells}))
        return Gathering(asks[0].reducer, asks[0].encoding, pools)

    def start(self) -> tuple[Any, ...]:
        return tuple(gathering.start() for gathering, _ in self._places)

    def update(self, state: tuple[Any, ...], hand: Hand) -> tuple[Any, ...]:
        return tuple(gathering.update(one, hand) for (gathering, _), one in zip(self._places, state, strict=True))

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(gathering.merge(a, b) for (gathering, _), a, b in zip(self._places, left, right, strict=True))

    def finish(self, state: tuple[Any, ...]) -> list[Any]:
        answers: list[Any] = [None] * len(self.asks)
        for (gathering, numbers), states in zip(self._places, state, strict=True):
            known: dict[tuple[int, ...], Any] = {}
            for i in numbers:
                cells = self.asks[i].cells
                if cells not in known:
                    known[cells] = gathering.result(states, cells)
                answers[i] = known[cells]
        return answers


def _key(reducer: Any) -> Hashable:
    """Equal for reducers that are known to be equal."""
    try:
        hash(reducer)
    except TypeError:
        return id(reducer)
    return (type(reducer), reducer)


def _chosen(piece: Piece, reducer: Any) -> Piece:
    return piece.select(reducer.columns) if isinstance(piece, Chunk) else piece


def _tried(function: Callable[..., Any], *arguments: Any) -> Any:
    with catching() as caught:
        return function(*arguments)
    return caught.failure


@dataclass(frozen=True, eq=False)
class Learner:
    """An inquiry about some rows."""

    inquiry: Inquiry[Any]
    encoding: int
    cells: tuple[int, ...]


def joint(learners: Sequence[Learner]) -> Inquiry[list[Any]]:
    """All inquiries as one: yields `Questions`, returns what each has learned, or its failure.

    >>> list(joint([]))
    []
    """
    learned: list[Any] = [None] * len(learners)
    asked: dict[int, Any] = {}

    def goes_on(i: int, answer: Any) -> None:
        asked.pop(i, None)
        if isinstance(answer, Failure):
            learned[i] = answer
            return
        with catching() as caught:
            try:
                asked[i] = learners[i].inquiry.send(answer)
            except StopIteration as end:
                learned[i] = end.value
        learned[i] = caught.failure or learned[i]

    for i in range(len(learners)):
        goes_on(i, None)
    while asked:
        waiting = tuple(asked)
        asks = tuple(Ask(asked[i], learners[i].encoding, learners[i].cells) for i in waiting)
        for i, answer in zip(waiting, (yield Questions(asks)), strict=True):
            goes_on(i, answer)
    return learned
