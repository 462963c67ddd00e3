"""Panel: linear models trained together by stochastic gradient descent, as the columns of one matrix of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier, SGDRegressor

from bigml.errors import DataError
from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.structure import structured
from bigml.searching.arrays import library, returned
from bigml.searching.columns import Columns
from bigml.searching.learner import Learner, Weights, padded_width
from bigml.searching.losses import LOSSES
from bigml.searching.visits import Run, minibatch_rows, runs

SCHEDULES = ("optimal", "constant", "invscaling")


def suits(estimator: Any) -> bool:
    """Whether a panel trains it."""
    if type(estimator) not in (SGDClassifier, SGDRegressor) or estimator.loss not in LOSSES:
        return False
    known = estimator.learning_rate in SCHEDULES and estimator.penalty in ("l2", "l1", "elasticnet", None)
    return known and not estimator.early_stopping and _positive(estimator)


def _positive(estimator: Any) -> bool:
    ratio = estimator.l1_ratio is not None and 0 <= estimator.l1_ratio <= 1
    enough = estimator.alpha > 0 if estimator.learning_rate == "optimal" else estimator.alpha >= 0
    return bool(enough and estimator.eta0 > 0 and estimator.average >= 0 and (ratio or estimator.penalty != "elasticnet"))


@dataclass(frozen=True, eq=False)
class Panel:
    """SGDClassifiers or SGDRegressors that learn together: their weights are the columns of one matrix. Picklable, immutable.

    A member is a candidate in a split. It learns by mini-batches of n rows of one cell, which advance its row count t by n as
    in scikit-learn. With eta the mean of scikit-learn's step sizes of these n rows, G the sum of the gradients of the loss at
    the weights before them (times the weights of rows and classes), and L the largest eigenvalue of the products X'X of the
    features of the mini-batch, or at least about that:

    - the rate is h = min(eta, reach / L), where the reach is the inverse of the loss's largest second derivative
      (`bigml.searching.losses`): a gradient step that is not longer never overshoots (Nesterov, Introductory Lectures on Convex
      Optimization, 2004, section 2.1.5), however large the first step sizes of the schedule "optimal" are. The intercept
      has a bound of its own, of the column of ones;
    - weights fall to w exp(-n h a) - h G (1 - exp(-n h a)) / (n h a), with a the ridge part of alpha: the exponential Euler step
      of w' = -a w - G / n over the time n h (Hochbruck and Ostermann, Exponential Integrators, 2010), exact in the penalty;
    - they then move towards zero, and stop there, by what they have not yet paid of the sum of n h times the lasso part of
      alpha over the mini-batches of this step: the cumulative penalty (Tsuruoka, Tsujii and Ananiadou, Stochastic Gradient
      Descent Training for L1-regularized Log-linear Models with Cumulative Penalty, 2009);
    - averages are over the rows from row `average` on, those of a mini-batch counted with the weights after it.

    Mini-batches grow with the root of the rows from 16 to 512 (`bigml.searching.visits`). Of several classes, each has a column
    of its own against all others. The intercept of sparse rows learns as fast as that of dense ones. The rows are in float32
    while they are learned from, the weights in float64. Two products of matrices per mini-batch serve all members; a
    member's weights do not depend on its neighbours.

    Attributes:
        models: The estimators, whose parameters say how to learn.
        trains: Shape (n_members, n_cells): whether a member learns from the rows of a cell.
        classes: All labels, sorted; None for numbers.
        seed: Of the order of rows.
        columns: What the columns differ in.
        weights: Shape (n_features + 1, n_columns), the intercepts last.
        averages: Of the same shape; None where no member averages.
        rows: How many rows each member has learned from.
        visited: Rows of all cells.
        epochs: Epochs begun.

    >>> from sklearn.linear_model import SGDClassifier
    >>> X = np.linspace(-1, 1, 400)[:, None]
    >>> rows = Batch(np.arange(400), X, (X[:, 0] > 0).astype(np.int64))
    >>> models = [SGDClassifier(loss="log_loss", alpha=alpha) for alpha in (1e-4, 1e-2)]
    >>> panel = Panel.of(models, np.ones((2, 1), bool), 1, np.array(["no", "yes"]), seed=0).step([rows], epoch=0, part=0)
    >>> [model.predict([[0.9]]).item() for model in panel.estimators()]
    ['yes', 'yes']
    """

    models: tuple[Any, ...]
    trains: NDArray[np.bool_]
    classes: NDArray[Any] | None
    seed: int
    columns: Columns
    weights: NDArray[np.float64]
    averages: NDArray[np.float64] | None
    rows: NDArray[np.int64]
    visited: int = 0
    epochs: int = 0

    @classmethod
    def of(
        cls,
        estimators: Sequence[Any],
        trains: NDArray[np.bool_],
        n_features: int,
        classes: NDArray[Any] | None,
        *,
        class_counts: NDArray[Any] | None = None,
        seed: int,
    ) -> Panel:
        """Members that have learned nothing yet, all weights zero.

        Args:
            estimators: Such that `suits` holds; one for each member.
            trains: Shape (n_members, n_cells).
            classes: All labels, sorted; None for numbers.
            class_counts: Rows of each class that a member learns from, shape (n_members, n_classes), for "balanced" ones.

        Raises:
            ConfigError: A class weight is "balanced" and there are no counts.
            DataError: There is one class only.
        """
        if classes is not None and len(classes) < 2:
            raise DataError("two classes or more", got=f"{len(classes)}", where="in the target")
        columns = Columns.of(estimators, classes, class_counts)
        weights = np.zeros((n_features + 1, len(columns)))
        averages = weights.copy() if columns.average.any() else None
        return cls(tuple(estimators), trains, classes, seed, columns, weights, averages, np.zeros(len(estimators), np.int64))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Members that have diverged: some weight is not finite."""
        bad = ~np.isfinite(self.weights).all(axis=0)
        return np.bincount(self.columns.member[bad], minlength=len(self.models)) > 0

    def step(self, hand: Sequence[Batch], *, epoch: int, part: int, xp: Any = None) -> Panel:
        """The panel after it has learned from rows, each of them once.

        Args:
            hand: The rows of each cell, finite; y are codes of the classes, or numbers.
            epoch: With the part and the seed, what the order of the rows depends on.
            xp: numpy or cupy, to which weights and rows are moved while they learn; None for that of `BIGML_ARRAYS`.
        """
        state = _State(self, library() if xp is None else xp)
        with one_thread_each(), np.errstate(all="ignore"):
            for run in runs(hand, (self.seed, epoch, part)):
                state.learn(run)
        averages = None if self.averages is None else returned(state.weights.averages)
        learned: dict[str, Any] = {"weights": returned(state.weights.weights), "averages": averages}
        return replace(self, **learned, rows=state.rows, visited=state.visited, epochs=max(self.epochs, epoch + 1))

    def decisions(self, X: Any, members: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Linear predictors of rows, shape (n_rows, n_members), and (n_rows, n_members, n_classes) of more than two classes.

        Args:
            X: Array or CSR matrix.
            members: Those that are asked for; None for all.
        """
        weights = self._final if members is None else self._final[:, members]
        with one_thread_each(), np.errstate(all="ignore"):
            flat = weights.reshape(len(weights), -1)
            filled = np.pad(flat, ((0, 0), (0, padded_width(flat.shape[1]) - flat.shape[1])))
            scores = (np.asarray(X @ filled[:-1]) + filled[-1])[:, : flat.shape[1]]
        return scores if weights.shape[2] == 1 else scores.reshape(-1, *weights.shape[1:])

    def estimators(self) -> list[Any]:
        """Fitted estimators of scikit-learn, as if its `partial_fit` had found these weights."""
        return [self._estimator(member, self._final[:, member]) for member in range(len(self.models))]

    def only(self, members: NDArray[np.int64]) -> Panel:
        """The panel of some of the members, in this order; the others are dropped."""
        new = np.full(len(self.models), -1)
        new[members] = np.arange(len(members))
        index = np.flatnonzero(new[self.columns.member] >= 0)
        columns = self.columns.take(index)
        averages = None if self.averages is None else self.averages[:, index]
        kept: dict[str, Any] = {"columns": replace(columns, member=new[columns.member]), "weights": self.weights[:, index]}
        models = tuple(self.models[member] for member in members)
        return replace(self, models=models, trains=self.trains[members], rows=self.rows[members], averages=averages, **kept)

    @property
    def _final(self) -> NDArray[np.float64]:
        """What the members predict with, shape (n_features + 1, n_members, columns of a member)."""
        weights = self.weights
        if self.averages is not None:
            start = self.columns.average
            weights = np.where((start > 0) & (start <= self.rows[self.columns.member]), self.averages, weights)
        order = np.lexsort((self.columns.code, self.columns.member))
        return weights[:, order].reshape(len(weights), len(self.models), -1)

    def _estimator(self, member: int, weights: NDArray[np.float64]) -> Any:
        y = np.zeros(2) if self.classes is None else self.classes
        # Its own fit sets what it has besides the weights; balanced class weights would be those of other rows.
        model = structured(clone(self.models[member]), np.zeros((len(y), len(weights) - 1)), y, max_iter=1, tol=None)
        model.coef_ = weights[:-1, 0].copy() if self.classes is None else weights[:-1].T.copy()
        model.intercept_ = weights[-1].copy()
        model.t_, model.n_iter_ = 1.0 + float(self.rows[member]), max(self.epochs, 1)
        return model


class _State:
    """The arrays of a panel while it learns."""

    def __init__(self, panel: Panel, xp: Any) -> None:
        self.xp, self.panel, self.rows, self.visited = xp, panel, panel.rows.copy(), panel.visited
        paid = np.zeros_like(panel.weights) if panel.columns.lasso.any() else None
        self.weights = Weights(panel.weights, panel.averages, paid).on(xp)
        self.learners: dict[int, tuple[Any, Learner]] = {}

    def learn(self, run: Run) -> None:
        index, learner = self._learner(run.cell)
        if len(index):
            some = self.weights.take(index)
            learner.learn(some, self.rows[learner.columns.member], run.minibatches(minibatch_rows(self.visited)))
            self.weights.put(index, some)
            self.rows[self.panel.trains[:, run.cell]] += run.rows.n_rows
        self.visited += run.rows.n_rows

    def _learner(self, cell: int) -> tuple[Any, Learner]:
        """The columns that learn from a cell, gathered once."""
        if cell not in self.learners:
            index = np.flatnonzero(self.panel.trains[self.panel.columns.member, cell])
            columns = self.panel.columns.take(index)
            learner = Learner(columns, classifies=self.panel.classes is not None, xp=self.xp)
            self.learners[cell] = self.xp.asarray(index), learner
        return self.learners[cell]
