"""Seeding: a small weighted set of rows that stands for all of them, on which k-means is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.models.nearness import Centres, Labelled, weights_of
from bigml.learning.scatter import pieces
from bigml.sources.splits import mixed


def chance(rows: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A number in (0, 1] for each row, which depends on its number and the seed alone: on no chunking and no worker."""
    return ((mixed(rows.view(np.uint64), seed) >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53


@dataclass(frozen=True, eq=False)
class Draw:
    """Rows that were drawn, with what decided it: the smaller the key, the sooner a row is taken."""

    keys: NDArray[np.float64]
    rows: NDArray[np.int64]
    X: Any

    def first(self, n: int) -> Draw:
        if len(self.keys) <= n:
            return self
        kept = np.sort(np.argpartition(self.keys, n)[:n])
        return Draw(self.keys[kept], self.rows[kept], self.X[kept])


@dataclass(frozen=True)
class Drawn:
    """A reducer of batches that draws n rows without replacement, in proportion to their weights.

    The result is a batch in the order of rows, None without any. After Efraimidis and Spirakis (2006): the n smallest of
    exponential variates whose rates are the weights.
    """

    n: int
    seed: int
    columns: tuple[str, ...] = ()

    def start(self) -> Draw | None:
        return None

    def update(self, state: Draw | None, batch: Batch) -> Draw | None:
        weights = weights_of(batch)
        able = np.flatnonzero(weights > 0)
        keys = -np.log(chance(batch.rows[able], self.seed)) / weights[able]
        kept = np.sort(np.argpartition(keys, self.n)[: self.n]) if len(keys) > self.n else np.arange(len(keys))
        return self.merge(state, Draw(keys[kept], batch.rows[able[kept]], batch.X[able[kept]]))

    def merge(self, left: Draw | None, right: Draw | None) -> Draw | None:
        if left is None or right is None:
            return left or right
        keys, rows = np.concatenate([left.keys, right.keys]), np.concatenate([left.rows, right.rows])
        return Draw(keys, rows, stacked([left.X, right.X])).first(self.n)

    def finish(self, state: Draw | None) -> Batch | None:
        if state is None:
            return None
        order = np.argsort(state.rows)
        return Batch(state.rows[order], state.X[order])


@dataclass(frozen=True, eq=False)
class Coreset:
    """A reducer of batches that keeps about n rows, weighted to stand for all: expected sums are those of all rows.

    Half are drawn evenly, half by their squared distance from rough centres, as in k-means|| (Bahmani et al., 2012) with a
    large oversampling: so few rows far from all others are among them. Weights are inverse probabilities, so that the cost
    of any centres is kept within a small error (Bachem, Lucic, Krause, 2018).

    Attributes:
        centres: Rough ones.
        n: Rows that are expected.
        weight: Of all rows.
        cost: Weighted sum of squared distances of all rows from the rough centres, about.
    """

    centres: Centres
    n: int
    weight: float
    cost: float
    seed: int
    columns: tuple[str, ...] = ()

    def start(self) -> tuple[Batch, ...]:
        return ()

    @one_thread_each()
    def update(self, state: tuple[Batch, ...], batch: Batch) -> tuple[Batch, ...]:
        both = zip(pieces(batch, self.centres.n_rows), self.centres.labelled(batch), strict=True)
        kept = [self._kept(piece, self._share(found)) for piece, found in both]
        return state + tuple(piece for piece in kept if piece.n_rows)

    def _share(self, found: Labelled) -> NDArray[np.float64]:
        """How likely it is that each row is kept."""
        squares = self.centres.squares(found)[0]
        share = 1 / self.weight + (squares / self.cost if self.cost > 0 else squares > 0)
        return np.minimum(1.0, self.n / 2 * weights_of(found.batch) * share)

    def _kept(self, piece: Batch, share: NDArray[np.float64]) -> Batch:
        kept = np.flatnonzero((chance(piece.rows, self.seed) <= share) & (share > 0))
        return Batch(piece.rows[kept], piece.X[kept], None, weights_of(piece)[kept] / share[kept])

    def merge(self, left: tuple[Batch, ...], right: tuple[Batch, ...]) -> tuple[Batch, ...]:
        return left + right

    def finish(self, state: tuple[Batch, ...]) -> Batch:
        rows = np.concatenate([one.rows for one in state])
        weights = np.concatenate([weights_of(one) for one in state])
        order = np.argsort(rows)
        return Batch(rows[order], stacked([one.X for one in state])[order], None, weights[order])


def stacked(blocks: list[Any]) -> Any:
    """Blocks of rows, dense or sparse, below one another."""
    return sparse.vstack(blocks, format="csr") if sparse.issparse(blocks[0]) else np.concatenate(blocks)


@one_thread_each()
def spread_out(batch: Batch, k: int, random: np.random.Generator) -> NDArray[np.float64]:
    """k rows far from one another, shape (k, n_features): greedy k-means++ (Arthur, Vassilvitskii, 2007), weighted.

    Each next row is the best of 2 + log(k), which are drawn by their squared distance from the rows before.
    """
    X, weights = batch.X, weights_of(batch)
    lengths = np.asarray((X.multiply(X) if sparse.issparse(X) else X * X).sum(axis=1), dtype=np.float64).ravel()
    nearest, chosen = np.ones(len(weights)), np.empty(k, np.int64)
    for i in range(k):
        tried = _drawn(weights * nearest, 2 + int(np.log(k)) if i else 1, random)
        table = _squares(X, lengths, tried)
        if i:
            np.minimum(table, nearest, out=table)
        best = int((table @ weights).argmin())
        nearest, chosen[i] = table[best], tried[best]
    return np.asarray(X[chosen].toarray() if sparse.issparse(X) else X[chosen], dtype=np.float64)


def _drawn(chances: NDArray[np.float64], n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """n positions in proportion to their chances; evenly where there is none."""
    ends = np.cumsum(chances if chances.any() else np.ones(len(chances)))
    drawn: NDArray[np.int64] = np.searchsorted(ends, random.random(n) * ends[-1], side="right").clip(max=len(ends) - 1)
    return drawn


def _squares(X: Any, lengths: NDArray[np.float64], tried: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distances of all rows from some of them, shape (n_tried, n_rows)."""
    products = (X[tried] @ X.T).toarray() if sparse.issparse(X) else X[tried] @ X.T
    return np.asarray((lengths[tried, None] + lengths - 2.0 * products).clip(min=0), dtype=np.float64)
