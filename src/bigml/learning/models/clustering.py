"""Clustering: k-means by whole scans, all restarts in the same ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.models.nearness import Centres, ClusterSums, Far, Farthest, Inertias, weights_of
from bigml.learning.models.seeding import Coreset, Drawn, spread_out
from bigml.learning.scatter import Moments, Scatter
from bigml.learning.solving import Problem, n_scans, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums, Totals
from bigml.stats.reducer import Product

SAMPLE_ROWS, SAMPLE_BYTES, ROWS_A_CLUSTER = 1 << 15, 1 << 26, 100
"""The coreset on which k-means is started, at most; but a hundred rows a cluster."""
ROUGH_ROWS = 1 << 12
"""The sample from which rough centres come, but twenty rows a cluster."""
HOPELESS = 1.02
"""A start that has converged on the coreset with this many times the least inertia is left there: all rows together move
centres by much less."""
HOPE = 20.0
"""A restart is given up when it would take this many more gains like its last to be as good as the best one is already."""
COARSE, COARSE_MOVES = 10.0, 30
"""On the coreset, whose chance errors are larger than that, centres may still move this many times as far when they stop."""
EQUAL = 1e-9
USUAL_SCANS = 12


@n_scans.register
def _(estimator: KMeans) -> int:
    return 3 + min(estimator.max_iter, USUAL_SCANS)


@solve.register
def _(estimator: KMeans, problem: Problem) -> Inquiry[Any]:
    """Lloyd's algorithm, equal to scikit-learn's from the same centres; `labels_` of all rows are not kept.

    From "k-means++" all restarts first converge on a coreset (see `seeding`), after which a few scans are enough: `n_iter_`
    counts these. Clusters without rows take the rows that are farthest from their centres.
    """
    _check(estimator)
    k, random = estimator.n_clusters, problem.random(estimator)
    drawn = Drawn(max(ROUGH_ROWS, 20 * k), int(random.integers(1 << 62)))
    asked: tuple[Any, ...] = (Scatter(weighted=False), drawn, Sums(weight))
    found, sample, total = yield Product(asked)
    if sample is None or found.n_rows < k:
        raise DataError(f"{k:,} rows or more, as many as clusters", got=f"{found.n_rows:,}", where="in KMeans")
    if not total["weight"]:
        raise DataError("rows to learn from", got="weights of 0 alone", where="in KMeans")
    origin = None if sparse.issparse(sample.X) else found.mean
    lloyd = Lloyd(origin, float(found.scatter.mean() / found.n_rows * estimator.tol), estimator.max_iter)
    seeds = Seeds(lloyd, found, sample, float(total["weight"]), random)
    outcome = yield from lloyd.run((yield from seeds.starts(estimator)))
    return _fitted(estimator, found, outcome, origin)


def weight(batch: Batch) -> Totals:
    """The sum of weights."""
    return {"weight": weights_of(batch).sum()}


def _check(estimator: KMeans) -> None:
    given = estimator.init if isinstance(estimator.init, str) else "random"
    structured(estimator, np.arange(2.0)[:, None], n_clusters=1, init=given, max_iter=min(estimator.max_iter, 1))
    if callable(estimator.init):
        do = "Give an array of centres."
        raise FitError('init="k-means++", "random" or an array', got="a function", where="in KMeans", do=do)
    if not isinstance(estimator.n_clusters, Integral) or estimator.n_clusters < 1:
        raise FitError("one cluster or more", got=f"n_clusters={estimator.n_clusters!r}", where="in KMeans")


def _fitted(estimator: KMeans, found: Moments, outcome: Outcome, origin: NDArray[np.float64] | None) -> KMeans:
    best = outcome.best
    used = int((outcome.weights[best] > 0).sum())
    if used < estimator.n_clusters:
        text = f"{used} clusters have rows, of {estimator.n_clusters}: there may be too few distinct rows."
        warnings.warn(text, ConvergenceWarning, stacklevel=2)
    points = (outcome.points[best] + (0 if origin is None else origin)).astype(found.dtype)
    rows = np.zeros_like(points)
    rows[:, 0] = np.arange(len(rows))
    structured(estimator, rows, init=rows, n_init=1, max_iter=1)
    del estimator.labels_
    estimator.cluster_centers_, estimator.inertia_ = points, float(outcome.inertias[best])
    estimator.n_iter_ = int(outcome.n_iter[best])
    return estimator


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where restarts ended.

    Attributes:
        points: Centres relative to the origin, shape (n_restarts, k, n_features).
        n_iter: Moves of each, shape (n_restarts,).
        inertias: Weighted sums of squared distances to the nearest centre, shape (n_restarts,).
        weights: Of the rows nearest to each centre, shape (n_restarts, k).
    """

    points: NDArray[np.float64]
    n_iter: NDArray[np.int64]
    inertias: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The first restart with the least inertia: last digits, which chunks decide, do not choose among equal ends."""
        return int(np.flatnonzero(self.inertias <= self.inertias.min() * (1 + EQUAL))[0])


@dataclass(frozen=True, eq=False)
class Lloyd:
    """Moves centres to the means of the rows nearest to them, until they stay (Lloyd, 1982), in all restarts at once.

    Attributes:
        origin: What centres are relative to; None for sparse rows.
        tol: A restart ends when the squared moves of its centres add up to no more than this.
        max_iter: Moves, at most.
        hope: See `HOPE`; None gives no restart up.
    """

    origin: NDArray[np.float64] | None
    tol: float
    max_iter: int
    hope: float | None = HOPE

    def run(self, starts: NDArray[np.float64]) -> Inquiry[Outcome]:
        """From these centres, shape (n_restarts, k, n_features); a scan for each move, and one at the end.

        Restarts that are given up are not in the outcome.
        """
        points, n_iter, costs = starts.copy(), np.zeros(len(starts), np.int64), np.full(len(starts), np.inf)
        kept, moving = np.ones(len(starts), bool), np.arange(len(starts))
        while len(moving):
            old = points[moving]
            points[moving], now = yield from self._moved(Centres(old, self.origin))
            n_iter[moving] += 1
            gains, costs[moving] = np.abs(costs[moving] - now), now
            if self.hope is not None:
                kept[moving] = now - costs.min() <= self.hope * gains + EQUAL * np.abs(now)
            far = ((points[moving] - old) ** 2).sum(axis=(1, 2)) > self.tol
            moving = moving[far & kept[moving] & (n_iter[moving] < self.max_iter)]
        judged = yield Sums(Inertias(Centres(points[kept], self.origin)))
        return Outcome(points[kept], n_iter[kept], judged["inertias"], judged["weights"])

    def _moved(self, centres: Centres) -> Inquiry[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Centres after a move, and what they cost before it: the inertia of each group but for what is common to all."""
        totals = yield Sums(ClusterSums(centres))
        sums, weights = totals["sums"].copy(), totals["weights"].copy()
        costs = (weights[:, :, None] * centres.points**2 - 2 * sums * centres.points).sum(axis=(1, 2))
        lonely = np.flatnonzero((weights == 0).any(axis=1)).tolist()
        if lonely:
            asked: Any = tuple(Farthest(centres.only(i), int((weights[i] == 0).sum())) for i in lonely)
            for i, far in zip(lonely, (yield Product(asked)), strict=True):
                _occupy(sums[i], weights[i], far)
        means = sums / np.where(weights > 0, weights, 1)[:, :, None]
        # What is empty still, for want of distinct rows, goes where the largest cluster is, as in scikit-learn.
        largest = means[np.arange(len(means)), weights.argmax(axis=1)]
        return np.where(weights[:, :, None] > 0, means, largest[:, None, :]), costs


