"""Preprocessing: how imputers and scalers learn from a witness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from bigml.errors import FitError
from bigml.learning.registry import learn, wants
from bigml.learning.summary import Want
from bigml.learning.witness import Column, Witness

_IMPUTER_WANTS = {"mean": Want.MOMENTS, "median": Want.QUANTILES, "most_frequent": Want.VALUES, "constant": Want.MOMENTS}


@wants.register(StandardScaler)
@wants.register(MinMaxScaler)
def _(step: StandardScaler | MinMaxScaler) -> frozenset[Want]:
    return frozenset([Want.MOMENTS])


@wants.register
def _(step: SimpleImputer) -> frozenset[Want]:
    if step.strategy not in _IMPUTER_WANTS:
        raise FitError(f"a strategy of {', '.join(_IMPUTER_WANTS)}", got=f"{step.strategy}", where="in SimpleImputer")
    if not (step.missing_values is None or pd.isna(step.missing_values)):
        do = "Make such values null with source.assign(...) before."
        raise FitError("missing_values=NaN", got=f"{step.missing_values!r}", where="in SimpleImputer", do=do)
    return frozenset([_IMPUTER_WANTS[step.strategy]])


@learn.register
def _(step: StandardScaler, witness: Witness) -> Witness:
    """Counts, means and variances of all rows in the place of those of the witness."""
    step.fit(witness.data)
    spreads = witness.spreads()
    counts = np.array([spread.count for spread in spreads])
    step.n_samples_seen_ = np.int64(counts[0]) if len(set(counts)) == 1 else counts
    mean = np.array([spread.mean if spread.count else np.nan for spread in spreads])
    var = np.array([spread.squares / spread.count if spread.count else np.nan for spread in spreads])
    if step.mean_ is not None:
        step.mean_ = mean
    if step.var_ is not None:
        step.var_, step.scale_ = var, _scale(mean, var, counts)
    slope = 1 / step.scale_ if step.with_std else np.ones(len(counts))
    shift = -mean * slope if step.with_mean else np.zeros(len(counts))
    return witness.becomes(step.transform(witness.data), _affine(witness, slope, shift))


def _scale(mean: NDArray[np.float64], var: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Deviations; 1 for a column that is constant within the error of a two-pass variance, as in scikit-learn.

    The bound is of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
    """
    eps = np.finfo(np.float64).eps
    constant = var <= counts * eps * var + (counts * mean * eps) ** 2
    return np.where(constant, 1.0, np.sqrt(var))


def _affine(witness: Witness, slope: NDArray[np.float64], shift: NDArray[np.float64]) -> list[Column]:
    return [column.affine(float(slope[i]), float(shift[i])) for i, column in enumerate(witness.columns)]


@learn.register
def _(step: MinMaxScaler, witness: Witness) -> Witness:
    """The witness holds the extremes, so only the number of rows differs."""
    data = step.fit_transform(witness.data)
    step.n_samples_seen_ = witness.n_rows
    return witness.becomes(data, _affine(witness, step.scale_, step.min_))


@learn.register
def _(step: SimpleImputer, witness: Witness) -> Witness:
    """Fills learned from all rows; which columns have an indicator, or are empty, the witness shows."""
    step.fit(witness.data)
    if step.strategy != "constant":
        for i in range(len(witness.columns)):
            if witness.missing(i) < witness.n_rows:
                step.statistics_[i] = _fill(step.strategy, witness, i)
    kept = [i for i in range(len(witness.columns)) if step.strategy == "constant" or not pd.isna(step.statistics_[i])]
    if step.strategy == "constant" and not step.keep_empty_features:
        kept = [i for i in kept if witness.missing(i) < witness.n_rows]
    columns = [_imputed(witness, i, step.statistics_[i]) for i in kept]
    if step.add_indicator:
        columns += [_indicator(witness, i) for i in step.indicator_.features_]
    return witness.becomes(step.transform(witness.data), columns)


def _fill(strategy: str, witness: Witness, position: int) -> Any:
    column, cells = witness.columns[position], witness.cells(position)
    if strategy == "mean":
        return column.measure(cells).mean
    weights = pd.Series(column.weights).groupby(pd.Series(cells)).sum()
    if strategy == "most_frequent":
        return weights.idxmax()
    return _median(weights[weights > 0])


def _median(weights: pd.Series[int]) -> float:
    """The middle of the two middle rows; `weights` are rows by ascending value."""
    before = weights.cumsum().to_numpy()
    low, high = np.searchsorted(before, [(before[-1] - 1) // 2, before[-1] // 2], side="right")
    values = weights.index.to_numpy(dtype=np.float64)
    return float(values[low] + values[high]) / 2


def _indicator(witness: Witness, position: int) -> Column:
    """The missing cells stand for their rows, the first other cell for all the rest."""
    missing = pd.isna(witness.cells(position))
    weights = np.where(missing, witness.columns[position].weights, 0)
    if not missing.all():
        weights[np.flatnonzero(~missing)[0]] = witness.n_rows - weights.sum()
    return Column(weights)


def _imputed(witness: Witness, position: int, fill: Any) -> Column:
    column = witness.columns[position]
    if column.spread is None:
        return column
    return column.filled(float(fill), witness.missing(position))
