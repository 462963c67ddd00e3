"""Summary: what is known of a column, so that every preprocessing step can be fitted from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Want(Enum):
    """What a step needs to know of a column."""

    MISSING = "how many rows have no value"
    MOMENTS = "count, mean, squared deviations, extremes"
    QUANTILES = "a tally of its numbers"
    VALUES = "every distinct value with its count"
    ROWS = "nothing, but a few rows as they are: a function makes something else of it"
    NOTHING = "nothing: it is passed on as it is"


Wants: TypeAlias = frozenset[Want]
FREE: Wants = frozenset([Want.NOTHING, Want.ROWS])
"""What needs no knowledge of all rows."""


@dataclass(frozen=True)
class Spread:
    """How many rows have a value, their mean and the sum of squared deviations from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.int64]) -> Spread:
        """Of values that stand for `weights` rows each; two passes, so a large mean does not spoil the deviations."""
        count = int(weights.sum())
        if not count:
            return cls()
        mean = float(np.average(values, weights=weights))
        return cls(count, mean, float((values - mean) ** 2 @ weights))

    def affine(self, slope: float, shift: float) -> Spread:
        """The spread of slope * x + shift."""
        return Spread(self.count, self.mean * slope + shift, self.squares * slope * slope)

    def filled(self, value: float, rows: int) -> Spread:
        """The spread with so many rows more that hold this value."""
        if not rows:
            return self
        share, delta = rows / (self.count + rows), value - self.mean
        return Spread(self.count + rows, self.mean + delta * share, self.squares + delta * delta * self.count * share)


@dataclass(frozen=True, eq=False)
class Summary:
    """One column, in all rows.

    Attributes:
        values: Some of its values, distinct and without null: all of them, a tally of them, or the extremes.
        counts: Rows of each of those values; 0 for extremes, which only mark the range.
        missing: Rows without a value (null or NaN).
        first_missing: Number of the first of them; -1 when there is none.
        spread: The exact spread where `values` and `counts` do not tell it.
        knows: What it tells of the column; `Want.VALUES` tells everything.
    """

    values: pa.Array
    counts: NDArray[np.int64]
    missing: int = 0
    first_missing: int = -1
    spread: Spread | None = None
    knows: Wants = frozenset()


def is_number(kind: pa.DataType) -> bool:
    """Whether moments make sense."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: a dictionary decoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
