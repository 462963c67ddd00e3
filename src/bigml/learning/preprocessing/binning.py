"""Binning: how columns become bins and splines, whose edges are extremes or quantiles of all rows."""

from __future__ import annotations

import warnings
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.preprocessing import KBinsDiscretizer, SplineTransformer

from bigml.errors import FitError
from bigml.learning.preprocessing.quantiles import METHODS, Ranks
from bigml.learning.preprocessing.registry import learn, refuse_missing, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import Witness

Edges: TypeAlias = NDArray[np.float64]
NARROW = 1e-8
"""Bins of this width or less are merged, as in scikit-learn."""


@wants.register
def _(step: KBinsDiscretizer) -> Wants:
    if _method(step) not in METHODS:
        raise FitError(f"a method of {', '.join(METHODS)}", got=_method(step), where="quantile_method of `KBinsDiscretizer`")
    return frozenset([Want.MOMENTS if step.strategy == "uniform" else Want.QUANTILES])


def _method(step: KBinsDiscretizer) -> str:
    """Releases before 1.7 have no `quantile_method`, and compute the linear one."""
    return str(getattr(step, "quantile_method", "linear"))


@learn.register
def _(step: KBinsDiscretizer, witness: Witness) -> Witness:
    """Fitted on a table that has as many bins as there are, whose edges are then put in place.

    Edges are quantiles of all rows, `subsample` or not, within `tally.RELATIVE_ERROR` where a column has very many numbers.
    """
    refuse_missing(step, witness)
    asked = np.broadcast_to(step.n_bins, witness.width)
    edges = [_edges(step, witness, i, int(asked[i])) for i in range(witness.width)]
    _fit_bins(step, witness, np.array([len(one) - 1 for one in edges]))
    step.bin_edges_ = np.empty(witness.width, dtype=object)
    for i, one in enumerate(edges):
        step.bin_edges_[i] = one
    widths = step.n_bins_ if step.encode.startswith("onehot") else np.ones(witness.width, np.int64)
    columns = [column.mapped() for column, width in zip(witness.columns, widths, strict=True) for _ in range(width)]
    stored = witness.n_rows * witness.width if step.encode == "onehot" else None
    return witness.becomes(step.transform(witness.data), columns, stored)


def _edges(step: KBinsDiscretizer, witness: Witness, position: int, n_bins: int) -> Edges:
    cells = np.asarray(witness.cells(position), dtype=np.float64)
    low, high = cells.min(), cells.max()
    if low == high:
        warnings.warn(f"Feature {position} is constant and will be replaced with 0.", stacklevel=2)
        return np.array([-np.inf, np.inf])
    if step.strategy == "uniform":
        return np.linspace(low, high, n_bins + 1)
    weights = witness.columns[position].weights
    levels = np.true_divide(np.linspace(0, 100, n_bins + 1), 100)
    clustered = step.strategy == "kmeans"
    edges = _between(cells, weights, n_bins) if clustered else Ranks.of(cells, weights).quantile(levels, _method(step))
    wide: Edges = edges[np.ediff1d(edges, to_begin=np.inf) > NARROW]
    if len(wide) < len(edges):
        words = f"Bins whose width are too small (i.e., <= {NARROW:g}) in feature {position} are removed."
        warnings.warn(f"{words} Consider decreasing the number of bins.", stacklevel=2)
    return wide


def _between(cells: NDArray[np.float64], weights: NDArray[np.int64], n_bins: int) -> Edges:
    """Edges half way between the centres of k-means, which begins in the middle of bins of equal widths."""
    present = weights > 0
    low, high, cells, weights = cells.min(), cells.max(), cells[present], weights[present]
    centres = np.sort(cells) if len(cells) < n_bins else _centres(cells, weights, np.linspace(low, high, n_bins + 1))
    return np.concatenate([[low], (centres[1:] + centres[:-1]) / 2, [high]])


def _centres(cells: NDArray[np.float64], weights: NDArray[np.int64], even: Edges) -> NDArray[np.float64]:
    # The tolerance is relative to the variance of what k-means is given: let it be that of all rows.
    spread = np.average((cells - np.average(cells, weights=weights)) ** 2, weights=weights)
    means = KMeans(len(even) - 1, init=(even[1:, None] + even[:-1, None]) / 2, n_init=1, tol=1e-4 * spread / cells.var())
    return np.sort(means.fit(cells[:, None], sample_weight=weights).cluster_centers_[:, 0])


def _fit_bins(step: KBinsDiscretizer, witness: Witness, n_bins: NDArray[np.int64]) -> None:
    """Fit on a table with these numbers of bins; a column of one bin is constant there."""
    given = {"strategy": step.strategy, "n_bins": step.n_bins}
    table = np.vstack([np.zeros(witness.width), np.where(n_bins > 1, 1.0, 0.0)])
    step.set_params(strategy="uniform", n_bins=np.maximum(n_bins, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step.fit(witness.table(table))
    step.set_params(**given)


@wants.register
def _(step: SplineTransformer) -> Wants:
    return frozenset([Want.QUANTILES if isinstance(step.knots, str) and step.knots == "quantile" else Want.MOMENTS])


@learn.register
def _(step: SplineTransformer, witness: Witness) -> Witness:
    """Fitted on a table of its knots, of which these are the quantiles, or on the extremes of all rows."""
    if getattr(step, "handle_missing", "error") == "error":
        refuse_missing(step, witness)
    quantiles = isinstance(step.knots, str) and step.knots == "quantile"
    levels = np.linspace(0, 1, step.n_knots) if quantiles else np.array([0.0, 1.0])
    ranks = [Ranks.of(witness.cells(i), _counted(witness, i)) for i in range(witness.width)]
    step.fit(witness.table(np.transpose([column.quantile(levels) for column in ranks])))
    made = step.transform(witness.data)
    each = made.shape[1] // witness.width
    return witness.becomes(made, [column.mapped() for column in witness.columns for _ in range(each)])


def _counted(witness: Witness, position: int) -> NDArray[np.int64]:
    """Weights of the cells; extremes, which stand for no row, count where nothing else is known."""
    weights = witness.columns[position].weights
    present = ~np.isnan(np.asarray(witness.cells(position), dtype=np.float64))
    return weights if weights[present].sum() > 1 else np.ones_like(weights)
