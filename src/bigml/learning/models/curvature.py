"""Curvature: quadratic models of a goal, which say where to step from what scans have found so far."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from bigml.learning.blas import one_thread_each
from bigml.learning.models.goal import Goal, Point, shrunk
from bigml.learning.models.losses import Floats
from bigml.learning.models.slopes import Bends

SLOW = 0.02
"""A step that leaves more than this share of what there was to gain is reason to measure all second derivatives anew."""
CAUTION = 4.0
"""A step may leave as many times the share that the step before it has left."""
PAIRS = 20
NEAR = 0.8
"""A coefficient of 0 may leave it when its slope is at least this share of its l1 penalty."""
LEAST = 1e-12
"""Second derivatives that are smaller than this share of the largest count as that share."""


class Step(NamedTuple):
    """Where a model expects the minimum, and by how much the goal is less there."""

    theta: Floats
    gain: float


class Model(Protocol):
    """A quadratic model that learns from points."""

    def asks(self, left: float = 0.0) -> Bends:
        """Which second derivatives to find at the next point, when this share of an earlier expected gain is left."""
        ...

    def doubt(self, left: float) -> float:
        """The share of a step's gain that it may leave, when this share of an earlier expected gain is left."""
        ...

    def learn(self, before: Point | None, after: Point) -> None: ...

    def forget(self) -> bool:
        """Drop what was learned from earlier points; False when there is nothing to drop."""
        ...

    def step(self, point: Point) -> Step: ...


@dataclass(eq=False)
class Dense:
    """All second derivatives: those measured last, kept up to date by the slopes since (BFGS, Nocedal and Wright, 6.19).

    Attributes:
        matrix: To begin with, those of a sample; empty when there are none.
    """

    goal: Goal
    matrix: Floats = field(default_factory=lambda: np.empty((0, 0)))
    fresh: bool = False

    def asks(self, left: float = 0.0) -> Bends:
        return "full" if left > SLOW or not len(self.matrix) else "none"

    def doubt(self, left: float) -> float:
        return min(1.0, CAUTION * left)

    @one_thread_each()
    def learn(self, before: Point | None, after: Point) -> None:
        self.fresh = after.bends is not None
        if after.bends is not None:
            self.matrix = after.bends
        elif before is not None:
            s, y = (after.theta - before.theta).ravel(), (after.slope - before.slope).ravel()
            if (sy := float(s @ y)) > 0:
                bs = self.matrix @ s
                self.matrix = self.matrix + np.outer(y, y) / sy - np.outer(bs, bs) / (s @ bs)

    def forget(self) -> bool:
        self.matrix = self.matrix[:0, :0]
        return not self.fresh

    def step(self, point: Point) -> Step:
        l1 = np.tile(self.goal.l1, len(point.theta))
        move = _sparse_move(self.matrix, point, l1) if l1.any() else -linalg.cho_solve(_factor(self.matrix), point.slope.ravel())
        theta = point.theta + move.reshape(point.theta.shape)
        return Step(theta, expected(self.goal, point, theta, self.matrix @ move))


def expected(goal: Goal, point: Point, theta: Floats, bent: Floats) -> float:
    """By how much a quadratic model is less at theta; `bent` is the model's matrix times the move."""
    move = (theta - point.theta).ravel()
    linear = float(point.slope.ravel() @ move) + goal.penalty(theta) - goal.penalty(point.theta)
    return -(linear + 0.5 * float(move @ bent.ravel()))


def _factor(matrix: Floats) -> Any:
    """A Cholesky factor; directions in which nothing bends are given a little."""
    size = max(float(np.diag(matrix).mean()), np.finfo(float).tiny)
    for share in 10.0 ** np.arange(-12, 6):
        try:
            return linalg.cho_factor(matrix + share * size * np.eye(len(matrix)), lower=True)
        except linalg.LinAlgError:
            continue
    return np.sqrt(np.abs(matrix).sum()) * np.eye(len(matrix)), True


def _sparse_move(matrix: Floats, point: Point, l1: Floats) -> Floats:
    """To the minimum of the model with its l1 penalties, by coordinate descent; what is not penalised is solved for."""
    theta, slope = point.theta.ravel(), point.slope.ravel()
    held, free = np.flatnonzero(l1 > 0), np.flatnonzero(l1 == 0)
    cross, reduced, pull = matrix[np.ix_(free, held)], matrix[np.ix_(held, held)], slope[held]
    if len(free):
        factor = _factor(matrix[np.ix_(free, free)])
        solved = linalg.cho_solve(factor, np.column_stack([cross, slope[free]]))
        reduced, pull = reduced - cross.T @ solved[:, :-1], pull - cross.T @ solved[:, -1]
    move = np.zeros_like(theta)
    move[held] = _lasso(reduced, pull, theta[held], l1[held]) - theta[held]
    if len(free):
        move[free] = -solved[:, -1] - solved[:, :-1] @ move[held]
    return move


def _lasso(matrix: Floats, slope: Floats, theta: Floats, l1: Floats) -> Floats:
    """The u with the least (u - theta) slope + (u - theta)' matrix (u - theta) / 2 + l1 |u|."""
    factor = np.tril(_factor(matrix / np.outer(l1, l1))[0])
    y = factor.T @ (theta * l1) - linalg.solve_triangular(factor, slope / l1, lower=True)
    lasso = Lasso(1 / len(l1), fit_intercept=False, tol=1e-12, max_iter=10_000, warm_start=True)
    lasso.coef_ = theta * l1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a step that is a little too short costs a scan at most
        lasso.fit(np.asfortranarray(factor.T), y)
    result: Floats = lasso.coef_ / l1
    return result


