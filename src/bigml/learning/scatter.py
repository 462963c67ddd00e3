"""Scatter: weights, means and squared deviations of classes of rows, merged without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each

PIECE_BYTES, PIECE_ROWS = 1 << 20, 1 << 10
"""Rows are taken a mebibyte at a time, which stays in a processor's cache, but not fewer than this: products need length."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What rows are like, by class.

    Attributes:
        n_rows: Rows, whatever they weigh.
        weights: Sum of weights of each class, shape (n_classes,).
        means: Shape (n_classes, n_features); zeros for a class without weight.
        scatter: Weighted products of deviations from the mean of the class: of pairs of features and added up over the
            classes, shape (n_features, n_features), or each feature with itself, shape (n_classes, n_features).
        dtype: Of what is learned from them: float32 from float32, else float64.
    """

    n_rows: int
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    scatter: NDArray[np.float64]
    dtype: np.dtype[Any]

    @property
    def weight(self) -> float:
        """The sum of all weights: the number of rows where every row counts once."""
        return float(self.weights.sum())

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of all rows, shape (n_features,)."""
        total: NDArray[np.float64] = self.weights @ self.means / self.weight
        return total


@dataclass(frozen=True)
class Scatter:
    """A reducer of batches for the `Moments` of their rows.

    States are merged by the pairwise update of Chan, Golub and LeVeque (1979): features far from zero lose no digits.

    Attributes:
        n_classes: y are codes below this number; None takes all rows for one class.
        pairs: Most features for which products of pairs of them are kept; where there are more, the squares alone are.
        weighted: Whether rows count by their weights.
    """

    n_classes: int | None = None
    pairs: int = 0
    weighted: bool = True
    columns: tuple[str, ...] = ()
    slices: ClassVar[bool] = True

    def start(self) -> Moments | None:
        return None

    @one_thread_each()
    def update(self, state: Moments | None, batch: Batch) -> Moments | None:
        for piece in pieces(batch):
            state = self.merge(state, self._moments(piece))
        return state

    def merge(self, left: Moments | None, right: Moments | None) -> Moments | None:
        if left is None or right is None:
            return left or right
        weights = left.weights + right.weights
        share = right.weights / np.where(weights > 0, weights, 1)
        apart = right.means - left.means
        scatter = left.scatter + right.scatter + self._products(apart, left.weights * share)
        means = left.means + share[:, None] * apart
        return Moments(left.n_rows + right.n_rows, weights, means, scatter, np.result_type(left.dtype, right.dtype))

    def finish(self, state: Moments | None) -> Moments:
        if state is None or not state.weight > 0:
            raise DataError("rows to learn from", got="none" if state is None else "weights of 0 alone", where="in fit")
        return state

    def _moments(self, piece: Batch) -> Moments:
        if sparse.issparse(piece.X):
            return self._sparse_moments(piece)
        X = np.asarray(piece.X, dtype=np.float64)
        weights = piece.weights if self.weighted else None
        belongs = self._members(piece, weights)
        totals = np.asarray(belongs.sum(axis=1), dtype=np.float64).ravel()
        means = np.asarray(belongs @ X) / np.where(totals > 0, totals, 1)[:, None]
        apart = X - (means if self.n_classes is None else means[piece.y])
        scatter = self._products(apart, weights) if self._in_pairs(apart) else np.asarray(belongs @ (apart * apart))
        return Moments(len(X), totals, means, scatter, floating(piece.X.dtype))

    def _sparse_moments(self, piece: Batch) -> Moments:
        """Zeros are left out: the mean is subtracted from the products, not from the rows."""
        if self.n_classes is not None:
            do = "Make it dense: OneHotEncoder(sparse_output=False), or ColumnTransformer(..., sparse_threshold=0)."
            raise FitError("a dense matrix of features, as in scikit-learn", got="a sparse one", where="in fit", do=do)
        X = sparse.csr_matrix(piece.X, dtype=np.float64)
        weights = piece.weights if self.weighted and piece.weights is not None else np.ones(piece.n_rows)
        total = weights.sum()
        mean = X.T @ weights / (total if total > 0 else 1)
        if self._in_pairs(X):
            scaled = sparse.diags(np.sqrt(weights)) @ X
            scatter = (scaled.T @ scaled).toarray() - total * np.outer(mean, mean)
        else:
            scatter = (X.multiply(X).T @ weights - total * mean * mean).clip(min=0)[None, :]
        return Moments(piece.n_rows, np.array([total]), mean[None, :], scatter, floating(piece.X.dtype))

    def _members(self, piece: Batch, weights: NDArray[np.float64] | None) -> Any:
        """Which class each row counts to and how much, shape (n_classes, n_rows)."""
        if self.n_classes is None:
            return np.ones((1, piece.n_rows)) if weights is None else weights[None, :]
        return members(piece.y, self.n_classes, weights)

    def _products(self, apart: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if not self._in_pairs(apart):
            return apart * apart if weights is None else weights[:, None] * apart * apart
        scaled = apart if weights is None else np.sqrt(weights)[:, None] * apart
        return scaled.T @ scaled

    def _in_pairs(self, rows: Any) -> bool:
        return bool(rows.shape[1] <= self.pairs)


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which scikit-learn learns from features of this one."""
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


def members(codes: Any, n_classes: int, weights: NDArray[np.float64] | None = None) -> Any:
    """The sparse matrix whose product with rows adds them up by class, shape (n_classes, n_rows).

    >>> (members(np.array([0, 1, 0]), 2) @ np.array([[1.0], [2.0], [3.0]])).tolist()
    [[4.0], [2.0]]
    """
    n = len(codes)
    values = np.ones(n) if weights is None else weights
    return sparse.csc_matrix((values, codes, np.arange(n + 1)), shape=(n_classes, n))


def pieces(batch: Batch, n: int | None = None) -> list[Batch]:
    """The batch in views of n rows each, by default of a mebibyte; a sparse one whole, if n is not given."""
    if n is None:
        n = batch.n_rows if sparse.issparse(batch.X) else max(PIECE_ROWS, PIECE_BYTES // (8 * max(batch.X.shape[1], 1)))
    return [batch.rows_between(start, start + n) for start in range(0, batch.n_rows, n)]
