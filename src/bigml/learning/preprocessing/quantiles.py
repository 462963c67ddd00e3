"""Quantiles: order statistics of cells that stand for many rows each, as numpy computes them of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONTINUOUS = {
    "linear": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
"""Alpha and beta of Hyndman and Fan, "Sample quantiles in statistical packages" (1996)."""
METHODS = (*CONTINUOUS, "inverted_cdf", "averaged_inverted_cdf")
"""The methods of `numpy.quantile` that can be told of weighted cells."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """The values of one column in ascending order, without writing them down.

    Attributes:
        values: Ascending.
        ends: How many rows have this value or a smaller one.
    """

    values: Floats
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, cells: NDArray[np.generic], weights: NDArray[np.int64]) -> Ranks:
        """Of cells, NaN among them, that stand for `weights` rows each; those for no rows are the extremes."""
        numbers = np.asarray(cells, dtype=np.float64)
        present = ~np.isnan(numbers)
        numbers, weights = numbers[present], weights[present]
        order = np.argsort(numbers, kind="stable")
        if len(order):
            weights = _exact_extremes(weights[order])
        return cls(numbers[order], np.cumsum(weights))

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, ranks: NDArray[np.int64]) -> Floats:
        """The values of these ranks, from 0."""
        found: Floats = self.values[np.searchsorted(self.ends, ranks, side="right")]
        return found

    def quantile(self, q: Floats, method: str = "linear") -> Floats:
        """The q-quantiles, shape (len(q),); NaN without rows."""
        if not self.n:
            return np.full(len(q), np.nan)
        if method in CONTINUOUS:
            alpha, beta = CONTINUOUS[method]
            place = (self.n - 1) * q if method == "linear" else self.n * q + (alpha + q * (1 - alpha - beta)) - 1
        else:
            place = self.n * q - 1
        below = np.floor(place)
        share = _share(place - below, method)
        low, high = (self.at(np.clip(rank, 0, self.n - 1).astype(np.int64)) for rank in (below, below + 1))
        # From the nearer end, as numpy does: a value on the edge of two bins stays in the same one.
        return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))


def _share(rest: Floats, method: str) -> Floats:
    """How far between two ranks: a step for the discontinuous methods."""
    if method in CONTINUOUS:
        return rest
    return np.where(rest > 0, 1.0, 0.5 if method == "averaged_inverted_cdf" else 0.0)


def _exact_extremes(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first and last row moved from the buckets that hold them to the exact extremes beside these."""
    weights = weights.copy()
    used = np.flatnonzero(weights)
    if len(used) and weights[used].sum() > 1:
        for end, bucket in ((0, used[0]), (-1, used[-1])):
            weights[bucket] -= 1
            weights[end] += 1
    return weights
