"""Averaging: linear models trained on shares of the parts side by side, their weights averaged after each epoch.

The result is that of "parallelized stochastic gradient descent" with averaging once an epoch (Zinkevich, Weimer, Li and
Smola, 2010; McDonald, Hall and Mann, 2010): not the bits of one chain, but those of as many shares, wherever they run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.errors import FitError
from bigml.graph import execute
from bigml.graph.mapping import apply
from bigml.graph.progress import Progress
from bigml.graph.reader import Reader
from bigml.graph.tree import Graph
from bigml.learning.chains.incremental import Learned, Prepare
from bigml.part import Part

if TYPE_CHECKING:
    from distributed import Client

WEIGHTS = ("coef_", "intercept_", "t_")
"""What is averaged: weights, and the count of steps that sets the learning rate."""


def check(estimator: Any, shares: int | None) -> None:
    """Refuse to average what has no linear weights.

    Raises:
        FitError: The estimator is not linear, or there is less than one share.
    """
    if shares is None:
        return
    if shares < 1:
        raise FitError("averaging= of 1 or more", got=f"{shares}", where="in fit")
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn.linear_model") or getattr(estimator, "average", False):
        got = f"`{kind.__name__}{'(average=True)' if getattr(estimator, 'average', False) else ''}`"
        raise FitError("a linear estimator for averaging=", got=got, where="in fit", do="Leave averaging= out.")


def averaged_epoch(
    reader: Reader,
    state: Learned,
    order: Sequence[Part],
    *,
    shares: int,
    columns: Sequence[str],
    prepare: Prepare,
    step: Callable[[Learned, Any], Learned],
    client: Client | None = None,
    progress: Progress,
) -> Learned:
    """The state after one epoch: every share learns from its parts in order, beginning at the same state."""
    graph, lean = Graph(), reader.lean()
    groups = [order[i::shares] for i in range(min(shares, len(order)))]
    learner = Share(lean, tuple(columns), prepare, step)
    keys = [graph.add("share", learner, state, tuple(group)) for group in groups]
    if not keys:
        return state
    last = graph.add("average", average, state, graph.refs(keys))
    learned: Learned = execute.run(graph, [last], client=client, progress=progress, counted=keys)[0]
    return learned


@dataclass(frozen=True, eq=False)
class Share:
    """Learns from some parts, one after another: what a task of an averaged epoch runs; one part is held at a time."""

    reader: Reader
    columns: tuple[str, ...]
    prepare: Prepare
    step: Callable[[Learned, Any], Learned]

    def __call__(self, state: Learned, parts: Sequence[Part]) -> Learned:
        for part in parts:
            state = self.step(state, apply(self.reader, part, self.columns, self.prepare))
        return state


def average(before: Learned, shares: Sequence[Learned]) -> Learned:
    """The mean of the weights, each share counting by the rows that it learned from.

    >>> from types import SimpleNamespace as Model
    >>> one, two = (Learned(Model(coef_=np.array([w])), n) for w, n in ((1.0, 10), (4.0, 20)))
    >>> average(Learned(Model(), 0), [one, two]).estimator.coef_.tolist()
    [3.0]
    """
    rows = np.array([share.n_rows - before.n_rows for share in shares])
    if not rows.sum():
        return before
    learned = [(share.estimator, n) for share, n in zip(shares, rows, strict=True) if n]
    result = deepcopy(learned[0][0])
    counts = np.array([n for _, n in learned])
    for name in WEIGHTS:
        if hasattr(result, name):
            values = np.stack([np.asarray(getattr(estimator, name), dtype=np.float64) for estimator, _ in learned])
            mean = np.average(values, axis=0, weights=counts)
            setattr(result, name, mean if mean.ndim else float(mean))
    return Learned(result, before.n_rows + int(rows.sum()))
