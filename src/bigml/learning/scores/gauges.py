"""Gauges: what is gathered of predictions, chunk by chunk and in any order, so that scores follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from bigml.errors import DataError
from bigml.learning.scores.ranking import SCORE_LEVEL, Ranking, calibration_table
from bigml.learning.tally import LEVEL

Floats = NDArray[np.float64]

PROBABILITY, RANKING = "probability", "ranking"
TOP = 2
"""Classes that may be right in top-k accuracy, as in scikit-learn's scorer."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The truth and what a model says of the rows of one chunk.

    Attributes:
        truth: Codes of the classes, or numbers.
        predicted: Of the same kind.
        n_classes: 0 for regression.
        probability: Shape (n_rows, n_classes), when it was asked for.
        ranking: When it was asked for: grows with the positive class, shape (n_rows,), or with each class of several.
        weights: What each row counts; None means one.
    """

    truth: NDArray[Any]
    predicted: NDArray[Any]
    n_classes: int
    probability: NDArray[Any] | None = None
    ranking: NDArray[Any] | None = None
    weights: Floats | None = None

    def asked(self, what: str) -> Floats:
        """Probabilities or rankings as float64."""
        values = self.probability if what == PROBABILITY or self.ranking is None else self.ranking
        if values is None:
            raise ValueError(f"{what} was not asked for")
        return np.asarray(values, dtype=np.float64)

    @property
    def weight(self) -> float:
        return float(len(self.truth)) if self.weights is None else float(self.weights.sum())

    def total(self, values: Floats) -> float:
        """The weighted sum."""
        return float(values.sum() if self.weights is None else values @ self.weights)


class Gauge(Protocol):
    """What is gathered: `of` one chunk, and merged in any order.

    Attributes:
        needs: What the model is asked beside its predictions; empty for nothing.
    """

    @property
    def needs(self) -> str: ...

    def of(self, outcome: Outcome) -> Any: ...

    def merge(self, left: Any, right: Any) -> Any: ...


@dataclass(frozen=True)
class Sum:
    """What adds up: a function of an outcome."""

    function: Callable[[Outcome], Any]
    needs: str = ""

    def of(self, outcome: Outcome) -> Any:
        return self.function(outcome)

    def merge(self, left: Any, right: Any) -> Any:
        return left + right


@dataclass(frozen=True)
class Mean:
    """The sum of the weights, and the weighted sum of each row's loss."""

    loss: Callable[[Outcome], Floats]
    needs: str = ""

    def of(self, outcome: Outcome) -> Floats:
        return np.array([outcome.weight, outcome.total(self.loss(outcome))])

    def merge(self, left: Floats, right: Floats) -> Floats:
        return left + right


class Spread(NamedTuple):
    """The sum of the weights; means of truth and error; weighted sums of squared deviations from them."""

    weight: float
    mean: Floats
    squares: Floats


class Spreads:
    """The spread of the truth and of the errors; merged as by Chan, Golub and LeVeque (1983)."""

    needs = ""

    def of(self, outcome: Outcome) -> Spread:
        values = np.array([outcome.truth, error(outcome)], dtype=np.float64)
        weight = outcome.weight
        mean = np.array([outcome.total(row) for row in values]) / (weight or 1.0)
        return Spread(weight, mean, np.array([outcome.total(row) for row in (values - mean[:, None]) ** 2]))

    def merge(self, left: Spread, right: Spread) -> Spread:
        weight = left.weight + right.weight
        share, delta = right.weight / (weight or 1.0), right.mean - left.mean
        squares = left.squares + right.squares + delta * delta * left.weight * share
        return Spread(weight, left.mean + delta * share, squares)


class Largest:
    """The largest error of all rows, whatever they weigh."""

    needs = ""

    def of(self, outcome: Outcome) -> float:
        return float(np.abs(error(outcome)).max(initial=0.0))

    def merge(self, left: float, right: float) -> float:
        return max(left, right)


class Ranks:
    """Tallies of the scores of two classes."""

    needs = RANKING

    def of(self, outcome: Outcome) -> Ranking:
        scores = outcome.asked(RANKING)
        scores = scores if scores.ndim == 1 else scores[:, 1]
        return Ranking.of(scores, outcome.truth == 1, outcome.weights, SCORE_LEVEL)

    def merge(self, left: Ranking, right: Ranking) -> Ranking:
        return left.merge(right)


@dataclass(frozen=True)
class ClassRanks:
    """For each class, tallies of its scores in the rows of other classes and in its own; buckets are 16 times as wide."""

    needs: str

    def of(self, outcome: Outcome) -> tuple[Ranking, ...]:
        scores = outcome.asked(self.needs)
        return tuple(
            Ranking.of(np.ascontiguousarray(scores[:, i]), outcome.truth == i, outcome.weights, LEVEL)
            for i in range(outcome.n_classes)
        )

    def merge(self, left: tuple[Ranking, ...], right: tuple[Ranking, ...]) -> tuple[Ranking, ...]:
        return tuple(one.merge(other) for one, other in zip(left, right, strict=True))


