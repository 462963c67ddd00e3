"""Losses: the slopes of many linear predictors at once, written over the predictors themselves.

The arrays may be numpy's or those of a library that has its functions (`xp`), such as cupy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Slopes = Callable[[Any, Any, Any, float], None]
Reach = Callable[[NDArray[Any], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Loss:
    """A loss of a row, as scikit-learn's SGD estimators name and define it.

    Attributes:
        slopes: Called with (xp, scores, truth, epsilon); overwrites the scores, shape (n_rows, n_columns), with the first
            derivatives. The truth has shape (n_rows, 1): numbers, or -1 and 1 for classes.
        reach: Called with the rows that were learned from before and the size of the numbers that are learned; the largest
            step size that is safe, times the largest eigenvalue of the products of the features.
        inner: Scores are to be given times this, which saves a pass over them.
        outer: Derivatives are to be multiplied by this.
    """

    slopes: Slopes
    reach: Reach
    inner: float = 1.0
    outer: float = 1.0


def _smooth(bend: float) -> Reach:
    """The inverse of the largest second derivative: a gradient step that is not longer never climbs."""
    return lambda rows, unit: 1 / bend * _fading(rows, 50_000)


def _logistic(rows: NDArray[Any], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bend is 1/4 at most, and far less for rows that are told well: the first steps, from zero, may be longer."""
    return (4 + 12_000 / (200 + rows)) * _fading(rows, 50_000)


def _cornered(rows: NDArray[Any], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """A slope that jumps has no bend, but jumps at so many rows of a mini-batch as lie near the corner."""
    return unit * _fading(rows, 700)


def _fading(rows: NDArray[Any], start: int) -> NDArray[np.float64]:
    """Against noise, steps fall with the root of the rows (Ghadimi and Lan 2013, Stochastic First- and Zeroth-order Methods)."""
    faded: NDArray[np.float64] = 1 / np.sqrt(1 + rows / start)
    return faded


def _hinge(margin: float) -> Slopes:
    def slopes(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
        xp.multiply(scores, truth, out=scores)
        inside = scores <= margin
        xp.multiply(inside, -truth, out=scores)

    return slopes


def _log_loss(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    # 1 / (1 + exp(-s)) = (1 + tanh(s / 2)) / 2, which cannot overflow; both halves are told by `inner` and `outer`.
    xp.tanh(scores, out=scores)
    scores -= truth


def _squared_hinge(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores *= -truth
    scores += 1
    xp.maximum(scores, 0, out=scores)
    scores *= -2 * truth


def _modified_huber(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores *= -2 * truth
    scores += 2
    xp.clip(scores, 0, 4, out=scores)
    scores *= -truth


def _squared_error(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores -= truth


def _huber(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores -= truth
    xp.clip(scores, -epsilon, epsilon, out=scores)


def _epsilon_insensitive(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores -= truth
    outside = abs(scores) > epsilon
    xp.sign(scores, out=scores)
    scores *= outside


def _squared_epsilon_insensitive(xp: Any, scores: Any, truth: Any, epsilon: float) -> None:
    scores -= truth
    scores -= xp.clip(scores, -epsilon, epsilon)


LOSSES = {
    "hinge": Loss(_hinge(1), _cornered),
    "perceptron": Loss(_hinge(0), _cornered),
    "log_loss": Loss(_log_loss, _logistic, inner=0.5, outer=0.5),
    "modified_huber": Loss(_modified_huber, _smooth(2)),
    "squared_hinge": Loss(_squared_hinge, _smooth(2)),
    "squared_error": Loss(_squared_error, _smooth(1)),
    "huber": Loss(_huber, _smooth(1)),
    "epsilon_insensitive": Loss(_epsilon_insensitive, _cornered),
    "squared_epsilon_insensitive": Loss(_squared_epsilon_insensitive, _smooth(2), outer=2),
}
