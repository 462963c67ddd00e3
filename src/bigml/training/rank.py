"""Rank: one of those that train in step, in a process of its own: `python -m bigml.training.rank`, started by `ranks`."""

from __future__ import annotations

import hashlib
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bigml.errors import BigmlError
from bigml.training.channel import Channel, Failure
from bigml.training.devices import check_installed
from bigml.training.feed import Fed
from bigml.training.ledger import Ledger
from bigml.training.replica import Replica
from bigml.training.rounds import Lesson
from bigml.training.shards import Order, Shard
from bigml.training.state import State
from bigml.training.summing import SummedSteps
from bigml.training.synchrony import Port, Synchrony
from bigml.training.variables import Arrays, OneByOne

IDLE_SECONDS = 3600.0
"""A rank that is asked for nothing for so long has been forgotten, and ends."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a rank tells of a leg.

    Attributes:
        state: After it; only the first rank's, since all have the same.
        metrics: Sums over the rank's own rows.
        digest: Of the weights and what the optimizer keeps, by which equality is seen.
    """

    state: State | None
    metrics: Arrays
    digest: str


@dataclass(eq=False)
class Pupil:
    """What a rank is asked to do, one after the other.

    Attributes:
        lesson: How a shard is learned from.
        shards: Of all ranks.
        number: The rank's.
        host: Where the others find it.
        n_threads: It may have.
        slot: Which of the devices of the process is its own.
    """

    lesson: Lesson
    shards: tuple[Shard, ...]
    number: int
    host: str
    n_threads: int
    slot: int

    def open(self) -> str:
        """Take a port; its address."""
        self._port = Port(self.host)
        return self._port.address

    def join(self, addresses: Sequence[str]) -> None:
        """Meet the others, and make the model."""
        check_installed()
        self._synchrony = Synchrony(addresses, self.number, self.n_threads, self.slot)
        model = self.lesson.build()
        self._sample = self.lesson.sample(self.shards[self.number])
        self._here = Replica(model, self._sample)
        self._steps = SummedSteps(model, self._synchrony)
        self._ledger = Ledger.of(self.shards, self.lesson.batch_size)

    def learn(self, state: State | None, epoch: int, begin: int, end: int) -> Learned:
        """Take steps begin to end of an epoch from a state; None goes on from where the rank is."""
        order, end = Order(self.shards[self.number], self.lesson.seed, epoch, self.lesson.shuffle), min(end, self._ledger.n_steps)
        self._here.put(state or self._here.state(), [self.lesson.seed, epoch, self.number, begin])
        full = min(max(begin, self._ledger.n_full), end)
        for low, high, stacks in self.lesson.groups(order, self.lesson.spans(begin, full), self._steps.ready):
            self._steps.train(stacks, [self._ledger.share(self.number, step) for step in range(low, high)])
        for step in range(full, end):
            self._uneven(order, step)
        reached = self._together(self._ledger.share(self.number, begin, end))
        metrics = self._here.metrics
        self.lesson.check(reached, metrics, order, begin, end)
        return Learned(None if self.number else reached, metrics, _digest(reached))

    def _uneven(self, order: Order, step: int) -> None:
        """A step in which a rank has fewer rows or none; then it follows the others without learning anything of its own."""
        share = self._ledger.share(self.number, step)
        if share:
            self._one(self.lesson.fed(order, step, step + 1), share)
            return
        model, metrics = self._here.model, self._here.metrics
        fixed = self._here.state().fixed
        self._one(self._sample(), 0.0)
        OneByOne(model.non_trainable_variables).write(fixed)
        OneByOne(model.metrics_variables).write(metrics)

    def _one(self, fed: Fed, share: float) -> None:
        self._steps.train(self._steps.ready(fed, len(fed[1])), [share])

    def _together(self, share: float) -> State:
        """The state that all ranks have: what normalisations count is averaged, which each did on its own rows."""
        model = self._here.model
        fixed = self._synchrony.mean(self._here.state().fixed, share)
        OneByOne(model.non_trainable_variables).write(fixed)
        return self._here.state()


def _digest(state: State) -> str:
    digest = hashlib.sha256()
    for array in (*state.trainable, *state.slots):
        digest.update(array.tobytes())
    return digest.hexdigest()


def answered(number: int, work: Any, arguments: Sequence[Any]) -> Any:
    """What the work returns, or why it does not."""
    try:
        return work(*arguments)
    except BigmlError as error:
        return Failure(number, str(error), error=error)
    except Exception as error:
        traceback.print_exc()
        return Failure(number, f"{type(error).__name__}: {str(error)[:500]}", first=not _of_others(error))


def _of_others(error: Exception) -> bool:
    """Whether an error only says that another rank is gone."""
    if "tensorflow" not in sys.modules:
        return False
    from tensorflow import errors

    return isinstance(
        error, errors.UnavailableError | errors.DeadlineExceededError | errors.AbortedError | errors.CancelledError
    ) or "ollective" in str(error)


def main(descriptor: int) -> None:
    """Do what is asked at this end of a pair of sockets, until the other one is closed."""
    import cloudpickle

    channel = Channel(socket.socket(fileno=descriptor))
    number, pickled = channel.hear(IDLE_SECONDS)
    with channel.beating():
        pupil = cloudpickle.loads(pickled)
    while True:
        name, arguments = channel.hear(IDLE_SECONDS)
        with channel.beating():
            answer = answered(number, getattr(pupil, name), arguments)
        channel.tell(answer if answer is not None else True)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError):
        # Who watches has ended. Leaving TensorFlow in good order can take half a minute when another rank is gone.
        signal.raise_signal(signal.SIGKILL)
