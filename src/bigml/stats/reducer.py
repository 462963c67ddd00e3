"""Reducer: mergeable state over chunks; it runs in a plain loop and knows nothing of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeVar, runtime_checkable

from bigml.chunk import Chunk

S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)

DEFAULT_STATE_NBYTES = 1 << 16
FORECAST_GROUPS = 1_000
"""Groups for which a state is forecast, since their number is known only after the scan."""


@runtime_checkable
class Reducer(Protocol[S, R_co]):
    """What can be learned from rows in any chunking, in any number of places, and then merged.

    The laws, checked by `bigml.testing.check_reducer`: `start()` is the identity of `merge`; `merge` is associative;
    any chunking of the same rows gives the same result. Methods are pure: they return a new state (or the same one
    unchanged) and never change an argument, so a task may run twice. Raw state is kept; finishing comes last.
    States and reducers are picklable.

    Attributes:
        columns: The columns that `update` reads; nothing else is in the chunk.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    def start(self) -> S: ...

    def update(self, state: S, chunk: Chunk) -> S: ...

    def merge(self, left: S, right: S) -> S: ...

    def finish(self, state: S) -> R_co: ...


@runtime_checkable
class Uniting(Reducer[S, R_co], Protocol[S, R_co]):
    """A reducer that merges many states for less than it takes to merge them one by one."""

    def merge_all(self, states: Sequence[S]) -> S:
        """The states merged from left to right: the bits of `merge`, repeated."""
        ...


def merged(reducer: Reducer[S, Any], states: Sequence[S]) -> S:
    """The states merged from left to right."""
    return reducer.merge_all(states) if isinstance(reducer, Uniting) else reduce(reducer.merge, states)


def state_nbytes(reducer: Reducer[Any, Any], n_rows: int) -> int:
    """The reducer's own forecast of the bytes of one state, or a small default."""
    own = getattr(reducer, "forecast_nbytes", None)
    return int(own(n_rows)) if own is not None else DEFAULT_STATE_NBYTES


def reads_codes(reducer: Reducer[Any, Any]) -> bool:
    """Whether the reducer says that it gains by columns that are codes of their values, `Chunk.coded`."""
    return bool(getattr(reducer, "reads_codes", False))


@dataclass(frozen=True)
class Product:
    """Many reducers in one pass; the result is the tuple of their results."""

    reducers: tuple[Reducer[Any, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for reducer in self.reducers for name in reducer.columns))

    def start(self) -> tuple[Any, ...]:
        return tuple(reducer.start() for reducer in self.reducers)

    def update(self, state: tuple[Any, ...], chunk: Chunk) -> tuple[Any, ...]:
        return tuple(reducer.update(one, chunk) for reducer, one in zip(self.reducers, state, strict=True))

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(reducer.merge(a, b) for reducer, a, b in zip(self.reducers, left, right, strict=True))

    def finish(self, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(reducer.finish(one) for reducer, one in zip(self.reducers, state, strict=True))


@dataclass(frozen=True)
class PerColumn:
    """One reducer of a single column lifted to many: the result is a dict of column to result.

    Args:
        make: Makes the reducer of a column from its name.
        columns: The columns.
    """

    make: Callable[[str], Reducer[Any, Any]]
    columns: tuple[str, ...]

    @property
    def product(self) -> Product:
        """The same reducers as a product, in the order of the columns."""
        return Product(tuple(self.make(name) for name in self.columns))

    def start(self) -> tuple[Any, ...]:
        return self.product.start()

    def update(self, state: tuple[Any, ...], chunk: Chunk) -> tuple[Any, ...]:
        return self.product.update(state, chunk)

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.product.merge(left, right)

    def finish(self, state: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.columns, self.product.finish(state), strict=True))


def reduce_chunks(reducer: Reducer[Any, Any], chunks: Iterable[Chunk]) -> Any:
    """The reducer's result over the chunks, in a plain loop: the meaning of a scan, without a graph."""
    state = reducer.start()
    for chunk in chunks:
        state = reducer.update(state, chunk.select(reducer.columns))
    return reducer.finish(state)
