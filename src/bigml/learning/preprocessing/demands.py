"""Demands: what must be known of which columns before a step, and the steps behind it, can learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from bigml.errors import ColumnError, FitError
from bigml.learning.preprocessing.registry import keeps, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.witness import positions_of

NONE: Wants = frozenset()
NUMBERS: Wants = frozenset([Want.MOMENTS, Want.QUANTILES])
Demands: TypeAlias = list[Wants]
"""For each column what is wanted of it; nothing at all of one that is not used."""


def demands(step: Any, data: Any, later: Wants = NONE) -> Demands:
    """What must be known of each column before the step can learn.

    Args:
        step: A step, a composition of steps, "passthrough", "drop" or None.
        data: The columns with their types: a DataFrame or a matrix, with rows or without.
        later: What the steps behind it want of every column that it makes.

    Raises:
        ColumnError: A step names a column that is not there.
        FitError: A step that learns from numbers is given something else.
    """
    if isinstance(step, ColumnTransformer):
        return _of_branches(step, data, later)
    if isinstance(step, FeatureUnion):
        return merged([demands(branch, data, later) for branch in parallel(step)], data.shape[1])
    if isinstance(step, Pipeline):
        return _of_pipeline([inner for _, inner in step.steps], data, later)
    if is_idle(step):
        return [NONE if step == "drop" else later | {Want.NOTHING}] * data.shape[1]
    wanted = through(step, later)
    if wants(step) & NUMBERS:
        check_numbers(step, data)
    return [wanted] * data.shape[1]


def is_idle(step: Any) -> bool:
    """Whether it is "passthrough", "drop" or None."""
    return step is None or isinstance(step, str)


def parallel(step: FeatureUnion) -> list[Any]:
    """The branches that are not dropped."""
    return [branch for _, branch in step.transformer_list if not (isinstance(branch, str) and branch == "drop")]


def _of_pipeline(steps: Sequence[Any], data: Any, later: Wants) -> Demands:
    """The first step says which columns are used; of these the next ones may want more."""
    if not steps:
        return [later | {Want.NOTHING}] * data.shape[1]
    first, rest = steps[0], steps[1:]
    own = demands(first, data, ahead(rest, later))
    if isinstance(first, ColumnTransformer | FeatureUnion | Pipeline) or not (first is None or keeps(first)):
        return own
    return merged([own, _of_pipeline(rest, data, later)], data.shape[1]) if rest else own


def _of_branches(step: ColumnTransformer, data: Any, later: Wants) -> Demands:
    found = [NONE] * data.shape[1]
    # A branch of no columns is never fitted.
    for _, branch, positions in (one for one in branches(step, data) if one[2]):
        picked = data.iloc[:, positions] if hasattr(data, "iloc") else data[:, positions]
        for position, wanted in zip(positions, demands(branch, picked, later), strict=True):
            found[position] |= wanted
    return found


def branches(step: ColumnTransformer, data: Any) -> list[tuple[str, Any, list[int]]]:
    """Name, step and positions of the columns of every branch, the remainder at the end."""
    given = [(name, branch, positions_of(data, _known(chosen, data))) for name, branch, chosen in step.transformers]
    used = {position for _, _, positions in given for position in positions}
    return [*given, ("remainder", step.remainder, [i for i in range(data.shape[1]) if i not in used])]


def merged(found: Sequence[Demands], width: int) -> Demands:
    """All demands of the same columns together."""
    return [reduce(frozenset.union, wanted) for wanted in zip(*found, strict=True)] if found else [NONE] * width


def through(step: Any, later: Wants) -> Wants:
    """What a step wants of every column, with what later steps want where what was known stays known."""
    return wants(step) | (later if keeps(step) else NONE)


def ahead(steps: Sequence[Any], later: Wants = NONE) -> Wants:
    """What steps in a row want of all columns alike; a ColumnTransformer among them is asked when its columns are known."""
    for step in reversed(steps):
        later = _alike(step, later)
    return later


def _alike(step: Any, later: Wants) -> Wants:
    if step is None:
        return later
    if isinstance(step, Pipeline):
        return ahead([inner for _, inner in step.steps], later)
    if isinstance(step, FeatureUnion):
        return frozenset(want for branch in parallel(step) for want in _alike(branch, later))
    return NONE if isinstance(step, ColumnTransformer) else through(step, later)


def leaves(step: Any) -> Iterator[Any]:
    """All steps that are no compositions."""
    if isinstance(step, ColumnTransformer):
        inner = [*(branch for _, branch, _ in step.transformers), step.remainder]
    elif isinstance(step, FeatureUnion):
        inner = [branch for _, branch in step.transformer_list]
    elif isinstance(step, Pipeline):
        inner = [one for _, one in step.steps if one is not None]
    else:
        yield step
        return
    for one in inner:
        yield from leaves(one)


def check_numbers(step: Any, data: Any) -> None:
    """Refuse columns of text for a step that learns from numbers; what is wrong with times and objects is said elsewhere.

    Raises:
        FitError: Column and step are named.
    """
    kinds = list(data.dtypes.items()) if hasattr(data, "iloc") else []
    for name, kind in kinds:
        if not (pd.api.types.is_numeric_dtype(kind) or (kind.kind in "mMO" and kind != "str")):
            do = "Encode it (OneHotEncoder, OrdinalEncoder), or give the step other columns."
            where = f"column `{name}`, given to `{type(step).__name__}`"
            raise FitError("a column of numbers", got=f"{kind}", where=where, do=do)


def _known(chosen: Any, data: Any) -> Any:
    """The choice, after checking that columns chosen by name are there."""
    names = [chosen] if isinstance(chosen, str) else chosen if isinstance(chosen, list | tuple | np.ndarray) else []
    known = list(getattr(data, "columns", ()))
    for name in names:
        if isinstance(name, str) and name not in known:
            raise ColumnError.missing(name, [str(one) for one in known], where="in the ColumnTransformer")
    return chosen
