"""Losses: of a row, given its linear predictors; with the derivatives that steer towards the least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Terms(NamedTuple):
    """The loss of n rows and its derivatives by the k linear predictors of each.

    Attributes:
        loss: Shape (n,).
        slope: First derivatives, shape (k, n).
        bend: Shape (k, n), 0 or more. Second derivatives; of a coupled loss, those are diag(bend) - bend bend'.
    """

    loss: Floats
    slope: Floats
    bend: Floats


class Loss(Protocol):
    """A loss of a row. `coupled` says how `Terms.bend` is meant."""

    @property
    def coupled(self) -> bool: ...

    def terms(self, y: NDArray[Any], eta: Floats) -> Terms:
        """Losses at linear predictors of shape (k, n); infinite where they are outside of the loss's domain."""
        ...


@dataclass(frozen=True)
class Logistic:
    """Log-loss of two classes, coded 0 and 1, of which eta is the log-odds.

    >>> Logistic().terms(np.array([1]), np.zeros((1, 1))).loss.round(4).tolist()
    [0.6931]
    """

    coupled: bool = False

    def terms(self, y: NDArray[Any], eta: Floats) -> Terms:
        odds = eta[0]
        small = np.exp(-np.abs(odds))  # never overflows; rounded as finely for sure as for doubtful rows
        share = 1 / (1 + small)
        other = small * share
        positive = np.where(odds >= 0, share, other)
        loss = np.log1p(small) + np.maximum(odds, 0) - y * odds
        return Terms(loss, (positive - y)[None], (share * other)[None])


@dataclass(frozen=True)
class Softmax:
    """Log-loss of k classes, coded 0 to k - 1, whose probabilities are in proportion to exp(eta).

    >>> Softmax().terms(np.array([2]), np.zeros((3, 1))).slope[:, 0].round(4).tolist()
    [0.3333, 0.3333, -0.6667]
    """

    coupled: bool = True

    def terms(self, y: NDArray[Any], eta: Floats) -> Terms:
        largest = eta.max(axis=0)
        shares = np.exp(eta - largest)
        total = shares.sum(axis=0)
        shares /= total
        own = y, np.arange(len(y))
        slope = shares.copy()
        slope[own] -= 1
        return Terms(np.log(total) + largest - eta[own], slope, shares)


@dataclass(frozen=True)
class Tweedie:
    """Half of the unit deviance of a Tweedie distribution: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian.

    The mean is exp(eta), or eta itself where `log` is False, which must then be positive for powers above 0. The bend is the
    second derivative where the loss is convex, and otherwise what is expected of it (Fisher scoring). Jorgensen, The
    Theory of Dispersion Models, 1997.

    >>> Tweedie(1.0).terms(np.array([2.0]), np.log([[2.0]])).loss.round(9).tolist()
    [0.0]
    """

    power: float
    log: bool = True
    coupled: bool = False

    def terms(self, y: NDArray[Any], eta: Floats) -> Terms:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.exp(eta[0]) if self.log else eta[0]
            inside = mean > 0 if self.power else np.ones(len(y), bool)
            mean = np.where(inside, mean, 1.0)
            scale = mean**-self.power
            change = mean if self.log else 1.0
            loss = np.where(inside, self._deviance(y, mean), np.inf)
            return Terms(loss, ((mean - y) * scale * change)[None], self._bend(y, mean, scale)[None])

    def _deviance(self, y: NDArray[Any], mean: Floats) -> Floats:
        p = self.power
        if p == 1:
            return mean - y + _times_log(y, y / mean)
        if p == 2:
            ratio: Floats = y / mean
            return ratio - np.log(ratio) - 1
        own = np.maximum(y, 0.0) ** (2 - p) / ((1 - p) * (2 - p)) if p else 0.5 * y**2
        deviance: Floats = own + mean ** (2 - p) / (2 - p) - y * mean ** (1 - p) / (1 - p)
        return deviance

    def _bend(self, y: NDArray[Any], mean: Floats, scale: Floats) -> Floats:
        p = self.power
        if self.log:
            bend: Floats = scale * mean * ((2 - p) * mean + (p - 1) * y if 1 <= p <= 2 else mean)
            return bend
        return scale * y / mean if p == 1 else scale


def _times_log(y: NDArray[Any], ratio: Floats) -> Floats:
    """y log(ratio), 0 where y is 0."""
    result: Floats = y * np.log(np.where(y > 0, ratio, 1.0))
    return result
