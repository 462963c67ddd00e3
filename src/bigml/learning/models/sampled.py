"""Sampled: random rows gathered in a scan, the same ones whatever the chunking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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
        return self.merge(state, batch) if batch.n_rows else state

    def merge(self, left: Batch | None, right: Batch | None) -> Batch | None:
        given = [batch for batch in (left, right) if batch is not None]
        return self._drawn(given) if given else None

    def finish(self, state: Batch | None) -> Batch | None:
        return None if state is None else state.take(np.argsort(state.rows))

    def _drawn(self, batches: Sequence[Batch]) -> Batch:
        """Rows of all batches in a batch of its own: views would keep all rows that they are views of."""
        n = self._room(batches[0].X)
        hashes = [mixed(np.asarray(batch.rows).view(np.uint64), self.seed) for batch in batches]
        together = np.concatenate(hashes)
        last = np.partition(together, n - 1)[n - 1] if len(together) > n else together.max()
        return Batch.joined([batch.take(np.flatnonzero(own <= last)) for batch, own in zip(batches, hashes, strict=True)])

    def _room(self, X: Any) -> int:
        return self.n if sparse.issparse(X) else min(self.n, max(FEWEST, ROOM // (8 * max(X.shape[1], 1))))
