"""Memory: the sums that a model was made of, kept with it, so that more rows can be learned as if all had come at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from bigml.errors import FitError
from bigml.learning.scatter import Moments

STATE = "bigml_state_"
"""The attribute of a fitted estimator that holds its sums as plain arrays in dicts and lists; scikit-learn never looks at it."""
MOST_NBYTES = 16 << 20
"""A larger state is not kept."""
KINDS = {kind.__name__: kind for kind in (Moments,)}
"""What states are made of, beside arrays, numbers, tuples and dicts."""


@dataclass(frozen=True)
class Remembering:
    """A reducer that goes on from an earlier state, and gives the state beside the result.

    Attributes:
        inner: What is asked.
        before: Its state over the rows of earlier fits; None when there were none.
    """

    inner: Any
    before: Any = None
    columns: tuple[str, ...] = ()

    @property
    def slices(self) -> bool:
        return bool(getattr(self.inner, "slices", False))

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, batch: Any) -> Any:
        return self.inner.update(state, batch)

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> tuple[Any, Any]:
        total = state if self.before is None else self.inner.merge(self.before, state)
        return self.inner.finish(total), total


def keep_state(estimator: Any, states: tuple[Any, ...]) -> Any:
    """The estimator with the states behind its questions, unless they are too large or of a kind that cannot be kept."""
    value = plain(states)
    if value is not None and _nbytes(value) <= MOST_NBYTES:
        setattr(estimator, STATE, value)
    return estimator


def state_of(estimator: Any) -> tuple[Any, ...]:
    """The states that an estimator was made of.

    Raises:
        FitError: It has none: not fitted by bigml, by more than sums, or too large to be kept.
    """
    value = getattr(estimator, STATE, None)
    if value is None:
        got = f"`{type(estimator).__name__}` without its sums"
        raise FitError(
            "a model of one scan that bigml fitted, for warm_start=", got=got, where="in fit", do="Fit it on all rows."
        )
    states: tuple[Any, ...] = restored(value)
    return states


def plain(state: Any) -> Any:
    """A state as dicts, lists, arrays and numbers; None where it holds anything else.

    >>> plain((np.float64(1.0), {"n": 2}))
    {'tuple': [1.0, {'dict': {'n': 2}}]}
    """
    if isinstance(state, np.dtype):
        return {"dtype": state.str}
    if isinstance(state, int | float | str | np.ndarray):
        return state.item() if isinstance(state, np.generic) else state
    if is_dataclass(state) and type(state).__name__ in KINDS:
        inner = {one.name: plain(getattr(state, one.name)) for one in fields(state)}
        return None if any(value is None for value in inner.values()) else {"kind": type(state).__name__, "fields": inner}
    if isinstance(state, Mapping):
        inner = {str(name): plain(value) for name, value in state.items()}
        return None if any(value is None for value in inner.values()) else {"dict": inner}
    if isinstance(state, tuple):
        items = [plain(value) for value in state]
        return None if any(value is None for value in items) else {"tuple": items}
    return state.item() if isinstance(state, np.generic) else None


def restored(value: Any) -> Any:
    """The state that `plain` was given.

    >>> restored(plain((np.float64(1.0), {"n": 2})))
    (1.0, {'n': 2})
    """
    if not isinstance(value, Mapping):
        return value
    if "dtype" in value:
        return np.dtype(value["dtype"])
    if "kind" in value:
        return KINDS[value["kind"]](**{name: restored(inner) for name, inner in value["fields"].items()})
    if "dict" in value:
        return {name: restored(inner) for name, inner in value["dict"].items()}
    return tuple(restored(inner) for inner in value["tuple"])


def _nbytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_nbytes(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_nbytes(inner) for inner in value)
    return int(getattr(value, "nbytes", 8))
