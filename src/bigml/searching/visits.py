"""Visits: the mini-batches of a hand of cells in the order in which they are learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch

RUN_ROWS = 2048
"""Rows of one cell that are learned from one after another."""
SMALLEST, LARGEST = 16, 256
"""Rows of a mini-batch."""
NARROW = 64
"""Columns up to which the squares of a mini-batch's own products are cheap."""


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """Some rows of a cell, a column of ones after their features.

    Attributes:
        X: float32, an array or CSR matrix of shape (n_rows or more, n_features + 1); what is more are zeros.
        weighted: X with its rows multiplied by their weights.
        y: Shape (len(X), 1).
        n_rows: Rows.
    """

    X: Any
    weighted: Any
    y: NDArray[Any]
    n_rows: int

    @property
    def is_sparse(self) -> bool:
        return bool(sparse.issparse(self.X))

    @property
    def curvatures(self) -> tuple[float, float]:
        """About the largest eigenvalue of X' diag(weights) X of the features alone, and of the ones alone."""
        ones = float(self.weighted[:, -1].sum()) or 1.0
        if self.is_sparse or self.X.shape[1] > NARROW:
            return _power(self.X, self.weighted), ones
        return _norm_bound((self.X.T @ self.weighted)[:-1, :-1]), ones


@dataclass(frozen=True, eq=False)
class Run:
    """Mini-batches of one cell."""

    cell: int
    rows: Batch

    def minibatches(self, size: int) -> Iterator[MiniBatch]:
        """Of so many rows; the last one of an array is filled up with zeros, so that all have one shape."""
        n = self.rows.n_rows
        X, y = _with_ones(self.rows.X, size), _filled(self.rows.y, size)
        weighted = X if self.rows.weights is None else _weighted(X, _filled(self.rows.weights, size))
        for start in range(0, X.shape[0], size):
            some = slice(start, min(start + size, X.shape[0]))
            yield MiniBatch(X[some], weighted[some] if weighted is not X else X[some], y[some], min(size, n - start))


def minibatch_rows(visited: int) -> int:
    """Rows of a mini-batch after so many rows: the power of 2 below their root, so that little is lost on old weights.

    >>> [minibatch_rows(n) for n in (0, 1_000, 5_000, 10**9)]
    [16, 16, 64, 256]
    """
    return min(max(1 << (int(visited**0.5).bit_length() - 1) if visited else 0, SMALLEST), LARGEST)


def runs(hand: Sequence[Batch], key: tuple[int, ...]) -> Iterator[Run]:
    """The rows of each cell in random order, in runs of which the order is random too.

    Args:
        key: What the order depends on, besides the numbers of rows.
    """
    orders = [np.random.default_rng([*key, cell]).permutation(batch.n_rows) for cell, batch in enumerate(hand)]
    places = [(cell, start) for cell, order in enumerate(orders) for start in range(0, len(order), RUN_ROWS)]
    for i in np.random.default_rng([*key, len(hand)]).permutation(len(places)):
        cell, start = places[i]
        yield Run(cell, hand[cell].take(orders[cell][start : start + RUN_ROWS]))


def _with_ones(X: Any, size: int) -> Any:
    if sparse.issparse(X):
        return sparse.hstack([X, np.ones((X.shape[0], 1))], format="csr", dtype=np.float32)
    filled = np.zeros((-(-len(X) // size) * size, X.shape[1] + 1), np.float32)
    filled[: len(X), :-1] = X
    filled[: len(X), -1] = 1
    return filled


def _filled(values: Any, size: int) -> NDArray[np.float32]:
    filled = np.zeros((-(-len(values) // size) * size, 1), np.float32)
    filled[: len(values), 0] = values
    return filled


def _weighted(X: Any, weights: NDArray[np.float32]) -> Any:
    weights = weights[: X.shape[0]]
    return X.multiply(weights).tocsr() if sparse.issparse(X) else X * weights


def _norm_bound(products: NDArray[np.float32]) -> float:
    """The norm of the fourth power to the power of 1/4: at least the largest eigenvalue, at most n ** (1/8) times it."""
    size = float(np.trace(products)) or 1.0
    square = products / np.float32(size)
    square = square @ square
    square = square @ square
    return size * float(np.sqrt(np.vdot(square, square))) ** 0.25


def _power(X: Any, weighted: Any) -> float:
    """By power iteration: at most the largest eigenvalue, and close to it."""
    vector = np.random.default_rng(0).standard_normal(X.shape[1]).astype(np.float32)
    vector[-1] = 0
    size = 1.0
    for _ in range(6):
        vector = weighted.T @ (X @ (vector / np.float32(size)))
        vector[-1] = 0
        size = float(np.linalg.norm(vector)) or 1.0
    return size
