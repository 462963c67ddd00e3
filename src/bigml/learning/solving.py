"""Solving: models that learn from whole scans, exactly or to convergence; open to models of your own.

`solve` dispatches on the estimator's type. What it returns is an inquiry over batches: it yields reducers that take
`Batch`es, is sent their results, and returns the estimator, fitted through its public attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV, MultiTaskElasticNet

from bigml.learning.inquiry import Inquiry


@dataclass(frozen=True, eq=False)
class Spans:
    """Where the rows of each batch are among all rows.

    Attributes:
        firsts: The least number that its first row can have, ascending.
        counts: How many rows it has.
    """

    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        return int(self.counts.sum())

    def before(self, row: int) -> int:
        """Rows before the batch whose first row has this number.

        >>> Spans(np.array([0, 10]), np.array([4, 5])).before(11)
        4
        """
        return int(self.counts[: int(np.searchsorted(self.firsts, row, side="right")) - 1].sum())


@dataclass(frozen=True, eq=False)
class Problem:
    """What a model is told before it asks.

    Attributes:
        classes: Sorted classes; y are then codes 0, 1, ... of them. None where y are numbers, or there is no y.
        seed: For whatever is random and has no `random_state` of its own.
        spans: Where the rows of each batch are; None where a filter makes that unknown.
    """

    classes: NDArray[Any] | None = None
    seed: int = 0
    spans: Spans | None = None

    def random(self, estimator: Any) -> np.random.Generator:
        """Random numbers that depend on the estimator's `random_state` or, without one, on the seed."""
        given = estimator.get_params(deep=False).get("random_state")
        if isinstance(given, np.random.RandomState):
            given = int(given.randint(2**31 - 1))
        return np.random.default_rng(self.seed if given is None else given)


@singledispatch
def solve(estimator: Any, problem: Problem) -> Inquiry[Any]:
    """The inquiry that fits the estimator, which may be changed in place, and returns it.

    Raises:
        FitError: A parameter is not supported, named with what to do.
        DataError: The rows do not determine the model.
    """
    raise NotImplementedError(type(estimator).__name__)


@singledispatch
def n_scans(estimator: Any) -> int:
    """About how many scans the inquiry takes: more than one makes it worth while to keep the encoded rows."""
    del estimator
    return 1


@singledispatch
def suits(estimator: Any) -> bool:
    """Whether an estimator of a registered type learns from whole scans: one made of others does if those do."""
    del estimator
    return True


@suits.register(LogisticRegressionCV)
@suits.register(MultiTaskElasticNet)
def _(estimator: LogisticRegressionCV | MultiTaskElasticNet) -> bool:
    """They extend estimators that are registered, and learn otherwise."""
    return False


def is_solved(estimator: Any) -> bool:
    """Whether the estimator learns from whole scans."""
    return solve.dispatch(type(estimator)) is not solve.dispatch(object) and suits(estimator)
