"""Registry: how each kind of scikit-learn step learns; open to steps of your own.

`learn` fits a step on a witness and returns what it makes of it; `wants` says what must be known of the columns before.
Both dispatch on the step's type. A step that is not registered is refused, never fitted on a sample in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from bigml.errors import ColumnError, FitError
from bigml.learning.summary import Want
from bigml.learning.witness import Witness, positions_of

Wants = Mapping[str, frozenset[Want]]


@singledispatch
def learn(step: Any, witness: Witness) -> Witness:
    """Fit the step (in place) as if on all rows that the witness stands for; returns the witness as the step leaves it.

    Raises:
        FitError: The step is of a kind that cannot be learned in one scan.
        DataError: The values do not fit the step.
    """
    raise unknown(step)


@singledispatch
def wants(step: Any) -> frozenset[Want]:
    """What the step needs to know of each of its columns.

    Raises:
        FitError: The step is of a kind that cannot be learned in one scan.
    """
    raise unknown(step)


def unknown(step: Any) -> FitError:
    """The error for a step that is not registered."""
    return FitError(
        "preprocessing steps that can be learned in one scan",
        got=f"`{type(step).__name__}`",
        where="in the estimator to fit",
        do="Fit a sample with plain scikit-learn: estimator.fit(source.sample(n).to_pandas()), or leave the step out.",
    )


def is_learnable(step: Any) -> bool:
    """Whether the step is preprocessing that is learned in one scan."""
    return learn.dispatch(type(step)) is not learn.dispatch(object)


def demands(step: Any, frame: pd.DataFrame) -> Wants:
    """What must be known of each raw column before the step can learn; columns that it drops are left out.

    Args:
        frame: The columns and their types, without rows.
    """
    if isinstance(step, ColumnTransformer):
        return _branch_demands(step, frame)
    if isinstance(step, Pipeline):
        return _pipeline_demands(step, frame)
    return {} if isinstance(step, str) and step == "drop" else dict.fromkeys(frame.columns, wants(step))


def _branch_demands(step: ColumnTransformer, frame: pd.DataFrame) -> Wants:
    found: dict[str, frozenset[Want]] = {}
    chosen: set[int] = set()
    for _, branch, columns in step.transformers:
        positions = positions_of(frame, _checked(columns, frame))
        chosen.update(positions)
        for name, wanted in demands(branch, frame.iloc[:, positions]).items():
            found[name] = found.get(name, frozenset()) | wanted
    left = frame.iloc[:, [i for i in range(frame.shape[1]) if i not in chosen]]
    return {**demands(step.remainder, left), **found}


def _pipeline_demands(step: Pipeline, frame: pd.DataFrame) -> Wants:
    """The first step says which columns are used; later steps may want more of any of these."""
    first, *later = [inner for _, inner in step.steps if inner is not None] or ["passthrough"]
    more = frozenset(want for inner in later for want in _all_wants(inner))
    return {name: wanted | more for name, wanted in demands(first, frame).items()}


def _all_wants(step: Any) -> frozenset[Want]:
    if isinstance(step, ColumnTransformer):
        inner = [step.remainder, *(branch for _, branch, _ in step.transformers)]
    elif isinstance(step, Pipeline):
        inner = [one for _, one in step.steps if one is not None]
    else:
        return wants(step)
    return frozenset(want for one in inner for want in _all_wants(one))


def _checked(chosen: Any, frame: pd.DataFrame) -> Any:
    """The choice, after checking that columns chosen by name are there."""
    names = [chosen] if isinstance(chosen, str) else chosen if isinstance(chosen, list | tuple | np.ndarray) else []
    for name in names:
        if isinstance(name, str) and name not in frame.columns:
            raise ColumnError.missing(name, frame.columns, where="in the ColumnTransformer")
    return chosen


@wants.register
def _(step: str) -> frozenset[Want]:
    return frozenset([Want.NOTHING])


@learn.register
def _(step: str, witness: Witness) -> Witness:
    return witness


@wants.register
def _(step: FunctionTransformer) -> frozenset[Want]:
    if step.func is not None:
        raise unknown(step)
    return frozenset([Want.NOTHING])


@learn.register
def _(step: FunctionTransformer, witness: Witness) -> Witness:
    return witness.becomes(step.fit_transform(witness.data), witness.columns)


@learn.register
def _(step: Pipeline, witness: Witness) -> Witness:
    for _, inner in step.steps:
        witness = learn(inner, witness) if inner is not None else witness
    return witness


@learn.register
def _(step: ColumnTransformer, witness: Witness) -> Witness:
    """Fitted with branches that do nothing, for its structure; then each branch learns and takes its place."""
    branches = {**{name: branch for name, branch, _ in step.transformers}, "remainder": step.remainder}
    _fit_structure(step, witness.data)
    outputs: list[Witness] = []
    for i, (name, fitted, chosen) in enumerate(step.transformers_):
        picked, start = witness.select(chosen), sum(len(output.columns) for output in outputs)
        if isinstance(fitted, FunctionTransformer) and picked.columns:
            branch = fitted if isinstance(branches[name], str) else clone(branches[name])
            step.transformers_[i] = (name, branch, chosen)
            outputs.append(learn(branch, picked))
        step.output_indices_[name] = slice(start, sum(len(output.columns) for output in outputs))
    step.sparse_output_ = _is_sparse(outputs, step.sparse_threshold)
    return witness.becomes(step.transform(witness.data), [column for output in outputs for column in output.columns])


def _fit_structure(step: ColumnTransformer, data: Any) -> None:
    given = step.transformers, step.remainder
    step.transformers = [(name, _idle(branch), chosen) for name, branch, chosen in step.transformers]
    step.remainder = _idle(step.remainder)
    step.fit(data)
    step.transformers, step.remainder = given


def _idle(branch: Any) -> Any:
    return branch if isinstance(branch, str) else FunctionTransformer(feature_names_out="one-to-one")


def _is_sparse(outputs: list[Witness], threshold: float) -> bool:
    """scikit-learn's rule for all rows: sparse when the share of stored values is below the threshold."""
    if not any(sparse.issparse(output.data) for output in outputs):
        return False
    stored = sum(_stored(output) for output in outputs)
    total = sum(output.n_rows * len(output.columns) for output in outputs)
    return bool(stored < threshold * total)


def _stored(output: Witness) -> int:
    if not sparse.issparse(output.data):
        return output.n_rows * len(output.columns)
    return sum(int(column.weights[output.cells(i) != 0].sum()) for i, column in enumerate(output.columns))
