"""Encoding: how one-hot and ordinal encoders learn from a witness that holds every category."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from bigml.errors import DataError, FitError
from bigml.learning.preprocessing.registry import learn, wants
from bigml.learning.preprocessing.summary import Want
from bigml.learning.preprocessing.witness import Column, Witness

Encoder: TypeAlias = OneHotEncoder | OrdinalEncoder


@wants.register(OneHotEncoder)
@wants.register(OrdinalEncoder)
def _(step: Encoder) -> frozenset[Want]:
    return frozenset([Want.VALUES])


@learn.register
def _(step: OrdinalEncoder, witness: Witness) -> Witness:
    _fit(step, witness)
    return witness.after(step, [_known(column) for column in witness.columns])


@learn.register
def _(step: OneHotEncoder, witness: Witness) -> Witness:
    _fit(step, witness)
    widths = output_widths(step)
    columns = [known for column, width in zip(witness.columns, widths, strict=True) for known in [_known(column)] * width]
    # Without a category that is dropped, every row has one in every column.
    stored = witness.n_rows * witness.width if step.sparse_output and step.drop_idx_ is None else None
    return witness.after(step, columns, stored)


def _known(column: Column) -> Column:
    return Column(column.weights, knows=frozenset([Want.VALUES]))


def output_widths(step: Encoder) -> list[int]:
    """How many output columns each input column of a fitted encoder has."""
    if isinstance(step, OrdinalEncoder):
        return [1] * len(step.categories_)
    rare = step.infrequent_categories_ if _groups_rare(step) else [None] * len(step.categories_)
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(step.categories_)
    merged = [len(known) - (len(few) - 1 if few is not None else 0) for known, few in zip(step.categories_, rare, strict=True)]
    return [width - (index is not None) for width, index in zip(merged, dropped, strict=True)]


def _groups_rare(step: Encoder) -> bool:
    return step.min_frequency is not None or step.max_categories is not None


def _fit(step: Encoder, witness: Witness) -> None:
    try:
        step.fit(witness.data)
        if _groups_rare(step):
            _fit_rare(step, witness)
    except ValueError as error:
        raise DataError("values that the encoder accepts", got=str(error), where=f"in {type(step).__name__}") from error


def _fit_rare(step: Encoder, witness: Witness) -> None:
    """Fit on a table where rare categories stand seldom and the others often, so that scikit-learn groups the same ones."""
    rare = [_rare(step, witness, i) for i in range(witness.width)]
    often = _often(rare)
    columns = [_repeated(step, i, mask, often) for i, mask in enumerate(rare)]
    size = max(len(column) for column in columns)
    table = [_filled_up(column, size, mask, often) for column, mask in zip(columns, rare, strict=True)]
    wanted = {"min_frequency": step.min_frequency, "max_categories": step.max_categories}
    step.set_params(min_frequency=often, max_categories=None).fit(_like(witness.data, table)).set_params(**wanted)


def _often(rare: list[NDArray[np.bool_]]) -> int:
    """How often a frequent category stands, so that columns without one can be filled up to the length of the others."""
    sizes = [(len(mask) - int(mask.sum()), int(mask.sum())) for mask in rare]
    rooms = [(k, few, n) for none, k in sizes if not none for few, n in sizes if k > few]
    return max([2, *(-(-(n + k) // (k - few)) for k, few, n in rooms)])


def _rare(step: Encoder, witness: Witness, position: int) -> NDArray[np.bool_]:
    """scikit-learn's rule for infrequent categories, on the counts of all rows; missing is no category to an OrdinalEncoder."""
    known = step.categories_[position]
    cells = pd.Series(witness.cells(position))
    counts = pd.Series(witness.columns[position].weights).groupby(cells, dropna=False).sum()
    missing = int(counts[pd.isna(counts.index)].sum())
    by_category = np.array([missing if pd.isna(one) else counts.get(one, 0) for one in known])
    return infrequent(by_category[~_uncounted(step, known)], witness.n_rows, step.min_frequency, step.max_categories)


def _uncounted(step: Encoder, known: NDArray[Any]) -> NDArray[np.bool_]:
    """Which categories are left out of the counting."""
    return pd.isna(known) if isinstance(step, OrdinalEncoder) else np.zeros(len(known), bool)


def infrequent(counts: NDArray[np.int64], n_rows: int, least: float | None, most: int | None) -> NDArray[np.bool_]:
    """Which categories are grouped as infrequent.

    Args:
        counts: Rows of each category, in the encoder's order.
        least: `min_frequency`: rows, or a share of the rows when it is no whole number.
        most: `max_categories`, the infrequent group included.
    """
    bound = 0 if least is None else least if isinstance(least, int | np.integer) else least * n_rows
    rare: NDArray[np.bool_] = counts < bound
    if most is not None and most < len(counts) - rare.sum() + 1:
        order = np.argsort(counts, kind="stable")
        rare[order[: len(counts) - (most - 1)]] = True
    return rare


def _repeated(step: Encoder, position: int, rare: NDArray[np.bool_], often: int) -> NDArray[Any]:
    """The categories of one column, frequent ones `often` times and in front."""
    known = step.categories_[position]
    uncounted = _uncounted(step, known)
    counted = known[~uncounted]
    return np.concatenate([np.repeat(counted[~rare], often), counted[rare], known[uncounted]])


def _filled_up(column: NDArray[Any], size: int, rare: NDArray[np.bool_], often: int) -> NDArray[Any]:
    """The column made longer by its first category; where all are rare, by all of them in turn, each fewer than `often` times."""
    if not rare.all():
        return np.concatenate([np.repeat(column[:1], size - len(column)), column])
    if size > len(rare) * (often - 1):
        do = "Lower min_frequency, or give such columns an encoder of their own."
        raise FitError("columns with at least one frequent category", got="one whose categories are all rare", do=do)
    return np.concatenate([np.resize(column[: len(rare)], size - len(column)), column])


def _like(data: Any, columns: list[NDArray[Any]]) -> Any:
    """A table of the same kind and types as the data."""
    if not hasattr(data, "iloc"):
        return np.column_stack(columns).astype(data.dtype)
    typed = [pd.Series(column).astype(kind) for column, kind in zip(columns, data.dtypes, strict=True)]
    return pd.concat(typed, axis=1).set_axis(data.columns, axis=1)
