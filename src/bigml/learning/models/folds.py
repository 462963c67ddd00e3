"""Folds: the contiguous folds of scikit-learn's KFold over all rows, and what a reducer finds in each of them.

A row's fold follows from how many rows come before it. Where no filter is in the way the parts tell; otherwise a scan counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry
from bigml.learning.solving import Problem, Spans

BY_DEFAULT = 5
"""Folds where `cv=None` means some."""


@dataclass(frozen=True)
class Counting:
    """A reducer of batches: the number of the first row of each, and how many there are."""

    columns: tuple[str, ...] = ()

    def start(self) -> tuple[tuple[int, int], ...]:
        return ()

    def update(self, state: tuple[tuple[int, int], ...], batch: Batch) -> tuple[tuple[int, int], ...]:
        return (*state, (int(batch.rows[0]), batch.n_rows)) if batch.n_rows else state

    def merge(self, left: tuple[tuple[int, int], ...], right: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return left + right

    def finish(self, state: tuple[tuple[int, int], ...]) -> Spans:
        firsts, counts = np.array(sorted(state), dtype=np.int64).reshape(-1, 2).T
        return Spans(firsts, counts)


@dataclass(frozen=True, eq=False)
class InFolds:
    """A reducer of batches: what another one finds in each fold.

    Its state is a list, which is not kept for a warm start: with more rows, the folds are others.

    Attributes:
        inner: What is asked of each fold.
        spans: Where batches begin among all rows.
        edges: Rows before each fold, and of all; shape (n_folds + 1,).
    """

    inner: Any
    spans: Spans
    edges: NDArray[np.int64]
    columns: tuple[str, ...] = ()

    def start(self) -> list[Any]:
        return [self.inner.start() for _ in self.edges[1:]]

    def update(self, state: list[Any], batch: Batch) -> list[Any]:
        found = list(state)
        for fold, rows in self._divided(batch):
            found[fold] = self.inner.update(found[fold], rows)
        return found

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        return [self.inner.merge(one, other) for one, other in zip(left, right, strict=True)]

    def finish(self, state: list[Any]) -> list[Any]:
        return state

    def _divided(self, batch: Batch) -> Iterator[tuple[int, Batch]]:
        """The rows of the batch in each fold that has some."""
        edges = (self.edges - self.spans.before(int(batch.rows[0]))).clip(0, batch.n_rows).tolist()
        for fold, (start, stop) in enumerate(pairwise(edges)):
            if stop > start:
                yield fold, batch.rows_between(start, stop)


def n_folds(estimator: Any) -> int:
    """How many folds `cv` asks for.

    Raises:
        FitError: They are not contiguous ones.
    """
    cv = BY_DEFAULT if estimator.cv is None else estimator.cv
    if isinstance(cv, KFold) and not cv.shuffle:
        cv = cv.get_n_splits()
    if isinstance(cv, Integral) and int(cv) > 1:
        return int(cv)
    where, do = f"in cv= of `{type(estimator).__name__}`", "Pass a number, or fit plain scikit-learn on source.sample(n)."
    raise FitError("a number of folds from 2 on, or KFold without shuffling", got=f"{cv!r}"[:100], where=where, do=do)


def folded(estimator: Any, problem: Problem) -> Inquiry[tuple[Spans, NDArray[np.int64]]]:
    """Where batches and folds begin; asks for a scan where that is not known.

    Raises:
        DataError: There are fewer rows than folds.
    """
    k = n_folds(estimator)
    spans = problem.spans if problem.spans is not None else (yield Counting())
    n = spans.n_rows
    if n < k:
        raise DataError(f"{k} rows or more, one for each fold", got=f"{n}", where="in fit", do="Set cv to fewer folds.")
    sizes = np.full(k, n // k) + (np.arange(k) < n % k)
    return spans, np.append(0, np.cumsum(sizes))
