"""Discriminant: linear discriminant analysis from the means of classes and the scatter within them, one scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.covariance import shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from bigml.errors import DataError, FitError
from bigml.learning.inquiry import Inquiry
from bigml.learning.scatter import Moments, Scatter
from bigml.learning.solving import Problem, solve
from bigml.learning.structure import structured

LEARNED = ("covariance_", "scalings_", "xbar_", "explained_variance_ratio_")
"""What some solvers learn and others do not."""
WIDEST = 8192
"""Features, whose products of pairs take 512 MiB."""
DIGITS = 64 * np.finfo(np.float64).eps
"""Spread within classes that is a smaller share of a feature's size comes from rounding: the feature is constant."""


@solve.register
def _(estimator: LinearDiscriminantAnalysis, problem: Problem) -> Inquiry[Any]:
    """As scikit-learn's fit; weights count as repeated rows. Directions of `transform` may have other signs."""
    _check(estimator)
    classes = np.asarray(problem.classes)
    found: Moments = yield Scatter(len(classes), pairs=WIDEST)
    if found.means.shape[1] > WIDEST:
        raise FitError(f"at most {WIDEST:,} features", got=f"{found.means.shape[1]:,}", where="in LinearDiscriminantAnalysis")
    if not (found.weights > 0).all() or found.n_rows <= len(classes):
        got = f"{found.n_rows:,} rows, and {np.count_nonzero(found.weights)} classes of {len(classes)}"
        raise DataError("rows of every class, and more rows than classes", got=got, where="in LinearDiscriminantAnalysis")
    X = _witness(len(classes), found.means.shape[1]).astype(found.dtype)
    structured(estimator, X, np.repeat(classes, 2), solver="svd", shrinkage=None, store_covariance=False)
    lost = _lost(estimator, len(classes))
    if estimator.priors is None:
        estimator.priors_ = found.weights / found.weight
    _solved(estimator, found, lost)
    return estimator


def _check(estimator: LinearDiscriminantAnalysis) -> None:
    """Refuse what class means and pooled scatter do not determine."""
    svd = estimator.solver == "svd"
    bad = {
        "covariance_estimator": estimator.covariance_estimator is not None,
        "shrinkage": isinstance(estimator.shrinkage, str) or (svd and estimator.shrinkage is not None),
        "priors": estimator.priors is not None and (not svd or estimator.store_covariance),
    }
    for name in (name for name, refused in bad.items() if refused):
        got = f"{name}={getattr(estimator, name)!r} with solver={estimator.solver!r}"
        do = 'Use shrinkage=<number> with solver="lsqr", or priors with solver="svd".'
        raise FitError("parameters that one scan can serve", got=got, where="in LinearDiscriminantAnalysis", do=do)


def _witness(n_classes: int, width: int) -> NDArray[np.float64]:
    """Two rows for each class, one left and one right of its number in the first feature."""
    X = np.zeros((2 * n_classes, width))
    X[:, 0] = np.repeat(np.arange(n_classes), 2) * 4.0 + np.tile([-1.0, 1.0], n_classes)
    return X


def _lost(fitted: LinearDiscriminantAnalysis, n_classes: int) -> int:
    """Degrees of freedom that this release's "svd" takes from the rows: none, or one for each class; told by the witness."""
    between = float(fitted.coef_[0, 0] if n_classes == 2 else fitted.coef_[1, 0] - fitted.coef_[0, 0])
    return round(2 * n_classes - 2 * n_classes * between / 4.0)


def _solved(estimator: LinearDiscriminantAnalysis, found: Moments, lost: int) -> None:
    learned, coef, intercept = SOLVERS[estimator.solver](estimator, found, lost)
    if estimator.solver != "svd" or estimator.store_covariance:
        learned["covariance_"] = _covariance(found, estimator.shrinkage)
    for name in LEARNED:
        if name in learned:
            setattr(estimator, name, learned[name].astype(found.dtype))
        elif hasattr(estimator, name):
            delattr(estimator, name)
    if len(intercept) == 2:
        coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    estimator.means_, estimator.priors_ = found.means.astype(found.dtype), estimator.priors_.astype(found.dtype)
    estimator.coef_, estimator.intercept_ = coef.astype(found.dtype), intercept.astype(found.dtype)


