"""Tally: how often each number occurs, exact while there are few of them, then in fine buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.stats.order import Keys, floats, ordered

MOST_EXACT = 1 << 14
"""Distinct numbers up to which a tally is exact."""
LEVEL = 40
"""Bits of a float64 that a coarse bucket forgets unless told otherwise; twelve bits of its mantissa stay."""
RELATIVE_ERROR = 2.0 ** (LEVEL - 53)
"""Largest relative distance of a number from the middle of such a bucket."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Sorted distinct numbers with their counts, or sums of weights; mergeable in any order, bit-equal for any chunking.

    Beyond `MOST_EXACT` distinct numbers it turns coarse: buckets of numbers that agree in all but their `level` last bits.
    Whether it is coarse depends on the numbers alone, never on their order.

    >>> Tally.of(np.array([2.0, 1.0, 2.0])).values.tolist()
    [1.0, 2.0]
    """

    keys: Keys
    counts: NDArray[np.int64] | NDArray[np.float64]
    level: int = LEVEL
    exact: bool = True

    @classmethod
    def empty(cls, level: int = LEVEL) -> Tally:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), level)

    @classmethod
    def of(
        cls,
        numbers: NDArray[np.float64],
        level: int = LEVEL,
        exact: bool = True,
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> Tally:
        """The tally of numbers without NaN.

        Args:
            level: Bits that a bucket forgets, 32 to 51.
            exact: False when it is known that the tally will be merged into a coarse one.
            weights: What each number counts; None means one.
        """
        keys = ordered(numbers)
        if exact and _few(keys):
            found, counts = _counted(keys, weights)
            if len(found) <= MOST_EXACT:
                return cls(found, counts, level)
        found, counts = _counted((keys >> level).astype(np.int32), weights)
        return cls(found.astype(np.int64), counts, level, exact=False)

    def merge(self, other: Tally) -> Tally:
        """Both tallies, of one level, together."""
        exact = self.exact and other.exact
        left, right = (self, other) if exact else (self.coarse(), other.coarse())
        keys, counts = np.concatenate([left.keys, right.keys]), np.concatenate([left.counts, right.counts])
        merged = _gathered(keys, counts, self.level, exact)
        return merged.coarse() if len(merged.keys) > MOST_EXACT else merged

    def coarse(self) -> Tally:
        """The same numbers in buckets."""
        return _gathered(self.keys >> self.level, self.counts, self.level, exact=False) if self.exact else self

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers, ascending; the middles of the buckets when coarse."""
        return floats(self.keys if self.exact else (self.keys << self.level) + (1 << (self.level - 1)))


def _few(keys: Keys) -> bool:
    """Whether the first keys leave it open that there are few distinct ones."""
    return len(keys) <= MOST_EXACT or len(np.unique(keys[: 2 * MOST_EXACT])) <= MOST_EXACT


def _counted(keys: NDArray[Any], weights: NDArray[np.float64] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    if weights is None:
        found, counts = np.unique(keys, return_counts=True)
        return found, counts.astype(np.int64)
    found, inverse = np.unique(keys, return_inverse=True)
    return found, np.bincount(inverse, weights, len(found))


def _gathered(keys: Keys, counts: NDArray[Any], level: int, exact: bool) -> Tally:
    found, inverse = np.unique(keys, return_inverse=True)
    total = np.zeros(len(found), counts.dtype)
    np.add.at(total, inverse, counts)
    return Tally(found, total, level, exact)
