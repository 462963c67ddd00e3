"""Asking: optuna's samplers choose candidates, a few at a time; each batch shares its scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigml.errors import ConfigError
from bigml.searching.space import Grid, Params, grids, is_distribution
from bigml.searching.strategies import Strategy


@dataclass(frozen=True)
class Optuna:
    """Candidates chosen by a sampler of optuna (Akiba et al., Optuna, KDD 2019), told the scores of all earlier rounds.

    A list is a choice among its values, whatever they are; of scipy's distributions uniform, loguniform and randint become
    optuna's own, and others are drawn through their quantiles.

    Attributes:
        sampler: "tpe", "random" or "cmaes", seeded by the search; or one of optuna's, whose seed is then yours.
        batch: Candidates asked for at a time: few learn more from each other, many share more of each scan.
    """

    sampler: Any = "tpe"
    batch: int = 8

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError("a batch of one or more", got=f"{self.batch}", where="in Optuna")

    def __call__(self, grid: Grid, n: int, seed: int) -> Strategy:
        """Rounds of at most a batch until there were n candidates.

        Raises:
            ConfigError: optuna is not installed, or has no such sampler.
        """
        given = [{name: v if is_distribution(v) else list(v) for name, v in one.items()} for one in grids(grid)]
        optuna = _optuna()
        sampler, told = self.made(optuna, seed), optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the study of a search has no name for people
        study = optuna.create_study(direction="maximize", sampler=sampler, study_name="search")
        optuna.logging.set_verbosity(told)
        for begin in range(0, n, self.batch):
            trials = [study.ask() for _ in range(min(self.batch, n - begin))]
            means = yield [_asked(trial, given) for trial in trials]
            for trial, mean in zip(trials, means, strict=True):
                if np.isfinite(mean):
                    study.tell(trial, float(mean))
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def made(self, optuna: Any, seed: int) -> Any:
        """The sampler."""
        if not isinstance(self.sampler, str):
            return self.sampler
        known = {"tpe": "TPESampler", "random": "RandomSampler", "cmaes": "CmaEsSampler"}
        if self.sampler not in known:
            raise ConfigError(f"a sampler among {', '.join(known)}", got=f"`{self.sampler}`", where="in Optuna")
        return getattr(optuna.samplers, known[self.sampler])(seed=seed)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        do = 'Install it: pip install "bigml[optuna]".'
        raise ConfigError("optuna", got="an environment without it", where="in strategy=", do=do) from None
    return optuna


def _asked(trial: Any, given: list[dict[str, Any]]) -> Params:
    """The parameters of one trial; of several grids one is chosen first."""
    number = trial.suggest_categorical("grid", range(len(given))) if len(given) > 1 else 0
    prefix = f"{number}." if len(given) > 1 else ""
    return {name: _value(trial, f"{prefix}{name}", values) for name, values in given[number].items()}


def _value(trial: Any, name: str, values: Any) -> Any:
    if not is_distribution(values):
        # By number: optuna compares and keeps numbers and text alone.
        return values[trial.suggest_categorical(name, range(len(values)))]
    low, high = values.support()
    kinds: Mapping[str, Any] = {
        "uniform": lambda: trial.suggest_float(name, float(low), float(high)),
        "loguniform": lambda: trial.suggest_float(name, float(low), float(high), log=True),
        "randint": lambda: trial.suggest_int(name, int(low), int(high)),
    }
    if values.dist.name in kinds:
        return kinds[values.dist.name]()
    value = values.ppf(trial.suggest_float(name, 1e-6, 1 - 1e-6))
    return int(value) if float(value).is_integer() and isinstance(values.rvs(random_state=0), int | np.integer) else float(value)
