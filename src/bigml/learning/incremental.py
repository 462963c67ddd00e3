"""Incremental: what the tasks of a `partial_fit` chain run; pure functions of a part, and of a state and a batch."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import FitError
from bigml.learning.design import Design
from bigml.learning.finite import refused_number
from bigml.learning.target import Target
from bigml.part import Part


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows of one part, ready for `partial_fit`: rows[i] is the number of the row that X[i] was made of."""

    part: Part
    rows: NDArray[np.int64]
    X: Any
    y: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Prepare:
    """Makes the batch of a part; rows are permuted by (seed, epoch, part), or left in order without a seed."""

    design: Design
    target: Target | None
    epoch: int = 0
    seed: int | None = None

    def __call__(self, part: Part, chunk: Chunk) -> Batch:
        y = self.target.values(chunk, str(part)) if self.target is not None else None
        X = self.design.matrix(chunk) if chunk.n_rows else None
        if self.seed is None or X is None:
            return Batch(part, chunk.row_numbers, X, y)
        order = np.random.default_rng([self.seed, self.epoch, part.index]).permutation(chunk.n_rows)
        X = X.iloc[order] if hasattr(X, "iloc") else X.take(order, axis=0) if isinstance(X, np.ndarray) else X[order]
        return Batch(part, chunk.row_numbers[order], X, y[order] if y is not None else None)


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
        if batch.X is None:
            return estimator
        learner = deepcopy(estimator)
        more = {} if self.classes is None else {"classes": self.classes}
        try:
            learner.partial_fit(batch.X, batch.y, **more)
        except ValueError as error:
            raise self._blame(learner, batch, error) from error
        return learner

    def _blame(self, learner: Any, batch: Batch, error: ValueError) -> Exception:
        """What was wrong with the batch: a number that is not finite, or whatever the estimator says."""
        got, where = str(error).splitlines()[0], f"{batch.part}"
        refused = refused_number(batch.X, self.features, batch.rows, where)
        return refused or FitError(f"a batch that `{type(learner).__name__}.partial_fit` accepts", got=got, where=where)


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
        return Learned(self.step(state.estimator, batch), state.n_rows + len(batch.rows))


def takes_classes(estimator: Any) -> bool:
    """Whether its `partial_fit` wants to know the classes."""
    return "classes" in inspect.signature(estimator.partial_fit).parameters
