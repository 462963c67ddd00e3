"""Cross-validated least squares: penalties chosen by folds, all of them from the products of one scan.

The rows of a fold are stood for by as many points as there are columns: weights, means and products are the same, so
scikit-learn's own estimator, given these points and their folds, finds what it would find in all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNetCV, LassoCV

from bigml.errors import DataError
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.folds import InFolds, folded
from bigml.learning.models.least_squares import Products, Table, Triangle, checked, is_safe, penalties
from bigml.learning.scatter import Moments
from bigml.learning.solving import Problem, solve

Split: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Points:
    """Rows that stand for all, fold after fold.

    Attributes:
        rows: Features and, last, y, less the origin.
        weights: Of the rows.
        splits: Rows to learn from and rows to test on, for each fold.
        origin: Means of all rows; zeros where there is no intercept.
    """

    rows: NDArray[np.float64]
    weights: NDArray[np.float64]
    splits: tuple[Split, ...]
    origin: NDArray[np.float64]

    @classmethod
    def of(cls, tables: Sequence[Table], origin: NDArray[np.float64]) -> Points:
        """Of the tables of each fold."""
        blocks = [table.points(origin) for table in tables]
        n = len(blocks[0])
        numbers = np.arange(len(blocks) * n).reshape(-1, n)
        splits = tuple((np.delete(numbers, fold, axis=0).ravel(), own) for fold, own in enumerate(numbers))
        return cls(np.concatenate(blocks), np.repeat([table.weight / n for table in tables], n), splits, origin)

    def fitted(self, estimator: Any) -> Any:
        """The estimator, fitted as on all rows."""
        cv = estimator.cv
        estimator.set_params(cv=self.splits)
        estimator.fit(self.rows[:, :-1], self.rows[:, -1], sample_weight=self.weights)
        estimator.set_params(cv=cv)
        estimator.intercept_ = estimator.intercept_ + float(self.origin[-1] - self.origin[:-1] @ estimator.coef_)
        return estimator


def points(estimator: Any, problem: Problem) -> Inquiry[Points]:
    """The points of all folds."""
    spans, edges = yield from folded(estimator, problem)
    found = [_present(one) for one in (yield InFolds(Products(), spans, edges))]
    total = Products().finish(reduce(Products().merge, found, None))
    if is_safe(_fixed(total), penalties(estimator)[0]):
        tables = [Table.of_products(one, True) for one in found]
    else:
        factors = yield InFolds(Triangle(), spans, edges)
        tables = [Table.of_triangle(factor, one, True) for factor, one in zip(factors, found, strict=True)]
    return Points.of(tables, total.mean if estimator.fit_intercept else np.zeros(len(total.scatter)))


def _present(moments: Moments | None) -> Moments:
    if moments is None or not moments.weight > 0:
        raise DataError("rows that weigh something in each fold", got="weights of 0 alone", where="in sample_weight=")
    return checked(moments)


def _fixed(moments: Moments) -> NDArray[np.float64]:
    """Products of the features and, unless it is constant, of y: what is left of it must keep its digits too."""
    return moments.scatter if moments.scatter[-1, -1] > 0 else moments.scatter[:-1, :-1]


@solve.register(LassoCV)
@solve.register(ElasticNetCV)
def _(estimator: Any, problem: Problem) -> Inquiry[Any]:
    found = yield from points(estimator, problem)
    return found.fitted(estimator)
