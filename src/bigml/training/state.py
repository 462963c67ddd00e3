"""State: everything of a Keras model that training changes, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.training.variables import Arrays, OneByOne


@dataclass(frozen=True, eq=False)
class State:
    """The variables of a compiled model, in the order of the model, but for those of metrics.

    Attributes:
        trainable: Weights that are learned.
        fixed: The others: statistics of normalisations, states of random numbers.
        slots: Variables of the optimizer: its moments, the learning rate, steps so far; () where a shard keeps its own.
        velocity: Of an outer step by momentum; empty without one.
        n_rows: Rows that the steps since the last average have learned from.
        seen: Rows that the slots have learned from since they were averaged.
    """

    trainable: Arrays
    fixed: Arrays
    slots: Arrays
    velocity: Arrays = ()
    n_rows: int = 0
    seen: int = 0

    @classmethod
    def of(cls, model: Any, *, velocity: Arrays = (), n_rows: int = 0) -> State:
        """Copies of the model's variables."""
        trainable, fixed, slots = (OneByOne(some).read() for some in groups_of(model))
        return cls(trainable, fixed, slots, velocity, n_rows)

    def put(self, model: Any) -> None:
        """Make these the model's variables."""
        for variables, values in zip(groups_of(model), self.groups, strict=True):
            OneByOne(variables).write(values)

    @property
    def groups(self) -> tuple[Arrays, Arrays, Arrays]:
        """What the model's variables are."""
        return self.trainable, self.fixed, self.slots


def groups_of(model: Any) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """The variables of a compiled model whose values are a state."""
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def averaged(states: Sequence[State]) -> State:
    """The mean of states that began at one point, in the order given, so always the same bits.

    Weights are counted by the rows of each state, slots by the rows that they have seen. Floating numbers are averaged in
    float64; counters are those of the first state that learned from a row. States that learned from none have no say.
    """
    told = [state for state in states if state.n_rows] or list(states[:1])
    kept = [told[0], *(state for state in states if state is not told[0] and (state.seen or state.n_rows))]
    trainable = _means([state.trainable for state in told], [state.n_rows for state in told])
    fixed = _means([state.fixed for state in told], [state.n_rows for state in told])
    slots = _means([state.slots for state in kept], [state.seen or state.n_rows for state in kept])
    return State(trainable, fixed, slots, n_rows=sum(state.n_rows for state in states))


def _means(groups: Sequence[Arrays], n_rows: Sequence[int]) -> Arrays:
    shares = np.array([max(n, 1) for n in n_rows], dtype=np.float64)
    shares /= shares.sum()
    return tuple(_mean(arrays, shares) for arrays in zip(*groups, strict=True))


def _mean(arrays: Sequence[NDArray[Any]], shares: NDArray[np.float64]) -> NDArray[Any]:
    first = arrays[0]
    if len(arrays) == 1 or not is_float(first):
        return first
    total = shares[0] * first.astype(np.float64)
    for share, array in zip(shares[1:], arrays[1:], strict=True):
        total += share * array.astype(np.float64)
    return total.astype(first.dtype)


def is_float(array: NDArray[Any]) -> bool:
    """Whether an array is of floating numbers."""
    # bfloat16 is a type of its own, which numpy does not count among the floating ones.
    return np.issubdtype(array.dtype, np.floating) or array.dtype.name in {"bfloat16", "float16"}


@dataclass(frozen=True)
class Average:
    """What becomes of the states of all shards after a round: their mean.

    With a momentum above 0 the mean is not taken itself: the way from the state before the round to it is a gradient for a step
    of Nesterov's method (Douillard et al., DiLoCo, 2023; Nesterov's form as in Sutskever et al., ICML 2013).

    Attributes:
        momentum: Of the outer step; 0 takes the mean.
        rate: Its learning rate.
    """

    momentum: float = 0.0
    rate: float = 1.0

    def __call__(self, before: State, states: Sequence[State]) -> State:
        """The state after the round."""
        mean = averaged(states)
        if not self.momentum or not mean.n_rows:
            return replace(mean, velocity=before.velocity)
        ways = [new.astype(np.float64) - old for new, old in zip(mean.trainable, before.trainable, strict=True)]
        earlier = before.velocity or tuple(np.zeros_like(way) for way in ways)
        velocity = tuple(self.momentum * old + way for old, way in zip(earlier, ways, strict=True))
        stepped = tuple(
            (old + self.rate * (self.momentum * speed + way)).astype(old.dtype)
            for old, speed, way in zip(before.trainable, velocity, ways, strict=True)
        )
        return State(stepped, mean.fixed, mean.slots, velocity, mean.n_rows)
