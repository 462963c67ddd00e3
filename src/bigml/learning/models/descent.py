"""Descent: down to the minimum of a convex goal, a scan a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bigml.errors import DataError
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry
from bigml.learning.models.curvature import Model, Step
from bigml.learning.models.goal import Goal, Point
from bigml.learning.models.losses import Floats
from bigml.learning.models.slopes import Bends

ARMIJO = 1e-4
SHORTEST = 1e-10
GREATEST = 1e-4
"""The share of the goal's value that a step may gain at most to go without a scan."""


@dataclass(frozen=True)
class Rules:
    """When to stop.

    Attributes:
        tol: Of the largest entry of the gradient, for standardised columns.
        max_iter: Of steps.
        share: Of the goal's value that may be left to gain after the last step, as far as the model can tell.
        floor: The same as an absolute number, before that step.
    """

    tol: float
    max_iter: int
    share: float
    floor: float = 0.0

    def enough(self, goal: Goal, point: Point, step: Step, doubt: float) -> bool:
        """Whether a step is the last one, which needs no scan of its own: `doubt` is the share of its gain that it may leave."""
        if step.gain <= 1e-14 * point.value + self.floor:
            return True
        little = step.gain * doubt <= self.share * point.value and step.gain <= GREATEST * point.value
        return little and goal.violation(point) * np.sqrt(doubt) <= self.tol


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a descent ended, after how many steps, the goal's value before the last one, and whether the rules were met."""

    theta: Floats
    n_iter: int
    value: float
    converged: bool


def descend(goal: Goal, model: Model, start: Floats, rules: Rules) -> Inquiry[Minimum]:
    """The minimum, by steps of the model that are shortened until the goal falls as it must (Armijo).

    Raises:
        DataError: The loss is infinite at the start and without features.
    """
    here = yield from _begun(goal, start, model.asks())
    model.learn(None, here)
    expected = here.value
    for n in range(1, rules.max_iter + 1):
        with one_thread_each():
            step = model.step(here)
        left = step.gain / max(expected, np.finfo(float).tiny)
        if rules.enough(goal, here, step, model.doubt(left) if n > 1 else 1.0):
            return Minimum(step.theta, n, here.value, True)
        there = yield from _shortened(goal, here, step, model.asks(left))
        if there is None and not model.forget():
            return Minimum(here.theta, n, here.value, goal.violation(here) <= rules.tol)
        if there is None:
            there = yield from goal.at(here.theta, model.asks())
            model.learn(None, there)
        else:
            model.learn(here, there)
        here, expected = there, step.gain
    return Minimum(here.theta, rules.max_iter, here.value, False)


def _begun(goal: Goal, start: Floats, bends: Bends) -> Inquiry[Point]:
    here = yield from goal.at(start, bends)
    if not np.isfinite(here.value):
        here = yield from goal.at(goal.home, bends)
    if not np.isfinite(here.value):
        do = "Use the log link, or fit an intercept."
        raise DataError("a finite loss without features", got="infinity", where="in fit", do=do)
    return here


def _shortened(goal: Goal, here: Point, step: Step, bends: Bends) -> Inquiry[Point | None]:
    """The point of the step, or nearer; None where even the nearest is not less."""
    length = 1.0
    while length > SHORTEST:
        there = yield from goal.at(here.theta + length * (step.theta - here.theta), bends)
        if there.value <= here.value - ARMIJO * length * step.gain:
            return there
        rise = there.value - here.value + 2 * step.gain * length
        length *= float(np.clip(step.gain * length / rise, 0.1, 0.5)) if np.isfinite(rise) else 0.1
    return None
