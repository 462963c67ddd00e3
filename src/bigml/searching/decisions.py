"""Decisions: what many linear classifiers say of two classes, by one product of matrices, and how right it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, SGDClassifier

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.scores.ranking import SCORE_LEVEL, Ranking

TOLD = frozenset({"rows", "confusion", "log_loss", "brier", "ranks"})
"""Gauges that follow from decisions; the loss only of models whose probabilities are the logistic function of them."""
BLOCK = 1 << 9
"""Rows that are multiplied at a time: what is made of them stays in a processor's cache."""
LEAST = float(np.finfo(np.float64).eps)
"""The least probability, for log losses, as in scikit-learn."""
MULTIPLIED = 16
"""Probabilities that are multiplied before a logarithm is taken, which takes long: as many of the least are above 1e-308."""


def is_told(model: Any, gauges: frozenset[str]) -> bool:
    """Whether decisions tell what these gauges gather of a model."""
    if type(model) not in (LogisticRegression, SGDClassifier) or np.shape(getattr(model, "coef_", ()))[:1] != (1,):
        return False
    is_logistic = type(model) is LogisticRegression or model.loss == "log_loss"
    return gauges <= (TOLD if is_logistic else TOLD - {"log_loss", "brier"})


@dataclass(frozen=True, eq=False)
class Linear:
    """Linear classifiers of two classes as the columns of one matrix.

    Attributes:
        weights: Shape (n_features, n_models).
        intercepts: Shape (n_models,).
    """

    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    @classmethod
    def of(cls, models: Sequence[Any]) -> Linear:
        """Of fitted models."""
        return cls(np.stack([one.coef_[0] for one in models], axis=1), np.array([one.intercept_[0] for one in models]))

    def gauged(self, batch: Batch, gauges: frozenset[str]) -> list[dict[str, Any]]:
        """What the gauges gather of each model on some rows; y are codes of the two classes."""
        truth, weights = np.asarray(batch.y, dtype=np.float64), batch.weights
        sums: list[Any] = [0.0, 0.0, 0.0]
        ranked: list[NDArray[np.float64]] = []
        with one_thread_each():
            for start in range(0, batch.n_rows, BLOCK):
                some = slice(start, start + BLOCK)
                decisions = self.decided(batch.X[some])
                more = _sums(decisions, truth[some], None if weights is None else weights[some], gauges)
                sums = [total + one for total, one in zip(sums, more, strict=True)]
                if "ranks" in gauges:
                    ranked.append(decisions)
        found = self._gathered(batch, sums, gauges)
        for one, column in zip(found, np.concatenate(ranked).T if ranked else (), strict=bool(ranked)):
            one["ranks"] = Ranking.of(np.ascontiguousarray(column), truth == 1, weights, SCORE_LEVEL)
        return found

    def _gathered(self, batch: Batch, sums: Sequence[Any], gauges: frozenset[str]) -> list[dict[str, Any]]:
        """What gauges gather of each model, of its sums."""
        loss, squares, table = sums
        weight = float(batch.n_rows if batch.weights is None else batch.weights.sum())
        told: dict[str, Callable[[int], Any]] = {
            "rows": lambda i: np.array([batch.n_rows, weight]),
            "confusion": lambda i: table[:, :, i].reshape(2, 2, 2),
            "log_loss": lambda i: np.array([weight, loss[i]]),
            "brier": lambda i: np.array([weight, squares[i]]),
        }
        return [{name: told[name](i) for name in gauges & set(told)} for i in range(len(self.intercepts))]

    def decided(self, X: Any) -> NDArray[np.float64]:
        """The decisions of all models, shape (n_rows, n_models)."""
        X = X if sparse.issparse(X) else np.asarray(X, dtype=np.float64)
        found: NDArray[np.float64] = X @ self.weights
        found += self.intercepts
        return found


def _sums(z: NDArray[np.float64], truth: NDArray[np.float64], weights: Any, gauges: frozenset[str]) -> Iterator[Any]:
    """By model log loss, squared distance of probabilities, and rows and weights by true class and decision."""
    chances = _own_chances(z, truth) if gauges & {"log_loss", "brier"} else None
    yield 0.0 if chances is None or "log_loss" not in gauges else -_logarithms(chances.clip(LEAST, 1 - LEAST), weights)
    yield 0.0 if chances is None or "brier" not in gauges else _ones(len(z), weights) @ (1 - chances) ** 2
    if "confusion" not in gauges:
        yield 0.0
        return
    rows = _table(z, truth, np.ones(len(z))).astype(np.int64)
    yield np.stack([rows, rows if weights is None else _table(z, truth, weights)])


def _table(z: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights by true class and whether the decision is positive, shape (4, n_models)."""
    classes = np.stack([1 - truth, truth]) * weights
    positive = classes @ (z > 0).astype(np.float64)
    negative = classes.sum(axis=1)[:, None] - positive
    return np.stack([negative[0], positive[0], negative[1], positive[1]])


def _own_chances(z: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of the true class, with scikit-learn's rounding: that of class 0 is one less that of class 1."""
    with np.errstate(over="ignore"):
        chances = np.exp(-z)
    chances += 1.0
    np.reciprocal(chances, out=chances)
    chances -= (1 - truth)[:, None]
    return np.abs(chances, out=chances)


def _logarithms(chances: NDArray[np.float64], weights: Any) -> NDArray[np.float64]:
    """The sum of logarithms by column."""
    if weights is not None:
        total: NDArray[np.float64] = weights @ np.log(chances)
        return total
    n = len(chances) // MULTIPLIED * MULTIPLIED
    products = chances[:n].reshape(-1, MULTIPLIED, chances.shape[1]).prod(axis=1)
    return np.log(products).sum(axis=0) + np.log(chances[n:]).sum(axis=0)


def _ones(n: int, weights: Any) -> Any:
    return np.ones(n) if weights is None else weights
