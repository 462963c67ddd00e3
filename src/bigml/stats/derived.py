"""Derived: reducers that learn what another one learns, and make something else of it in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bigml.chunk import Chunk
from bigml.stats.reducer import FORECAST_GROUPS, Reducer, merged, reads_codes, state_nbytes

if TYPE_CHECKING:
    from bigml.stats.groupby import Grouped, GroupState
    from bigml.stats.keys import Index

S = TypeVar("S")


@dataclass(frozen=True)
class Derived(Generic[S]):
    """A reducer with the states of another; what derives from it says how it finishes them.

    Attributes:
        inner: The other one.
    """

    inner: Reducer[S, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.inner.columns

    @property
    def reads_codes(self) -> bool:
        """Whether the other one gains by columns that are codes."""
        return reads_codes(self.inner)

    def start(self) -> S:
        return self.inner.start()

    def update(self, state: S, chunk: Chunk) -> S:
        return self.inner.update(state, chunk)

    def merge(self, left: S, right: S) -> S:
        return self.inner.merge(left, right)

    def merge_all(self, states: Sequence[S]) -> S:
        return merged(self.inner, states)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return state_nbytes(self.inner, n_rows)


class OfGroups:
    """What a reducer that is derived from groups needs to be `Partitionable`, and `AtOnce`, but for `piece` and `joined`."""

    inner: Grouped

    def forecast_nbytes(self, n_rows: int, n_groups: int = FORECAST_GROUPS) -> int:
        """Upper estimate of the bytes of one state of so many groups."""
        return self.inner.forecast_nbytes(n_rows, n_groups)

    def partitioned(self, chunk: Chunk, n: int) -> tuple[Chunk, Index]:
        """The rows by the hash of their keys, and where each of n partitions begins and ends."""
        return self.inner.partitioned(chunk, n)

    @property
    def numbered(self) -> bool:
        """Whether row numbers count."""
        return self.inner.numbered

    def at_once(self, chunk: Chunk, ends: Index, levels: Sequence[Index]) -> GroupState | None:
        """The state of a tree of merges; None where it can only be had by walking the tree."""
        return self.inner.at_once(chunk, ends, levels)

    def remainder(self, chunk: Chunk) -> GroupState:
        """A state without groups that knows what must be known of other rows."""
        return self.inner.remainder(chunk)

    def keys_only(self) -> Grouped:
        """The same groups, of which nothing is asked."""
        return self.inner.keys_only()

    def n_groups(self, state: GroupState) -> int:
        return self.inner.n_groups(state)
