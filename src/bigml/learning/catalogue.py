"""Catalogue: the modules that say how steps and models of scikit-learn learn; importing it registers them all."""

from __future__ import annotations

from bigml.learning.models import (
    bayes,
    clustering,
    cross_validated,
    decomposition,
    discriminant,
    generalised,
    least_squares,
    leave_one_out,
    logistic,
    one_vs_rest,
)
from bigml.learning.preprocessing import (
    binning,
    composing,
    cross_fitting,
    encoding,
    imputing,
    projecting,
    rowwise,
    scalers,
    selecting,
    vectorizing,
)

MODULES = (
    bayes,
    binning,
    clustering,
    cross_validated,
    composing,
    cross_fitting,
    decomposition,
    discriminant,
    encoding,
    generalised,
    imputing,
    least_squares,
    leave_one_out,
    logistic,
    one_vs_rest,
    projecting,
    rowwise,
    scalers,
    selecting,
    vectorizing,
)
