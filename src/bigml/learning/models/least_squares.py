"""Least squares: linear models by their second moments, which as many rows as there are columns can stand for.

Whatever a linear least-squares model learns depends on the rows only through means and products of columns. One scan adds
these up (centred, so that columns far from zero lose no digits); a table of as many rows as columns with the same products is
then given to scikit-learn's own solver, so all its penalties and options mean what they mean there. Where columns are
nearly collinear, products would lose half of the digits: a second scan makes the table by orthogonal transformations
instead (TSQR: Demmel, Grigori, Hoemmen and Langou, 2012).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from operator import iadd
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import LinAlgWarning, helmert
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge, RidgeCV

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry
from bigml.learning.scatter import PIECE_BYTES, PIECE_ROWS, Moments, Scatter, pieces
from bigml.learning.solving import Problem, solve

MOST_FEATURES = 8192
"""Products of pairs of more features would take more than half a gigabyte a state."""
WELL_CONDITIONED = 1e6
"""Ratio of the largest to the smallest eigenvalue of the scaled products up to which nine digits or more are right."""
WELL_PENALISED = 1e8
"""The same where a penalty on squares keeps coefficients apart: as many digits as scikit-learn's own solver has of them."""
UNKNOWN, TAKES_PART = 4e-15, 1e-6
"""Shares of the largest singular value, for each feature, that are nothing; and coefficients of a direction that are some."""

Linear: TypeAlias = LinearRegression | Ridge | Lasso | ElasticNet


FAR = 8.0
"""Squared means up to this many times the variance cost products at most three bits when they are centred afterwards."""


