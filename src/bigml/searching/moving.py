"""Moving: whether encoded rows go to the learners on other workers or these to the rows, whichever is fewer bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bigml.graph.budget import readable
from bigml.searching.panel import suits

MOMENTS = 3
"""Arrays of the size of the weights that a network keeps: itself, and what its solver remembers."""


@dataclass(frozen=True)
class Moves:
    """What would be moved between workers in all of a search.

    Attributes:
        workers: Processes that learners live on.
        rows: Bytes, when learners stay where they are and every worker is sent all encoded rows that it has not encoded itself.
        learners: Bytes, when rows stay where they were encoded and all learners go from window to window.
        shared: Whether all workers see the files that encoded rows are kept in, which are then looked at and not sent.
    """

    workers: int
    rows: int
    learners: int
    shared: bool

    @classmethod
    def of(cls, workers: int, *, rows: int, learners: int, epochs: int, windows: int, shared: bool) -> Moves:
        """The moves that bytes of encoded rows and of learners make.

        >>> Moves.of(4, rows=1_000, learners=80, epochs=2, windows=10, shared=False)
        Moves(workers=4, rows=6000, learners=600, shared=False)
        """
        others = workers - 1
        return cls(workers, 0 if shared else epochs * rows * others, windows * learners * others // workers, shared)

    @property
    def which(self) -> str:
        """What is moved: "nothing", "rows" or "learners"."""
        return "nothing" if self.workers < 2 or not self.rows else "rows" if self.rows <= self.learners else "learners"

    def __str__(self) -> str:
        if self.workers < 2:
            return "all in one process: nothing is moved"
        hop = f"learners to the rows would be about {readable(self.learners)}"
        if self.shared:
            return f"learners stay, and look at the kept rows in files that all workers see: no rows are moved; {hop}"
        sent, gone = f"{readable(self.rows)} of rows to the learners", f"{readable(self.learners)} of learners to the rows"
        less, more = (sent, gone) if self.which == "rows" else (gone, sent)
        return f"about {less}, which is less than {more}"


def learner_nbytes(finals: Sequence[Any], row_nbytes: int, *, splits: int) -> int:
    """About the bytes of final estimators on all splits, for two classes, from the bytes of an encoded row.

    >>> from sklearn.linear_model import SGDClassifier
    >>> learner_nbytes([SGDClassifier()], 80, splits=5)
    400
    """
    return splits * sum(_nbytes(final, row_nbytes) for final in finals)


def _nbytes(final: Any, row_nbytes: int) -> int:
    hidden = getattr(final, "hidden_layer_sizes", None)
    if hidden is None:
        return row_nbytes * (1 + bool(suits(final) and final.average))
    layers = [row_nbytes // 8, *((hidden,) if isinstance(hidden, int) else hidden), 1]
    return MOMENTS * 8 * sum((before + 1) * behind for before, behind in pairwise(layers))
