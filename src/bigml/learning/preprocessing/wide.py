"""Wide: scalers and selectors behind very many sparse columns, which learn from arrays that hold what is known of all of them."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_selection import VarianceThreshold
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from bigml.errors import DataError
from bigml.learning.design import Design
from bigml.learning.inquiry import Inquiry
from bigml.learning.preprocessing.scalers import deviations
from bigml.learning.preprocessing.surveying import Columns, SparseMeasured
from bigml.learning.preprocessing.witness import Witness
from bigml.learning.structure import structured

WIDE = 4096
"""Sparse columns from which on none has a summary of its own."""


@singledispatch
def settle(step: Any, found: Columns) -> None:
    """Put what was found of all columns in the public attributes of a step that scikit-learn has fitted on two rows."""
    raise NotImplementedError(type(step).__name__)


def is_wide(step: Any, witness: Witness) -> bool:
    """Whether a step learns in this way from what the witness stands for."""
    known = witness.width >= WIDE and settle.dispatch(type(step)) is not settle.dispatch(object)
    return known and sparse.issparse(witness.data)


def widely(step: Any, design: Design, width: int) -> Inquiry[Any]:
    """The step, fitted in place by one scan of the rows as the design makes them."""
    # Two rows that differ by more than any threshold in all columns.
    structured(step, sparse.csr_matrix(np.outer([0.0, 2.0 * np.sqrt(getattr(step, "threshold", 0.0)) + 1.0], np.ones(width))))
    found = yield SparseMeasured(design, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        settle(step, found)
    return step


@settle.register
def _(step: MaxAbsScaler, found: Columns) -> None:
    step.max_abs_ = np.maximum(np.abs(found.low), np.abs(found.high))
    step.max_abs_[found.n == 0] = np.nan
    step.scale_ = np.where(step.max_abs_ == 0, 1.0, step.max_abs_)
    step.n_samples_seen_ = int((found.n + found.missing)[0])


@settle.register
def _(step: StandardScaler, found: Columns) -> None:
    counts = found.n.astype(np.float64)
    step.n_samples_seen_ = counts if found.missing.any() else counts[0]
    if step.var_ is not None:
        step.mean_, step.var_ = np.where(found.n, found.mean, np.nan), found.squares / found.n
        step.scale_ = deviations(step.mean_, step.var_, found.n)


@settle.register
def _(step: VarianceThreshold, found: Columns) -> None:
    step.variances_ = found.squares / found.n
    if step.threshold == 0:
        step.variances_ = np.fmin(step.variances_, found.high - found.low)
    if not (step.variances_ > step.threshold).any():
        got = f"none (the largest is {np.nanmax(step.variances_):g})"
        expected = f"columns with a variance above {step.threshold:g}"
        raise DataError(expected, got=got, where="in `VarianceThreshold`", do="Lower the threshold.")
