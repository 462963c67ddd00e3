"""Ledger: how many rows each rank learns from in each step of an epoch; all ranks have the same one and take the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigml.training.shards import Shard


@dataclass(frozen=True)
class Ledger:
    """How many rows each rank learns from in each step.

    Attributes:
        counts: Rows of each rank in an epoch.
        batch_size: Rows of a rank in a step that is full.

    >>> ledger = Ledger((7, 3), batch_size=3)
    >>> [ledger.rows(step).tolist() for step in range(ledger.n_steps)]
    [[3, 3], [3, 0], [1, 0]]
    >>> ledger.n_full
    1
    """

    counts: tuple[int, ...]
    batch_size: int

    @classmethod
    def of(cls, shards: Sequence[Shard], batch_size: int) -> Ledger:
        """Of the shards of all ranks."""
        return cls(tuple(shard.n_rows for shard in shards), batch_size)

    @property
    def n_steps(self) -> int:
        """In an epoch, of every rank."""
        return -(-max(self.counts) // self.batch_size)

    @property
    def n_full(self) -> int:
        """Steps from the first one on in which every rank has a full batch."""
        return min(self.counts) // self.batch_size

    def rows(self, begin: int, end: int | None = None) -> NDArray[np.int64]:
        """Rows of each rank in a step, or in steps begin to end."""
        stop = (begin + 1 if end is None else end) * self.batch_size
        return np.minimum(self.counts, stop) - np.minimum(self.counts, begin * self.batch_size)

    def share(self, number: int, begin: int, end: int | None = None) -> float:
        """A rank's share of the rows: what its mean gradient counts in that of all."""
        rows = self.rows(begin, end)
        return float(rows[number] / rows.sum())
