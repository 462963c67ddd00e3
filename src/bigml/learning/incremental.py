"""Incremental: what the tasks of a `partial_fit` chain run; pure functions of a part, and of a state and a batch."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError, FitError
from bigml.learning.design import Design
from bigml.learning.summary import is_number, plain
from bigml.part import Part


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows of one part, ready for `partial_fit`: rows[i] is the number of the row that X[i] was made of."""

    part: Part
    rows: NDArray[np.int64]
    X: Any
    y: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Target:
    """How a target column becomes y.

    Attributes:
        column: Its name.
        classes: Sorted classes; None for numbers.
        checked: Whether each y must be looked up among the classes, which the scan did not find itself.
    """

    column: str
    classes: NDArray[Any] | None = None
    checked: bool = False

    def values(self, chunk: Chunk, where: str = "") -> NDArray[Any]:
        """y of shape (n_rows,).

        Raises:
            DataError: A value is missing, infinite, or no known class.
        """
        array = chunk.arrow(self.column)
        self._check(array.is_null(nan_is_null=True), "a target in every row", "a missing value", chunk, where)
        if self.classes is None and is_number(plain(array.type)):
            y = chunk.floats(self.column)
            self._check(~np.isfinite(y), "a finite target", "infinity", chunk, where)
            return y
        y = array.cast(plain(array.type)).to_pandas().to_numpy()
        if self.checked and self.classes is not None:
            unknown = ~np.isin(y, self.classes)
            got = f"the class {y[np.flatnonzero(unknown)[0]]!r}" if unknown.any() else ""
            self._check(unknown, f"the classes {self.classes.tolist()}", got, chunk, where)
        return y

    def _check(self, bad: Any, expected: str, got: str, chunk: Chunk, where: str) -> None:
        mask = bad.to_numpy(zero_copy_only=False) if isinstance(bad, pa.Array) else bad
        if mask.any():
            row = int(chunk.row_numbers[np.flatnonzero(mask)[0]])
            more = f" (and {int(mask.sum()) - 1:,} more)" if mask.sum() > 1 else ""
            do = f'Use source.dropna("{self.column}").' if "missing" in got else "Repair or drop these rows."
            place = f"column `{self.column}`, row {row:,}{more}{f', {where}' if where else ''}"
            raise DataError(expected, got=got, where=place, do=do)


@dataclass(frozen=True, eq=False)
class Prepare:
    """Makes the batch of a part; rows are permuted by (seed, epoch, part), or left in order without a seed."""

    design: Design
    target: Target | None
    epoch: int = 0
    seed: int | None = None

    def __call__(self, part: Part, chunk: Chunk) -> Batch:
        y = self.target.values(chunk, str(part)) if self.target is not None else None
        X = self.design.matrix(chunk) if chunk.n_rows else None
        if self.seed is None or X is None:
            return Batch(part, chunk.row_numbers, X, y)
        order = np.random.default_rng([self.seed, self.epoch, part.index]).permutation(chunk.n_rows)
        X = X.iloc[order] if hasattr(X, "iloc") else X.take(order, axis=0) if isinstance(X, np.ndarray) else X[order]
        return Batch(part, chunk.row_numbers[order], X, y[order] if y is not None else None)


@dataclass(frozen=True, eq=False)
class Step:
    """One `partial_fit` on a copy: a step that runs twice counts once.

    Attributes:
        features: Names of the columns of X, for errors.
        classes: What is passed as `classes`; None when the estimator takes none.
    """

    features: tuple[str, ...]
    classes: NDArray[Any] | None = None

    def __call__(self, estimator: Any, batch: Batch) -> Any:
        if batch.X is None:
            return estimator
        learner = deepcopy(estimator)
        more = {} if self.classes is None else {"classes": self.classes}
        try:
            learner.partial_fit(batch.X, batch.y, **more)
        except ValueError as error:
            raise self._blame(learner, batch, error) from error
        return learner

    def _blame(self, learner: Any, batch: Batch, error: ValueError) -> Exception:
        """What was wrong with the batch: a number that is not finite, or whatever the estimator says."""
        found = not_finite(batch.X)
        if found is None:
            got = str(error).splitlines()[0]
            return FitError(f"a batch that `{type(learner).__name__}.partial_fit` accepts", got=got, where=f"{batch.part}")
        name, (i, j), count = self.features[found[1]], found[:2], found[2]
        value = "NaN" if np.isnan(_cell(batch.X, i, j)) else "infinity"
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        where = f"column `{name}`, row {batch.rows[i]:,}{more}, {batch.part}"
        return DataError("finite features", got=value, where=where, do="Impute such values (SimpleImputer), or drop the rows.")


def not_finite(X: Any) -> tuple[int, int, int] | None:
    """Row and column of the first number that is not finite, and how many rows hold one in that column; None when all are."""
    if hasattr(X, "tocoo"):
        entries = X.tocoo()
        bad = ~np.isfinite(entries.data)
        rows, columns = entries.row[bad], entries.col[bad]
    else:
        rows, columns = np.nonzero(~np.isfinite(np.asarray(X, dtype=np.float64)))
    if not len(rows):
        return None
    first = columns.min()
    return int(rows[columns == first].min()), int(first), int((columns == first).sum())


def _cell(X: Any, i: int, j: int) -> float:
    return float(X.iloc[i, j] if hasattr(X, "iloc") else X[i, j])


def takes_classes(estimator: Any) -> bool:
    """Whether its `partial_fit` wants to know the classes."""
    return "classes" in inspect.signature(estimator.partial_fit).parameters
