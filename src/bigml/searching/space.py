"""Space: the candidates of a search, made of grids or distributions of parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

from bigml.errors import ConfigError
from bigml.learning.chains.checkpoint import fingerprint

Params: TypeAlias = Mapping[str, Any]
Grid: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]

ONCE = "It can be gone through but once; write list(...)."


@dataclass(frozen=True, eq=False)
class Candidate:
    """One setting of the parameters.

    Attributes:
        number: Among all candidates of the search.
        params: As they were given.
        estimator: An unfitted clone with these parameters.
    """

    number: int
    params: Params
    estimator: Any

    @cached_property
    def key(self) -> str:
        """Equal for candidates that are the same model."""
        return fingerprint(estimator=self.estimator)


def grids(grid: Grid) -> tuple[Mapping[str, Any], ...]:
    """The grids that were given, each a mapping of parameter to values or a distribution.

    Raises:
        ConfigError: There is none, or a parameter has no values, or such as can be looked at but once or have no order.
    """
    where = "in grid="
    if isinstance(grid, Iterator):
        raise ConfigError("a mapping of parameters to values, or a list of them", got=_kind(grid), where=where, do=ONCE)
    given = (grid,) if isinstance(grid, Mapping) else tuple(grid)
    if not given or not all(isinstance(one, Mapping) for one in given):
        got = "an empty list" if not given else f"{grid!r}"[:80]
        raise ConfigError("a mapping of parameters to values, or several of them", got=got, where=where)
    for one in given:
        for name, values in one.items():
            if is_distribution(values):
                continue
            if isinstance(values, str) or not isinstance(values, Iterable):
                do = f'Write "{name}": [{values!r}].'
                raise ConfigError(f"a list of values for `{name}`", got=f"{values!r}"[:80], where=where, do=do)
            if isinstance(values, Iterator | Set):
                do = ONCE if isinstance(values, Iterator) else "It has no order; write sorted(...)."
                raise ConfigError(f"a list, an array or a distribution for `{name}`", got=_kind(values), where=where, do=do)
            if not list(values):
                raise ConfigError(f"at least one value for `{name}`", got="none", where=where)
    if not any(given):
        raise ConfigError("at least one parameter", got="an empty grid", where=where, do="Score one model by bigml.fit.")
    return given


def _kind(values: Any) -> str:
    return f"a {type(values).__name__}"


def is_distribution(values: Any) -> bool:
    """Whether values are drawn, as of scipy's distributions."""
    return hasattr(values, "rvs")


def every(grid: Grid) -> list[Params]:
    """Each combination of the values.

    Raises:
        ConfigError: One is drawn from a distribution.
    """
    given = grids(grid)
    drawn = [name for one in given for name, values in one.items() if is_distribution(values)]
    if drawn:
        do = 'Use strategy="random" and n_iter=, or give values.'
        raise ConfigError("a list of values for each parameter of a grid", got=f"a distribution for `{drawn[0]}`", do=do)
    return list(ParameterGrid([{name: list(values) for name, values in one.items()} for one in given]))


def drawn(grid: Grid, n: int, seed: int) -> list[Params]:
    """n combinations at random, all of them where there are no more."""
    given = [{name: v if is_distribution(v) else list(v) for name, v in one.items()} for one in grids(grid)]
    if not any(is_distribution(values) for one in given for values in one.values()):
        n = min(n, len(ParameterGrid(given)))
    return list(ParameterSampler(given, n, random_state=seed))


@dataclass(frozen=True, eq=False)
class Chosen:
    """The candidates that some parameters make.

    Attributes:
        candidates: Those that were not there before, each once.
        numbers: Of the candidate of each parameters, in their order.
        duplicates: Parameters that made a candidate which was there already.
    """

    candidates: tuple[Candidate, ...]
    numbers: tuple[int, ...]
    duplicates: tuple[Params, ...] = ()


def chosen(estimator: Any, params: Iterable[Params], known: Mapping[str, int]) -> Chosen:
    """The candidates of these parameters, numbered after those that are known by their keys.

    Raises:
        ConfigError: A parameter is unknown; the nearest one is named.
    """
    numbers, candidates, duplicates = dict(known), [], []
    order = []
    for one in params:
        candidate = Candidate(len(numbers), one, settled(estimator, one))
        key = candidate.key
        if key in numbers:
            duplicates.append(one)
        else:
            numbers[key] = candidate.number
            candidates.append(candidate)
        order.append(numbers[key])
    return Chosen(tuple(candidates), tuple(order), tuple(duplicates))


def settled(estimator: Any, params: Params) -> Any:
    """An unfitted clone with these parameters; whole steps are cloned too.

    Raises:
        ConfigError: A parameter is unknown.
    """
    own = clone(estimator)
    # A step before what is within it: {"clf": SGDClassifier(), "clf__alpha": 1e-3}.
    for name in sorted(params, key=lambda name: name.count("__")):
        value = params[name]
        known = own.get_params()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            do = f"Did you mean `{near[0]}`?" if near else f"It has {', '.join(sorted(known)[:20])}."
            raise ConfigError(f"a parameter of `{type(estimator).__name__}`", got=f"`{name}`", where="in grid=", do=do)
        own.set_params(**{name: clone(value, safe=False) if hasattr(value, "get_params") else value})
    return own
