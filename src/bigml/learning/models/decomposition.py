"""Decomposition: principal components and truncated singular vectors, from one scan of products of pairs of features.

Where there are too many features for that, singular vectors come from a few scans of products with a thin matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.decomposition import PCA, TruncatedSVD

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.blas import one_thread_each
from bigml.learning.inquiry import Inquiry
from bigml.learning.scatter import Moments, Scatter, pieces
from bigml.learning.solving import Problem, n_scans, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums, Totals

WIDEST = 8192
"""Features of a PCA, whose products of pairs take 512 MiB."""
NARROW = 2048
"""Features up to which a TruncatedSVD keeps the products of all pairs, 32 MiB; beyond, it scans repeatedly."""


@solve.register
def _(estimator: PCA, problem: Problem) -> Inquiry[Any]:
    """As `svd_solver="covariance_eigh"`, but centred before products are taken; weights count as repeated rows."""
    del problem
    wanted: Any = estimator.n_components
    if wanted is not None and not isinstance(wanted, Real):
        do = "Give a number of components, or the share of the variance that they explain."
        raise FitError("n_components as a number", got=f"{wanted!r}", where="in PCA", do=do)
    found: Moments = yield Scatter(pairs=WIDEST)
    width = found.means.shape[1]
    if width > WIDEST or found.weight <= 1:
        do = "Select features, or use TruncatedSVD or IncrementalPCA."
        raise DataError(
            f"two rows or more of at most {WIDEST:,} features", got=f"{found.n_rows:,} of {width:,}", where="in PCA", do=do
        )
    most = min(found.n_rows, width)
    structured(estimator, np.zeros((2, width), found.dtype), n_components=None, svd_solver="full")
    variances, components = _axes(found.scatter / (found.weight - 1))
    variances, total = variances[:most], variances.sum()
    n = _number(wanted, variances / total, most)
    estimator.mean_ = found.mean.astype(found.dtype)
    estimator.components_ = components[:n].astype(found.dtype)
    estimator.explained_variance_ = variances[:n].astype(found.dtype)
    estimator.explained_variance_ratio_ = (variances[:n] / total).astype(found.dtype)
    estimator.singular_values_ = np.sqrt(variances[:n] * (found.weight - 1)).astype(found.dtype)
    estimator.noise_variance_ = found.dtype.type(variances[n:].mean()) if n < most else 0.0
    estimator.n_components_, estimator.n_samples_ = n, found.n_rows
    return estimator


def _number(wanted: Any, ratios: NDArray[np.float64], most: int) -> int:
    """How many components are kept."""
    if wanted is None:
        return most
    if 0 < wanted < 1:
        return min(int(np.searchsorted(np.cumsum(ratios), wanted, side="right")) + 1, most)
    if not 0 <= wanted <= most:
        got = f"n_components={wanted}"
        raise FitError(f"at most {most:,} components: the features, or the rows where these are fewer", got=got, where="in PCA")
    return int(wanted)


def _axes(products: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues from the largest on, and eigenvectors as rows with the signs of scikit-learn's `svd_flip`.

    The number in a row that is largest in size is positive.
    """
    values, vectors = linalg.eigh(products)
    return values[::-1].clip(min=0), _flipped(vectors.T[::-1])


def _flipped(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.abs(rows).argmax(axis=1)
    flipped: NDArray[np.float64] = rows * np.where(rows[np.arange(len(rows)), largest] < 0, -1, 1)[:, None]
    return flipped


@n_scans.register
def _(estimator: TruncatedSVD) -> int:
    return int(estimator.n_iter) + 2


@solve.register
def _(estimator: TruncatedSVD, problem: Problem) -> Inquiry[Any]:
    """Exact for up to 2,048 features, else by subspace iteration (Halko, Martinsson, Tropp, 2011, 4.5).

    The latter reads the rows `n_iter` + 1 times more. Weights count as repeated rows.
    """
    found: Moments = yield Scatter(pairs=NARROW)
    width = found.means.shape[1]
    structured(estimator, np.zeros((2, width), found.dtype), n_components=1, algorithm="randomized")
    if estimator.n_components > width:
        got = f"n_components={estimator.n_components}"
        raise FitError(f"at most {width:,} components, the features", got=got, where="in TruncatedSVD")
    if width <= NARROW:
        squares, components = _axes(found.scatter + found.weight * np.outer(found.mean, found.mean))
    else:
        squares, components = yield from _subspace(estimator, width, problem.random(estimator))
    squares, components = squares[: estimator.n_components], components[: estimator.n_components]
    variances = squares / found.weight - (components @ found.mean) ** 2
    estimator.components_ = components.astype(found.dtype)
    estimator.singular_values_ = np.sqrt(squares).astype(found.dtype)
    estimator.explained_variance_ = variances.clip(min=0).astype(found.dtype)
    total = (found.scatter.trace() if width <= NARROW else found.scatter.sum()) / found.weight
    estimator.explained_variance_ratio_ = (variances.clip(min=0) / total).astype(found.dtype)
    return estimator


def _subspace(estimator: Any, width: int, random: np.random.Generator) -> Inquiry[Any]:
    """Largest squared singular values and their right vectors, as rows."""
    n_columns = min(estimator.n_components + estimator.n_oversamples, width)
    products = random.normal(size=(width, n_columns))
    for _ in range(estimator.n_iter + 1):
        Q = linalg.qr(products, mode="economic")[0]
        products = (yield Sums(Through(Q)))["products"]
    return _nystrom(Q, products)


def _nystrom(Q: NDArray[np.float64], products: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and vectors, as rows, of the matrix A whose products A Q these are (Tropp et al., 2017, algorithm 3).

    They are those of a step that would take another scan. A shift of some last digits keeps the root real.
    """
    shift = np.finfo(np.float64).eps * linalg.norm(products)
    shifted = products + shift * Q
    inner = Q.T @ shifted
    root = linalg.cholesky((inner + inner.T) / 2)
    vectors, values, _ = linalg.svd(linalg.solve_triangular(root, shifted.T, trans=1).T, full_matrices=False)
    return (values**2 - shift).clip(min=0), _flipped(vectors.T)


@dataclass(frozen=True, eq=False)
class Through:
    """What a batch adds to X^T X Q, for a thin matrix Q of orthonormal columns, shape (n_features, n_columns)."""

    Q: NDArray[np.float64]

    @one_thread_each()
    def __call__(self, batch: Batch) -> Totals:
        return {"products": np.sum([self._products(piece) for piece in pieces(batch)], axis=0)}

    def _products(self, piece: Batch) -> NDArray[np.float64]:
        thin = piece.X @ self.Q
        weighted = thin if piece.weights is None else piece.weights[:, None] * thin
        products: NDArray[np.float64] = np.asarray(piece.X.T @ weighted)
        return products
