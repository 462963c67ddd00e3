"""Dealing: which rows go to which member of an ensemble, decided by the hash of a row's number, and a member's rows in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.learning.batch import Batch, Encoder
from bigml.part import Part
from bigml.sources.splits import mixed

SALT = 96
"""Bits above which a seed tells members apart: `Source.split` and `Source.sample` with the same seed choose by other hashes."""


@dataclass(frozen=True)
class Deal:
    """How many times each row goes to each member; it depends on the row's number and the seed alone.

    Attributes:
        share: Rows of a member, as a share of all rows.
        bootstrap: Rows are drawn with replacement, a Poisson number of times (Oza and Russell, 2001, "Online bagging"), each
            member by itself; otherwise every row goes to one member at most.
        seed: Another seed, another deal.
    """

    share: float
    bootstrap: bool = False
    seed: int = 0

    def times(self, rows: NDArray[np.int64], member: int) -> NDArray[np.int64]:
        """How often each row goes to the member.

        >>> deal = Deal(share=1 / 3)
        >>> sum(deal.times(np.arange(5), member) for member in range(3)).tolist()
        [1, 1, 1, 1, 1]
        """
        salt = self.seed + ((member + 2 if self.bootstrap else 1) << SALT)
        shares = (mixed(rows.view(np.uint64), salt) >> np.uint64(11)) * 2.0**-53
        if self.bootstrap:
            return np.searchsorted(poisson(self.share), shares, side="right")
        return (np.floor(shares / self.share) == member).astype(np.int64)


def poisson(mean: float) -> NDArray[np.float64]:
    """The probabilities of at most 0, 1, 2, ... events, as far as float64 tells them from 1."""
    most = int(mean + 20 * np.sqrt(mean) + 40)
    return np.cumsum(np.exp(-mean) * np.cumprod(np.concatenate([[1.0], mean / np.arange(1, most)])))


@dataclass(frozen=True, eq=False)
class Dealer:
    """Deals the rows of a part: what a task runs that reads.

    Attributes:
        encoder: Makes batches; X are DataFrames.
        deal: Which rows go where.
        members: Those that are dealt to.
    """

    encoder: Encoder
    deal: Deal
    members: tuple[int, ...]

    def __call__(self, part: Part, chunk: Chunk) -> tuple[Batch, ...]:
        """The rows of each member in turn, and then the first row of each class."""
        batch = self.encoder(chunk, str(part))
        times = [self.deal.times(batch.rows, member) for member in self.members]
        dealt = [batch.take(np.repeat(np.arange(batch.n_rows), n)) if n.any() else _none(batch) for n in times]
        return (*dealt, firsts(batch))


def _none(batch: Batch) -> Batch:
    return Batch(np.empty(0, np.int64), None, where=batch.where)


def firsts(batch: Batch) -> Batch:
    """The first row of each class; nothing where y are no codes of classes."""
    y = np.asarray(batch.y)
    if not batch.n_rows or y.dtype.kind != "i":
        return _none(batch)
    return batch.take(np.sort(np.unique(y, return_index=True)[1]))


def picked(dealt: Sequence[Sequence[Batch]], place: int) -> list[Batch]:
    """What lies at one place of what was dealt from some parts, without what is empty."""
    return [hands[place] for hands in dealt if hands[place].n_rows]


def stacked(pieces: Sequence[Sequence[Batch]]) -> Batch:
    """All rows as one batch, in the order of the parts."""
    batches = [batch for piece in pieces for batch in piece]
    if not batches:
        return Batch(np.empty(0, np.int64), None)
    weights = [batch.weights for batch in batches if batch.weights is not None]
    return Batch(
        np.concatenate([batch.rows for batch in batches]),
        pd.concat([batch.X for batch in batches], ignore_index=True),
        np.concatenate([np.asarray(batch.y) for batch in batches]),
        np.concatenate(weights) if weights else None,
    )


def first_rows(pieces: Sequence[Sequence[Batch]]) -> Batch:
    """The first row of each class in all parts."""
    return firsts(stacked(pieces))


def whole(rows: Batch, known: Batch, *, weightless: bool) -> Batch:
    """The rows, with one row of each class that they lack.

    Args:
        known: One row of each class.
        weightless: Whether these rows weigh nothing.
    """
    lacking = np.flatnonzero(~np.isin(np.asarray(known.y), np.asarray(rows.y)))
    if not len(lacking):
        return rows
    more = known.take(lacking)
    if weightless:
        rows = replace(rows, weights=np.ones(rows.n_rows) if rows.weights is None else rows.weights)
        more = replace(more, weights=np.zeros(more.n_rows))
    return stacked([[rows, more]])
