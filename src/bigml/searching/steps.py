"""Steps: how far each mini-batch of a run moves each column, told before any is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.searching.columns import Columns
from bigml.searching.visits import TINY, MiniBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Steps:
    """Factors, each an array of shape (n_batches, n_columns); the rule is told at `bigml.searching.panel.Panel`.

    Attributes:
        keep: What the weights are multiplied with.
        gain: What is taken off them, times the sum of the gradients.
        intercept: The same for the intercepts.
        cut: How far the absolute penalty may move weights.
        share: What rows of the mini-batch are of those that are averaged.
    """

    keep: Floats
    gain: Floats
    intercept: Floats
    cut: Floats
    share: Floats

    @classmethod
    def of(cls, columns: Columns, rows: NDArray[np.int64], batches: Sequence[MiniBatch], *, classifies: bool) -> Steps:
        """Steps of columns that have learned from `rows` rows before, shape (n_columns,)."""
        n = np.array([[batch.n_rows] for batch in batches])
        curvature, mass = (np.maximum([[getattr(b, name)] for b in batches], TINY) for name in ("curvature", "mass"))
        before = rows + np.cumsum(n, axis=0) - n
        size = columns.elapsed(before, n) / n
        unit = np.ones(n.shape) if classifies else np.array([[_size(batch)] for batch in batches])
        reach = columns.reach(before, unit) / _mean_weight(columns, batches)
        rate = np.minimum(size, reach / curvature)
        decay, outer = columns.ridge * rate * n, columns.each("outer")
        intercept = np.minimum(size, reach / mass) * columns.intercept * outer
        return cls(np.exp(-decay), rate * outer * _kept(decay), intercept, columns.lasso * rate * n, _share(columns, before, n))

    def on(self, xp: Any) -> Steps:
        """The same in arrays of this library."""
        return self if xp is np else Steps(*(xp.asarray(getattr(self, field.name)) for field in fields(self)))


def _size(batch: MiniBatch) -> float:
    """Of the numbers that are learned."""
    return float(np.sqrt(np.mean(batch.y[: batch.n_rows].astype(np.float64) ** 2)))


def _mean_weight(columns: Columns, batches: Sequence[MiniBatch]) -> Floats:
    """Of the rows' classes, in each column."""
    if not columns.weighs:
        return np.ones(len(columns))
    codes = [batch.y[: batch.n_rows, 0] for batch in batches]
    shares = np.array([[np.mean(y == code) for code in range(int(columns.code.max()) + 1)] for y in codes])[:, columns.code]
    return np.maximum(columns.negative + (columns.positive - columns.negative) * shares, TINY)


def _kept(decay: Floats) -> Floats:
    """(1 - exp(-decay)) / decay: what is left, at the end of a mini-batch, of gradients that came all the time."""
    some = np.maximum(decay, TINY)
    kept: Floats = -np.expm1(-some) / some
    return kept


def _share(columns: Columns, before: NDArray[np.int64], n: NDArray[np.int64]) -> Floats:
    """Rows are averaged from a column's row `average` on."""
    averaged = before + n - columns.average + 1
    inside = (columns.average > 0) & (averaged > 0)
    share: Floats = np.where(inside, np.minimum(n / np.maximum(averaged, 1), 1), 0)
    return share
