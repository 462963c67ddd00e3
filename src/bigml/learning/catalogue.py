"""Catalogue: the modules that say how steps and models of scikit-learn learn; importing it registers them all."""

from __future__ import annotations

from bigml.learning import (
    bayes,
    binning,
    clustering,
    composing,
    cross_fitting,
    decomposition,
    discriminant,
    encoding,
    generalised,
    imputing,
    least_squares,
    logistic,
    one_vs_rest,
    rowwise,
    scalers,
    vectorizing,
)

MODULES = (
    bayes,
    binning,
    clustering,
    composing,
    cross_fitting,
    decomposition,
    discriminant,
    encoding,
    generalised,
    imputing,
    least_squares,
    logistic,
    one_vs_rest,
    rowwise,
    scalers,
    vectorizing,
)
