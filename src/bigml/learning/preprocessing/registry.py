"""Registry: how each kind of scikit-learn step learns; open to steps of your own.

`learn` fits a step on a witness and returns what it makes of it; `wants` says what must be known of its columns before;
`keeps` says which steps leave known what is known of a column. All dispatch on the step's type. A step that is not
registered is refused, never fitted on a sample in silence.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.preprocessing import FunctionTransformer

from bigml.errors import DataError, FitError
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import Witness
from bigml.learning.solving import is_solved


@singledispatch
def learn(step: Any, witness: Witness) -> Witness:
    """Fit the step (in place) as if on all rows that the witness stands for; returns the witness as the step leaves it.

    A step that wants `Want.ROWS` is given a few real rows for a witness, which tells nothing of the other rows.

    Raises:
        FitError: The step is of a kind that cannot be learned from a witness.
        DataError: The values do not fit the step.
    """
    raise unknown(step)


@singledispatch
def wants(step: Any) -> Wants:
    """What the step needs to know of each of its columns.

    Raises:
        FitError: The step is of a kind that cannot be learned by scans.
    """
    if is_trained(step) or (is_solved(step) and hasattr(step, "transform") and not is_classifier(step)):
        return frozenset([Want.ROWS])
    raise unknown(step)


def is_trained(step: Any) -> bool:
    """Whether it is a step that learns by `partial_fit`, part by part; steps that are registered have better ways."""
    return hasattr(step, "partial_fit") and hasattr(step, "transform")


@singledispatch
def keeps(step: Any) -> bool:
    """Whether column i that the step makes is column i that it is given, filled up or scaled: what was known stays known."""
    del step
    return False


INSTEAD = {
    "FactorAnalysis": "PCA",
    "FastICA": "PCA",
    "IterativeImputer": "SimpleImputer",
    "KNNImputer": "SimpleImputer",
    "KernelPCA": "PCA",
    "NMF": "TruncatedSVD",
    "PowerTransformer": 'QuantileTransformer(output_distribution="normal")',
    "SelectFromModel": "SelectKBest",
    "SparsePCA": "PCA",
}
"""By steps that must hold all rows, what does much the same by scans."""


def unknown(step: Any) -> FitError:
    """The error for a step that is not registered."""
    name = type(step).__name__
    near = f"Use {INSTEAD[name]}, or fit" if name in INSTEAD else "Fit"
    return FitError(
        "preprocessing steps that can be learned by scans",
        got=f"`{name}`",
        where="in the estimator to fit",
        do=f"{near} a sample with plain scikit-learn: estimator.fit(source.sample(n).to_pandas()), or leave the step out.",
    )


def taught(step: Any, witness: Witness) -> Witness:
    """`learn`, with the step and a column named when scikit-learn refuses the values.

    Raises:
        DataError: It does.
    """
    try:
        return learn(step, witness)
    except (TypeError, ValueError) as error:
        expected, got = f"values that `{type(step).__name__}` accepts", str(error).strip().splitlines()[0]
        raise DataError(expected, got=got, where=f"in {_suspects(witness, got)}") from error


def _suspects(witness: Witness, said: str) -> str:
    """The columns that an error is about, as far as can be told."""
    names = witness.names
    if "NaN" in said:
        found = [name for i, name in enumerate(names) if witness.missing(i)]
    else:
        found = [name for i, name in enumerate(names) if not _is_number(witness.cells(i).dtype)]
    chosen = found[:1] or names[:10]
    return f"column{'s' if len(chosen) > 1 else ''} {', '.join(f'`{name}`' for name in chosen)}"


def _is_number(dtype: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(dtype))


def refuse_missing(step: Any, witness: Witness) -> None:
    """Refuse missing values for a step that takes none.

    Raises:
        DataError: There are some; column and step are named.
    """
    for i, name in enumerate(witness.names):
        if count := witness.missing(i):
            where, do = f"column `{name}`", "Impute them first (SimpleImputer), or drop the rows."
            raise DataError(f"no missing values for `{type(step).__name__}`", got=f"{count:,}", where=where, do=do)


@wants.register
def _(step: str) -> Wants:
    return frozenset([Want.NOTHING])


@keeps.register
def _(step: str) -> bool:
    return True


@wants.register
def _(step: FunctionTransformer) -> Wants:
    return frozenset([Want.NOTHING if step.func is None else Want.ROWS])


@keeps.register
def _(step: FunctionTransformer) -> bool:
    return step.func is None


@learn.register
def _(step: FunctionTransformer, witness: Witness) -> Witness:
    """A function is applied to rows by themselves; one that looks at other rows would not be the same in every chunk."""
    made = step.fit(witness.data).transform(witness.data)
    if step.func is None:
        return witness.becomes(made, witness.columns, witness.stored)
    _check_rowwise(step, witness.data, made)
    return Witness.unknown(made, witness.n_rows)


def _check_rowwise(step: FunctionTransformer, data: Any, made: Any) -> None:
    n = data.shape[0]
    pieces = [step.transform(_rows(data, piece)) for piece in (slice(0, n // 2), slice(n // 2, n)) if n > 1]
    found = np.concatenate([_cells(piece) for piece in pieces]) if pieces else _cells(made)
    whole = _cells(made)
    if len(whole) != n or found.shape != whole.shape or not _equal(found, whole):
        name = getattr(step.func, "__name__", type(step.func).__name__)
        do = "Learn from all rows with a scaler or an imputer, or add a column by source.assign(...)."
        where = "in `FunctionTransformer`"
        raise FitError("a function that treats every row by itself", got=f"`{name}`, which mixes rows", where=where, do=do)


def _equal(left: Any, right: Any) -> bool:
    """Whether cells are equal, missing ones included; other functions than numpy's may differ in the last bits."""
    if left.dtype.kind in "fc" and right.dtype.kind in "fc":
        return bool(np.allclose(left, right, rtol=1e-6, atol=0, equal_nan=True))
    return bool((pd.DataFrame(left).astype(object).fillna("") == pd.DataFrame(right).astype(object).fillna("")).to_numpy().all())


def _rows(data: Any, piece: slice) -> Any:
    return data.iloc[piece] if hasattr(data, "iloc") else data[piece]


def _cells(made: Any) -> Any:
    cells = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    return cells.reshape(len(cells), -1)
