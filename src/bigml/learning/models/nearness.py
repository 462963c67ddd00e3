"""Nearness: what the rows of a batch say of centres: which is nearest, sums by centre, how far away the rows are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.scatter import floating, members, pieces
from bigml.learning.sums import Totals
from bigml.stats.nearest import add, label

TABLE_BYTES = 1 << 19
"""A table of distances from some rows to all centres stays in a processor's cache."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Some rows of a batch and their nearest centres; dense arrays are overwritten by the rows that come next.

    Attributes:
        batch: Whose X is relative to the origin.
        labels: The number of the nearest centre in each group for each row, shape (n_groups, n_rows).
        extended: Dense X with a column of ones, whose sums count rows; None of a sparse one.
    """

    batch: Batch
    labels: NDArray[Any]
    extended: NDArray[Any] | None = None


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

    @property
    def n_rows(self) -> int:
        """Rows that are taken at a time."""
        return max(256, TABLE_BYTES // (8 * max(len(self.flat), self.points.shape[2])))

    def only(self, group: int) -> Centres:
        """One group of them."""
        return Centres(self.points[group : group + 1], self.origin)

    def labelled(self, batch: Batch) -> Iterator[Labelled]:
        """The batch by some rows; distances of float32 rows are computed in float32."""
        return self._sparse(batch) if sparse.issparse(batch.X) else self._dense(batch)

    def _dense(self, batch: Batch) -> Iterator[Labelled]:
        """Distances but for the squared length of the row, which changes no order, are one product with (x, 1)."""
        dtype, flat = floating(batch.X.dtype), self.flat
        forms = np.column_stack([-2 * flat, (flat * flat).sum(axis=1)]).astype(dtype)
        origin = np.zeros(batch.X.shape[1], dtype) if self.origin is None else self.origin.astype(dtype)
        n = min(self.n_rows, batch.n_rows)
        room, table = np.ones((n, len(origin) + 1), dtype), np.empty(len(forms) * n, dtype)
        for piece in pieces(batch, n):
            extended = room[: piece.n_rows]
            X = np.subtract(piece.X, origin, out=extended[:, :-1])
            distances = np.matmul(forms, extended.T, out=table[: len(forms) * len(X)].reshape(len(forms), len(X)))
            yield Labelled(Batch(piece.rows, X, None, piece.weights), self._nearest(distances), extended)

    def _sparse(self, batch: Batch) -> Iterator[Labelled]:
        lengths = (self.flat**2).sum(axis=1)
        for piece in pieces(batch, self.n_rows):
            distances = lengths[:, None] - 2 * np.ascontiguousarray((piece.X @ self.flat.T).T)
            yield Labelled(Batch(piece.rows, piece.X, None, piece.weights), self._nearest(distances))

    def _nearest(self, distances: NDArray[Any]) -> NDArray[Any]:
        ids = np.arange(len(distances), dtype=f"int{8 * distances.itemsize}")
        labels = np.empty((len(self.points), distances.shape[1]), ids.dtype)
        label(distances, ids, labels)
        return labels

    def squares(self, rows: Labelled) -> NDArray[np.float64]:
        """Squared distances to the nearest centre in each group, shape (n_groups, n_rows)."""
        X = rows.batch.X
        if isinstance(X, np.ndarray):
            apart = (X - self.flat[one] for one in rows.labels)
            return np.array([np.einsum("ij,ij->i", one, one) for one in apart])
        lengths = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
        nearest = (X @ self.flat.T)[np.arange(X.shape[0]), rows.labels]
        return np.asarray((lengths - 2 * nearest + (self.flat**2).sum(axis=1)[rows.labels]).clip(min=0))


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """What a batch adds to sums of rows by their nearest centre, and to the weights of these rows."""

    centres: Centres

    @one_thread_each()
    def __call__(self, batch: Batch) -> Totals:
        n_groups, k, width = self.centres.points.shape
        sums = np.zeros((n_groups * k, width + 1))
        for rows in self.centres.labelled(batch):
            self._add(rows, sums)
        sums = sums.reshape(n_groups, k, width + 1)
        return {"sums": sums[:, :, :-1].copy(), "weights": sums[:, :, -1].copy()}

    def _add(self, rows: Labelled, sums: NDArray[np.float64]) -> None:
        weights = rows.batch.weights
        if rows.extended is not None:
            add(rows.extended, np.empty(0) if weights is None else np.array(weights), rows.labels, sums)
            return
        for one in rows.labels:
            belongs = members(one, len(sums), weights)
            sums[:, :-1] += (belongs @ rows.batch.X).toarray()
            sums[:, -1] += np.asarray(belongs.sum(axis=1)).ravel()


@dataclass(frozen=True, eq=False)
class Inertias:
    """What a batch adds to the inertia of each group, and to the weights of the rows nearest to each of its centres."""

    centres: Centres

    @one_thread_each()
    def __call__(self, batch: Batch) -> Totals:
        n_groups, k, _ = self.centres.points.shape
        inertias, weights = np.zeros(n_groups), np.zeros(n_groups * k)
        for rows in self.centres.labelled(batch):
            own = weights_of(rows.batch)
            inertias += self.centres.squares(rows) @ own
            weights += np.bincount(rows.labels.ravel(), np.tile(own, n_groups), minlength=n_groups * k)
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

    @one_thread_each()
    def update(self, state: Far | None, batch: Batch) -> Far | None:
        for far in self._found(batch):
            state = self.merge(state, far)
        return state

    def _found(self, batch: Batch) -> Iterator[Far]:
        for found in self.centres.labelled(batch):
            squares, near = self.centres.squares(found)[0], found.batch
            top = np.argsort(-squares, kind="stable")[: self.n]
            X = near.X[top].toarray() if sparse.issparse(near.X) else near.X[top]
            yield Far(squares[top], near.rows[top], found.labels[0][top], weights_of(near)[top], X.astype(np.float64))

    def merge(self, left: Far | None, right: Far | None) -> Far | None:
        return left or right if left is None or right is None else left.first(self.n, right)

    def finish(self, state: Far | None) -> Far | None:
        return state
