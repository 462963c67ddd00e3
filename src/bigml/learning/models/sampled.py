"""Sampled: random rows gathered in a scan, the same ones whatever the chunking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.sources.splits import mixed

ROOM = 64 << 20
"""Bytes of float64 that a dense sample may take."""
FEWEST = 1024


@dataclass(frozen=True)
class SampledBatch:
    """A reducer of batches: n random rows, those whose numbers have the smallest hashes, in the order of their numbers.

    The result is None when there are no rows. It holds n rows, fewer where they are so wide that they would take more than
    64 MiB, but not less than 1,024.
    """

    n: int
    seed: int = 0
    columns: tuple[str, ...] = ()

    def start(self) -> Batch | None:
        return None

    def update(self, state: Batch | None, batch: Batch) -> Batch | None:
        if not batch.n_rows:
            return state
        return self.merge(state, self._drawn(batch))

    def merge(self, left: Batch | None, right: Batch | None) -> Batch | None:
        if left is None or right is None:
            return left or right
        return self._drawn(joined([left, right]))

    def finish(self, state: Batch | None) -> Batch | None:
        return None if state is None else state.take(np.argsort(state.rows))

    def _drawn(self, batch: Batch) -> Batch:
        """A batch of its own: views would keep all rows that they are views of."""
        n = self._room(batch.X)
        if batch.n_rows <= n:
            return batch.take(np.arange(batch.n_rows))
        hashes = mixed(np.asarray(batch.rows).view(np.uint64), self.seed)
        chosen: NDArray[np.int64] = np.argpartition(hashes, n - 1)[:n]
        return batch.take(np.sort(chosen))

    def _room(self, X: Any) -> int:
        return self.n if sparse.issparse(X) else min(self.n, max(FEWEST, ROOM // (8 * max(X.shape[1], 1))))


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of all batches, one after the other."""
    first = batches[0]
    Xs = [batch.X for batch in batches]
    X = sparse.vstack(Xs, format="csr") if any(sparse.issparse(X) for X in Xs) else np.concatenate([np.asarray(X) for X in Xs])
    y = None if first.y is None else np.concatenate([batch.y for batch in batches if batch.y is not None])
    weights = None if first.weights is None else np.concatenate([b.weights for b in batches if b.weights is not None])
    return Batch(np.concatenate([batch.rows for batch in batches]), X, y, weights)
