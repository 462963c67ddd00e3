"""Learner: some columns of weights while they learn from the mini-batches of one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.searching.columns import Columns
from bigml.searching.losses import LOSSES
from bigml.searching.steps import Steps
from bigml.searching.visits import MiniBatch

WIDTH = 64
"""Columns are filled up with zeros to a multiple of it, so that every column is multiplied by the same instructions."""


def padded_width(n: int) -> int:
    """Columns in all, where n are filled up."""
    return max(-(-n // WIDTH), 1) * WIDTH


def padded(weights: Any, xp: Any = np) -> Any:
    """The weights in float32, filled up with columns of zeros.

    >>> padded(np.ones((2, 3))).shape
    (2, 64)
    """
    single = xp.zeros((len(weights), padded_width(weights.shape[1])), np.float32)
    single[:, : weights.shape[1]] = weights
    return single


def _shrink(xp: Any, weights: Any, paid: Any, way: Any) -> None:
    """Tsuruoka, Tsujii and Ananiadou 2009, section 3: weights pay what is due so far, or all that they have."""
    due, moved = paid[-1], paid[:-1]
    due += way
    price = xp.minimum(xp.maximum(weights, moved - due), moved + due)
    weights -= price
    moved -= price


@dataclass(frozen=True, eq=False)
class Weights:
    """What is learned, each array of shape (n_features + 1, n_columns); overwritten while it is.

    Attributes:
        weights: The intercepts last.
        averages: Of the weights over rows; None where none are asked for.
        paid: How far the absolute penalty has moved each weight, and last the way that it could have moved them; None where
            there is no such penalty.
    """

    weights: Any
    averages: Any = None
    paid: Any = None

    def on(self, xp: Any) -> Weights:
        """A copy of arrays of this library."""
        return Weights(*(None if one is None else xp.array(one) for one in self._arrays))

    def take(self, index: Any) -> Weights:
        """A copy of some columns."""
        return Weights(*(None if one is None else one[:, index] for one in self._arrays))

    def put(self, index: Any, some: Weights) -> None:
        """Overwrite these columns."""
        for own, other in zip(self._arrays, some._arrays, strict=True):
            if own is not None:
                own[:, index] = other

    def descend(self, xp: Any, gradient: Any, steps: Steps, i: int) -> None:
        """Move by the i-th of the steps against the gradient, a sum over rows of shape (n_features + 1, n_columns)."""
        slopes, intercepts, averages = self.weights[:-1], self.weights[-1], self.averages
        slopes *= steps.keep[i]
        slopes -= gradient[:-1] * steps.gain[i]
        intercepts -= gradient[-1] * steps.intercept[i]
        if self.paid is not None:
            _shrink(xp, slopes, self.paid, steps.cut[i])
        if averages is not None:
            averages += (self.weights - averages) * steps.share[i]

    @property
    def _arrays(self) -> tuple[Any, ...]:
        return self.weights, self.averages, self.paid


class Learner:
    """Columns that all learn from a cell; the rule is told at `bigml.searching.panel.Panel`.

    Args:
        columns: Their parameters.
        classifies: Whether y are codes of classes.
        xp: numpy, or a library with its functions, to whose arrays mini-batches are moved and of which the weights are.
    """

    def __init__(self, columns: Columns, *, classifies: bool, xp: Any = np) -> None:
        self.columns, self.classifies, self.xp = columns, classifies, xp
        self.inner = xp.asarray(columns.each("inner"))
        self.blocks = [_Block(columns, start, xp) for start in range(0, len(columns), WIDTH)]
        self.codes = sorted({code for _, _, code, _ in columns.groups})

    def learn(self, state: Weights, rows: NDArray[np.int64], batches: Sequence[MiniBatch]) -> None:
        """Overwrite the weights of columns that have learned from `rows` rows before."""
        steps = Steps.of(self.columns, rows, batches, classifies=self.classifies).on(self.xp)
        single = padded(state.weights, self.xp)
        gradient, inside = self.xp.empty_like(single), single[:, : len(self.columns)]
        for i, batch in enumerate(one.on(self.xp) for one in batches):
            self.xp.multiply(state.weights, self.inner, out=inside)
            truths = {code: self._truth(batch.y, code) for code in self.codes}
            for block in self.blocks:
                gradient[:, block.place] = block.gradient(batch, single[:, block.place], truths)
            state.descend(self.xp, gradient[:, : len(self.columns)], steps, i)

    def _truth(self, y: Any, code: int) -> Any:
        return 2 * (y == code).astype(np.float32) - 1 if self.classifies else y


class _Block:
    """So few columns that the products of a mini-batch's rows with them stay in a processor's cache.

    All blocks are of one width, for that every column is multiplied by the same instructions wherever it stands.
    """

    def __init__(self, columns: Columns, start: int, xp: Any) -> None:
        self.xp, self.place = xp, slice(start, start + WIDTH)
        # A copy of the block's own columns, whose places are counted from its start.
        self.columns = columns.take(np.arange(start, min(start + WIDTH, len(columns))))
        self.positive, self.negative = (xp.asarray(one, np.float32) for one in (self.columns.positive, self.columns.negative))

    def gradient(self, batch: MiniBatch, weights: Any, truths: dict[int, Any]) -> Any:
        """The sum of the rows' gradients, shape (n_features + 1, WIDTH)."""
        xp, scores, c = self.xp, batch.X @ weights, self.columns
        for loss, epsilon, code, place in c.groups:
            LOSSES[loss].slopes(xp, scores[:, place], truths[code], epsilon)
            if c.weighs:
                scores[:, place] *= xp.where(truths[code] > 0, self.positive[place], self.negative[place])
        return batch.weighted.T @ scores
