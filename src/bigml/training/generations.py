"""Generations: ranks that train in step, all replaced when one dies or freezes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from bigml.errors import ClusterError
from bigml.graph.progress import Progress
from bigml.training.channel import Failure
from bigml.training.crews import Crew, RankError
from bigml.training.rank import Learned
from bigml.training.replica import added
from bigml.training.rounds import Lesson
from bigml.training.shards import Shard
from bigml.training.state import State
from bigml.training.variables import Arrays

if TYPE_CHECKING:
    from distributed import Client

RESTARTS = 3
"""Of all ranks, in one training."""


@dataclass(eq=False)
class Generations:
    """Synchronous SGD: one gradient a step, of the batches of all ranks together.

    A leg is asked of the ranks that there are, and asked anew of others, from the state it began with, when one of them dies or
    freezes. A context manager, which leaves no process behind.

    Attributes:
        lesson: How a shard is learned from.
        shards: One of each rank.
        local_steps: Steps that are a round: what callbacks are told of.
        restarts: Generations that may still follow.
    """

    lesson: Lesson
    shards: tuple[Shard, ...]
    local_steps: int
    restarts: int = RESTARTS
    _crew: Crew | None = None
    _reached: State | None = None
    _causes: list[Failure] = field(default_factory=list)

    @property
    def n_rounds(self) -> int:
        """In an epoch."""
        return self.lesson.n_rounds(self.shards, self.local_steps)

    def leg(
        self, state: State, epoch: int, first: int, last: int, *, client: Client | None, progress: Progress
    ) -> tuple[State, Arrays]:
        """The state after rounds first to last of an epoch, and the sums of metrics in them.

        Raises:
            ClusterError: Ranks failed more often than is borne.
            DataError: Weights diverged.
        """
        while True:
            try:
                told = self._learned(state, epoch, first * self.local_steps, last * self.local_steps, client)
                break
            except RankError as error:
                self._failed(error.failure, f"in epoch {epoch + 1}, rounds {first} to {last - 1}")
        progress((last - first) * len(self.shards), (last - first) * len(self.shards))
        return told

    def _learned(self, state: State, epoch: int, begin: int, end: int, client: Client | None) -> tuple[State, Arrays]:
        if self._crew is None:
            self._crew = Crew(self.lesson, self.shards, client)
        known = None if state is self._reached else state
        answers: list[Learned] = self._crew.ask("learn", known, epoch, begin, end)
        reached = answers[0].state
        if reached is None:
            raise RankError(Failure(0, "no state told"))
        # Processors of different makes may round differently: then all take the first rank's weights anew.
        self._reached = reached if len({answer.digest for answer in answers}) == 1 else None
        return reached, added([answer.metrics for answer in answers])

    def _failed(self, failure: Failure, where: str) -> None:
        """End this generation; another one follows, unless that cannot help.

        Raises:
            ClusterError: There were too many.
            BigmlError: What the rank raised, of ours: it would come again.
        """
        self._end()
        if failure.error is not None:
            raise failure.error
        self._causes.append(failure)
        if self.restarts:
            self.restarts -= 1
            return
        cause = self._causes[0]
        log = f"The last lines of its log:\n{cause.log}" if cause.log else "It had written no log."
        got = f"{len(self._causes)} failures, the first one of rank {cause.number}: {cause.what}"
        raise ClusterError("ranks that train to the end", got=got, where=where, do=log)

    def _end(self) -> None:
        crew, self._crew, self._reached = self._crew, None, None
        if crew is not None:
            crew.end()

    def __enter__(self) -> Generations:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
