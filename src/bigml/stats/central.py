"""Central: the second, third and fourth central moment of numbers, in twice the precision, for many groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    two_sum,
)
from bigml.stats.keys import Codes, Index

Floats = NDArray[np.float64]

NO_SKEW = 1e-20
"""Skewness below this is none: it is what rounding leaves of values that lie symmetrically."""


class Centred(NamedTuple):
    """Of each group: rows that have a value; their mean and sums of powers of deviations, each as a high and a low part."""

    n: Index
    sums: Floats


def _means(table: Floats) -> Doubled:
    """The means from `summing.sum_floats`; exactly the value where all of a group are equal."""
    n, total, lost, low, high = table.T
    exact = quotient(two_sum(total, lost), (np.maximum(n, 1.0), 0.0))
    nothing = np.zeros(len(n))
    means = chosen(np.isfinite(exact[1]), exact, (total, nothing))
    return chosen(low == high, (low, nothing), means)


def _powers(slots: Codes, values: Floats, means: Doubled) -> Floats:
    """Sums of the first four powers of the deviations from these means, a row for each slot."""
    sums = np.zeros((len(means[0]), 8))
    for start in range(0, len(values), BLOCK):
        own = slots[start : start + BLOCK]
        first = subtract((values[start : start + BLOCK], 0.0), (means[0][own], means[1][own]))
        second = multiply(first, first)
        accumulate(sums, own, [first, second, multiply(second, first), multiply(second, second)])
    return sums


def _moved(sums: Floats, by: Doubled, n: Floats) -> list[Doubled]:
    """The sums of squared, cubed and fourth powers of deviations, from a point that lies so far ahead of the mean."""
    squares, cubes, fourths = (pair(sums, at) for at in (1, 2, 3))
    second = multiply(by, by)
    inner = subtract(times(multiply(second, squares), 6.0), times(multiply(by, cubes), 4.0))
    return [
        add(squares, times(second, n)),
        subtract(subtract(cubes, times(multiply(by, squares), 3.0)), times(multiply(second, by), n)),
        add(add(fourths, inner), times(multiply(second, second), n)),
    ]


def _centred(sums: Floats, means: Doubled, n: Floats) -> Floats:
    """Sums of powers of deviations from about the mean moved to the mean itself."""
    off = quotient(pair(sums, 0), (np.maximum(n, 1.0), 0.0))
    squares, cubes, fourths = _moved(sums, off, n)
    second = multiply(off, off)
    # What `_moved` takes for zero, the sum of the deviations, is n times as much as they are off.
    squares = subtract(squares, times(second, 2 * n))
    cubes = add(cubes, times(multiply(second, off), 3 * n))
    fourths = subtract(fourths, times(multiply(second, second), 4 * n))
    return table_of([add(means, off), squares, cubes, fourths])


def _joined(left: Centred, right: Centred) -> Floats:
    """Moments of both (Pebay 2008), each moved to the common mean."""
    a, b = left.n.astype(np.float64), right.n.astype(np.float64)
    n = (np.maximum(a + b, 1.0), 0.0)
    delta = subtract(pair(right.sums, 0), pair(left.sums, 0))
    ahead, behind = quotient(times(delta, b), n), quotient(times(delta, -a), n)
    sums = map(add, _moved(left.sums, ahead, a), _moved(right.sums, behind, b))
    both = table_of([add(pair(left.sums, 0), ahead), *sums])
    return np.where((b == 0)[:, None], left.sums, np.where((a == 0)[:, None], right.sums, both))


@dataclass(frozen=True)
class CentralMoments:
    """Skewness and excess kurtosis of a column as float64; NaN is missing.

    Sums of powers of deviations are kept in twice the precision of float64 and merged as by Pebay (2008): whatever the chunking,
    results have the same bits, but for a chance of about 2**-40 in each that they differ in the last one.

    Args:
        column: A column of numbers or booleans.
    """

    column: str

    def empty(self) -> Centred:
        return Centred(np.empty(0, np.int64), np.empty((0, 8)))

    @np.errstate(all="ignore")
    def partial(self, rows: Rows) -> Centred:
        table = rows.sums(self.column)
        means = _means(table)
        slots = rows.known_slots(self.column)
        known = np.flatnonzero(slots >= 0)
        sums = _powers(slots[known], rows.floats(self.column)[known], means)
        return Centred(table[:, 0].astype(np.int64), _centred(sums, means, table[:, 0]))

    def arrange(self, state: Centred, index: Index) -> Centred:
        return Centred(arranged(state.n, index, 0), arranged(state.sums, index, 0.0))

    @np.errstate(all="ignore")
    def merge(self, left: Centred, right: Centred) -> Centred:
        return Centred(left.n + right.n, _joined(left, right))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 72 * n_groups

    def skew(self, state: Centred) -> Floats:
        """The adjusted Fisher-Pearson coefficient G1; NaN below three values, or where all are equal."""
        n = state.n.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            deviation = np.sqrt(state.sums[:, 2] / n)
            biased = state.sums[:, 4] / n / deviation**3
            found = np.sqrt(n * (n - 1)) / (n - 2) * np.where(np.abs(biased) < NO_SKEW, 0.0, biased)
        return np.where((n > 2) & (deviation > 0), found, np.nan)

    def kurt(self, state: Centred) -> Floats:
        """The sample excess kurtosis G2; NaN below four values, or where all are equal."""
        n = state.n.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            variance = state.sums[:, 2] / n
            biased = state.sums[:, 6] / n / variance / variance
            found = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * biased - 3 * (n - 1))
        return np.where((n > 3) & (variance > 0), found, np.nan)
