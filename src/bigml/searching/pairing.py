"""Pairing: what two fitted models do with the same rows, gathered in one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from bigml.chunk import Chunk
from bigml.errors import FitError
from bigml.learning.batch import Encoder
from bigml.learning.fitted import Fitted
from bigml.learning.target import Target, check_number, coded


@dataclass(frozen=True, eq=False)
class Contestant:
    """A fitted model, and how rows are made ready for it.

    Attributes:
        fitted: The model in its pieces.
        encoder: Makes X, and y as codes of its classes or as numbers.
        classes: Of a classifier.
    """

    fitted: Fitted
    encoder: Encoder
    classes: NDArray[Any] | None

    @classmethod
    def of(cls, model: Any, schema: pa.Schema, target: str) -> Contestant:
        """The model as it is applied to rows of this schema.

        Raises:
            FitError: It is not fitted, has several outputs, or the target of a regressor is no number.
            ColumnError: A feature is not there.
        """
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            do = 'Use bigml.fit, or method="5x2cv_t", which fits it.'
            raise FitError("a fitted model", got=f"`{type(model).__name__}`", where="in compare", do=do) from error
        classes = getattr(model, "classes_", None)
        if isinstance(classes, list):
            raise FitError("a model with one output", got=f"one with {len(classes)}", where="in compare")
        if classes is None:
            check_number(target, schema.field(target).type)
        fitted = Fitted.of(model, schema, without=[target])
        return cls(fitted, Encoder(fitted.design, Target(target, classes), coded=True), classes)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.encoder.columns

    def right(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Whether a classifier is right, of shape (n_rows,)."""
        truth, predicted = self._told(chunk)
        right: NDArray[np.bool_] = truth == coded(predicted, np.asarray(self.classes))
        return right

    def squared_errors(self, chunk: Chunk) -> NDArray[np.float64]:
        """Those of a regressor, of shape (n_rows,)."""
        truth, predicted = self._told(chunk)
        errors: NDArray[np.float64] = (truth - predicted) ** 2
        return errors

    def _told(self, chunk: Chunk) -> tuple[NDArray[Any], NDArray[Any]]:
        """The truth and what is predicted."""
        batch = self.encoder(chunk)
        predicted = np.asarray(self.fitted.ask("predict", batch.X, chunk))
        if predicted.size != chunk.n_rows:
            raise FitError("a model with one output", got=f"one of shape {predicted.shape}", where="in compare")
        return np.asarray(batch.y), predicted.ravel()


@dataclass(frozen=True, eq=False)
class Agreement:
    """A reducer: rows that both classifiers get right, a alone, b alone, and neither; shape (4,)."""

    a: Contestant
    b: Contestant

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.a.columns, *self.b.columns]))

    def start(self) -> NDArray[np.int64]:
        return np.zeros(4, np.int64)

    def update(self, state: NDArray[np.int64], chunk: Chunk) -> NDArray[np.int64]:
        if not chunk.n_rows:
            return state
        wrong_a, wrong_b = ~self.a.right(chunk), ~self.b.right(chunk)
        return state + np.bincount(2 * wrong_a + wrong_b, minlength=4)

    def merge(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        return left + right

    def finish(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state


class Moments(NamedTuple):
    """Rows, means, and sums of squared distances from the means."""

    n: int
    means: NDArray[np.float64]
    m2: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SquaredErrors:
    """A reducer: the moments of two regressors' squared errors and of their difference, each of shape (3,).

    States are merged as Chan, Golub and LeVeque (1983) do, which loses no digits to large means.
    """

    a: Contestant
    b: Contestant

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.a.columns, *self.b.columns]))

    def start(self) -> Moments:
        return Moments(0, np.zeros(3), np.zeros(3))

    def update(self, state: Moments, chunk: Chunk) -> Moments:
        if not chunk.n_rows:
            return state
        a, b = self.a.squared_errors(chunk), self.b.squared_errors(chunk)
        rows = np.array([a, b, a - b])
        means = rows.mean(axis=1)
        return self.merge(state, Moments(chunk.n_rows, means, ((rows - means[:, None]) ** 2).sum(axis=1)))

    def merge(self, left: Moments, right: Moments) -> Moments:
        n = left.n + right.n
        if not left.n or not right.n:
            return left if left.n else right
        step = right.means - left.means
        means = left.means + step * (right.n / n)
        return Moments(n, means, left.m2 + right.m2 + step**2 * (left.n * right.n / n))

    def finish(self, state: Moments) -> Moments:
        return state
