"""Refining: a coarse grid first, then finer ones around the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from bigml.errors import ConfigError
from bigml.searching.space import Grid, Params, every, grids, is_distribution
from bigml.searching.strategies import Strategy

DECADES = 2.0
"""Values that span more than so many are divided on a logarithmic scale."""


@dataclass(frozen=True)
class Refine:
    """Coarse to fine: the whole grid first, then in every round the middles between the best values and their neighbours.

    Numbers are refined, within what the grid spans, on a logarithmic scale where they span more than two decades; other
    parameters keep the best value of the first round. It ends after `rounds`, or when a round gains less than the tolerance.

    Attributes:
        rounds: At most, the first included.
        points: Values of the first round of a distribution; ends of its range among them.
        tolerance: A round that gains less than this share of the best score is the last; 0 for all rounds.
    """

    rounds: int = 4
    points: int = 5
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.points < 2:
            got = f"rounds={self.rounds}, points={self.points}"
            raise ConfigError("one round or more of two points or more", got=got, where="in Refine")

    def __call__(self, grid: Grid, n: int, seed: int) -> Strategy:
        """The rounds; n and the seed decide nothing."""
        del n, seed
        spread = [{name: _spread(values, self.points) for name, values in one.items()} for one in grids(grid)]
        first = every(spread)
        scores = dict(zip(map(_key, first), (yield first), strict=True))
        tried = {_key(one): one for one in first}
        if not np.isfinite(list(scores.values())).any():
            return
        best = _best(scores)
        axes = _axes(next(one for one in spread if _key(tried[best]) in map(_key, every(one))))
        for _ in range(self.rounds - 1):
            axes = {name: _halved(values, tried[best][name]) for name, values in axes.items()}
            new = [one for one in _around(tried[best], axes) if _key(one) not in tried]
            if not new:
                return
            before = scores[best]
            tried |= {_key(one): one for one in new}
            scores |= dict(zip(map(_key, new), (yield new), strict=True))
            best = _best(scores)
            if scores[best] - before < self.tolerance * abs(before):
                return


def _key(params: Params) -> str:
    return repr(sorted((name, repr(value)) for name, value in params.items()))


def _best(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda key: -math.inf if math.isnan(scores[key]) else scores[key])


def _spread(values: Any, points: int) -> list[Any]:
    """The values of the first round.

    Raises:
        ConfigError: A distribution has no ends.
    """
    if not is_distribution(values):
        return list(values)
    low, high = map(float, values.support())
    if not (math.isfinite(low) and math.isfinite(high)):
        do = 'Give one with ends, such as loguniform(1e-6, 1), or use strategy="random".'
        raise ConfigError("a distribution with ends", got=f"one from {low} to {high}", where="in grid=", do=do)
    scale = np.geomspace if _is_wide(low, high) else np.linspace
    spread = scale(low, high, points)
    return (
        list(dict.fromkeys(map(round, spread.tolist())))
        if isinstance(values.rvs(random_state=0), int | np.integer)
        else spread.tolist()
    )


def _is_wide(low: float, high: float) -> bool:
    return low > 0 and math.log10(high / low) > DECADES


def _axes(grid: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The parameters whose values are different numbers, sorted."""
    numbers = {name: values for name, values in grid.items() if all(map(_is_number, values)) and len(set(values)) > 1}
    return {name: sorted(set(values)) for name, values in numbers.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _halved(values: Sequence[Any], best: Any) -> list[Any]:
    """The values, and the middles between the best and its neighbours."""
    wide = _is_wide(float(values[0]), float(values[-1]))
    at = list(values).index(best)
    middles = [_middle(values[i], values[i + 1], wide) for i in (at - 1, at) if 0 <= i < len(values) - 1]
    return sorted({*values, *middles})


def _middle(low: Any, high: Any, wide: bool) -> Any:
    middle = math.sqrt(low * high) if wide else (low + high) / 2
    return round(middle) if isinstance(low, int | np.integer) and isinstance(high, int | np.integer) else middle


def _around(best: Params, axes: Mapping[str, Sequence[Any]]) -> list[Params]:
    """The best parameters and all combinations of neighbouring values."""
    near = {}
    for name, values in axes.items():
        at = list(values).index(best[name])
        near[name] = values[max(at - 1, 0) : at + 2]
    return [{**best, **dict(zip(near, some, strict=True))} for some in product(*near.values())]
