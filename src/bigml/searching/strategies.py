"""Strategies: which candidates are tried, round after round.

A strategy is a generator: it yields the parameters of some candidates, which are tried together, is sent the mean score of each
(more is better, NaN for a failure), and ends when it wants no more.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bigml.errors import ConfigError
from bigml.searching.racing import Bounds, Halving, Hyperband, Rule
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


@dataclass(frozen=True)
class Way:
    """How a search goes.

    Attributes:
        rounds: Which candidates there are.
        rule: Which of them are trained further; None trains all to the end.
    """

    rounds: Rounds
    rule: Rule | None = None

    def told(self, grid: Grid, n: int, seed: int) -> dict[str, Any]:
        """What decides results besides a candidate itself: in a race all the others."""
        return {"rule": repr(self.rule), "candidates": [dict(one) for some in field(grid, n, seed) for one in some]}


WAYS: Mapping[str, Way] = {
    "grid": Way(whole_grid),
    "random": Way(at_random),
    "halving": Way(field, Halving()),
    "hyperband": Way(field, Hyperband()),
    "racing": Way(field, Bounds()),
}


def way_of(strategy: str | Rule | Rounds) -> Way:
    """The way that is called so, of a rule, or of what makes rounds.

    Raises:
        ConfigError: There is none of this name; the nearest one is named.
    """
    if isinstance(strategy, Rule):
        return Way(field, strategy)
    if not isinstance(strategy, str):
        return Way(strategy)
    if strategy not in WAYS:
        near = difflib.get_close_matches(strategy, WAYS, n=1)
        do = f'Did you mean "{near[0]}"?' if near else ""
        raise ConfigError(f"a strategy among {', '.join(WAYS)}", got=f"`{strategy}`", where="in strategy=", do=do)
    return WAYS[strategy]
