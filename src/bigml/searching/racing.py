"""Racing: which candidates go on being trained, told by their scores alone, so that a search repeats exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scores = Mapping[int, NDArray[np.float64]]
"""By candidate its score on each split, more is better; NaN where it failed."""


class Rule(Protocol):
    """Says when candidates are judged, and which of them stay."""

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """After how many windows of training candidates are judged, ascending; all windows come last."""
        ...

    def staying(self, at: int, scores: Scores) -> frozenset[int]:
        """Of the candidates that were judged at a stop, those that are trained further."""
        ...


@dataclass(frozen=True)
class Exhaustive:
    """All candidates are trained to the end."""

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """The end alone."""
        del candidates
        return [n_windows]

    def staying(self, at: int, scores: Scores) -> frozenset[int]:
        """All of them."""
        del at
        return frozenset(scores)