def tables(batch: Batch, weighted: bool = True) -> Iterator[NDArray[np.float64]]:
    """Pieces of the batch as float64 rows (1, features, y), each times the root of its weight, shape (n, n_features + 2).

    Raises:
        FitError: There are too many features.
    """
    width = batch.X.shape[1]
    if width > MOST_FEATURES:
        got, do = f"{width:,}", "Use SGDRegressor, or reduce the features with TruncatedSVD."
        raise FitError(f"at most {MOST_FEATURES:,} features for exact least squares", got=got, where="in fit", do=do)
    by_column = isinstance(batch.X, np.ndarray) and batch.X.flags.f_contiguous
    for piece in pieces(batch, max(PIECE_ROWS, PIECE_BYTES // (8 * (width + 2)))):
        table = np.empty((piece.n_rows, width + 2), order="F" if by_column else "C")
        table[:, 0] = 1
        table[:, 1:-1] = piece.X.toarray() if sparse.issparse(piece.X) else piece.X
        table[:, -1] = piece.y
        if weighted and piece.weights is not None:
            table *= np.sqrt(piece.weights)[:, None]
        yield table


@dataclass(frozen=True)
class Products:
    """A reducer of batches: weight, means and centred products of the features and, last, of y."""

    columns: tuple[str, ...] = ()
    slices: ClassVar[bool] = True

    @property
    def scatter(self) -> Scatter:
        return Scatter(pairs=MOST_FEATURES + 1)

    def start(self) -> Moments | None:
        return None

    @one_thread_each()
    def update(self, state: Moments | None, batch: Batch) -> Moments | None:
        if not batch.n_rows:
            return state
        if state is None or not _far(state):
            found = _moments(batch)
            if not _far(found):
                return self.merge(state, found)
        for table in tables(batch):
            state = self.merge(state, _centred(table))
        return state

    def merge(self, left: Moments | None, right: Moments | None) -> Moments | None:
        return self.scatter.merge(left, right)

    def finish(self, state: Moments | None) -> Moments:
        return self.scatter.finish(state)


def _moments(batch: Batch) -> Moments:
    """Of rows whose products are centred after they were added up."""
    products = reduce(iadd, (table.T @ table for table in tables(batch)))
    means = products[0, 1:] / (products[0, 0] or 1.0)
    scatter = products[1:, 1:] - np.outer(products[0, 1:], means)
    return Moments(batch.n_rows, products[0, :1], means[None, :], scatter, products.dtype)


def _centred(table: NDArray[np.float64]) -> Moments:
    """Of rows that `tables` made, which are changed: centred before they are multiplied."""
    roots, rows = table[:, 0], table[:, 1:]
    weight = float(roots @ roots)
    means = roots @ rows / (weight or 1.0)
    rows -= roots[:, None] * means
    return Moments(len(table), np.array([weight]), means[None, :], rows.T @ rows, table.dtype)


def _far(state: Moments) -> bool:
    """Whether a column is so far from zero that products that are centred afterwards lose digits."""
    return bool((state.weight * state.means[0] ** 2 > FAR * np.diag(state.scatter)).any())


@dataclass(frozen=True)
class Triangle:
    """A reducer of batches: the triangular factor R of the weighted rows (1, features, y), which has the products of all rows."""

    columns: tuple[str, ...] = ()
    slices: ClassVar[bool] = True
    is_sum: ClassVar[bool] = True

    def start(self) -> NDArray[np.float64] | None:
        return None

    def update(self, state: NDArray[np.float64] | None, batch: Batch) -> NDArray[np.float64] | None:
        for table in tables(batch):
            state = self.merge(state, table)
        return state

    def merge(self, left: NDArray[np.float64] | None, right: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if left is None or right is None:
            return left if right is None else _triangle(right)
        return _triangle(np.vstack([left, right]))

    def finish(self, state: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        return state


def _triangle(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(rows, mode="r"))


@dataclass(frozen=True, eq=False)
class Table:
    """Few rows that stand for all.

    Attributes:
        rows: Features and, last, y, with the products of all rows: centred ones where there is an intercept.
        means: Of the same columns over all rows; zeros where there is no intercept.
        weight: Sum of the weights of all rows.
    """

    rows: NDArray[np.float64]
    means: NDArray[np.float64]
    weight: float

    @classmethod
    def of_products(cls, moments: Moments, intercept: bool) -> Table:
        """From products, by their eigenvectors."""
        products = moments.scatter if intercept else moments.scatter + moments.weight * np.outer(moments.mean, moments.mean)
        scales = _scales(products)
        values, vectors = np.linalg.eigh(products / np.outer(scales, scales))
        rows = np.sqrt(values.clip(min=0))[:, None] * vectors.T * scales
        return cls(rows, moments.mean if intercept else np.zeros(len(rows)), moments.weight)

    @classmethod
    def of_triangle(cls, factor: NDArray[np.float64], moments: Moments, intercept: bool) -> Table:
        """From a triangular factor, whose first row holds the means."""
        full = np.vstack([factor, np.zeros((max(factor.shape[1] - len(factor), 0), factor.shape[1]))])
        if intercept:
            return cls(full[1:, 1:], full[0, 1:] / full[0, 0], moments.weight)
        return cls(full[:, 1:], np.zeros(full.shape[1] - 1), moments.weight)

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """Lengths of the columns of features; infinite where they are nothing but rounding errors."""
        lengths = np.linalg.norm(self.rows[:, :-1], axis=0)
        whole = np.hypot(lengths, np.sqrt(self.weight) * self.means[:-1])
        return np.where(lengths > len(self.rows) * UNKNOWN * whole, lengths, np.inf)

    @cached_property
    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Singular values and right singular vectors (by rows) of the features, scaled to length 1."""
        _, values, vectors = np.linalg.svd(self.rows[:, :-1] / self.scales)
        return np.append(values, np.zeros(len(vectors) - len(values))), vectors

    @property
    def unknown(self) -> NDArray[np.float64]:
        """Directions in which the rows tell nothing, shape (n, n_features)."""
        values, vectors = self.directions
        return vectors[values <= len(vectors) * UNKNOWN * values.max(initial=0)]

    def points(self, origin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of equal weight, less the origin, that have the means too: what a simplex of them has."""
        n = len(self.rows)
        return self.means - origin + np.sqrt((n + 1) / self.weight) * (helmert(n + 1).T @ self.rows)

    def fitted(self, estimator: Linear) -> Any:
        """The estimator, fitted as on all rows."""
        given = {name: value for name, value in estimator.get_params().items() if name in ("fit_intercept", "precompute")}
        is_mean = isinstance(estimator, ElasticNet)  # Lasso is one; their loss is a mean over rows
        rows = self.rows * (np.sqrt(len(self.rows) / self.weight) if is_mean else 1.0)
        estimator.set_params(fit_intercept=False, **({"precompute": False} if is_mean else {}))
        estimator.fit(rows[:, :-1], rows[:, -1])
        estimator.set_params(**given)
        if isinstance(estimator, LinearRegression) and not estimator.positive and not len(self.unknown):
            # Scaled columns keep the digits of a solution that unscaled ones would be too close to collinear for.
            estimator.coef_ = np.linalg.lstsq(self.rows[:, :-1] / self.scales, self.rows[:, -1], rcond=0)[0] / self.scales
            estimator.rank_ = len(self.scales)
        if given["fit_intercept"]:
            estimator.intercept_ = float(self.means[-1] - self.means[:-1] @ estimator.coef_)
        return estimator

    def report(self) -> None:
        """Warn that the features are collinear, or nearly so."""
        values, _ = self.directions
        among = np.flatnonzero((np.abs(self.unknown) > TAKES_PART).any(axis=0)).tolist()
        if among:
            some = ", ".join(map(str, among[:10])) + (f" and {len(among) - 10} more" if len(among) > 10 else "")
            told = f"Columns are collinear or constant (features {some}, counted from 0): solved by minimum norm."
        else:
            ratio = f"condition number {values[0] / values[-1]:.1e}"
            told = f"Columns are nearly collinear ({ratio}): solved by orthogonal transformations in a second scan."
        warnings.warn(told, LinAlgWarning, stacklevel=2)


def is_safe(products: NDArray[np.float64], penalty: float = 0.0) -> bool:
    """Whether products of columns tell the coefficients, which squares are penalised by so much."""
    return condition(products + penalty * np.eye(len(products))) < (WELL_PENALISED if penalty else WELL_CONDITIONED)


def condition(products: NDArray[np.float64]) -> float:
    """The ratio of the largest to the smallest eigenvalue of products of columns, scaled to length 1."""
    if not (np.diag(products) > 0).all():
        return float(np.inf)
    scales = _scales(products)
    values = np.linalg.eigvalsh(products / np.outer(scales, scales))
    return float(values[-1] / values[0]) if values[0] > 0 else float(np.inf)


def _scales(products: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.diag(products).clip(min=0))
    return np.where(lengths > 0, lengths, 1.0)


def checked(moments: Moments) -> Moments:
    """The moments, when float64 holds them.

    Raises:
        DataError: It does not.
    """
    if not np.isfinite(moments.scatter).all():
        raise DataError("products that float64 can hold", got="overflow", where="in fit", do="Scale the features.")
    return moments


def few_rows(intercept: bool, penalty: float = 0.0, share: float = 0.0) -> Inquiry[tuple[Table, bool]]:
    """The table of all rows, and whether products of columns were good enough for it.

    Args:
        intercept: Whether there is one.
        penalty: On the sum of squared coefficients, against the sum over rows of squared errors.
        share: Likewise, against their mean.
    """
    moments = checked((yield Products()))
    products = moments.scatter if intercept else moments.scatter + moments.weight * np.outer(moments.mean, moments.mean)
    if is_safe(products[:-1, :-1], penalty + share * moments.weight):
        return _table(moments, intercept), True
    return Table.of_triangle((yield Triangle()), moments, intercept), False


@lru_cache(maxsize=64)
def _table(moments: Moments, intercept: bool) -> Table:
    """Equal penalties or not, all that are tried on the same rows learn from the same table."""
    return Table.of_products(moments, intercept)


def penalties(estimator: Any) -> tuple[float, float]:
    """Of squared coefficients, against the sum and against the mean of squared errors; the least of those to choose from."""
    if isinstance(estimator, ElasticNet):
        return 0.0, float(estimator.alpha * (1 - estimator.l1_ratio))
    alphas = estimator.alpha if isinstance(estimator, Ridge) else estimator.alphas if isinstance(estimator, RidgeCV) else 0.0
    return float(np.min(alphas)), 0.0


@solve.register(LinearRegression)
@solve.register(Ridge)
@solve.register(ElasticNet)
def _(estimator: Linear, problem: Problem) -> Inquiry[Any]:
    del problem
    table, is_well_conditioned = yield from few_rows(estimator.fit_intercept, *penalties(estimator))
    if not is_well_conditioned and not getattr(estimator, "alpha", 0):
        table.report()
    return table.fitted(estimator)