def _covariance(found: Moments, shrinkage: float | None) -> NDArray[np.float64]:
    """Within classes, shape (n_features, n_features)."""
    pooled: NDArray[np.float64] = found.scatter / found.weight
    return pooled if shrinkage is None else np.asarray(shrunk_covariance(pooled, shrinkage))


def _by_svd(estimator: Any, found: Moments, lost: int) -> Any:
    """Whitening within classes, then the directions between their means; after Hastie, Tibshirani, Friedman (2009), 4.3.3."""
    n, n_classes = found.weight, len(found.weights)
    centre = estimator.priors_ @ found.means
    deviation = np.sqrt(np.diag(found.scatter) / n)
    varies = deviation > DIGITS * np.abs(found.means).max(axis=0)
    scale = np.where(varies, deviation, 1)
    within = found.scatter * np.outer(varies, varies) / np.outer(scale, scale) / (n - lost)
    squares, axes = (part[..., ::-1] for part in linalg.eigh(within))
    spread = np.sqrt(squares.clip(min=0))
    rank = int((spread > estimator.tol).sum())
    whitening = axes[:, :rank] / scale[:, None] / spread[:rank]
    apart = np.sqrt(n * estimator.priors_ / (n_classes - 1))[:, None] * (found.means - centre)
    _, between, axes = linalg.svd(apart @ whitening, full_matrices=False)
    most = min(n_classes - 1, found.means.shape[1]) if estimator.n_components is None else estimator.n_components
    scalings = whitening @ axes.T[:, : int((between > estimator.tol * between[0]).sum())]
    coef = (found.means - centre) @ scalings
    intercept = -0.5 * (coef**2).sum(axis=1) + np.log(estimator.priors_)
    coef = coef @ scalings.T
    ratio = (between**2 / (between**2).sum())[:most]
    return {"scalings_": scalings, "xbar_": centre, "explained_variance_ratio_": ratio}, coef, intercept - centre @ coef.T


def _by_least_squares(estimator: Any, found: Moments, lost: int) -> Any:
    del lost
    coef = linalg.lstsq(_covariance(found, estimator.shrinkage), found.means.T)[0].T
    return {}, coef, _intercept(estimator, found, coef)


def _by_eigenvectors(estimator: Any, found: Moments, lost: int) -> Any:
    """Directions that spread the classes most for their spread within; after Duda, Hart, Stork (2001), 3.8.3."""
    del lost
    within = _covariance(found, estimator.shrinkage)
    apart = np.sqrt(found.weights)[:, None] * (found.means - found.mean)
    total = (found.scatter + apart.T @ apart) / found.weight
    total = total if estimator.shrinkage is None else np.asarray(shrunk_covariance(total, estimator.shrinkage))
    values, axes = (part[..., ::-1] for part in linalg.eigh(total - within, within))
    most = min(len(found.weights) - 1, len(values)) if estimator.n_components is None else estimator.n_components
    coef = found.means @ axes @ axes.T
    learned = {"scalings_": axes, "explained_variance_ratio_": (values / values.sum())[:most]}
    return learned, coef, _intercept(estimator, found, coef)


def _intercept(estimator: Any, found: Moments, coef: NDArray[np.float64]) -> NDArray[np.float64]:
    intercept: NDArray[np.float64] = np.log(estimator.priors_) - 0.5 * (found.means * coef).sum(axis=1)
    return intercept


SOLVERS = {"svd": _by_svd, "lsqr": _by_least_squares, "eigen": _by_eigenvectors}
