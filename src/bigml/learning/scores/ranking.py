"""Ranking: how well scores put one class above the other, from tallies of the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigml.learning.tally import Tally

Floats = NDArray[np.float64]

SCORE_LEVEL = 36
"""Bits of a score that its bucket forgets: 65,536 buckets for each power of two."""


class RocCurve(NamedTuple):
    """Rates of false and of true positives as the threshold falls, from (0, 0) to (1, 1)."""

    fpr: Floats
    tpr: Floats


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores of the rows of the negative and of the positive class; exact while few distinct scores occur.

    Rows that weigh nothing are left out, as scikit-learn does.
    """

    negative: Tally
    positive: Tally

    @classmethod
    def of(
        cls, scores: Floats, is_positive: NDArray[np.bool_], weights: Floats | None = None, level: int = SCORE_LEVEL
    ) -> Ranking:
        if weights is None:
            return cls(Tally.of(scores[~is_positive], level), Tally.of(scores[is_positive], level))
        sides = ((weights > 0) & ~is_positive, (weights > 0) & is_positive)
        return cls(*(Tally.of(scores[side], level, weights=weights[side]) for side in sides))

    def merge(self, other: Ranking) -> Ranking:
        return Ranking(self.negative.merge(other.negative), self.positive.merge(other.positive))

    def counts(self) -> tuple[Floats, Floats, bool]:
        """Negative and positive rows of each distinct score (or bucket of scores), highest first; whether it is exact."""
        exact = self.negative.exact and self.positive.exact
        low, high = (self.negative, self.positive) if exact else (self.negative.coarse(), self.positive.coarse())
        keys = np.union1d(low.keys, high.keys)
        table = np.zeros((2, len(keys)))
        for row, tally in zip(table, (low, high), strict=True):
            row[np.searchsorted(keys, tally.keys)] = tally.counts
        return table[0, ::-1], table[1, ::-1], exact

    def roc_auc(self) -> tuple[float, float]:
        """The area under the ROC curve and a bound on its error: half the pairs that share a bucket."""
        negative, positive, exact = self.counts()
        pairs = negative.sum() * positive.sum()
        if not pairs:
            return float("nan"), 0.0
        below = negative.sum() - np.cumsum(negative)
        shared = float(positive @ negative) / 2
        return float((positive @ below + shared) / pairs), 0.0 if exact else float(shared / pairs)

    def average_precision(self) -> tuple[float, float]:
        """The sum of precision times gain in recall, and a bound on its error: the spread of precision within buckets."""
        negative, positive, exact = self.counts()
        if not positive.sum():
            return float("nan"), 0.0
        true, false = np.cumsum(positive), np.cumsum(negative)
        share = positive / positive.sum()
        value = float(share @ (true / (true + false)))
        if exact:
            return value, 0.0
        best, worst = _ratio(true, true + false - negative), _ratio(true - positive, true - positive + false)
        return value, float(share @ (best - worst))

    def roc_curve(self, points: int = 200) -> RocCurve:
        """At most this many points, evenly spread along the curve."""
        negative, positive, _ = self.counts()
        fpr = np.append(0.0, np.cumsum(negative)) / (negative.sum() or 1)
        tpr = np.append(0.0, np.cumsum(positive)) / (positive.sum() or 1)
        along = fpr + tpr
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
        return RocCurve(fpr[kept], tpr[kept])


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


class Calibration(NamedTuple):
    """Of each bin of predicted probability that holds rows: their mean prediction, share of positives, and weight."""

    predicted: Floats
    observed: Floats
    rows: Floats


FINE_BINS = 1000


def calibration_table(probability: Floats, is_positive: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Rows, sum of probabilities and positives in fine bins, all weighted, shape (3, FINE_BINS); tables add up."""
    bins = np.minimum((probability * FINE_BINS).astype(np.int64), FINE_BINS - 1)
    weights = np.ones(len(bins)) if weights is None else weights
    columns = (weights, probability * weights, is_positive * weights)
    return np.array([np.bincount(bins, weights=column, minlength=FINE_BINS) for column in columns])


def calibration(table: Floats, bins: int = 10) -> Calibration:
    """Fine bins gathered into equal bins of [0, 1]."""
    edges = np.arange(bins) * FINE_BINS // bins
    count, predicted, positive = np.add.reduceat(table, edges, axis=1)
    some = count > 0
    return Calibration(predicted[some] / count[some], positive[some] / count[some], count[some])
