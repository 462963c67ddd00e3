"""Weights: sums, means and variances of a column whose rows have weights, for many groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigml.errors import DataError
from bigml.stats.cells import Rows, arranged
from bigml.stats.doubled import (
    BLOCK,
    Doubled,
    accumulate,
    add,
    chosen,
    multiply,
    pair,
    quotient,
    subtract,
    table_of,
    times,
    two_product,
)
from bigml.stats.keys import Codes, Index

Floats = NDArray[np.float64]

NOTHING = 2.0**-90
"""A deviation below this share of the mean is what rounding leaves of equal values."""


def weights_of(rows: Rows, by: str) -> Floats:
    """The weights of the rows as float64, NaN where there is none.

    Raises:
        DataError: One is negative or infinite.
    """
    return rows.chunk.once(("weights", by), partial(_checked, rows, by))


def _checked(rows: Rows, by: str) -> Floats:
    weights = rows.floats(by)
    wrong = np.flatnonzero((weights < 0) | np.isinf(weights))
    if len(wrong):
        row = int(rows.chunk.row_numbers[wrong[0]])
        do = f'Filter them out, for instance by .where("{by} >= 0").'
        raise DataError("weights of zero or more", got=f"{weights[wrong[0]]:g} in row {row}", where=f"column `{by}`", do=do)
    return weights


class Weighed(NamedTuple):
    """Of each group: rows of weight, and sums in twice the precision, of weights, of their squares, of weighted values and of
    weighted squared deviations; at the end the sum of weighted values as float64 has it, which may be infinite."""

    n: Index
    sums: Floats


def _gathered(slots: Codes, values: Floats, weights: Floats, n_slots: int) -> Floats:
    """Sums of weights, of their squares and of weighted values; the place of squared deviations is empty."""
    sums = np.zeros((n_slots, 9))
    for start in range(0, len(values), BLOCK):
        x, w = (side[start : start + BLOCK] for side in (values, weights))
        accumulate(sums, slots[start : start + BLOCK], [(w, 0.0), two_product(w, w), two_product(w, x)])
    sums[:, 8] = np.bincount(slots, weights * values, n_slots)
    return sums


def _spread(slots: Codes, values: Floats, weights: Floats, sums: Floats) -> Doubled:
    """Squared deviations from the means that the sums tell, corrected for the rounding of these."""
    total = pair(sums, 0)
    means, found = quotient(pair(sums, 2), total), np.zeros((len(sums), 4))
    for start in range(0, len(values), BLOCK):
        own = slots[start : start + BLOCK]
        w = weights[start : start + BLOCK]
        d = subtract((values[start : start + BLOCK], 0.0), (means[0][own], means[1][own]))
        accumulate(found, own, [times(d, w), times(multiply(d, d), w)])
    off = pair(found, 0)
    return subtract(pair(found, 1), quotient(multiply(off, off), total))


def _joined(left: Floats, right: Floats) -> Floats:
    a, b = pair(left, 0), pair(right, 0)
    pairs = [add(pair(left, at), pair(right, at)) for at in range(4)]
    delta = subtract(quotient(pair(right, 2), b), quotient(pair(left, 2), a))
    between = multiply(multiply(delta, delta), multiply(a, quotient(b, pairs[0])))
    pairs[3] = chosen((a[0] > 0) & (b[0] > 0), add(pairs[3], between), pairs[3])
    return np.column_stack([table_of(pairs), left[:, 8] + right[:, 8]])


@dataclass(frozen=True)
class WeightedMoments:
    """Weighted sum, mean and variance of a column as float64; rows without a value, a weight, or of weight zero count nothing.

    Args:
        column: A column of numbers or booleans.
        by: The column of weights.
    """

    column: str
    by: str

    def empty(self) -> Weighed:
        return Weighed(np.empty(0, np.int64), np.empty((0, 9)))

    @np.errstate(all="ignore")
    def partial(self, rows: Rows) -> Weighed:
        values, weights = rows.floats(self.column), weights_of(rows, self.by)
        known = np.flatnonzero((weights > 0) & ~np.isnan(values) & (rows.slots >= 0))
        slots, values, weights = rows.slots[known], values[known], weights[known]
        sums = _gathered(slots, values, weights, rows.n_slots)
        spread = chosen(sums[:, 0] > 0, _spread(slots, values, weights, sums), (0.0, 0.0))
        sums[:, 6], sums[:, 7] = spread
        return Weighed(np.bincount(slots, minlength=rows.n_slots), sums)

    def arrange(self, state: Weighed, index: Index) -> Weighed:
        return Weighed(arranged(state.n, index, 0), arranged(state.sums, index, 0.0))

    @np.errstate(all="ignore")
    def merge(self, left: Weighed, right: Weighed) -> Weighed:
        return Weighed(left.n + right.n, _joined(left.sums, right.sums))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 80 * n_groups

    def sum(self, state: Weighed) -> Floats:
        return np.where(np.isfinite(state.sums[:, 4]), state.sums[:, 4], state.sums[:, 8])

    @np.errstate(all="ignore")
    def mean(self, state: Weighed) -> Floats:
        means = quotient(pair(state.sums, 2), pair(state.sums, 0))
        rough = state.sums[:, 8] / np.where(state.n > 0, state.sums[:, 0], np.nan)
        return np.where(np.isfinite(means[0]) & np.isfinite(means[1]), means[0], rough)

    @np.errstate(all="ignore")
    def var(self, state: Weighed, counts: bool = True) -> Floats:
        """The variance; NaN where the weights do not stand for more than one row."""
        total = pair(state.sums, 0)
        less = (1.0, 0.0) if counts else quotient(pair(state.sums, 1), total)
        below = subtract(total, less)[0]
        squares = state.sums[:, 6]
        nothing = squares <= (NOTHING * self.mean(state)) ** 2 * total[0]
        found = np.where(nothing, 0.0, squares) / below
        return np.where((below > 0) & (counts | (state.n > 1)), found, np.nan)

    def std(self, state: Weighed, counts: bool = True) -> Floats:
        return np.sqrt(self.var(state, counts))
