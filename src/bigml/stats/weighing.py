"""Weighing: quantiles of a column whose rows have weights, for many groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bigml.stats import kernels, summing
from bigml.stats.cells import Rows, arranged
from bigml.stats.doubled import accumulate, pair
from bigml.stats.keys import Index
from bigml.stats.sketches import COARSEST, either, grain, middles, moved
from bigml.stats.weights import weights_of

Floats = NDArray[np.float64]


class Heap(NamedTuple):
    """Weight in each bucket: sorted codes, of group and bucket, and sums in twice the precision; the rest is as in `Buckets`."""

    codes: Index
    weights: Floats
    low: Floats
    high: Floats
    grain: int

    @property
    def n_groups(self) -> int:
        return len(self.low)


@dataclass(frozen=True)
class WeightedQuantiles:
    """Weighted quantiles by the buckets of `sketches.Quantiles`, with their weights in place of their rows.

    Weights are added up in twice the precision: the state is the same for any order of rows whose weights differ by less than a
    factor of 2**50.

    Args:
        column: A column of numbers or booleans.
        by: The column of weights.
    """

    column: str
    by: str

    def empty(self) -> Heap:
        return Heap(np.empty(0, np.int64), np.empty((0, 2)), np.empty(0), np.empty(0), COARSEST)

    def partial(self, rows: Rows) -> Heap:
        weights, values = weights_of(rows, self.by), self._values(rows)
        table = summing.sum_floats(rows.slots, [summing.span_of(values)], rows.n_slots)
        places, distinct = kernels.factorize(kernels.bucket_codes(rows.slots, values.view(np.int64)))
        codes, at = np.unique(distinct, return_inverse=True)
        sums = np.zeros((len(codes), 2))
        accumulate(sums, np.append(at, -1)[places], [(weights, 0.0)])
        return Heap(codes, sums, table[:, 3] + 0.0, table[:, 4] + 0.0, grain(values))

    def remainder(self, rows: Rows) -> Heap:
        """The grain alone, which is that of all rows of the column."""
        return self.empty()._replace(grain=grain(self._values(rows)))

    def _values(self, rows: Rows) -> Floats:
        """The values that have a weight, NaN for others."""
        return kernels.frozen(np.where(weights_of(rows, self.by) > 0, rows.floats(self.column), np.nan))

    def arrange(self, state: Heap, index: Index) -> Heap:
        codes, order = moved(state.codes, index, state.n_groups, kernels.SLOT_SHIFT)
        low, high = arranged(state.low, index, np.inf), arranged(state.high, index, -np.inf)
        return Heap(codes, state.weights[order], low, high, state.grain)

    def merge(self, left: Heap, right: Heap) -> Heap:
        codes = either(left.codes, right.codes)
        weights = np.zeros((len(codes), 2))
        for side in (left, right):
            accumulate(weights, np.searchsorted(codes, side.codes), [pair(side.weights, 0)])
        low, high = np.minimum(left.low, right.low), np.maximum(left.high, right.high)
        return Heap(codes, weights, low, high, min(left.grain, right.grain))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 24 * min(n_rows, 20_000 + 500 * n_groups) + 16 * n_groups

    def quantile(self, state: Heap, q: float) -> Floats:
        """Of every group the least value that has, with all lesser ones, the share q of the weight; NaN without weight."""
        starts = np.searchsorted(state.codes, np.arange(state.n_groups + 1, dtype=np.int64) << kernels.SLOT_SHIFT)
        place = _reaching(starts, state.weights, q)
        if not len(state.codes):
            return np.full(state.n_groups, np.nan)
        with np.errstate(invalid="ignore"):
            middle = middles(state.codes[place], state.grain, state.low, state.high)
        ends = {0.0: state.low, 1.0: state.high}
        return np.where(np.diff(starts) > 0, ends.get(q, middle), np.nan)


@njit(nogil=True, cache=True)
def _reaching(starts: Any, weights: Any, q: float) -> Any:
    """Of each group the first bucket with which the share q of the weight is reached."""
    out = np.zeros(starts.size - 1, np.int64)
    for g in range(out.size):
        target = np.inf
        for _ in range(2):
            # All of the weight first, then up to the share of it.
            reached, rest = 0.0, 0.0
            for i in range(starts[g], starts[g + 1]):
                new = reached + weights[i, 0]
                part = new - reached
                rest += (reached - (new - part)) + (weights[i, 0] - part) + weights[i, 1]
                reached, out[g] = new, i
                if reached + rest >= target:
                    break
            target = q * (reached + rest)
    return out
