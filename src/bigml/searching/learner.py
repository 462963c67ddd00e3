"""Learner: some columns of weights while they learn from the mini-batches of one cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.searching.columns import Columns
from bigml.searching.losses import LOSSES
from bigml.searching.visits import MiniBatch

Floats = NDArray[np.float64]
WIDTH = 64
"""Columns are filled up with zeros to a multiple of it, so that every column is multiplied by the same instructions."""


def padded_width(n: int) -> int:
    """Columns in all, where n are filled up."""
    return max(-(-n // WIDTH), 1) * WIDTH


def padded(weights: Floats, xp: Any = np) -> Any:
    """The weights in float32, filled up with columns of zeros.

    >>> padded(np.ones((2, 3))).shape
    (2, 64)
    """
    single = xp.zeros((len(weights), padded_width(weights.shape[1])), np.float32)
    single[:, : weights.shape[1]] = weights
    return single


@dataclass(frozen=True, eq=False)
class Weights:
    """What is learned, each array of shape (n_features + 1, n_columns); overwritten while it is.

    Attributes:
        weights: The intercepts last.
        averages: Of the weights over rows; None where none are asked for.
        paid: How far the absolute penalty has moved each weight, and last the way that it could have moved them; None where
            there is no such penalty.
    """

    weights: Floats
    averages: Floats | None = None
    paid: Floats | None = None

    def take(self, index: NDArray[np.int64]) -> Weights:
        """A copy of some columns."""
        return Weights(*(None if one is None else one[:, index] for one in self._arrays))  # type: ignore[arg-type]

    def put(self, index: NDArray[np.int64], some: Weights) -> None:
        """Overwrite these columns."""
        for own, other in zip(self._arrays, some._arrays, strict=True):
            if own is not None:
                own[:, index] = other

    @property
    def _arrays(self) -> tuple[Floats | None, ...]:
        return self.weights, self.averages, self.paid


class Learner:
    """Columns that all learn from a cell; the rule is told at `bigml.searching.panel.Panel`.

    Args:
        columns: Their parameters.
        classifies: Whether y are codes of classes.
        xp: numpy, or a library with its functions whose arrays the mini-batches are made of.
    """

    def __init__(self, columns: Columns, *, classifies: bool, xp: Any = np) -> None:
        self.columns, self.classifies, self.xp = columns, classifies, xp
        self.groups = columns.groups()
        self.weighs = bool(np.any((columns.positive != 1) | (columns.negative != 1)))
        self.start = columns.average if columns.average.any() else None

    def learn(self, state: Weights, rows: NDArray[np.int64], batches: Iterable[MiniBatch]) -> None:
        """Overwrite the weights of columns that have learned from `rows` rows before."""
        weights, averages = state.weights, state.averages
        single = padded(weights, self.xp)
        scores: Any = None
        for batch in batches:
            single[:, : len(self.columns)] = weights
            if scores is None or batch.is_sparse or len(scores) != len(batch.X):
                scores = batch.X @ single
            else:
                self.xp.matmul(batch.X, single, out=scores)
            self._slope(scores, batch)
            gradient = (batch.weighted.T @ scores)[:, : len(self.columns)]
            self._descend(state, gradient, rows, batch)
            rows = rows + batch.n_rows
            if averages is not None and self.start is not None:
                averages += (weights - averages) * _share(rows - self.start + 1, batch.n_rows, self.start)

    def _slope(self, scores: Any, batch: MiniBatch) -> None:
        """Overwrite the scores with the slopes of the losses, times the weights of the classes."""
        for loss, epsilon, code, place in self.groups:
            truth, c = self._truth(batch.y, code), self.columns
            LOSSES[loss].slopes(self.xp, scores[:, place], truth, epsilon)
            if self.weighs:
                weights = self.xp.where(truth > 0, c.positive[place], c.negative[place])
                scores[:, place] *= weights.astype(np.float32)

    def _truth(self, y: Any, code: int) -> Any:
        return 2 * (y == code).astype(np.float32) - 1 if self.classifies else y

    def _descend(self, state: Weights, gradient: Any, rows: NDArray[np.int64], batch: MiniBatch) -> None:
        c, n, weights = self.columns, batch.n_rows, state.weights
        size = c.elapsed(rows, n) / n
        reach = c.reach(rows, self._unit(batch)) / self._mean_weight(batch)
        features, ones = batch.curvatures
        rate = np.minimum(size, reach / features)
        decay = c.ridge * rate * n
        weights[:-1] *= np.exp(-decay)
        weights[:-1] -= gradient[:-1] * (rate * _kept(decay))
        weights[-1] -= gradient[-1] * (np.minimum(size, reach / ones) * c.intercept)
        if state.paid is not None:
            _shrink(weights[:-1], state.paid, c.lasso * rate * n)

    def _unit(self, batch: MiniBatch) -> float:
        """The size of the numbers that are learned."""
        if self.classifies:
            return 1.0
        return float(np.sqrt(np.vdot(batch.y, batch.y) / batch.n_rows))

    def _mean_weight(self, batch: MiniBatch) -> Any:
        """Of the rows' classes, in each column."""
        if not self.weighs:
            return 1.0
        c = self.columns
        shares = np.bincount(batch.y[: batch.n_rows, 0].astype(np.int64), minlength=int(c.code.max()) + 1) / batch.n_rows
        return np.maximum(c.negative + (c.positive - c.negative) * shares[c.code], 1e-30)


def _kept(decay: Floats) -> Floats:
    """(1 - exp(-decay)) / decay: what is left, at the end of a mini-batch, of gradients that came all the time."""
    some = np.maximum(decay, 1e-30)
    kept: Floats = -np.expm1(-some) / some
    return kept


def _shrink(weights: Floats, paid: Floats, way: Floats) -> None:
    """Tsuruoka, Tsujii and Ananiadou 2009, section 3: weights pay what is due so far, or all that they have."""
    due, moved = paid[-1], paid[:-1]
    due += way
    price = np.clip(weights, moved - due, moved + due)
    weights -= price
    moved -= price


def _share(n_averaged: Floats, n: int, start: Floats) -> Floats:
    """What n rows are of those that are averaged."""
    inside = (start > 0) & (n_averaged > 0)
    share: Floats = np.where(inside, np.minimum(n / np.maximum(n_averaged, 1), 1), 0)
    return share