def error(outcome: Outcome) -> Floats:
    """Prediction minus truth."""
    return np.asarray(outcome.predicted, dtype=np.float64) - outcome.truth


def _rows(outcome: Outcome) -> Floats:
    return np.array([len(outcome.truth), outcome.weight])


def _confusion(outcome: Outcome) -> NDArray[Any]:
    """Rows, and sums of weights, by true and predicted class: shape (2, n_classes, n_classes)."""
    k, places = outcome.n_classes, outcome.truth * outcome.n_classes + outcome.predicted
    rows = np.bincount(places, minlength=k * k)
    weights = rows if outcome.weights is None else np.bincount(places, outcome.weights, k * k)
    return np.array([rows, weights]).reshape(2, k, k)


def _reliability(outcome: Outcome) -> Floats:
    return calibration_table(outcome.asked(PROBABILITY)[:, 1], outcome.truth == 1, outcome.weights)


def _log_loss(outcome: Outcome) -> Floats:
    """-log(probability of the true class), clipped as scikit-learn does, by the precision of the probabilities."""
    chances = outcome.asked(PROBABILITY)
    eps = np.finfo(outcome.probability.dtype if outcome.probability is not None else np.float64).eps
    return -np.log(np.clip(chances[np.arange(len(chances)), outcome.truth], eps, 1 - eps))


def _brier(outcome: Outcome) -> Floats:
    """The squared distance of the probabilities from the truth; of the positive class's alone when there are two."""
    chances = outcome.asked(PROBABILITY)
    if outcome.n_classes == 2:
        return np.asarray((chances[:, 1] - outcome.truth) ** 2)
    own = chances[np.arange(len(chances)), outcome.truth]
    return np.asarray((chances**2).sum(axis=1) + 1 - 2 * own)


def _hits(outcome: Outcome) -> Floats:
    """Whether the true class is among the best two; of equal scores the later class is the better, as in scikit-learn."""
    if outcome.n_classes <= TOP:
        return np.ones(len(outcome.truth))
    best = np.argsort(outcome.asked(RANKING), axis=1, kind="stable")[:, -TOP:]
    return (best == outcome.truth[:, None]).any(axis=1).astype(np.float64)


def _percentage(outcome: Outcome) -> Floats:
    return np.abs(error(outcome)) / np.maximum(np.abs(outcome.truth), np.finfo(np.float64).eps)


def _squared_log(outcome: Outcome) -> Floats:
    truth, predicted = _within(outcome, "above -1", -1.0, -1.0)
    return np.asarray((np.log1p(predicted) - np.log1p(truth)) ** 2)


def _poisson(outcome: Outcome) -> Floats:
    truth, predicted = _within(outcome, "of 0 or more, predictions above 0", -np.finfo(np.float64).tiny, 0.0)
    return np.asarray(2 * (xlogy(truth, truth / predicted) - truth + predicted))


def _gamma(outcome: Outcome) -> Floats:
    truth, predicted = _within(outcome, "above 0", 0.0, 0.0)
    return np.asarray(2 * (np.log(predicted / truth) + truth / predicted - 1))


def _within(outcome: Outcome, what: str, least: float, least_predicted: float) -> tuple[Floats, Floats]:
    """Truth and predictions, all of them above these bounds."""
    pairs = np.asarray(outcome.truth, dtype=np.float64), np.asarray(outcome.predicted, dtype=np.float64)
    for name, values, bound in zip(("the target", "a prediction"), pairs, (least, least_predicted), strict=True):
        bad = values[~(values > bound)]
        if len(bad):
            do = "Choose another score, or repair the values."
            raise DataError(f"targets and predictions {what}", got=f"{bad[0]:g} as {name}", where="in scoring=", do=do)
    return pairs


GAUGES: Mapping[str, Gauge] = {
    "rows": Sum(_rows),
    "confusion": Sum(_confusion),
    "reliability": Sum(_reliability, PROBABILITY),
    "log_loss": Mean(_log_loss, PROBABILITY),
    "brier": Mean(_brier, PROBABILITY),
    "hits": Mean(_hits, RANKING),
    "ranks": Ranks(),
    "class_chances": ClassRanks(PROBABILITY),
    "class_ranks": ClassRanks(RANKING),
    "squared": Mean(lambda outcome: error(outcome) ** 2),
    "absolute": Mean(lambda outcome: np.abs(error(outcome))),
    "percentage": Mean(_percentage),
    "squared_log": Mean(_squared_log),
    "poisson": Mean(_poisson),
    "gamma": Mean(_gamma),
    "spread": Spreads(),
    "largest": Largest(),
}
