"""Strategies: which candidates are tried, round after round.

A strategy is a generator: it yields the parameters of some candidates, which are tried together, is sent the mean score of each
(more is better, NaN for a failure), and ends when it wants no more.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bigml.searching.space import Grid, Params, drawn, every, grids, is_distribution

Strategy: TypeAlias = Generator[Sequence[Params], NDArray[np.float64], None]


class Rounds(Protocol):
    """Makes a strategy of what the caller has given."""

    def __call__(self, grid: Grid, n: int, seed: int) -> Strategy:
        """The strategy over a grid; n candidates, where it is not the grid that says how many."""
        ...


def whole_grid(grid: Grid, n: int = 0, seed: int = 0) -> Strategy:
    """Every combination, in one round."""
    del n, seed
    yield every(grid)


def at_random(grid: Grid, n: int, seed: int) -> Strategy:
    """n combinations at random, in one round."""
    yield drawn(grid, n, seed)


def field(grid: Grid, n: int, seed: int) -> Strategy:
    """Every combination, or n at random where some value is drawn from a distribution; in one round."""
    is_drawn = any(is_distribution(values) for one in grids(grid) for values in one.values())
    yield drawn(grid, n, seed) if is_drawn else every(grid)
