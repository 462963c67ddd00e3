"""Metrics: scikit-learn's scores, each computed from what one or two gauges gathered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.learning.scores.gauges import Spread
from bigml.learning.scores.ranking import Ranking

Floats = NDArray[np.float64]


def _nothing(*_states: Any) -> float:
    return 0.0


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
        gauges: What it is computed from.
        value: Of what they gathered.
        regression: Whether it is one of regressors; else it is one of classifiers.
        binary: Whether it is for two classes only.
        greater_is_better: As in scikit-learn; `neg_` before the name turns the sign.
        error: A bound on its error, of what the gauges gathered.
        several: The score of this name for more than two classes, when `binary`.
    """

    gauges: tuple[str, ...]
    value: Callable[..., float]
    regression: bool = False
    binary: bool = False
    greater_is_better: bool = True
    error: Callable[..., float] = _nothing
    several: Metric | None = None


def _share(above: Any, below: Any) -> Floats:
    """The ratio, 0 where it is none."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


RATIOS: Mapping[str, Callable[[Any, Any, Any], tuple[Any, Any]]] = {
    "precision": lambda right, predicted, actual: (right, predicted),
    "recall": lambda right, predicted, actual: (right, actual),
    "f1": lambda right, predicted, actual: (2 * right, predicted + actual),
    "jaccard": lambda right, predicted, actual: (right, predicted + actual - right),
}
"""Numerator and denominator of each class, of rows rightly given it, given it, and being of it."""


@dataclass(frozen=True)
class Averaged:
    """A ratio of the classes that are there, in truth or prediction, averaged as scikit-learn's scorer of that name does."""

    ratio: str
    average: str

    def __call__(self, table: Any) -> float:
        rows, weights = table
        actual = weights.sum(axis=1)
        above, below = RATIOS[self.ratio](np.diag(weights), weights.sum(axis=0), actual)
        if self.average == "micro":
            return float(_share(above.sum(), below.sum()))
        shares, there = _share(above, below), (rows.sum(axis=0) + rows.sum(axis=1)) > 0
        if self.average == "binary":
            return float(shares[1])
        return float(shares[there].mean() if self.average == "macro" else _share(shares @ actual, actual.sum()))


def _accuracy(table: Any) -> float:
    return float(np.trace(table[1]) / table[1].sum())


def _balanced(table: Any) -> float:
    actual = table[1].sum(axis=1)
    return float(_share(np.diag(table[1]), actual)[actual > 0].mean())


def _matthews(table: Any) -> float:
    """The correlation of truth and prediction (Gorodkin 2004), from shares, which do not overflow."""
    shares = table[1] / table[1].sum()
    predicted, actual = shares.sum(axis=0), shares.sum(axis=1)
    spreads = (1 - predicted @ predicted) * (1 - actual @ actual)
    return float((np.trace(shares) - predicted @ actual) / np.sqrt(spreads)) if spreads > 1e-30 else 0.0


def _likelihood_ratio(truth_of_positives: int) -> Callable[[Any], float]:
    """Of a positive (1) or negative (0) prediction: its share of the positives over its share of the negatives."""

    def value(table: Any) -> float:
        negatives, positives = (row / row.sum() if row.sum() else row * np.nan for row in table[1].astype(np.float64))
        below = float(negatives[truth_of_positives])
        return float(positives[truth_of_positives]) / below if below else float("nan")

    return value


def base_log_loss(table: Any) -> float:
    """The log-loss of predicting, for every row, each class's share of the rows."""
    shares = table[1].sum(axis=1) / table[1].sum()
    return float(-(shares[shares > 0] @ np.log(shares[shares > 0])))


def _base_brier(table: Any) -> float:
    shares = table[1].sum(axis=1) / table[1].sum()
    spread = 1 - float(shares @ shares)
    return spread / 2 if len(shares) == 2 else spread


def _mean(state: Any) -> float:
    return float(state[1] / state[0])


def _gained(loss: float, base: float) -> float:
    """One minus loss over base, as scikit-learn has it where the base is 0."""
    return 1 - loss / base if base else float(not loss)


def _r2(squared: Any, spread: Spread) -> float:
    return _gained(float(squared[1]), float(spread.squares[0]))


def _explained(spread: Spread) -> float:
    return _gained(float(spread.squares[1]), float(spread.squares[0]))


