"""Incremental: what the tasks of a `partial_fit` chain run; pure functions of a part, and of a state and a batch."""

from __future__ import annotations

import inspect
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import FitError
from bigml.learning.batch import Batch, Encoder
from bigml.learning.blas import one_thread_each
from bigml.learning.finite import refused_number
from bigml.part import Part


@dataclass(frozen=True, eq=False)
class Prepare:
    """Makes the batch of a part, or takes one that was kept; permuted by (seed, epoch, part), or left in order without a seed."""

    encoder: Encoder
    epoch: int = 0
    seed: int | None = None

    def __call__(self, part: Part, chunk: Chunk | Batch) -> Batch:
        batch = self._labelled(chunk) if isinstance(chunk, Batch) else self.encoder(chunk, str(part))
        batch = replace(batch, where="", parts=(part,))
        if self.seed is None or not batch.n_rows:
            return batch
        return batch.take(np.random.default_rng([self.seed, self.epoch, part.index]).permutation(batch.n_rows))

    def _labelled(self, batch: Batch) -> Batch:
        """Kept batches hold codes of classes."""
        target = self.encoder.target
        if target is None or target.classes is None or batch.y is None:
            return batch
        return replace(batch, y=target.classes[batch.y])


@dataclass(frozen=True, eq=False)
class Mix:
    """Exchanges rows among the batches of a window: each is cut into as many strips, and each batch gets one of every other's.

    Which strip goes where depends on (seed, epoch, number of the window) alone. Strips are copied once, which is much cheaper
    than moving single rows; those are permuted within the new batches, unless the estimator does that itself.
    """

    seed: int
    epoch: int
    permutes: bool = True

    def __call__(self, number: int, batches: list[Batch]) -> list[Batch]:
        random = np.random.default_rng([self.seed, self.epoch, number, 1])
        shifts = random.integers(len(batches), size=len(batches))
        strips = [deque(_strips(batches.pop(0), shift, len(shifts))) for shift in shifts]
        mixed = []
        while strips[0]:
            batch = Batch.joined([own.popleft() for own in strips])
            mixed.append(batch.take(random.permutation(batch.n_rows)) if self.permutes else batch)
        return mixed


def _strips(batch: Batch, first: int, count: int) -> list[Batch]:
    """The batch in `count` strips of consecutive rows, beginning with the one of this number."""
    edges = [batch.n_rows * i // count for i in range(count + 1)]
    return [batch.rows_between(edges[j % count], edges[j % count + 1]) for j in range(first, first + count)]


@dataclass(frozen=True, eq=False)
class Step:
    """One `partial_fit` on a copy: a step that runs twice counts once.

    Attributes:
        features: Names of the columns of X, for errors.
        classes: What is passed as `classes`; None when the estimator takes none.
    """

    features: tuple[str, ...]
    classes: NDArray[Any] | None = None

    def __call__(self, estimator: Any, batch: Batch) -> Any:
        if not batch.n_rows:
            return estimator
        try:
            return stepped(estimator, batch, self.classes)
        except ValueError as error:
            raise self._blame(estimator, batch, error) from error

    def _blame(self, learner: Any, batch: Batch, error: ValueError) -> Exception:
        """What was wrong with the batch: a number that is not finite, or whatever the estimator says."""
        got = str(error).splitlines()[0]
        refused = refused_number(batch.X, self.features, batch.rows, batch.place)
        return refused or FitError(f"a batch that `{type(learner).__name__}.partial_fit` accepts", got=got, where=batch.place())


def stepped(estimator: Any, batch: Batch, classes: NDArray[Any] | None) -> Any:
    """A copy of the estimator after one `partial_fit`, which is told the classes unless they are None.

    It has one thread of BLAS and of OpenMP, so that its bits are the same wherever it learns.
    """
    learner = deepcopy(estimator)
    more = {} if classes is None else {"classes": classes}
    if batch.weights is not None:
        more["sample_weight"] = batch.weights
    with one_thread_each():
        learner.partial_fit(batch.X, batch.y, **more)
    return learner


@dataclass(frozen=True, eq=False)
class Learned:
    """The state of a chain: an estimator, and how many rows it has learned from in all epochs."""

    estimator: Any
    n_rows: int = 0


@dataclass(frozen=True, eq=False)
class Counted:
    """A step that counts the rows too: an estimator does not tell whether it has learned from any."""

    step: Step

    def __call__(self, state: Learned, batch: Batch) -> Learned:
        return Learned(self.step(state.estimator, batch), state.n_rows + batch.n_rows)


def takes_classes(estimator: Any) -> bool:
    """Whether its `partial_fit` wants to know the classes."""
    return "classes" in inspect.signature(estimator.partial_fit).parameters


def takes_weights(estimator: Any) -> bool:
    """Whether its `partial_fit` takes sample weights."""
    return "sample_weight" in inspect.signature(estimator.partial_fit).parameters
