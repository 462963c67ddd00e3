"""Nearness: what the rows of a batch say of centres: which is nearest, sums by centre, how far away the rows are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.learning.scatter import floating, members, pieces
from bigml.learning.sums import Totals
from bigml.stats.nearest import add, label

TABLE_BYTES = 1 << 20
"""A table of distances from some rows to all centres stays in a processor's cache."""


@dataclass(frozen=True, eq=False)
class Centres:
    """Groups of centres, one for each restart; all groups share one matrix product.

    Attributes:
        points: Relative to the origin, float64 of shape (n_groups, k, n_features).
        origin: Subtracted from dense rows, whose distances are then exact far from zero too; None for sparse ones.
    """

    points: NDArray[np.float64]
    origin: NDArray[np.float64] | None = None

    @property
    def flat(self) -> NDArray[np.float64]:
        """All centres, shape (n_groups * k, n_features)."""
        return self.points.reshape(-1, self.points.shape[2])

    def only(self, group: int) -> Centres:
        """One group of them."""
        return Centres(self.points[group : group + 1], self.origin)

    def pieces(self, batch: Batch) -> list[Batch]:
        """The batch by some thousand rows, moved to the origin."""
        rows = max(256, TABLE_BYTES // (8 * max(len(self.flat), self.points.shape[2])))
        return [self._moved(piece) for piece in pieces(batch, rows)]

    def _moved(self, piece: Batch) -> Batch:
        X = piece.X.astype(floating(piece.X.dtype), copy=False)
        moved = X if self.origin is None else X - self.origin.astype(X.dtype)
        return Batch(piece.rows, moved, None, piece.weights)

    def labels(self, X: Any) -> NDArray[Any]:
        """The number of the nearest centre in each group for each row, shape (n_groups, n_rows); float32 rows in float32."""
        points = self.flat.astype(X.dtype)
        distances = np.asarray(-2 * points @ X.T) if isinstance(X, np.ndarray) else np.ascontiguousarray((X @ (-2 * points.T)).T)
        distances += (points * points).sum(axis=1)[:, None]
        ids = np.arange(len(points), dtype=f"int{8 * X.dtype.itemsize}")
        labels = np.empty((len(self.points), X.shape[0]), ids.dtype)
        label(distances, ids, labels)
        return labels

    def squares(self, X: Any, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Squared distances to the centres with these numbers, shape of `labels`."""
        if isinstance(X, np.ndarray):
            apart = (X - self.flat[one] for one in labels)
            return np.array([np.einsum("ij,ij->i", rows, rows) for rows in apart])
        lengths = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
        nearest = (X @ self.flat.T)[np.arange(X.shape[0]), labels]
        return np.asarray((lengths - 2 * nearest + (self.flat**2).sum(axis=1)[labels]).clip(min=0))


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """What a batch adds to sums of rows by their nearest centre, and to the weights of these rows."""

    centres: Centres

    def __call__(self, batch: Batch) -> Totals:
        n_groups, k, width = self.centres.points.shape
        sums, weights = np.zeros((n_groups * k, width)), np.zeros(n_groups * k)
        for piece in self.centres.pieces(batch):
            labels = self.centres.labels(piece.X)
            self._add(piece, labels, sums)
            for one in labels:
                weights += np.bincount(one, piece.weights, minlength=n_groups * k)
        return {"sums": sums.reshape(n_groups, k, width), "weights": weights.reshape(n_groups, k)}

    def _add(self, piece: Batch, labels: NDArray[Any], sums: NDArray[np.float64]) -> None:
        if isinstance(piece.X, np.ndarray):
            add(piece.X, np.empty(0) if piece.weights is None else np.asarray(piece.weights), labels, sums)
            return
        for one in labels:
            sums += (members(one, len(sums), piece.weights) @ piece.X).toarray()


@dataclass(frozen=True, eq=False)
class Inertias:
    """What a batch adds to the inertia of each group, and to the weights of the rows nearest to each of its centres."""

    centres: Centres

    def __call__(self, batch: Batch) -> Totals:
        n_groups, k, _ = self.centres.points.shape
        inertias, weights = np.zeros(n_groups), np.zeros(n_groups * k)
        for piece in self.centres.pieces(batch):
            labels = self.centres.labels(piece.X)
            inertias += self.centres.squares(piece.X, labels) @ weights_of(piece)
            weights += np.bincount(labels.ravel(), np.tile(weights_of(piece), n_groups), minlength=n_groups * k)
        return {"inertias": inertias, "weights": weights.reshape(n_groups, k)}


def weights_of(batch: Batch) -> NDArray[np.float64]:
    """Weights, also where every row counts once."""
    return np.ones(batch.n_rows) if batch.weights is None else np.asarray(batch.weights)


@dataclass(frozen=True, eq=False)
class Far:
    """Rows far from their centres, in the order of their distance: arrays of shape (n_rows,), and X (n_rows, n_features)."""

    squares: NDArray[np.float64]
    rows: NDArray[np.int64]
    labels: NDArray[Any]
    weights: NDArray[np.float64]
    X: NDArray[np.float64]

    def first(self, n: int, more: Far) -> Far:
        """The n farthest of these rows and more."""
        names = "squares", "rows", "labels", "weights", "X"
        both = [np.concatenate([getattr(self, name), getattr(more, name)]) for name in names]
        order = np.lexsort((both[1], -both[0]))[:n]
        return Far(*(values[order] for values in both))


@dataclass(frozen=True, eq=False)
class Farthest:
    """A reducer of batches for the n rows that are farthest from the nearest centre of a group; the first of equals."""

    centres: Centres
    n: int
    columns: tuple[str, ...] = ()

    def start(self) -> Far | None:
        return None

    def update(self, state: Far | None, batch: Batch) -> Far | None:
        for far in self._found(batch):
            state = self.merge(state, far)
        return state

    def _found(self, batch: Batch) -> Iterator[Far]:
        for piece in self.centres.pieces(batch):
            labels = self.centres.labels(piece.X)
            squares = self.centres.squares(piece.X, labels)[0]
            top = np.argsort(-squares, kind="stable")[: self.n]
            X = piece.X[top].toarray() if sparse.issparse(piece.X) else piece.X[top]
            yield Far(squares[top], piece.rows[top], labels[0][top], weights_of(piece)[top], X.astype(np.float64))

    def merge(self, left: Far | None, right: Far | None) -> Far | None:
        return left or right if left is None or right is None else left.first(self.n, right)

    def finish(self, state: Far | None) -> Far | None:
        return state
