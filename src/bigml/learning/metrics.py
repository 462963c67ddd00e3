"""Metrics: what is gathered of predictions chunk by chunk, and the scores that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.learning.ranking import Ranking, calibration_table
from bigml.stats.cells import Rows
from bigml.stats.moments import Moment, Moments

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The truth and what a model says of the rows of one chunk.

    Attributes:
        truth: Codes of the classes, or numbers.
        predicted: Of the same kind.
        n_classes: 0 for regression.
        probability: Shape (n_rows, n_classes), when it was asked for.
        ranking: Shape (n_rows,): grows with the positive class, when it was asked for.
    """

    truth: NDArray[Any]
    predicted: NDArray[Any]
    n_classes: int
    probability: Floats | None = None
    ranking: Floats | None = None


class Gauge(Protocol):
    """What is gathered: `of` one chunk, and merged in any order."""

    def of(self, outcome: Outcome) -> Any: ...

    def merge(self, left: Any, right: Any) -> Any: ...


class _Sum:
    def merge(self, left: Any, right: Any) -> Any:
        return left + right


class Confusion(_Sum):
    """Rows by true and predicted class."""

    def of(self, outcome: Outcome) -> NDArray[np.int64]:
        k = outcome.n_classes
        return np.bincount(outcome.truth * k + outcome.predicted, minlength=k * k).reshape(k, k)


class LogLoss(_Sum):
    """Rows and the sum of -log(probability of the true class), clipped as scikit-learn does."""

    def of(self, outcome: Outcome) -> Floats:
        chances = _probability(outcome)
        own = chances[np.arange(len(chances)), outcome.truth]
        eps = np.finfo(chances.dtype).eps
        return np.array([len(own), -np.log(np.clip(own.astype(np.float64), eps, 1 - eps)).sum()])


class Brier(_Sum):
    """Rows and the sum of squared distances of the positive class's probability from the truth."""

    def of(self, outcome: Outcome) -> Floats:
        distance = _probability(outcome)[:, 1] - outcome.truth
        return np.array([len(distance), distance @ distance])


class Reliability(_Sum):
    """Rows, probabilities and positives in fine bins of probability."""

    def of(self, outcome: Outcome) -> Floats:
        return calibration_table(_probability(outcome)[:, 1].astype(np.float64), outcome.truth == 1)


class Ranks:
    """Tallies of the scores by class."""

    def of(self, outcome: Outcome) -> Ranking:
        scores = outcome.ranking if outcome.ranking is not None else _probability(outcome)[:, 1]
        return Ranking.of(np.asarray(scores, dtype=np.float64), outcome.truth == 1)

    def merge(self, left: Ranking, right: Ranking) -> Ranking:
        return left.merge(right)


TRUTH = Moments("truth")


@dataclass(frozen=True)
class Residual:
    """Moments of the truth, and sums over the errors of a regression."""

    truth: Moment
    squares: float
    absolute: float
    largest: float

    @property
    def n_rows(self) -> int:
        return int(self.truth.n[0])


class Residuals:
    """Errors of a regression."""

    def of(self, outcome: Outcome) -> Residual:
        error = np.asarray(outcome.predicted, dtype=np.float64) - outcome.truth
        size = np.abs(error)
        truth = TRUTH.partial(Rows(Chunk({"truth": outcome.truth}, range(len(error)))))
        return Residual(truth, float(error @ error), float(size.sum()), float(size.max(initial=0.0)))

    def merge(self, left: Residual, right: Residual) -> Residual:
        truth = TRUTH.merge(left.truth, right.truth)
        sums = left.squares + right.squares, left.absolute + right.absolute
        return Residual(truth, *sums, max(left.largest, right.largest))


GAUGES: Mapping[str, Gauge] = {
    "confusion": Confusion(),
    "log_loss": LogLoss(),
    "brier": Brier(),
    "reliability": Reliability(),
    "ranks": Ranks(),
    "residuals": Residuals(),
}


@dataclass(frozen=True)
class Metric:
    """A score of one gauge.

    Attributes:
        gauge: What it is computed from.
        value: Of the gathered state.
        binary: Whether it is for two classes only.
        greater_is_better: As in scikit-learn; `neg_` before the name turns the sign.
    """

    gauge: str
    value: Callable[[Any], float]
    binary: bool = False
    greater_is_better: bool = True


def _accuracy(table: Any) -> float:
    return float(np.trace(table) / table.sum())


def _recalls(table: Any) -> Floats:
    return _share(np.diag(table), table.sum(axis=1))


def _precisions(table: Any) -> Floats:
    return _share(np.diag(table), table.sum(axis=0))


def _f1s(table: Any) -> Floats:
    return _share(2 * np.diag(table), table.sum(axis=0) + table.sum(axis=1))


def _share(above: Any, below: Any) -> Floats:
    return np.where(below > 0, above / np.maximum(below, 1), 0.0)


def _balanced(table: Any) -> float:
    seen = table.sum(axis=1) > 0
    return float(_recalls(table)[seen].mean())


def _macro(values: Callable[[Any], Floats]) -> Callable[[Any], float]:
    """The mean over classes that are there, in truth or prediction."""
    return lambda table: float(values(table)[(table.sum(axis=0) + table.sum(axis=1)) > 0].mean())


def _r2(state: Residual) -> float:
    spread = float(state.truth.squares[0])
    if not spread:
        return 1.0 if not state.squares else 0.0
    return 1 - state.squares / spread


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("confusion", _accuracy),
    "balanced_accuracy": Metric("confusion", _balanced),
    "precision": Metric("confusion", lambda table: float(_precisions(table)[1]), binary=True),
    "recall": Metric("confusion", lambda table: float(_recalls(table)[1]), binary=True),
    "f1": Metric("confusion", lambda table: float(_f1s(table)[1]), binary=True),
    "precision_macro": Metric("confusion", _macro(_precisions)),
    "recall_macro": Metric("confusion", _macro(_recalls)),
    "f1_macro": Metric("confusion", _macro(_f1s)),
    "log_loss": Metric("log_loss", lambda state: float(state[1] / state[0]), greater_is_better=False),
    "brier_score": Metric("brier", lambda state: float(state[1] / state[0]), binary=True, greater_is_better=False),
    "roc_auc": Metric("ranks", lambda state: float(state.roc_auc()[0]), binary=True),
    "average_precision": Metric("ranks", lambda state: float(state.average_precision()[0]), binary=True),
    "r2": Metric("residuals", _r2),
    "mean_squared_error": Metric("residuals", lambda s: s.squares / s.n_rows, greater_is_better=False),
    "root_mean_squared_error": Metric("residuals", lambda s: float(np.sqrt(s.squares / s.n_rows)), greater_is_better=False),
    "mean_absolute_error": Metric("residuals", lambda s: s.absolute / s.n_rows, greater_is_better=False),
    "max_error": Metric("residuals", lambda s: s.largest, greater_is_better=False),
}


def _probability(outcome: Outcome) -> Floats:
    if outcome.probability is None:
        raise ValueError("probabilities were not asked for")
    return outcome.probability
