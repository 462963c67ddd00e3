"""Order: float64 numbers as integers that sort alike, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]


def ordered(numbers: NDArray[np.float64]) -> Keys:
    """Integers that sort as the numbers do; -0.0 is 0.0."""
    return _flipped((np.ascontiguousarray(numbers, dtype=np.float64) + 0.0).view(np.int64))


def floats(keys: Keys) -> NDArray[np.float64]:
    """The numbers of `ordered` keys."""
    return _flipped(keys).view(np.float64)


def _flipped(bits: Keys) -> Keys:
    return bits ^ ((bits >> 63) & np.int64(np.iinfo(np.int64).max))
