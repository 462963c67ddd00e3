"""Ticks: quantiles of times, in buckets of equal width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bigml.stats.cells import Rows
from bigml.stats.keys import Index

BUCKETS = 1 << 16


class Ticked(NamedTuple):
    """Rows in each bucket of 2**shift units: sorted bucket numbers and counts."""

    shift: int
    codes: Index
    counts: Index


@dataclass(frozen=True)
class Ticks:
    """Quantiles of a column of times from at most 65,536 buckets.

    The width is the least power of two that covers the range, so it follows from the values alone: states are
    bit-identical for any chunking, and a range of less than 65,536 units is exact. The error is stated by `width`.

    Args:
        column: A temporal column.
    """

    column: str

    def start(self) -> Ticked:
        return Ticked(0, np.zeros(0, np.int64), np.zeros(0, np.int64))

    def partial(self, rows: Rows) -> Ticked:
        words = rows.words(self.column)[rows.known_slots(self.column) >= 0]
        shift = _shift(words, 0)
        codes, counts = np.unique(words >> shift, return_counts=True)
        return Ticked(shift, codes, counts)

    def merge(self, left: Ticked, right: Ticked) -> Ticked:
        shift = max(left.shift, right.shift)
        codes = np.concatenate([side.codes >> (shift - side.shift) for side in (left, right)])
        more = _shift(codes, 0)
        merged, place = np.unique(codes >> more, return_inverse=True)
        counts = np.zeros(len(merged), np.int64)
        np.add.at(counts, place, np.concatenate([left.counts, right.counts]))
        return Ticked(shift + more, merged, counts)

    def width(self, state: Ticked) -> int:
        """The units by which a quantile may be too early; 1 means that it is exact."""
        return 1 << state.shift

    def quantile(self, state: Ticked, q: float) -> int:
        """The q-quantile, linear between two order statistics, in whole units.

        The state must have rows.
        """
        ends = np.cumsum(state.counts)
        rank = (int(ends[-1]) - 1) * q
        lower = int(rank)
        below, above = (
            int(state.codes[np.searchsorted(ends, min(r, int(ends[-1]) - 1), side="right")]) for r in (lower, lower + 1)
        )
        return (below << state.shift) + int(((above - below) << state.shift) * (rank - lower))


def _shift(codes: Index, shift: int) -> int:
    if not len(codes):
        return 0
    low, high = int(codes.min()), int(codes.max())
    while (high >> shift) - (low >> shift) >= BUCKETS:
        shift += 1
    return shift
