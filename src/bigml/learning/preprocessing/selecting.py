"""Selecting: which columns tell something of the target, each by itself, from one scan of products with the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from sklearn.feature_selection import (
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    chi2,
    f_classif,
    f_regression,
)

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch, Encoded, Encoder
from bigml.learning.inquiry import Inquiry
from bigml.learning.preprocessing.demands import NONE, leaves
from bigml.learning.preprocessing.registry import wants
from bigml.learning.preprocessing.staging import Stage, inquire
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.scatter import pieces
from bigml.learning.structure import blank, structured

SELECTING = (GenericUnivariateSelect, SelectFdr, SelectFpr, SelectFwe, SelectKBest, SelectPercentile)
Vector: TypeAlias = NDArray[np.float64]


class Shared(NamedTuple):
    """What features and a target have to do with each other.

    Attributes:
        n: Rows.
        x: Means of the features, shape (n_features,).
        y: Means of the target's columns: itself, or one for each class.
        xx: Squared deviations of each feature, shape (n_features,).
        yy: Likewise of the target.
        yx: Products of deviations, shape (n_targets, n_features).
        least: The least value of all features.
    """

    n: int
    x: Vector
    y: Vector
    xx: Vector
    yy: Vector
    yx: NDArray[np.float64]
    least: float


@dataclass(frozen=True)
class Sharing:
    """A reducer of batches for `Shared`, merged by the pairwise update of Chan, Golub and LeVeque (1979).

    Attributes:
        n_classes: y are codes below this number; None for numbers.
    """

    n_classes: int | None
    columns: tuple[str, ...] = ()

    def start(self) -> Shared | None:
        return None

    def update(self, state: Shared | None, batch: Batch) -> Shared | None:
        for piece in pieces(batch):
            state = self.merge(state, self._of(piece))
        return state

    def merge(self, left: Shared | None, right: Shared | None) -> Shared | None:
        if left is None or right is None:
            return left or right
        n = left.n + right.n
        share = right.n / n
        x, y = right.x - left.x, right.y - left.y
        pull = left.n * share
        xx, yy = left.xx + right.xx + pull * x * x, left.yy + right.yy + pull * y * y
        yx = left.yx + right.yx + pull * np.outer(y, x)
        return Shared(n, left.x + share * x, left.y + share * y, xx, yy, yx, min(left.least, right.least))

    def finish(self, state: Shared | None) -> Shared:
        if state is None:
            raise DataError("rows to learn from", got="none", where="in fit")
        return state

    def _of(self, piece: Batch) -> Shared:
        n, Y = piece.n_rows, self._target(piece)
        y = Y.mean(axis=0)
        apart = Y - y
        if sparse.issparse(piece.X):
            X = sparse.csr_matrix(piece.X, dtype=np.float64)
            x = np.asarray(X.mean(axis=0)).ravel()
            xx = np.asarray(X.multiply(X).sum(axis=0)).ravel() - n * x * x
            yx, least = np.asarray((X.T @ apart).T), float(X.min())
        else:
            dense = np.asarray(piece.X, dtype=np.float64)
            x = dense.mean(axis=0)
            centred = dense - x
            xx, yx, least = np.einsum("ij,ij->j", centred, centred), apart.T @ centred, float(dense.min())
        return Shared(n, x, y, xx.clip(min=0), (apart * apart).sum(axis=0), yx, least)

    def _target(self, piece: Batch) -> NDArray[np.float64]:
        y = np.asarray(piece.y)
        return y[:, None].astype(np.float64) if self.n_classes is None else (y[:, None] == np.arange(self.n_classes)) * 1.0


Scores: TypeAlias = tuple[Vector, Vector]
"""Scores and p-values of all features."""


def _variance(shared: Shared) -> Scores:
    """One-way analysis of variance."""
    counts = shared.n * shared.y
    between = (shared.yx**2 / counts[:, None]).sum(axis=0)
    more, rest = len(counts) - 1, shared.n - len(counts)
    scores = (between / more) / ((shared.xx - between).clip(min=0) / rest)
    return scores, stats.f.sf(scores, more, rest)


def _correlation(shared: Shared) -> Scores:
    """The F-test of a line; a constant feature scores 0, a perfect one the largest number."""
    r = shared.yx[0] / np.sqrt(shared.xx * shared.yy[0])
    scores = r**2 / (1 - r**2) * (shared.n - 2)
    chances = stats.f.sf(scores, 1, shared.n - 2)
    perfect, constant = np.isinf(scores), np.isnan(scores)
    return np.select([perfect, constant], [np.finfo(np.float64).max, 0.0], scores), np.where(constant, 1.0, chances)


def _dependence(shared: Shared) -> Scores:
    """Pearson's chi-squared of sums of counts by class."""
    if shared.least < 0:
        got, do = f"{shared.least:g}", "Use f_classif, or MinMaxScaler before."
        raise DataError("no negative values for chi2", got=got, where="in feature selection", do=do)
    expected = np.outer(shared.y, shared.n * shared.x)
    scores = (shared.yx**2 / expected).sum(axis=0)
    return scores, stats.chi2.sf(scores, len(shared.y) - 1)


SCORED: dict[Any, Callable[[Shared], Scores]] = {f_classif: _variance, f_regression: _correlation, chi2: _dependence}


def _wants(step: Any) -> Wants:
    del step
    return frozenset([Want.ROWS])


def _inquire(step: Any, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    del later
    name = f"`{type(step).__name__}`"
    score = SCORED.get(step.score_func)
    if score is None:
        got, do = getattr(step.score_func, "__name__", repr(step.score_func)), "Select on a sample with plain scikit-learn."
        raise FitError("score_func as f_classif, f_regression or chi2", got=got, where=f"in {name}", do=do)
    classes = None if stage.target is None else stage.target.classes
    if stage.target is None or (classes is None and by_class(step)):
        got = "none" if stage.target is None else f"`{stage.target.column}`, which has numbers"
        raise FitError("target=, a column of classes" if by_class(step) else "target=", got=got, where=f"in {name}")
    encoder = Encoder(stage.design, stage.target, coded=by_class(step))
    shared = yield Encoded(encoder, Sharing(len(classes) if classes is not None and by_class(step) else None))
    structured(step, blank(stage.rows), np.arange(2))
    with np.errstate(divide="ignore", invalid="ignore"):
        step.scores_, step.pvalues_ = score(shared)
    return step, stage.then(step)


def by_class(step: Any) -> bool:
    """Whether a step selects by the classes of the target."""
    return isinstance(step, SELECTING) and step.score_func is not f_regression


def selects_by_class(step: Any) -> bool:
    """Whether any step of preprocessing does."""
    return step is not None and any(by_class(one) for one in leaves(step))


def selects(step: Any) -> bool:
    """Whether any step of preprocessing selects by the target."""
    return step is not None and any(isinstance(one, SELECTING) for one in leaves(step))


for kind in SELECTING:
    wants.register(kind)(_wants)
    inquire.register(kind)(_inquire)
