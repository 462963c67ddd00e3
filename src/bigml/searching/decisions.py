"""Decisions: what many linear classifiers say of two classes, by one product of matrices, and how right it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, SGDClassifier

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.scores.ranking import SCORE_LEVEL, Ranking

TOLD = frozenset({"rows", "confusion", "log_loss", "brier", "ranks"})
"""Gauges that follow from decisions; the loss only of models whose probabilities are the logistic function of them."""
BLOCK = 1 << 12
"""Rows that are multiplied at a time: their decisions stay in a processor's cache."""
SUMS = 10
LEAST = float(np.finfo(np.float64).eps)
"""The least probability, for log losses, as in scikit-learn."""


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
        weights = np.ones(batch.n_rows) if batch.weights is None else batch.weights
        sums = np.zeros((len(self.intercepts), SUMS))
        truth = np.ascontiguousarray(batch.y, dtype=np.int64)
        ranked: list[NDArray[np.float64]] = []
        with one_thread_each():
            for start, decisions in self._decisions(batch):
                stop = start + len(decisions)
                _add(decisions, truth[start:stop], weights[start:stop], bool(gauges & {"log_loss", "brier"}), sums)
                if "ranks" in gauges:
                    ranked.append(decisions)
        found = [_gathered(batch, one) for one in sums]
        for i, column in enumerate(np.concatenate(ranked).T if ranked else ()):
            found[i]["ranks"] = Ranking.of(np.ascontiguousarray(column), truth == 1, batch.weights, SCORE_LEVEL)
        return [{name: one[name] for name in gauges} for one in found]

    def _decisions(self, batch: Batch) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for start in range(0, batch.n_rows, BLOCK):
            X = batch.X[start : start + BLOCK]
            X = X if sparse.issparse(X) else np.asarray(X, dtype=np.float64)
            yield start, np.ascontiguousarray(X @ self.weights) + self.intercepts


def _gathered(batch: Batch, sums: NDArray[np.float64]) -> dict[str, Any]:
    """What gauges gather of one model, of its sums."""
    loss, squares, rows, weights = sums[0], sums[1], sums[2:6].astype(np.int64), sums[6:]
    return {
        "rows": np.array([batch.n_rows, weights.sum()]),
        "confusion": np.array([rows, rows if batch.weights is None else weights]).reshape(2, 2, 2),
        "log_loss": np.array([weights.sum(), loss]),
        "brier": np.array([weights.sum(), squares]),
    }


@njit(nogil=True, cache=True)
def _add(decisions: Any, truth: Any, weights: Any, probable: bool, sums: Any) -> None:
    """Add, by model, log loss, squared distance, and rows and weights by true and predicted class, shape (n_models, SUMS)."""
    for i in range(decisions.shape[0]):
        for j in range(decisions.shape[1]):
            z = decisions[i, j]
            place = 2 * truth[i] + (1 if z > 0 else 0)
            sums[j, 2 + place] += 1.0
            sums[j, 6 + place] += weights[i]
            if probable:
                # As scikit-learn rounds: the chance of the other class is one less this one.
                chance = 1.0 / (1.0 + np.exp(-z))
                own = chance if truth[i] == 1 else 1.0 - chance
                sums[j, 0] -= weights[i] * np.log(min(max(own, LEAST), 1.0 - LEAST))
                sums[j, 1] += weights[i] * (1.0 - own) * (1.0 - own)
