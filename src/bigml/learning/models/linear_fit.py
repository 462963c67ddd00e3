"""Linear fits: a convex loss of linear predictors, minimised over all rows from where a sample of them leads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.models.curvature import Dense, Limited, Model
from bigml.learning.models.descent import Rules, descend
from bigml.learning.models.goal import Goal
from bigml.learning.models.losses import Floats, Loss
from bigml.learning.models.rescaling import Scaling, scaling_of

SAMPLE_ROWS = 1 << 16
"""Rows that the fit starts from, in memory; no more rows than these are fitted there altogether."""
LARGEST = 1024
"""Coefficients up to which all second derivatives are used, and features up to which those within each output are."""
LEFT_IN_SAMPLE, LEFT_IN_MEMORY, LEFT, LEFT_AT_A_GUESS = 1e-6, 1e-12, 1e-9, 1e-8
"""Shares of the goal that may be left to gain; the last where models know so little that they count the last step's gain too."""
PART, ENOUGH = 16, 4
"""A part of the sample that is as many times smaller is fitted first, if it has as many times more rows than coefficients."""
AMPLE, ALIKE = 100, 1.25
"""Of a sample with as many times more rows than coefficients, second derivatives are used that two halves agree on so far."""
FLOOR = 1e-12
"""The share of the goal of the model without features that is as good as nothing."""


@dataclass(frozen=True, eq=False)
class Penalties:
    """Of coefficients, beside a mean loss: l1 |w| + l2 / 2 w^2. Intercepts count as w / `intercept_scale`; None: not at all."""

    l1: float = 0.0
    l2: float = 0.0
    intercept_scale: float | None = None

    def along(self, scales: Floats, intercept: bool) -> tuple[Floats, Floats]:
        """The l1 and l2 penalties of coefficients of columns times `scales`, shape (p,) each."""
        last = 1 / self.intercept_scale if self.intercept_scale else 0.0
        size = np.append(scales, last) if intercept else scales
        return self.l1 * size, self.l2 * size**2


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients (k, d), intercepts (k,), how many steps led there, and what is left of the goal without features."""

    coefficients: Floats
    intercepts: Floats
    n_iter: int
    left: float


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A loss of linear predictors with penalties, and a sample of the rows.

    Attributes:
        base: Intercepts of a model without features, shape (k,).
        factors: Weights of the classes.
        whole: Whether the sample is all rows.
    """

    loss: Loss
    penalties: Penalties
    sample: Batch
    base: Floats
    intercept: bool
    tol: float
    max_iter: int
    factors: Floats | None = None
    whole: bool = False

    def minimum(self) -> Inquiry[Solution]:
        """The minimum over all rows; a ConvergenceWarning says when it was not reached."""
        scale = self._recall(self.goal.at(self.home)).value
        left = LEFT_IN_MEMORY if self.whole else LEFT if self.home.size <= LARGEST else LEFT_AT_A_GUESS
        strict = Rules(self.tol, self.max_iter, left, FLOOR * scale)
        if self.whole:
            found = self._recall(descend(self.goal, self._model(self.goal, self.home), self.home, strict))
        else:
            start = self._start(scale)
            found = yield from descend(self.goal, self._begun(start), start, strict)
        if not found.converged:
            told = f"The minimum was not reached in {found.n_iter} steps: raise max_iter, or set a stronger penalty."
            warnings.warn(told, ConvergenceWarning, stacklevel=2)
        theta, width = self.scaling.coefficients(found.theta), len(self.scaling.scales)
        intercepts = theta[:, width] if self.intercept else np.zeros(len(theta))
        return Solution(theta[:, :width], intercepts, found.n_iter, found.value / scale if scale > 0 else 1.0)

    def _start(self, scale: float) -> Floats:
        """The minimum over the sample, drawn a little to the model without features, which keeps it finite."""
        theta = self.home
        for sample in self._samples():
            goal = self.goal.drawn(1 / sample.n_rows, self.home)
            rules = Rules(np.inf, 50, LEFT_IN_SAMPLE, FLOOR * scale)
            theta = recalled(descend(goal, self._model(goal, theta), theta, rules), sample).theta
        return theta

    def _samples(self) -> Iterator[Batch]:
        """A part of the sample where that is enough to begin with, and the sample."""
        if self.sample.n_rows >= PART * ENOUGH * self.home.size:
            yield self.sample.take(np.arange(0, self.sample.n_rows, PART))
        yield self.sample

    @cached_property
    def goal(self) -> Goal:
        """What is minimised."""
        l1, l2 = self.penalties.along(self.scaling.scales, self.intercept)
        return Goal(self.loss, self.scaling, l1, l2, np.zeros_like(self.home), self.factors)

    @cached_property
    def scaling(self) -> Scaling:
        """Centred where it helps and does not change what is penalised."""
        centred = self.intercept and not self.penalties.intercept_scale
        return scaling_of(self.sample.X, centred=centred, intercept=self.intercept)

    @cached_property
    def home(self) -> Floats:
        """The model without features."""
        home = np.zeros((len(self.base), self.sample.X.shape[1] + self.intercept))
        if self.intercept:
            home[:, -1] = self.base
        return home

    def _model(self, goal: Goal, theta: Floats) -> Model:
        if self.home.size <= LARGEST:
            return Dense(goal)
        small = self.home.shape[1] <= LARGEST and not self.penalties.l1
        return Limited(goal, self._recall(goal.at(theta, "blocks")).bends if small else None)

    def _begun(self, start: Floats) -> Model:
        """The model to scan all rows with; it knows the sample's second derivatives where two halves of it agree on them."""
        if self.home.size > LARGEST or self.sample.n_rows < AMPLE * self.home.size:
            return self._model(self.goal, start)
        halves = [self.sample.take(np.arange(first, self.sample.n_rows, 2)) for first in (0, 1)]
        one, other = (recalled(self.goal.at(start, "full"), half).bends for half in halves)
        return Dense(self.goal, (one + other) / 2) if alike(one, other) else Dense(self.goal)

    def _recall(self, inquiry: Inquiry[Any]) -> Any:
        """What an inquiry learns from the sample alone."""
        return recalled(inquiry, self.sample)


def recalled(inquiry: Inquiry[Any], rows: Batch) -> Any:
    """What an inquiry learns from rows in memory."""
    return conduct(inquiry, lambda asked: asked.finish(asked.update(asked.start(), rows)))


def alike(one: Floats, other: Floats) -> bool:
    """Whether two symmetric matrices differ in no direction by more than a factor."""
    try:
        with one_thread_each():
            factors = linalg.eigvalsh(one, other)
    except linalg.LinAlgError:
        return False
    return bool(factors[0] >= 1 / ALIKE and factors[-1] <= ALIKE)
