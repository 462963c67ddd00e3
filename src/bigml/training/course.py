"""Course: a training on its way through all epochs, with what follows it: callbacks, checkpoints, a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bigml.errors import FitError
from bigml.graph.progress import Progress, Reporting, silent
from bigml.training.checkpoints import Checkpoints, Moment, layers_of
from bigml.training.followers import Followers
from bigml.training.replica import Replica, added
from bigml.training.rounds import Lesson, judged
from bigml.training.rows import Rows, n_workers
from bigml.training.shards import Shard, deal
from bigml.training.state import State
from bigml.training.variables import Arrays

if TYPE_CHECKING:
    from distributed import Client


class Engine(Protocol):
    """How shards are learned from: rounds, some of which are asked for at a time as a leg."""

    @property
    def lesson(self) -> Lesson: ...

    @property
    def shards(self) -> tuple[Shard, ...]: ...

    @property
    def local_steps(self) -> int: ...

    @property
    def n_rounds(self) -> int: ...

    def leg(
        self, state: State, epoch: int, first: int, last: int, *, client: Client | None, progress: Progress
    ) -> tuple[State, Arrays]: ...


Judge = Callable[[State], Arrays]
"""The sums of metrics on rows that are held out."""


def judging(lesson: Lesson, held: Rows, client: Client | None) -> Judge:
    """Judges a state by held out rows, on all workers."""
    pieces = deal(held.counts, min(len(held.counts), 64), whole=True)
    asked = replace(lesson, blocks=held.blocks)
    return lambda state: judged(asked, state, pieces, client=client, progress=silent)


@dataclass(eq=False)
class Course:
    """A training on its way.

    Attributes:
        model: The caller's, in this process: it has the newest weights whenever callbacks are called.
        rounds: What is learned in an epoch.
        judge: Judges the epoch; None where nothing is held out.
        client: Where tasks run.
        every: Rounds that are one piece of work: they are repeated together when a worker dies.
        bar: Told of every visit to a shard.
    """

    model: Any
    rounds: Engine
    judge: Judge | None
    client: Client | None
    every: int
    bar: Reporting

    def run(self, epochs: int, callbacks: Sequence[Any], checkpoint: str | Path | None, key: Mapping[str, Any]) -> Any:
        """Train to the end; the model has the weights, and its history is returned."""
        import keras

        store = None if checkpoint is None else Checkpoints(checkpoint, layers_of(self.model), key)
        moment = (store.load() if store is not None else None) or Moment(State.of(self.model))
        if moment.epoch > epochs:
            do = "Ask for as many epochs or more, or give another directory."
            raise FitError(f"a checkpoint of at most {epochs} epochs", got=f"one of {moment.epoch}", where=str(checkpoint), do=do)
        history, logs = keras.callbacks.History(), None
        followers = Followers.of(self.model, callbacks, history, epochs=epochs, steps=self.rounds.n_rounds)
        here = Replica(self.model, self.rounds.lesson.sample(self.rounds.shards[0]))
        followers.put(moment.state)
        self.model.stop_training = False
        moment = replace(moment, state=followers.tell("on_train_begin", moment.state))
        history.epoch = list(range(moment.epoch))
        history.history.update({name: list(values) for name, values in moment.history.items()})
        for epoch in range(moment.epoch, epochs):
            moment = self._epoch(moment, epochs, here, followers, store)
            state, logs = self._judged(moment, here, followers)
            state = followers.tell("on_epoch_end", state, epoch, logs)
            past = {name: [float(value) for value in values] for name, values in history.history.items()}
            moment = Moment(state, epoch + 1, history=past)
            if store is not None:
                store.save(moment)
            if self.model.stop_training:
                break
        followers.put(followers.tell("on_train_end", moment.state, logs))
        return history

    def _epoch(self, moment: Moment, epochs: int, here: Replica, followers: Followers, store: Checkpoints | None) -> Moment:
        """The end of an epoch, from wherever it is."""
        moment = replace(moment, state=followers.tell("on_epoch_begin", moment.state, moment.epoch))
        self.bar.entitle(f"epoch {moment.epoch + 1}/{epochs}")
        self._told(moment, moment.turn, epochs)(0, 0)
        for first in range(moment.turn, self.rounds.n_rounds, self.every):
            last = min(first + self.every, self.rounds.n_rounds)
            begun, told = time.monotonic(), self._told(moment, first, epochs)
            state = followers.tell("on_train_batch_begin", moment.state, first)
            state, sums = self.rounds.leg(state, moment.epoch, first, last, client=self.client, progress=told)
            moment = replace(moment, state=state, turn=last, sums=added([moment.sums, sums]) if moment.sums else sums)
            if store is not None and last < self.rounds.n_rounds:
                store.save(moment)
            logs, pace = here.told(moment.sums), self._pace(first, last, time.monotonic() - begun)
            self.bar.entitle(f"epoch {moment.epoch + 1}/{epochs}, loss {logs['loss']:.4g}, {pace}")
            moment = replace(moment, state=followers.tell("on_train_batch_end", moment.state, last - 1, logs))
            if self.model.stop_training:
                break
        return moment

    def _judged(self, moment: Moment, here: Replica, followers: Followers) -> tuple[State, dict[str, float]]:
        """The state at the end of an epoch, and what is told of it; held out rows are one batch to callbacks."""
        logs = here.told(moment.sums)
        if self.judge is None:
            return moment.state, logs
        state = followers.tell("on_test_begin", moment.state)
        state = followers.tell("on_test_batch_begin", state, 0)
        found = here.told(self.judge(state))
        state = followers.tell("on_test_batch_end", state, 0, found)
        state = followers.tell("on_test_end", state, found)
        return state, logs | {f"val_{name}": value for name, value in found.items()}

    def _pace(self, first: int, last: int, seconds: float) -> str:
        """What a worker learned from in a second of rounds first to last."""
        rows = [self.rounds.local_steps * self.rounds.lesson.batch_size * turn for turn in (first, last)]
        before, after = (sum(min(n, shard.n_rows) for shard in self.rounds.shards) for n in rows)
        rate = (after - before) / max(seconds, 1e-9) / n_workers(self.client)
        return f"{rate:,.0f} samples/s" + (" per worker" if self.client is not None else "")

    def _told(self, moment: Moment, first: int, epochs: int) -> Progress:
        n = len(self.rounds.shards)
        before, total = (moment.epoch * self.rounds.n_rounds + first) * n, epochs * self.rounds.n_rounds * n
        return lambda done, _: self.bar(before + done, total)
