"""Target means: mean and spread of a target by category and fold of the rows, and the encodings that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import TargetEncoder

from bigml.chunk import Chunk
from bigml.learning.design import Design
from bigml.learning.target import Target
from bigml.sources.splits import mixed

Floats: TypeAlias = NDArray[np.float64]


class Cells(NamedTuple):
    """Rows, mean and squared deviations of each output y by cell; shapes (..., 1), (..., n_outputs) and the same."""

    n: Floats
    mean: Floats
    squares: Floats

    @classmethod
    def of(cls, cell: NDArray[np.int64], y: Floats, size: int) -> Cells:
        """Of y, shape (n_rows, n_outputs), in these cells; two passes, so a large mean does not spoil the deviations."""
        n = np.bincount(cell, minlength=size).astype(np.float64)[:, None]
        mean = _sums(cell, y, size) / np.maximum(n, 1)
        return cls(n, mean, _sums(cell, (y - mean[cell]) ** 2, size))

    def merge(self, other: Cells) -> Cells:
        """Both together (Chan, Golub and LeVeque 1983)."""
        n = self.n + other.n
        share, delta = other.n / np.maximum(n, 1), other.mean - self.mean
        squares = self.squares + other.squares + delta * delta * self.n * share
        return Cells(n, self.mean + delta * share, squares)

    def folds(self, n_folds: int) -> list[Cells]:
        """Cells fold by fold."""
        parts = [values.reshape(n_folds, -1, values.shape[1]) for values in self]
        return [Cells(*(part[fold] for part in parts)) for fold in range(n_folds)]


def _sums(cell: NDArray[np.int64], values: Floats, size: int) -> Floats:
    return np.column_stack([np.bincount(cell, column, size) for column in values.T])


def fold_of(rows: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, by a hash of its number: the same however rows are cut into chunks."""
    return (mixed(rows.astype(np.uint64), seed) % np.uint64(n_folds)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class ByCategory:
    """A reducer of chunks: cells of (fold, category) for each column, and of (fold,) at the end.

    Args:
        design: Makes the DataFrame of categories.
        target: Makes y.
        encoder: Its `categories_` are known.
        n_folds: Folds of the rows.
        seed: Of their hash.
    """

    design: Design
    target: Target
    encoder: TargetEncoder
    n_folds: int
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.design.names, self.target.column]))

    @property
    def sizes(self) -> list[int]:
        return [*(len(known) for known in self.encoder.categories_), 1]

    def start(self) -> tuple[Cells, ...]:
        k = len(self.target.classes) if self.encoder.target_type_ == "multiclass" and self.target.classes is not None else 1
        shapes = [(self.n_folds * size, width) for size in self.sizes for width in (1, k, k)]
        zeros = [np.zeros(shape) for shape in shapes]
        return tuple(Cells(*zeros[i : i + 3]) for i in range(0, len(zeros), 3))

    def update(self, state: tuple[Cells, ...], chunk: Chunk) -> tuple[Cells, ...]:
        if not chunk.n_rows:
            return state
        codes = places(self.encoder).transform(self.design.matrix(chunk)).astype(np.int64)
        # scikit-learn counts a category that it was not told of as the first one.
        codes = np.column_stack([np.maximum(codes, 0), np.zeros(chunk.n_rows, np.int64)])
        fold, y = fold_of(chunk.row_numbers, self.n_folds, self.seed), self._y(chunk)
        sized = zip(codes.T, self.sizes, strict=True)
        found = tuple(Cells.of(fold * size + code, y, self.n_folds * size) for code, size in sized)
        return self.merge(state, found)

    def _y(self, chunk: Chunk) -> Floats:
        kind, classes = self.encoder.target_type_, self.target.classes
        if kind == "continuous" or classes is None:
            return Target(self.target.column).values(chunk).astype(np.float64)[:, None]
        codes = self.target.codes(chunk, classes)
        chosen = np.arange(1, 2) if kind == "binary" else np.arange(len(classes))
        return np.asarray(codes[:, None] == chosen, dtype=np.float64)

    def merge(self, left: tuple[Cells, ...], right: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return tuple(one.merge(other) for one, other in zip(left, right, strict=True))

    def finish(self, state: tuple[Cells, ...]) -> list[list[Cells]]:
        """By fold the cells of each column, and of all rows."""
        folds = [cells.folds(self.n_folds) for cells in state]
        return [[cells[fold] for cells in folds] for fold in range(self.n_folds)]

    def forecast_nbytes(self, n_rows: int) -> int:
        return sum(cells.n.nbytes + 2 * cells.mean.nbytes for cells in self.start())


def places(encoder: TargetEncoder) -> TargetEncoder:
    """An encoder that makes of each category its place among the categories, of an unknown one -1."""
    made = copy(encoder)
    made.encodings_ = [np.arange(len(known), dtype=np.float64) for known in encoder.categories_]
    made.target_type_, made.classes_, made.target_mean_ = "continuous", None, -1.0
    return made


def encoder_of(encoder: TargetEncoder, folds: Sequence[Sequence[Cells]]) -> TargetEncoder:
    """A copy that encodes by what is known of the rows of these folds."""
    *columns, whole = (reduce(Cells.merge, cells) for cells in zip(*folds, strict=True))
    made = copy(encoder)
    mean = whole.mean[0]
    made.target_mean_ = mean if encoder.target_type_ == "multiclass" else mean[0]
    variance = whole.squares[0] / np.maximum(whole.n[0], 1)
    made.encodings_ = [row for cells in columns for row in _encodings(cells, encoder.smooth, mean, variance).T]
    return made


def _encodings(cells: Cells, smooth: Any, mean: Floats, variance: Floats) -> Floats:
    """Means by category, shrunk towards the mean of all rows, shape (n_categories, n_outputs).

    By a number of rows that hold the mean, or with "auto" by an empirical Bayes estimate (Micci-Barreca 2001, SIGKDD
    Explorations 3(1)).
    """
    if smooth == "auto":
        within = cells.squares / np.maximum(cells.n, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = variance * cells.n / (variance * cells.n + within)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.broadcast_to(cells.n / (cells.n + float(smooth)), cells.mean.shape)
    known = (cells.n > 0) & ~np.isnan(weight)
    return np.where(known, weight * cells.mean + (1 - weight) * mean, mean)
