"""Imputing: how imputers and indicators of missing values learn from a witness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.impute import MissingIndicator, SimpleImputer

from bigml.errors import FitError
from bigml.learning.preprocessing.quantiles import Ranks
from bigml.learning.preprocessing.registry import keeps, learn, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import Column, Witness

_IMPUTER_WANTS = {"mean": Want.MOMENTS, "median": Want.QUANTILES, "most_frequent": Want.VALUES, "constant": Want.MISSING}


@wants.register
def _(step: SimpleImputer) -> Wants:
    if step.strategy not in _IMPUTER_WANTS:
        raise FitError(f"a strategy of {', '.join(_IMPUTER_WANTS)}", got=f"{step.strategy}", where="in SimpleImputer")
    _check_marker(step)
    return frozenset([_IMPUTER_WANTS[step.strategy]])


@wants.register
def _(step: MissingIndicator) -> Wants:
    _check_marker(step)
    return frozenset([Want.MISSING])


def _check_marker(step: SimpleImputer | MissingIndicator) -> None:
    if not (step.missing_values is None or pd.isna(step.missing_values)):
        got, where, do = (
            f"{step.missing_values!r}",
            f"in {type(step).__name__}",
            "Make such values null with source.assign(...) before.",
        )
        raise FitError("missing_values=NaN", got=got, where=where, do=do)


@keeps.register
def _(step: SimpleImputer) -> bool:
    return True


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
    return witness.after(step, columns)


def _fill(strategy: str, witness: Witness, position: int) -> Any:
    column, cells = witness.columns[position], witness.cells(position)
    if strategy == "mean":
        return column.measure(cells).mean
    if strategy == "median":
        return Ranks.of(cells, column.weights).quantile(np.array([0.5]))[0]
    return pd.Series(column.weights).groupby(pd.Series(cells)).sum().idxmax()


@learn.register
def _(step: MissingIndicator, witness: Witness) -> Witness:
    """A column has a missing cell in the witness when it has one in any row."""
    made = step.fit_transform(witness.data)
    return witness.becomes(made, [_indicator(witness, i) for i in step.features_])


def _indicator(witness: Witness, position: int) -> Column:
    """The missing cells stand for their rows, the first other cell for all the rest."""
    missing = pd.isna(witness.cells(position))
    weights = np.where(missing, witness.columns[position].weights, 0)
    if not missing.all():
        weights[np.flatnonzero(~missing)[0]] = witness.n_rows - weights.sum()
    return Column(weights, knows=frozenset([Want.VALUES]))


def _imputed(witness: Witness, position: int, fill: Any) -> Column:
    column = witness.columns[position]
    if column.spread is None:
        return column
    return column.filled(float(fill), witness.missing(position))
