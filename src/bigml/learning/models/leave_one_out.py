"""Leave one out: ridge regression whose penalty is chosen by the error in each row of the model of all other rows.

The other rows' prediction follows from the model of all rows and the row's leverage (Rifkin and Lippert, "Notes on regularized
least squares", 2007), so a second scan scores all penalties at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from bigml.errors import FitError
from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.cross_validated import points
from bigml.learning.models.least_squares import Table, few_rows, penalties, tables
from bigml.learning.scores.gauges import GAUGES, Outcome
from bigml.learning.scores.metrics import REGRESSION, Metric
from bigml.learning.solving import Problem, n_scans, solve
from bigml.learning.structure import structured

FROM_PRODUCTS = (None, "r2", "explained_variance", "neg_mean_squared_error", "neg_root_mean_squared_error")
"""Scores that follow from products of columns."""
States: TypeAlias = tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Ridges:
    """Ridge regressions of all rows, one for each penalty.

    Attributes:
        table: Few rows that stand for all.
        alphas: Penalties, shape (n_alphas,).
        intercept: Whether there is one.
    """

    table: Table
    alphas: NDArray[np.float64]
    intercept: bool

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Orthogonal directions (by columns), squared lengths of the features along them, and products with y."""
        left, lengths, right = np.linalg.svd(self.table.rows[:, :-1], full_matrices=False)
        return right.T, lengths**2, lengths * (left.T @ self.table.rows[:, -1])

    @cached_property
    def shrinkage(self) -> NDArray[np.float64]:
        """What products are multiplied by along each direction, shape (n_directions, n_alphas)."""
        return np.asarray(1 / (self.axes[1][:, None] + self.alphas))

    @cached_property
    def along(self) -> NDArray[np.float64]:
        """Coefficients along the directions, shape (n_directions, n_alphas)."""
        return self.axes[2][:, None] * self.shrinkage

    def coefficients(self, i: int) -> NDArray[np.float64]:
        """Of the features, for one penalty."""
        return np.asarray(self.axes[0] @ self.along[:, i])

    def predictions(self, rows: NDArray[np.float64], roots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of y in each row by the model of all others, shape (n, n_alphas).

        Args:
            rows: Features and, last, y.
            roots: Square roots of the rows' weights.
        """
        centred = rows - self.table.means
        placed = centred[:, :-1] @ self.axes[0]
        errors = centred[:, -1:] - placed @ self.along
        leverage = (placed**2) @ self.shrinkage + (1 / self.table.weight if self.intercept else 0)
        return np.asarray(rows[:, -1:] - errors / (1 - roots[:, None] ** 2 * leverage))


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A reducer of batches: for each penalty, what gauges gather of predictions of rows that were left out."""

    ridges: Ridges
    gauges: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def start(self) -> States:
        return ()

    @one_thread_each()
    def update(self, state: States, batch: Batch) -> States:
        weights = np.ones(batch.n_rows) if batch.weights is None else batch.weights
        first = 0
        for table in tables(batch, weighted=False):
            state = self.merge(state, self._gathered(table[:, 1:], weights[first : first + len(table)]))
            first += len(table)
        return state

    def _gathered(self, rows: NDArray[np.float64], weights: NDArray[np.float64]) -> States:
        predicted = self.ridges.predictions(rows, np.sqrt(weights))
        outcomes = [Outcome(rows[:, -1], column, 0, weights=weights) for column in predicted.T]
        return tuple({name: GAUGES[name].of(outcome) for name in self.gauges} for outcome in outcomes)

    def merge(self, left: States, right: States) -> States:
        if not left or not right:
            return left or right
        pairs = zip(left, right, strict=True)
        return tuple({name: GAUGES[name].merge(one[name], other[name]) for name in self.gauges} for one, other in pairs)

    def finish(self, state: States) -> States:
        return state


@solve.register(RidgeCV)
def _(estimator: RidgeCV, problem: Problem) -> Inquiry[Any]:
    _check(estimator)
    if estimator.cv is not None:
        found = yield from points(estimator, problem)
        return found.fitted(estimator)
    metric = _metric(estimator.scoring)
    table, _ = yield from few_rows(estimator.fit_intercept, *penalties(estimator))
    n_features = table.rows.shape[1] - 1
    structured(estimator, np.eye(2, n_features), np.arange(2.0), scoring=None)
    ridges = Ridges(table, np.atleast_1d(np.asarray(estimator.alphas, dtype=np.float64)), estimator.fit_intercept)
    gathered = yield LeftOut(ridges, ("rows", *metric.gauges))
    scores = _scores(estimator.scoring, metric, gathered)
    best = int(np.argmax(scores))
    estimator.alpha_, estimator.best_score_ = float(ridges.alphas[best]), scores[best]
    estimator.coef_ = ridges.coefficients(best)
    estimator.intercept_ = float(table.means[-1] - table.means[:-1] @ estimator.coef_) if estimator.fit_intercept else 0.0
    return estimator


@n_scans.register(RidgeCV)
def _(estimator: RidgeCV) -> int:
    return 2 if estimator.cv is None else 1


def _check(estimator: RidgeCV) -> None:
    where = "in `RidgeCV`"
    if estimator.store_cv_results:
        do = "Leave it out: `best_score_` tells how the best penalty did."
        raise FitError("no value for each row", got="store_cv_results=True", where=where, do=do)
    if estimator.cv is not None and estimator.scoring not in FROM_PRODUCTS:
        known = ", ".join(str(name) for name in FROM_PRODUCTS)
        do = "Use one of these, or leave out cv=."
        raise FitError(f"a score among {known}", got=f"{estimator.scoring!r}"[:100], where=f"{where} with cv=", do=do)


def _metric(scoring: Any) -> Metric:
    """The metric of this name; of squared errors without one."""
    name = "neg_mean_squared_error" if scoring is None else scoring
    metric = REGRESSION.get(name.removeprefix("neg_")) if isinstance(name, str) else None
    if metric is None or name.startswith("neg_") == metric.greater_is_better:
        do = "Use one of these names, or fit plain scikit-learn on source.sample(n)."
        known = ", ".join(one if other.greater_is_better else f"neg_{one}" for one, other in REGRESSION.items())
        raise FitError(f"a score among {known}", got=f"{scoring!r}"[:100], where="in scoring= of `RidgeCV`", do=do)
    return metric


def _scores(scoring: Any, metric: Metric, gathered: Sequence[dict[str, Any]]) -> list[float]:
    """The score of each penalty; without a name, a mean over rows of errors that count by weight, as scikit-learn has it."""
    if scoring is None:
        return [-float(state["squared"][1]) / float(state["rows"][0]) for state in gathered]
    sign = 1 if metric.greater_is_better else -1
    return [sign * metric.value(*(state[name] for name in metric.gauges)) for state in gathered]