def _each(states: Sequence[Ranking], of: Callable[[Ranking], tuple[float, float]], weighted: bool) -> tuple[float, float]:
    """The mean over classes of a score and of its bound."""
    pairs = np.array([of(state) for state in states])
    weights = [state.positive.counts.sum() for state in states] if weighted else None
    value, bound = np.average(pairs, axis=0, weights=weights)
    return float(value), float(bound)


def _ranked(gauge: str, of: Callable[[Ranking], tuple[float, float]], weighted: bool = False) -> Metric:
    """The metric of the rankings of several classes."""
    return Metric((gauge,), lambda states: _each(states, of, weighted)[0], error=lambda states: _each(states, of, weighted)[1])


def _of_two(of: Callable[[Ranking], tuple[float, float]], several: Metric | None = None) -> Metric:
    return Metric(("ranks",), lambda state: of(state)[0], binary=True, error=lambda state: of(state)[1], several=several)


def _loss(gauge: str, value: Callable[[Any], float] = _mean) -> Metric:
    return Metric((gauge,), value, regression=True, greater_is_better=False)


CLASSIFICATION: Mapping[str, Metric] = {
    "accuracy": Metric(("confusion",), _accuracy),
    "balanced_accuracy": Metric(("confusion",), _balanced),
    "matthews_corrcoef": Metric(("confusion",), _matthews),
    **{name: Metric(("confusion",), Averaged(name, "binary"), binary=True) for name in RATIOS},
    **{f"{name}_{how}": Metric(("confusion",), Averaged(name, how)) for name in RATIOS for how in ("macro", "micro", "weighted")},
    "positive_likelihood_ratio": Metric(("confusion",), _likelihood_ratio(1), binary=True),
    "negative_likelihood_ratio": Metric(("confusion",), _likelihood_ratio(0), binary=True, greater_is_better=False),
    "log_loss": Metric(("log_loss",), _mean, greater_is_better=False),
    "brier_score": Metric(("brier",), _mean, greater_is_better=False),
    "d2_log_loss_score": Metric(("log_loss", "confusion"), lambda loss, table: _gained(_mean(loss), base_log_loss(table))),
    "d2_brier_score": Metric(("brier", "confusion"), lambda loss, table: _gained(_mean(loss), _base_brier(table))),
    "roc_auc": _of_two(Ranking.roc_auc),
    "roc_auc_ovr": _ranked("class_chances", Ranking.roc_auc),
    "roc_auc_ovr_weighted": _ranked("class_chances", Ranking.roc_auc, weighted=True),
    "average_precision": _of_two(Ranking.average_precision, _ranked("class_ranks", Ranking.average_precision)),
    "top_k_accuracy": Metric(("hits",), _mean),
}
REGRESSION: Mapping[str, Metric] = {
    "r2": Metric(("squared", "spread"), _r2, regression=True),
    "explained_variance": Metric(("spread",), _explained, regression=True),
    "mean_squared_error": _loss("squared"),
    "root_mean_squared_error": _loss("squared", lambda state: float(np.sqrt(_mean(state)))),
    "mean_absolute_error": _loss("absolute"),
    "mean_absolute_percentage_error": _loss("percentage"),
    "mean_pinball_loss": _loss("absolute", lambda state: _mean(state) / 2),
    "mean_squared_log_error": _loss("squared_log"),
    "root_mean_squared_log_error": _loss("squared_log", lambda state: float(np.sqrt(_mean(state)))),
    "mean_poisson_deviance": _loss("poisson"),
    "mean_gamma_deviance": _loss("gamma"),
    "max_error": _loss("largest", float),
}
METRICS: Mapping[str, Metric] = {**CLASSIFICATION, **REGRESSION}

_MEDIAN = "A median needs all rows at once: use neg_mean_absolute_error, or plain scikit-learn on source.sample(n)."
_PAIRS = "It needs a ranking for each pair of classes: use roc_auc_ovr."
REFUSED: Mapping[str, str] = {
    "median_absolute_error": _MEDIAN,
    "d2_absolute_error_score": _MEDIAN,
    "roc_auc_ovo": _PAIRS,
    "roc_auc_ovo_weighted": _PAIRS,
}
"""Scores of scikit-learn that do not follow from sums, each with the way out."""
