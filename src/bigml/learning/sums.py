"""Sums: the reducer behind every model that learns by adding up: Gram matrices, gradients, class counts, cluster sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from bigml.learning.batch import Batch

Totals: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Sums:
    """A reducer of batches that adds up, over all rows, the arrays that a function makes of each batch.

    Args:
        of: `of(batch) -> {name: array}`; pure and picklable; the same names and shapes for every batch. Arrays that it
            returns are not changed afterwards.

    >>> import numpy as np
    >>> class Squares:
    ...     def __call__(self, batch):
    ...         return {"n": np.array(batch.n_rows), "squares": batch.X.T @ batch.X}
    >>> batch = Batch(np.arange(2), np.array([[1.0], [2.0]]))
    >>> sums = Sums(Squares())
    >>> sums.finish(sums.update(sums.update(sums.start(), batch), batch))["squares"].tolist()
    [[10.0]]
    """

    of: Callable[[Batch], Totals]
    columns: tuple[str, ...] = ()

    def start(self) -> Totals:
        return {}

    def update(self, state: Totals, batch: Batch) -> Totals:
        return self.merge(state, self.of(batch)) if batch.n_rows else state

    def merge(self, left: Totals, right: Totals) -> Totals:
        if not left or not right:
            return left or right
        return {name: left[name] + right[name] for name in left}

    def finish(self, state: Totals) -> Totals:
        return state
