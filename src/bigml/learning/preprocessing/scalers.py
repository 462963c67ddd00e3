"""Scalers: how scalers, and what selects or transforms columns by their distribution, learn from a witness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from sklearn.feature_selection import VarianceThreshold
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from bigml.errors import DataError
from bigml.learning.preprocessing.quantiles import Ranks
from bigml.learning.preprocessing.registry import keeps, learn, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import Column, Witness


@wants.register(StandardScaler)
@wants.register(MinMaxScaler)
@wants.register(MaxAbsScaler)
@wants.register(VarianceThreshold)
def _(step: StandardScaler | MinMaxScaler | MaxAbsScaler | VarianceThreshold) -> Wants:
    return frozenset([Want.MOMENTS])


@wants.register(RobustScaler)
@wants.register(QuantileTransformer)
def _(step: RobustScaler | QuantileTransformer) -> Wants:
    return frozenset([Want.QUANTILES])


@keeps.register(StandardScaler)
@keeps.register(MinMaxScaler)
@keeps.register(MaxAbsScaler)
@keeps.register(RobustScaler)
def _(step: StandardScaler | MinMaxScaler | MaxAbsScaler | RobustScaler) -> bool:
    return True


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
        step.var_, step.scale_ = var, deviations(mean, var, counts)
    slope = 1 / step.scale_ if step.with_std else np.ones(len(counts))
    shift = -mean * slope if step.with_mean else np.zeros(len(counts))
    return _affine(step, witness, slope, shift)


def deviations(mean: NDArray[np.float64], var: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Deviations; 1 for a column that is constant within the error of a two-pass variance, as in scikit-learn.

    The bound is of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
    """
    eps = np.finfo(np.float64).eps
    constant = var <= counts * eps * var + (counts * mean * eps) ** 2
    return np.where(constant, 1.0, np.sqrt(var))


def _affine(
    step: StandardScaler | MinMaxScaler | MaxAbsScaler | RobustScaler,
    witness: Witness,
    slope: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> Witness:
    columns = [column.affine(float(slope[i]), float(shift[i])) for i, column in enumerate(witness.columns)]
    return witness.after(step, columns, witness.stored)


@learn.register
def _(step: MinMaxScaler, witness: Witness) -> Witness:
    """The witness holds the extremes, so only the number of rows differs."""
    step.fit(witness.data)
    step.n_samples_seen_ = witness.n_rows
    return _affine(step, witness, step.scale_, step.min_)


@learn.register
def _(step: MaxAbsScaler, witness: Witness) -> Witness:
    step.fit(witness.data)
    step.n_samples_seen_ = witness.n_rows
    return _affine(step, witness, 1 / step.scale_, np.zeros(witness.width))


@learn.register
def _(step: RobustScaler, witness: Witness) -> Witness:
    """Quantiles of all rows; within `tally.RELATIVE_ERROR` of each where a column has very many distinct numbers."""
    step.fit(witness.data)
    ranks = [Ranks.of(witness.cells(i), column.weights) for i, column in enumerate(witness.columns)]
    if step.center_ is not None:
        step.center_ = np.array([column.quantile(np.array([0.5]))[0] for column in ranks])
    if step.scale_ is not None:
        low, high = np.transpose([column.quantile(np.true_divide(step.quantile_range, 100)) for column in ranks])
        scale = np.where(high - low < 10 * np.finfo(np.float64).eps, 1.0, high - low)
        step.scale_ = scale / _normal_width(step.quantile_range) if step.unit_variance else scale
    slope = 1 / step.scale_ if step.scale_ is not None else np.ones(witness.width)
    shift = -step.center_ * slope if step.center_ is not None else np.zeros(witness.width)
    return _affine(step, witness, slope, shift)


def _normal_width(percents: tuple[float, float]) -> float:
    """The distance of these percentiles of a standard normal distribution."""
    low, high = stats.norm.ppf(np.true_divide(percents, 100))
    return float(high - low)


@learn.register
def _(step: QuantileTransformer, witness: Witness) -> Witness:
    """Quantiles of all rows, `subsample` or not: fitted on a table of them, which gives the same ones.

    Each is within `tally.RELATIVE_ERROR` where a column has very many distinct numbers.
    """
    levels = np.linspace(0, 1, max(1, min(step.n_quantiles, witness.n_rows)))
    found = [_quantiles(step, witness, i, levels) for i in range(witness.width)]
    step.fit(witness.table(np.transpose(found)))
    step.quantiles_ = np.transpose(found)
    return witness.becomes(step.transform(witness.data), [column.mapped() for column in witness.columns])


def _quantiles(step: QuantileTransformer, witness: Witness, position: int, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    cells, weights = witness.cells(position), witness.columns[position].weights
    if step.ignore_implicit_zeros and sparse.issparse(witness.data):
        cells, weights = cells[cells != 0], weights[cells != 0]
        if not weights.sum():
            return np.zeros(len(levels))
    return Ranks.of(cells, weights).quantile(np.true_divide(levels * 100, 100))


@learn.register
def _(step: VarianceThreshold, witness: Witness) -> Witness:
    """Variances of all rows; without a threshold the range decides too, as it is exactly 0 where a column is constant."""
    step.fit(witness.table(np.outer([0.0, 2.0 * np.sqrt(step.threshold) + 1.0], np.ones(witness.width))))
    step.variances_ = np.array([_variance(step, witness, i) for i in range(witness.width)])
    kept = step.variances_ > step.threshold
    if not kept.any():
        got = f"none (the largest is {np.max(step.variances_):g})"
        where = f"in {', '.join(f'`{name}`' for name in witness.names[:10])}"
        raise DataError(f"columns with a variance above {step.threshold:g}", got=got, where=where, do="Lower the threshold.")
    columns: list[Column] = [column for column, keep in zip(witness.columns, kept, strict=True) if keep]
    return witness.becomes(step.transform(witness.data), columns)


def _variance(step: VarianceThreshold, witness: Witness, position: int) -> float:
    cells = np.asarray(witness.cells(position), dtype=np.float64)
    spread = witness.columns[position].measure(cells)
    variance = spread.squares / spread.count if spread.count else np.nan
    if step.threshold > 0 or witness.missing(position):
        return variance
    return min(variance, float(np.ptp(cells)))
