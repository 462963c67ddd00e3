"""Goal: what a linear model minimises, its mean loss and penalties, and the points at which scans have found its value."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bigml.errors import DataError
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.losses import Floats, Loss
from bigml.learning.models.rescaling import Scaling
from bigml.learning.models.slopes import Bends, Slopes
from bigml.learning.sums import Sums


@dataclass(frozen=True, eq=False)
class Point:
    """What is known of the goal at coefficients theta, shape (k, p).

    Attributes:
        value: The mean loss and all penalties; infinite outside of the loss's domain.
        slope: Derivatives of all but the l1 penalties, shape (k, p).
        bends: Second derivatives of the same; None where they were not asked for.
    """

    theta: Floats
    value: float
    slope: Floats
    bends: Floats | None = None


@dataclass(frozen=True, eq=False)
class Goal:
    """The mean loss + sum l1 |theta| + sum l2 / 2 (theta - home)^2, for standardised columns.

    Attributes:
        l1: Shape (p,), 0 or more; as l2, it counts for every output.
        home: Shape (k, p): where the quadratic penalties lead, 0 for all coefficients but intercepts.
        factors: Weights of the classes.
    """

    loss: Loss
    scaling: Scaling
    l1: Floats
    l2: Floats
    home: Floats
    factors: Floats | None = None

    def at(self, theta: Floats, bends: Bends = "none") -> Inquiry[Point]:
        """The point, found by one scan.

        Raises:
            DataError: The weights of all rows are 0.
        """
        intercept = self.scaling.intercept
        found = yield Sums(Slopes(self.loss, self.scaling.coefficients(theta), intercept, bends, self.factors))
        if not found or found["weight"] <= 0:
            raise DataError("rows to learn from, of a weight above 0", got="none", where="in fit")
        away = theta - self.home
        value = found["loss"] / found["weight"] + self.penalty(theta) + 0.5 * (self.l2 * away**2).sum()
        slope = self.scaling.slopes(found["slope"] / found["weight"]) + self.l2 * away
        bent = None if bends == "none" else self._bent(self.scaling.bends(found["bends"] / found["weight"], bends), bends)
        return Point(theta, float(value) if np.isfinite(value) else np.inf, slope, bent)

    def penalty(self, theta: Floats) -> float:
        """The sum of the l1 penalties."""
        return float((self.l1 * np.abs(theta)).sum())

    def violation(self, point: Point) -> float:
        """How far the point is from a minimum: the largest entry of a gradient step, 0 at a minimum."""
        stepped = shrunk(point.theta - point.slope, self.l1)
        return float(np.abs(stepped - point.theta).max())

    def drawn(self, strength: float, home: Floats) -> Goal:
        """The goal with another quadratic penalty, equally strong for all standardised coefficients, that leads home."""
        return replace(self, l2=self.l2 + strength, home=home)

    def _bent(self, bends: Floats, kind: Bends) -> Floats:
        """Second derivatives with those of the penalties, and bent where only differences of outputs count."""
        k, p = self.home.shape
        if kind == "diagonal":
            return bends + self.l2
        if kind == "blocks":
            return bends + np.diag(self.l2)
        bends = bends + np.diag(np.tile(self.l2, k))
        if not self.loss.coupled:
            return bends
        free = np.where((self.l1 == 0) & (self.l2 == 0), np.diag(bends).reshape(k, p).mean(axis=0), 0.0)
        return bends + np.kron(np.full((k, k), 1 / k), np.diag(free))


def shrunk(theta: Floats, by: Floats) -> Floats:
    """Nearer to 0 by as much, or 0: the proximal step of an l1 penalty."""
    result: Floats = np.sign(theta) * np.maximum(np.abs(theta) - by, 0.0)
    return result
