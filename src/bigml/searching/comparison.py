"""Comparison: what a test of two models found, and the formulas of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

FEW_DISAGREEMENTS = 25
"""Disagreements below which McNemar's p-value is that of the exact binomial test."""


class Tested(NamedTuple):
    """A statistic, its p-value, and the distribution that the p-value is of."""

    statistic: float
    pvalue: float
    by: str


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What a test of two models found.

    Attributes:
        method: The test.
        statistic: Of the test.
        pvalue: The probability of a statistic as extreme if both models were equally good; two-sided.
        by: The distribution that the p-value is of; for few disagreements McNemar's is that of the exact binomial test.
        scoring: What the scores are.
        scores: One row for all rows, or for each split; columns `a` and `b`.
        names: What the models are called.
        n_rows: Rows that both models were tested on; in splits, all of them.
        table: Of McNemar's test: rows by whether a is right (index) and whether b is (columns); None for other tests.
    """

    method: str
    statistic: float
    pvalue: float
    by: str
    scoring: str
    scores: pd.DataFrame
    names: tuple[str, str]
    n_rows: int
    table: pd.DataFrame | None = None

    def __repr__(self) -> str:
        a, b = self.scores.mean()
        differ = "differ" if self.pvalue < 0.05 else "do not differ significantly"
        of = f"a ({self.names[0]}) has {self.scoring} {a:.6g}, b ({self.names[1]}) {b:.6g}"
        how = f"{self.method}, statistic {self.statistic:.4g}, {self.by}, p = {self.pvalue:.3g}"
        return f"On {self.n_rows:,} rows {of}: they {differ} at the 5 % level ({how})."

    def _repr_html_(self) -> str:
        shown = self.scores if self.table is None else self.table
        return f"<div><p>{escape(repr(self))}</p>{shown.to_html()}</div>"


def mcnemar(only_a: int, only_b: int) -> Tested:
    """McNemar's test of the rows that one model alone gets right (1947), with continuity correction (Edwards 1948).

    >>> mcnemar(2, 2)
    Tested(statistic=0.25, pvalue=1.0, by='exact binomial test')
    """
    n = only_a + only_b
    statistic = (abs(only_a - only_b) - 1) ** 2 / n if n else 0.0
    if n >= FEW_DISAGREEMENTS:
        return Tested(statistic, float(stats.chi2.sf(statistic, 1)), "chi-squared with continuity correction")
    pvalue = float(stats.binomtest(only_a, n, 0.5).pvalue) if n else 1.0
    return Tested(statistic, pvalue, "exact binomial test")


def paired_z(n: int, mean: float, m2: float) -> Tested:
    """The test of a mean of n paired differences, m2 being the sum of their squared distances from it."""
    error = np.sqrt(m2 / max(n - 1, 1) / n)
    statistic = _ratio(mean, error)
    return Tested(statistic, float(2 * stats.norm.sf(abs(statistic))), "normal distribution")


def five_by_two_t(differences: NDArray[np.float64]) -> Tested:
    """The 5x2cv paired t test (Dietterich 1998) of differences of shape (10,), two folds after another."""
    pairs = differences.reshape(5, 2)
    statistic = _ratio(pairs[0, 0], np.sqrt(_variances(pairs).mean()))
    return Tested(statistic, float(2 * stats.t.sf(abs(statistic), 5)), "t with 5 degrees of freedom")


def five_by_two_f(differences: NDArray[np.float64]) -> Tested:
    """The combined 5x2cv F test (Alpaydin 1999) of differences of shape (10,), two folds after another."""
    pairs = differences.reshape(5, 2)
    statistic = _ratio((pairs**2).sum(), 2 * _variances(pairs).sum())
    return Tested(statistic, float(stats.f.sf(statistic, 10, 5)), "F with 10 and 5 degrees of freedom")


def _variances(pairs: NDArray[np.float64]) -> Any:
    return ((pairs - pairs.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)


def _ratio(above: float, below: float) -> float:
    """The ratio; without any spread 0 where there is no difference, and infinite where there is one."""
    return float(above / below) if below else 0.0 if not above else float(np.copysign(np.inf, above))


def wilcoxon(differences: NDArray[np.float64]) -> Tested:
    """The signed-rank test of differences (Wilcoxon 1945), as scipy's; differences of 0 are left out."""
    if not differences.any():
        return Tested(0.0, 1.0, "signed ranks")
    found: Any = stats.wilcoxon(differences)
    return Tested(float(found.statistic), float(found.pvalue), "signed ranks")
