"""Ways: how a search goes, by name: which candidates it tries, and which of them it trains to the end."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bigml.errors import ConfigError
from bigml.searching.asking import Optuna
from bigml.searching.racing import Bounds, Halving, Heats, Hyperband, Rule
from bigml.searching.refining import Refine
from bigml.searching.space import Grid
from bigml.searching.strategies import Rounds, at_random, field, whole_grid


@dataclass(frozen=True)
class Way:
    """How a search goes.

    Attributes:
        rounds: Which candidates there are.
        rule: Which of them are trained further; None trains all to the end.
        finalists: How many of those that race on the first split go on to the others; None lets all start on all splits.
    """

    rounds: Rounds
    rule: Rule | None = None
    finalists: int | None = None

    def told(self, grid: Grid, n: int, seed: int) -> dict[str, Any]:
        """What decides results besides a candidate itself: in a race all the others."""
        heats = {} if self.finalists is None else {"finalists": self.finalists}
        return {"rule": repr(self.rule), **heats, "candidates": [dict(one) for some in field(grid, n, seed) for one in some]}


WAYS: Mapping[str, Way] = {
    "grid": Way(whole_grid),
    "random": Way(at_random),
    "halving": Way(field, Halving()),
    "heats": Way(field, Heats().rule, Heats().finalists),
    "hyperband": Way(field, Hyperband()),
    "racing": Way(field, Bounds()),
    "refine": Way(Refine()),
    "optuna": Way(Optuna()),
}


def way_of(strategy: str | Rule | Heats | Rounds) -> Way:
    """The way that is called so, of a rule, or of what makes rounds.

    Raises:
        ConfigError: There is none of this name; the nearest one is named.
    """
    if isinstance(strategy, Heats):
        return Way(field, strategy.rule, strategy.finalists)
    if isinstance(strategy, Rule):
        return Way(field, strategy)
    if not isinstance(strategy, str):
        return Way(strategy)
    if strategy not in WAYS:
        near = difflib.get_close_matches(strategy, WAYS, n=1)
        do = f'Did you mean "{near[0]}"?' if near else ""
        raise ConfigError(f"a strategy among {', '.join(WAYS)}", got=f"`{strategy}`", where="in strategy=", do=do)
    return WAYS[strategy]
