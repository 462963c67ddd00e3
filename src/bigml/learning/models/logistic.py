"""Logistic: LogisticRegression of two classes or more, to the minimum of its convex loss, in a few scans."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.linear_fit import SAMPLE_ROWS, LinearFit, Penalties
from bigml.learning.models.losses import Floats, Logistic, Softmax
from bigml.learning.models.sampled import SampledBatch
from bigml.learning.solving import Problem, n_scans, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums
from bigml.stats.reducer import Product

RAREST = 1e-9
"""The least share of a class that a model without features starts from."""
ENDLESS = 1e-9
"""A loss that is a smaller share of the one without features has no minimum."""


@dataclass(frozen=True)
class ClassWeights:
    """For `Sums`: rows, and weights of each class."""

    n_classes: int

    def __call__(self, batch: Batch) -> dict[str, NDArray[Any]]:
        y = np.empty(0, np.int64) if batch.y is None else batch.y
        return {"rows": np.array(batch.n_rows), "weights": np.bincount(y, batch.weights, self.n_classes).astype(np.float64)}


@n_scans.register
def _(estimator: LogisticRegression) -> int:
    del estimator
    return 5


@solve.register
def _(estimator: LogisticRegression, problem: Problem) -> Inquiry[LogisticRegression]:
    """The minimum of scikit-learn's goal, whatever `solver` says: it decides only what penalties it takes, as it does there.

    Raises:
        FitError: scikit-learn itself refuses the parameters.
    """
    if problem.classes is None:
        raise FitError("target=, a column of classes", got="numbers", where="in fit of `LogisticRegression`")
    k = len(problem.classes)
    structured(clone(estimator), np.zeros((k, 1)), problem.classes)
    asked: tuple[Any, ...] = (SampledBatch(SAMPLE_ROWS, problem.seed), Sums(ClassWeights(k)))
    sample, tally = yield Product(asked)
    if sample is None or not tally["weights"].any():
        raise DataError("rows to learn from, of a weight above 0", got="none", where="in fit of `LogisticRegression`")
    structured(estimator, sparse.csr_matrix((k, sample.X.shape[1])), problem.classes)
    factors = _factors(estimator, problem.classes, tally["weights"])
    weights = tally["weights"] * (1 if factors is None else factors)
    penalties = penalties_of(estimator, float(weights.sum()))
    solution = yield from LinearFit(
        loss=Logistic() if k == 2 else Softmax(),
        penalties=penalties,
        sample=sample,
        base=_base(weights) * (not penalties.intercept_scale),
        intercept=estimator.fit_intercept,
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        factors=factors,
        whole=sample.n_rows == tally["rows"],
    ).minimum()
    bare = not penalties.l1 and not penalties.l2
    if bare and solution.left <= ENDLESS:
        told = "The features tell all classes apart: without a penalty, coefficients grow without end. Set a penalty."
        warnings.warn(told, ConvergenceWarning, stacklevel=2)
    estimator.coef_ = centred(solution.coefficients) if bare else solution.coefficients
    estimator.intercept_ = centred(solution.intercepts)
    estimator.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
    return estimator


def centred(outputs: Floats) -> Floats:
    """With a mean of 0 over the classes, of which only differences count; two classes have one output."""
    return outputs - outputs.mean(axis=0) if len(outputs) > 1 else outputs


def _base(weights: Floats) -> Floats:
    """Log-odds of two classes, or the logarithms of the shares of more."""
    logs: Floats = np.log(np.maximum(weights / weights.sum(), RAREST))
    return logs[1:] - logs[:1] if len(logs) == 2 else logs


def _factors(estimator: LogisticRegression, classes: NDArray[Any], weights: Floats) -> Floats | None:
    given = estimator.class_weight
    if given is None:
        return None
    if isinstance(given, str):
        return weights.sum() / (len(classes) * np.maximum(weights, np.finfo(float).tiny)) * (weights > 0)
    return np.array([float(given.get(one, 1.0)) for one in classes.tolist()])


def penalties_of(estimator: LogisticRegression, weight: float) -> Penalties:
    """The penalties beside the mean loss of rows that weigh as much; `penalty=` is understood where it is given.

    >>> penalties_of(LogisticRegression(C=0.5), weight=10.0)
    Penalties(l1=0.0, l2=0.2, intercept_scale=None)
    """
    given, ratio = estimator.get_params().get("penalty", "deprecated"), estimator.l1_ratio or 0.0
    ratio = {"l1": 1.0, "l2": 0.0}.get(given, ratio) if given is not None else 0.0
    strength = 0.0 if given is None else 1 / (estimator.C * weight)
    scale = estimator.intercept_scaling if estimator.solver == "liblinear" and estimator.fit_intercept else None
    return Penalties(ratio * strength, (1 - ratio) * strength, scale)