def _occupy(sums: NDArray[np.float64], weights: NDArray[np.float64], far: Far) -> None:
    """Give each empty cluster, in place, one of the rows that are farthest from their centres."""
    if not far.squares[0] > 0:
        return
    for empty, i in zip(np.flatnonzero(weights == 0), range(len(far.rows)), strict=False):
        row = far.weights[i] * far.X[i]
        sums[far.labels[i]] -= row
        weights[far.labels[i]] -= far.weights[i]
        sums[empty], weights[empty] = row, far.weights[i]


@dataclass(frozen=True, eq=False)
class Seeds:
    """Where k-means starts.

    Attributes:
        lloyd: What moves the centres.
        found: Moments of all rows.
        sample: Some rows, drawn by weight.
        weight: Of all rows.
    """

    lloyd: Lloyd
    found: Moments
    sample: Batch
    weight: float
    random: np.random.Generator

    def starts(self, estimator: KMeans) -> Inquiry[NDArray[np.float64]]:
        """Centres relative to the origin, shape (n_restarts, k, n_features)."""
        k = estimator.n_clusters
        if not isinstance(estimator.init, str):
            return self._given(estimator.init, k)
        automatic = 10 if estimator.init == "random" else 1
        n = automatic if estimator.n_init == "auto" else int(estimator.n_init)
        if estimator.init == "random":
            rows = [self.random.choice(self.sample.n_rows, k, replace=self.sample.n_rows < k) for _ in range(n)]
            return np.array([_dense(self._moved(self.sample).X[chosen]) for chosen in rows])
        return (yield from self._converged(k, n))

    def _given(self, init: Any, k: int) -> NDArray[np.float64]:
        points = np.asarray(_dense(init) if sparse.issparse(init) else init, dtype=np.float64)
        if points.shape != (k, self.found.means.shape[1]):
            shape = f"shape {(k, self.found.means.shape[1])}"
            raise FitError(f"init of {shape}", got=f"{points.shape}", where="in KMeans")
        return (points - (0 if self.lloyd.origin is None else self.lloyd.origin))[None]

    def _converged(self, k: int, n: int) -> Inquiry[NDArray[np.float64]]:
        """From n restarts on a coreset, those worth going on with."""
        coreset: Batch = yield self._coreset(spread_out(self._moved(self.sample), k, self.random))
        moved = self._moved(coreset)
        starts = np.array([spread_out(moved, k, self.random) for _ in range(n)])
        moves = min(COARSE_MOVES, self.lloyd.max_iter)
        coarse = replace(self.lloyd, tol=COARSE * self.lloyd.tol, max_iter=moves, hope=None)
        ends = conduct(coarse.run(starts), lambda asked: asked.finish(asked.update(asked.start(), coreset)))
        return ends.points[ends.inertias <= HOPELESS * ends.inertias.min()]

    def _coreset(self, rough: NDArray[np.float64]) -> Coreset:
        centres = Centres(rough[None], self.lloyd.origin)
        cost = float(Inertias(centres)(self.sample)["inertias"][0] / self.sample.n_rows * self.weight)
        width = 1 if sparse.issparse(self.sample.X) else self.sample.X.shape[1]
        n = max(min(SAMPLE_ROWS, SAMPLE_BYTES // (8 * width)), ROWS_A_CLUSTER * len(rough))
        n = n if self.found.n_rows > n else 1 << 60  # all rows
        return Coreset(centres, n, self.weight, cost, int(self.random.integers(1 << 62)))

    def _moved(self, batch: Batch) -> Batch:
        return batch if self.lloyd.origin is None else replace(batch, X=batch.X - self.lloyd.origin)


def _dense(rows: Any) -> NDArray[np.float64]:
    return np.asarray(rows.toarray() if sparse.issparse(rows) else rows, dtype=np.float64)
