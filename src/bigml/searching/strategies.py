"""Strategies: which candidates are tried, round after round.

A strategy is a generator: it yields the parameters of some candidates, which are tried together, is sent the mean score of each
(more is better, NaN for a failure), and ends when it wants no more.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bigml.searching.space import Grid, Params, drawn, every

Strategy: TypeAlias = Generator[Sequence[Params], NDArray[np.float64], None]


def whole_grid(grid: Grid) -> Strategy:
    """Every combination, in one round."""
    yield every(grid)


def at_random(grid: Grid, n: int, seed: int) -> Strategy:
    """n combinations at random, in one round."""
    yield drawn(grid, n, seed)
