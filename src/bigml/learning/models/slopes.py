"""Slopes: the loss of a linear model over a batch with its derivatives by all coefficients, added up block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.models.losses import Floats, Loss, Terms

Bends: TypeAlias = Literal["none", "full", "blocks", "diagonal"]
"""Which second derivatives: all, those within each output, or each coefficient's own."""
BLOCK = 1 << 16
"""Numbers that a block holds: few enough for the processor's caches."""


class Block(NamedTuple):
    """Some rows in float64, their labels and weights, and room for numbers of the same shape where X is dense.

    X and room are only valid until the next block.
    """

    X: Any
    y: NDArray[Any]
    weights: Floats
    room: Floats

    def dense(self) -> Block:
        """The block with X as an array."""
        if not sparse.issparse(self.X):
            return self
        X = self.X.toarray()
        return self._replace(X=X, room=np.empty_like(X))


@dataclass(frozen=True, eq=False)
class Slopes:
    """For `Sums`: weight, loss, slope (k, p) and bends of the linear predictors `coefficients @ [X, 1]'`.

    Everything is computed and added in float64, whatever the type of X. Bends have the shape (k p, k p) when full, (k, p, p)
    in blocks, and (2, k, p) as a diagonal: sums of squares and, for columns that are to be centred, of the columns themselves.

    Args:
        coefficients: Shape (k, p), the intercepts last; p is the width of X when there are none.
        intercept: Whether there are intercepts.
        factors: Weights of the classes by code, shape (n_classes,).
    """

    loss: Loss
    coefficients: Floats
    intercept: bool
    bends: Bends = "none"
    factors: Floats | None = None

    def __call__(self, batch: Batch) -> dict[str, NDArray[Any]]:
        k, p = self.coefficients.shape
        totals: dict[str, Any] = {"weight": np.zeros(()), "loss": np.zeros(()), "slope": np.zeros((k, p))}
        if self.bends != "none":
            totals["bends"] = np.zeros({"full": (k * p, k * p), "blocks": (k, p, p), "diagonal": (2, k, p)}[self.bends])
        with one_thread_each():
            for block in self._blocks(batch):
                self._add(totals, block)
        return totals

    def _blocks(self, batch: Batch) -> Iterator[Block]:
        k, p = self.coefficients.shape
        many = k * p if self.bends == "full" else max(p if not sparse.issparse(batch.X) or self.bends == "blocks" else 32, k)
        size = min(max(BLOCK // many, 256), 1 << 14)
        X, y = batch.X.to_numpy() if hasattr(batch.X, "iloc") else batch.X, batch.y
        if y is None:
            raise TypeError("a loss needs a target")
        # New memory for every block would cost as much as the sums themselves.
        rooms = np.empty((2, 0, 0) if sparse.issparse(X) else (2, min(size, len(y)), X.shape[1]))
        for start in range(0, batch.n_rows, size):
            rows = slice(start, start + size)
            weights = np.ones(len(y[rows])) if batch.weights is None else batch.weights[rows]
            weights = weights if self.factors is None else weights * self.factors[y[rows]]
            yield Block(_floats(X[rows], rooms[0]), y[rows], weights, rooms[1, : len(weights)])

    def _add(self, totals: dict[str, Any], block: Block) -> None:
        X, y, weights, _ = block
        terms = self.loss.terms(y, self._predictors(X))
        slope = terms.slope * weights
        totals["weight"] += weights.sum()
        totals["loss"] += np.where(weights > 0, terms.loss, 0.0) @ weights
        totals["slope"] += self._weighted(X, slope)
        if self.bends == "diagonal":
            own = weights * (terms.bend * (1 - terms.bend) if self.loss.coupled else terms.bend)
            totals["bends"] += [self._weighted(X.power(2) if sparse.issparse(X) else X * X, own), self._weighted(X, own)]
        elif self.bends != "none":
            self._add_bends(totals["bends"], block.dense(), terms)

    def _predictors(self, X: Any) -> Floats:
        width = X.shape[1]
        eta: Floats = np.ascontiguousarray((X @ self.coefficients[:, :width].T).T)
        return eta + self.coefficients[:, width:] if self.intercept else eta

    def _weighted(self, X: Any, weights: Floats) -> Floats:
        """Weights, shape (k, n), times [X, 1]."""
        products: Floats = (X.T @ weights.T).T if sparse.issparse(X) else weights @ X
        return np.hstack([products, weights.sum(axis=1, keepdims=True)]) if self.intercept else products

    def _add_bends(self, totals: Floats, block: Block, terms: Terms) -> None:
        k, p = self.coefficients.shape
        if self.bends == "blocks":
            own = terms.bend * (1 - terms.bend) if self.loss.coupled else terms.bend
            for total, bend in zip(totals, own * block.weights, strict=True):
                self._add_products(total, block, bend)
            return
        for i, bend in enumerate(terms.bend * block.weights):
            self._add_products(totals[i * p : (i + 1) * p, i * p : (i + 1) * p], block, bend)
        if self.loss.coupled:
            X = np.hstack([block.X, np.ones((len(block.X), 1))]) if self.intercept else block.X
            joint = ((terms.bend * np.sqrt(block.weights)).T[:, :, None] * X[:, None, :]).reshape(len(X), k * p)
            totals -= joint.T @ joint

    def _add_products(self, total: Floats, block: Block, weights: Floats) -> None:
        """Weighted products of pairs of the columns of [X, 1]."""
        d = block.X.shape[1]
        root = np.multiply(block.X, np.sqrt(weights)[:, None], out=block.room)
        total[:d, :d] += root.T @ root
        if self.intercept:
            edge = np.append(weights @ block.X, weights.sum())
            total[d, :] += edge
            total[:d, d] += edge[:d]


def _floats(block: Any, room: Floats) -> Any:
    """A block in float64: as it is where it is that already, and where it is dense, written to the room."""
    if block.dtype == np.float64 or sparse.issparse(block):
        return block.astype(np.float64, copy=False)
    room = room[: len(block)]
    np.copyto(room, block)
    return room
