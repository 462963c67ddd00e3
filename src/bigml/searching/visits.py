"""Visits: the mini-batches of a hand of cells in the order in which they are learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.searching.arrays import moved

RUN_ROWS = 4096
"""Rows of one cell that are learned from one after another."""
SMALLEST, LARGEST = 16, 512
"""Rows of a mini-batch."""
TINY = 1e-30
DENSE = 1024
"""Features up to which sparse rows are multiplied as dense ones: a mini-batch of sparse rows has a cost of its own."""
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
        curvature: About the largest eigenvalue of X' diag(weights) X, of the features alone.
        mass: The sum of the weights.
    """

    X: Any
    weighted: Any
    y: Any
    n_rows: int
    curvature: float
    mass: float

    def on(self, xp: Any) -> MiniBatch:
        """The same in arrays of this library."""
        if xp is np:
            return self
        X = moved(self.X, xp)
        return replace(self, X=X, weighted=X if self.weighted is self.X else moved(self.weighted, xp), y=xp.asarray(self.y))


@dataclass(frozen=True, eq=False)
class Run:
    """Mini-batches of one cell."""

    cell: int
    rows: Batch

    def minibatches(self, size: int) -> list[MiniBatch]:
        """Of so many rows; the last one of an array is filled up with zeros, so that all have one shape."""
        n, ends = self.rows.n_rows, range(size, self.rows.n_rows + size, size)
        X, y = _with_ones(self.rows.X, size), _filled(self.rows.y, size)
        weights = np.ones(n) if self.rows.weights is None else self.rows.weights
        mass = np.add.reduceat(weights, range(0, n, size)).tolist()
        rows = _cut(X, ends)
        weighted = rows if self.rows.weights is None else _cut(_weighted(X, _filled(weights, size)), ends)
        bends = _curvatures(rows, weighted)
        X_of = list(rows)
        weighted_of = X_of if self.rows.weights is None else list(weighted)
        return [
            MiniBatch(
                X_of[i], weighted_of[i], y[end - size : end][: X_of[i].shape[0]], min(size, n + size - end), bends[i], mass[i]
            )
            for i, end in enumerate(ends)
        ]


def minibatch_rows(visited: int) -> int:
    """Rows of a mini-batch after so many rows: the power of 2 below their root, so that little is lost on old weights.

    >>> [minibatch_rows(n) for n in (0, 1_000, 5_000, 10**9)]
    [16, 16, 64, 512]
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
    if sparse.issparse(X) and X.shape[1] <= DENSE:
        X = X.astype(np.float32).toarray()
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


def _cut(X: Any, ends: range) -> Any:
    """Mini-batches: a stack of arrays, or a list of sparse matrices."""
    if sparse.issparse(X):
        return [X[end - ends.step : end] for end in ends]
    return X.reshape(len(ends), ends.step, X.shape[1])


def _curvatures(rows: Any, weighted: Any) -> list[float]:
    if isinstance(rows, list) or rows.shape[2] > NARROW:
        return [_power(X, other) for X, other in zip(rows, weighted, strict=True)]
    return _norm_bounds((rows.transpose(0, 2, 1) @ weighted)[:, :-1, :-1]).tolist()


def _norm_bounds(products: NDArray[np.float32]) -> NDArray[np.float64]:
    """The norm of the fourth power to the power of 1/4: at least the largest eigenvalue, at most n ** (1/8) times it."""
    size = np.maximum(np.einsum("bii->b", products), np.float32(TINY))
    square = products / size[:, None, None]
    square = square @ square
    square = square @ square
    bounds: NDArray[np.float64] = size * np.sum(square.astype(np.float64) ** 2, axis=(1, 2)) ** 0.125
    return bounds


def _power(X: Any, weighted: Any) -> float:
    """By power iteration: at most the largest eigenvalue, and close to it."""
    vector = np.random.default_rng(0).standard_normal(X.shape[1]).astype(np.float32)
    vector[-1] = 0
    size = 1.0
    for _ in range(6):
        vector = weighted.T @ (X @ (vector / np.float32(size)))
        vector[-1] = 0
        size = max(float(np.linalg.norm(vector)), TINY)
    return size
