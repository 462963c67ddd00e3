"""Rescaling: coefficients as they would be for standardised columns, in which a minimum is found in few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from bigml.learning.blas import one_thread_each
from bigml.learning.models.losses import Floats
from bigml.learning.models.slopes import Bends

CONSTANT = 1e-9
"""Columns whose spread is smaller than this share of their mean count as constant."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Columns z = (x - centres) * scales, and what this makes of coefficients and derivatives.

    The rows are never changed: coefficients are, before a scan, and derivatives after it. Any centres and scales are right;
    those of a sample are as good as exact ones.

    Attributes:
        centres: Shape (d,); all 0 where there is no intercept.
        scales: Shape (d,), positive.
        intercept: Whether coefficients end in an intercept.
    """

    centres: Floats
    scales: Floats
    intercept: bool

    @one_thread_each()
    def coefficients(self, standardised: Floats) -> Floats:
        """For the columns as they are, of shape (k, p)."""
        d = len(self.scales)
        result = standardised.copy()
        result[:, :d] *= self.scales
        if self.intercept:
            result[:, d] -= result[:, :d] @ self.centres
        return result

    def slopes(self, raw: Floats, axis: int = -1) -> Floats:
        """Derivatives by standardised coefficients along an axis of length p."""
        d = len(self.scales)
        moved = np.moveaxis(raw, axis, -1)
        result = moved.copy()
        if self.intercept:
            result[..., :d] -= moved[..., d:] * self.centres
        result[..., :d] *= self.scales
        return np.moveaxis(result, -1, axis)

    def bends(self, raw: Floats, kind: Bends) -> Floats:
        """Second derivatives by standardised coefficients, in shapes (k p, k p), (k, p, p) and (k, p)."""
        if kind == "diagonal":
            return self._diagonal(*raw)
        if kind == "blocks":
            return self.slopes(self.slopes(raw, 1), 2)
        p = len(self.scales) + self.intercept
        split = raw.reshape(len(raw) // p, p, len(raw) // p, p)
        return self.slopes(self.slopes(split, 1), 3).reshape(raw.shape)

    def _diagonal(self, squares: Floats, sums: Floats) -> Floats:
        d = len(self.scales)
        result = squares.copy()
        if self.intercept:
            result[:, :d] += self.centres * (self.centres * sums[:, d:] - 2 * sums[:, :d])
        result[:, :d] *= self.scales**2
        return np.maximum(result, 0.0)


def scaling_of(X: Any, *, centred: bool, intercept: bool) -> Scaling:
    """The scaling that standardises the columns of X."""
    mean, variance = _moments(X)
    if not centred:
        variance, mean = variance + mean**2, np.zeros_like(mean)
    spread = np.sqrt(variance)
    size = np.where(spread > CONSTANT * np.abs(mean), spread, np.abs(mean))
    return Scaling(mean, 1 / np.where(size > 0, size, 1.0), intercept)


def _moments(X: Any) -> tuple[Floats, Floats]:
    """Means and variances of columns."""
    if sparse.issparse(X):
        X = X.astype(np.float64)
        mean, square = (np.asarray(values.mean(axis=0)).ravel() for values in (X, X.power(2)))
        return mean, np.maximum(square - mean**2, 0.0)
    X = np.asarray(X, dtype=np.float64)
    return X.mean(axis=0), X.var(axis=0)
