"""Builders: functions that make Keras models, as a search sees estimators: their arguments are its parameters."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, RegressorTags

from bigml.errors import ConfigError, FitError
from bigml.searching.failures import catching
from bigml.searching.space import Grid, drawn, grids
from bigml.training.contract import Contract, contract_of
from bigml.training.devices import check_installed
from bigml.training.replica import Build

BATCH_SIZE = "batch_size"
"""A parameter of a grid that is the training's own: rows of a step."""
USUAL = 256
"""Rows of a step where the grid does not say."""
ATTEMPTS = 8
"""Settings of which one must make a model, to see what models ask of the rows."""


class Builder(BaseEstimator):
    """A function that makes compiled Keras models of named arguments.

    Attributes:
        build_model: The caller's.
        contract: What a model that it made asks of the rows.
        names: Of its arguments, and of the parameters of the grid.
        given: Parameters that were set.
    """

    def __init__(
        self, build_model: Callable[..., Any], contract: Contract, names: Sequence[str], given: Mapping[str, Any] | None = None
    ) -> None:
        self.build_model, self.contract, self.names, self.given = build_model, contract, tuple(names), dict(given or {})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The function, and its parameters; None for those that were not set."""
        del deep
        return {"build_model": self.build_model, **{name: self.given.get(name) for name in self.names}}

    def set_params(self, **params: Any) -> Builder:
        """Set parameters; returns itself."""
        self.given.update(params)
        return self

    @property
    def batch_size(self) -> int:
        """Rows of a step."""
        return int(self.given.get(BATCH_SIZE, USUAL))

    def make(self, seed: int) -> Build:
        """Makes the model of these parameters in any process.

        Raises:
            ConfigError: The function cannot be sent to workers.
        """
        return Build.of(partial(self.build_model, **_accepted(self.build_model, self.given)), seed)

    def __sklearn_clone__(self) -> Builder:
        return Builder(self.build_model, self.contract, self.names, self.given)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.contract.targets == "numbers":
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        else:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags

    def __repr__(self) -> str:
        return _name(self.build_model)


def is_build_model(estimator: Any) -> bool:
    """Whether it is a function, and neither an estimator nor the class of one."""
    return callable(estimator) and not isinstance(estimator, type) and not hasattr(estimator, "get_params")


def builder_of(build_model: Callable[..., Any], grid: Grid, seed: int) -> Builder:
    """The builder of a function, which is called to see what its models ask for.

    Raises:
        ConfigError: Keras is not installed, or the function has no such argument.
        FitError: It makes no model that can be trained.
    """
    check_installed()
    known, wanted = _arguments(build_model), dict.fromkeys(name for one in grids(grid) for name in one)
    for name in wanted:
        if known is not None and name not in {*known, BATCH_SIZE}:
            near = difflib.get_close_matches(name, known, n=1)
            do = f"Did you mean `{near[0]}`?" if near else f"It has {', '.join(known) or 'none'}."
            raise ConfigError(f"an argument of `{_name(build_model)}`", got=f"`{name}`", where="in grid=", do=do)
    names, cause = dict.fromkeys([*(known or ()), *wanted]), ""
    for params in drawn(grid, ATTEMPTS, seed):
        with catching() as caught:
            model = Build.of(partial(build_model, **_accepted(build_model, params)), seed)()
            return Builder(build_model, contract_of(model), tuple(names))
        cause = cause or caught.failed.cause
    raise FitError("a function that makes a compiled Keras model", got=cause, where=f"in `{_name(build_model)}`")


def _accepted(build_model: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are its own: all but the rows of a step, unless it asks for them."""
    known = _arguments(build_model)
    return {name: value for name, value in params.items() if name != BATCH_SIZE or (known and name in known)}


def _arguments(build_model: Callable[..., Any]) -> list[str] | None:
    """The names of its arguments; None where it takes any."""
    found = inspect.signature(build_model).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in found):
        return None
    return [one.name for one in found if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]


def _name(build_model: Any) -> str:
    return str(getattr(build_model, "__name__", type(build_model).__name__))
