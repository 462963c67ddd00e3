"""One against the rest: a binary model for each class, all of them learning in the same scans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer

from bigml.errors import FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry, changed, together
from bigml.learning.solving import Problem, is_solved, n_scans, solve, suits


@dataclass(frozen=True)
class AgainstRest:
    """A reducer of batches that shows another one which rows are of one class: y is 1 there and 0 elsewhere.

    Attributes:
        inner: The other reducer.
        code: Of the class.
        dtype: Of y: codes are integers, numbers to regress on are floats.
    """

    inner: Any
    code: int
    dtype: Any = np.int64
    columns: tuple[str, ...] = ()

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, batch: Batch) -> Any:
        return self.inner.update(state, replace(batch, y=np.asarray(batch.y == self.code, dtype=self.dtype)))

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> Any:
        return self.inner.finish(state)

    def forecast_nbytes(self, n_rows: int) -> int:
        forecast = getattr(self.inner, "forecast_nbytes", None)
        return int(forecast(n_rows)) if forecast is not None else 1 << 20


def one_class(estimator: Any, code: int, seed: int) -> Inquiry[Any]:
    """The inquiry that learns to tell the class with this code from all others."""
    classifies = is_classifier(estimator)
    problem = Problem(np.array([0, 1]) if classifies else None, seed)
    dtype = np.int64 if classifies else np.float64
    return changed(solve(clone(estimator), problem), lambda asked: AgainstRest(asked, code, dtype))


@suits.register
def _(estimator: OneVsRestClassifier) -> bool:
    return is_solved(estimator.estimator)


@n_scans.register
def _(estimator: OneVsRestClassifier) -> int:
    return n_scans(estimator.estimator)


@solve.register
def _(estimator: OneVsRestClassifier, problem: Problem) -> Inquiry[Any]:
    if problem.classes is None:
        raise FitError("target=, a column of classes", got="none", where="in fit of `OneVsRestClassifier`")
    # As in scikit-learn, one model tells two classes apart.
    codes = [1] if len(problem.classes) == 2 else range(len(problem.classes))
    learned = yield from together([one_class(estimator.estimator, code, problem.seed) for code in codes])
    estimator.estimators_ = learned
    estimator.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(problem.classes)
    estimator.classes_ = estimator.label_binarizer_.classes_
    estimator.n_features_in_ = learned[0].n_features_in_
    return estimator
