"""Bayes: naive Bayes classifiers from one scan that counts, or measures, each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB

from bigml.errors import DataError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry
from bigml.learning.scatter import Scatter, members, pieces
from bigml.learning.solving import Problem, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums, Totals
from bigml.stats.reducer import Product

LEAST_ALPHA = 1e-10
"""What scikit-learn raises a smaller alpha to where `force_alpha=False`."""


@solve.register
def _(estimator: GaussianNB, problem: Problem) -> Inquiry[Any]:
    classes = np.asarray(problem.classes)
    # As in scikit-learn: smoothing is a share of the largest variance of rows that count once each, whatever they weigh.
    asked: tuple[Any, ...] = (Scatter(len(classes)), Scatter(weighted=False))
    found, plain = yield Product(asked)
    structured(estimator, np.zeros(found.means.shape, found.dtype), classes)
    dtype = estimator.theta_.dtype
    epsilon = estimator.var_smoothing * (plain.scatter / plain.weight).max()
    variances = found.scatter / np.where(found.weights > 0, found.weights, 1)[:, None]
    estimator.theta_, estimator.var_ = found.means.astype(dtype), (variances + epsilon).astype(dtype)
    estimator.class_count_, estimator.epsilon_ = found.weights.astype(dtype), dtype.type(epsilon)
    if estimator.priors is None:
        estimator.class_prior_ = (found.weights / found.weight).astype(dtype)
    return estimator


@dataclass(frozen=True)
class Counts:
    """What a batch adds to the counts of features by class, and of rows by class.

    Attributes:
        n_classes: y are codes below this number.
        above: Features count as 1 above this number and as 0 otherwise; None takes them as they are.
        positive: Whether negative features are refused.
    """

    n_classes: int
    above: float | None = None
    positive: bool = False

    def __call__(self, batch: Batch) -> Totals:
        counted = [self._features(piece) for piece in pieces(batch)]
        rows = np.bincount(batch.y, batch.weights, minlength=self.n_classes)  # type: ignore[arg-type]
        return {"features": np.sum(counted, axis=0), "rows": rows.astype(np.float64)}

    def _features(self, piece: Batch) -> NDArray[np.float64]:
        X = piece.X
        if self.positive and (X.min() if X.size else 0) < 0:
            raise _negative(piece)
        if self.above is not None:
            X = _above(X, self.above)
        total = members(piece.y, self.n_classes, piece.weights) @ X
        return np.asarray(total.toarray() if sparse.issparse(total) else total, dtype=np.float64)


def _above(X: Any, threshold: float) -> Any:
    """1.0 where X is above the threshold, which is 0 or more, so that what a sparse matrix leaves out stays out."""
    if sparse.issparse(X):
        return sparse.csr_matrix((_above(X.data, threshold), X.indices, X.indptr), shape=X.shape)
    return np.greater(X, threshold).astype(np.float64)


def _negative(piece: Batch) -> DataError:
    entries = sparse.coo_matrix(piece.X)
    first = np.flatnonzero(entries.data < 0)[0]
    place = f"feature {entries.col[first]}, row {piece.rows[entries.row[first]]:,}{f', {piece.where}' if piece.where else ''}"
    return DataError("features of 0 or more", got=f"{entries.data[first]:g}", where=place, do="Use GaussianNB, or MinMaxScaler.")


@solve.register(MultinomialNB)
@solve.register(ComplementNB)
def _(estimator: MultinomialNB | ComplementNB, problem: Problem) -> Inquiry[Any]:
    classes = np.asarray(problem.classes)
    found = _some((yield Sums(Counts(len(classes), positive=True))))
    # One row for each class, which holds its counts: scikit-learn's own formulas make the probabilities of them.
    return _with_rows(structured(estimator, found["features"], classes), found["rows"])


@solve.register
def _(estimator: BernoulliNB, problem: Problem) -> Inquiry[Any]:
    classes = np.asarray(problem.classes)
    found = _some((yield Sums(Counts(len(classes), above=estimator.binarize))))
    features, rows = found["features"], found["rows"]
    structured(estimator, np.zeros(features.shape), classes)
    alpha = np.asarray(estimator.alpha, dtype=np.float64)
    alpha = alpha if estimator.force_alpha else np.maximum(alpha, LEAST_ALPHA)
    estimator.feature_count_ = features
    with np.errstate(divide="ignore"):
        estimator.feature_log_prob_ = np.log(features + alpha) - np.log((rows[:, None] + 2 * alpha).reshape(len(rows), -1))
    return _with_rows(estimator, rows)


def _some(found: Totals) -> Totals:
    if not found:
        raise DataError("rows to learn from", got="none", where="in fit")
    return found


def _with_rows(estimator: Any, rows: NDArray[np.float64]) -> Any:
    """The estimator with the rows of each class, and with priors by them where they are wanted."""
    estimator.class_count_ = rows
    if estimator.class_prior is None and estimator.fit_prior:
        with np.errstate(divide="ignore"):
            estimator.class_log_prior_ = np.log(rows) - np.log(rows.sum())
    return estimator
