"""Course: a training on its way through all epochs, with what follows it: callbacks, checkpoints, a bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bigml.graph.progress import Progress, Reporting, silent
from bigml.training.checkpoints import Checkpoints, Moment, layers_of
from bigml.training.replica import Replica, added
from bigml.training.rounds import Lesson, judged
from bigml.training.rows import Rows
from bigml.training.shards import Shard, deal
from bigml.training.state import Arrays, State

if TYPE_CHECKING:
    from distributed import Client


class Engine(Protocol):
    """How shards are learned from: rounds, some of which are asked for at a time as a leg."""

    @property
    def lesson(self) -> Lesson: ...

    @property
    def shards(self) -> tuple[Shard, ...]: ...

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
        history = keras.callbacks.History()
        params = {"epochs": epochs, "steps": self.rounds.n_rounds, "verbose": 0}
        followers = keras.callbacks.CallbackList([*callbacks, history], model=self.model, params=params)
        here = Replica.of(self.model)
        here.ready(self.rounds.lesson.sample(self.rounds.shards[0]))
        moment.state.put(self.model)
        self.model.stop_training = False
        followers.on_train_begin()
        history.epoch = list(range(moment.epoch))
        history.history.update({name: list(values) for name, values in moment.history.items()})
        for epoch in range(moment.epoch, epochs):
            followers.on_epoch_begin(epoch)
            moment = self._epoch(replace(moment, state=self._seen(moment.state)), epochs, here, followers, store)
            logs = self._logs(moment, here)
            moment.state.put(self.model)
            followers.on_epoch_end(epoch, logs)
            past = {name: [float(value) for value in values] for name, values in history.history.items()}
            moment = Moment(self._seen(moment.state), epoch + 1, history=past)
            if store is not None:
                store.save(moment)
            if self.model.stop_training:
                break
        followers.on_train_end()
        return history

    def _epoch(self, moment: Moment, epochs: int, here: Replica, followers: Any, store: Checkpoints | None) -> Moment:
        """The end of an epoch, from wherever it is."""
        for first in range(moment.turn, self.rounds.n_rounds, self.every):
            last = min(first + self.every, self.rounds.n_rounds)
            told = self._told(moment, first, epochs)
            state, sums = self.rounds.leg(moment.state, moment.epoch, first, last, client=self.client, progress=told)
            moment = replace(moment, state=state, turn=last, sums=added([moment.sums, sums]) if moment.sums else sums)
            if store is not None and last < self.rounds.n_rounds:
                store.save(moment)
            logs = here.told(moment.sums)
            self.bar.entitle(f"epoch {moment.epoch + 1}/{epochs}, loss {logs['loss']:.4g}")
            followers.on_train_batch_end(last - 1, logs)
        return moment

    def _logs(self, moment: Moment, here: Replica) -> dict[str, float]:
        logs = here.told(moment.sums)
        if self.judge is not None:
            logs |= {f"val_{name}": value for name, value in here.told(self.judge(moment.state)).items()}
        return logs

    def _seen(self, state: State) -> State:
        """The state as callbacks left it in the model: they may set the learning rate, or weights."""
        return State.of(self.model, velocity=state.velocity)

    def _told(self, moment: Moment, first: int, epochs: int) -> Progress:
        n = len(self.rounds.shards)
        before, total = (moment.epoch * self.rounds.n_rounds + first) * n, epochs * self.rounds.n_rounds * n
        return lambda done, _: self.bar(before + done, total)