@dataclass(eq=False)
class Limited:
    """The diagonal of second derivatives, and what the last steps tell beside it (L-BFGS, Nocedal and Wright 7.4).

    Attributes:
        blocks: Second derivatives within each output, of a sample, shape (k, p, p); the diagonal scales them.
    """

    goal: Goal
    blocks: Floats | None = None
    diagonal: Floats = field(default_factory=lambda: np.empty((0, 0)))
    pairs: deque[tuple[Floats, Floats]] = field(default_factory=lambda: deque(maxlen=PAIRS))
    size: float = 1.0

    def __post_init__(self) -> None:
        self.factors = [] if self.blocks is None else [_factor(block) for block in self.blocks]

    def asks(self, left: float = 0.0) -> Bends:
        del left
        return "none" if len(self.diagonal) else "diagonal"

    def doubt(self, left: float) -> float:
        del left
        return 1.0

    def learn(self, before: Point | None, after: Point) -> None:
        if after.bends is not None:
            self.diagonal = np.maximum(after.bends, LEAST * after.bends.max())
        if before is not None:
            s, y = after.theta - before.theta, after.slope - before.slope
            if (s * y).sum() > LEAST * np.sqrt((s * s).sum() * (y * y).sum()):
                self.pairs.append((s, y))
                self.size = float((y * self._first(y)).sum() / (s * y).sum())

    def forget(self) -> bool:
        had = len(self.pairs) > 0
        self.pairs.clear()
        self.diagonal, self.size = np.empty((0, 0)), 1.0
        return had

    def step(self, point: Point) -> Step:
        if self.goal.l1.any():
            return Compact.of(self.goal, self.diagonal * self.size, self.pairs).step(point)
        move = -self._solved(point.slope)
        return Step(point.theta + move, -0.5 * float((move * point.slope).sum()))

    def _solved(self, slope: Floats) -> Floats:
        """The inverse of the model times the slope."""
        result, shares = slope.copy(), []
        for s, y in reversed(self.pairs):
            shares.append((result * s).sum() / (s * y).sum())
            result -= shares[-1] * y
        result = self._first(result) / self.size
        for s, y in self.pairs:
            result += s * (shares.pop() - (result * y).sum() / (s * y).sum())
        return result

    def _first(self, slope: Floats) -> Floats:
        if self.blocks is None:
            return slope / self.diagonal
        scale = np.sqrt(np.einsum("kii->ki", self.blocks) / self.diagonal)
        solved = [linalg.cho_solve(factor, own) for factor, own in zip(self.factors, slope * scale, strict=True)]
        return scale * np.stack(solved)


@dataclass(frozen=True, eq=False)
class Compact:
    """The matrix of L-BFGS, `diagonal - w m^-1 w'`, and its l1-penalised minimum by FISTA (Beck and Teboulle, 2009).

    Attributes:
        root: Of the diagonal; w is divided by it.
    """

    goal: Goal
    root: Floats
    w: Floats
    inverse: Floats

    @classmethod
    def of(cls, goal: Goal, diagonal: Floats, pairs: Sequence[tuple[Floats, Floats]]) -> Compact:
        """From the steps taken and how slopes changed with them (Nocedal and Wright, 7.24)."""
        root = np.sqrt(diagonal.ravel())
        if not pairs:
            return cls(goal, root, np.zeros((root.size, 0)), np.zeros((0, 0)))
        s, y = (np.stack([pair[i].ravel() for pair in pairs], axis=1) for i in (0, 1))
        products, bs = s.T @ y, diagonal.reshape(-1, 1) * s
        lower = np.tril(products, -1)
        middle = np.block([[s.T @ bs, lower], [lower.T, -np.diag(np.diag(products))]])
        return cls(goal, root, np.hstack([bs, y]) / root[:, None], linalg.inv(middle))

    def times(self, u: Floats) -> Floats:
        """The matrix times u, both in units in which the diagonal is 1."""
        return u - self.w @ (self.inverse @ (self.w.T @ u))

    def step(self, point: Point) -> Step:
        """Coefficients that are 0 and would stay 0 are left alone."""
        theta, slope, l1 = point.theta.ravel().copy(), point.slope.ravel(), np.tile(self.goal.l1, len(point.theta))
        kept = np.flatnonzero((theta != 0) | (np.abs(slope) >= NEAR * l1))
        root, bent = self.root[kept], np.zeros_like(theta)
        inner = replace(self, root=root, w=self.w[kept])
        start = theta[kept] * root
        found = inner.minimum(start, slope[kept] / root, l1[kept] / root)
        theta[kept], bent[kept] = found / root, inner.times(found - start) * root
        there = theta.reshape(point.theta.shape)
        return Step(there, expected(self.goal, point, there, bent))

    def minimum(self, start: Floats, slope: Floats, l1: Floats) -> Floats:
        """Of the model around the start and the l1 penalties, in units in which the diagonal is 1."""
        u = v = start
        largest, momentum = self._largest(), 1.0
        for _ in range(1000):
            new = shrunk(v - (slope + self.times(v - start)) / largest, l1 / largest)
            moved = new - u
            if np.abs(moved).max() <= 1e-7 * np.abs(new - start).max():
                return new
            turned = float((v - new) @ moved) > 0  # momentum that leads uphill is dropped (O'Donoghue, Candes, 2015)
            following = 1.0 if turned else (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            v, u = new + (0.0 if turned else (momentum - 1) / following) * moved, new
            momentum = following
        return u

    def _largest(self) -> float:
        """The largest eigenvalue."""
        if not self.w.shape[1]:
            return 1.0
        triangle = linalg.qr(self.w, mode="r")[0][: self.w.shape[1]]
        return max(1.0, float(linalg.eigvalsh(-triangle @ self.inverse @ triangle.T)[-1]) + 1.0)
