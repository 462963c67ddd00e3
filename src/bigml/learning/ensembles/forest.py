"""Forest: one forest of trees that were grown on different rows."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from bigml.errors import FitError

FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)


def is_forest(estimator: Any) -> bool:
    """Whether trees of the estimator can be grown on different rows and stand in one forest."""
    return isinstance(estimator, FORESTS)


def groves(estimator: Any, n_members: int) -> list[Any]:
    """Smaller forests that together have as many trees as the estimator.

    Raises:
        FitError: There are fewer trees than members, or out-of-bag scores are wanted, which no row of another block has.
    """
    name = type(estimator).__name__
    if estimator.n_estimators < n_members:
        got = f"n_estimators={estimator.n_estimators}"
        raise FitError(f"a tree for each of {n_members} members", got=got, where=f"in `{name}`", do="Lower n_members=.")
    if estimator.oob_score:
        do = "Score the forest on rows held out by source.split()."
        raise FitError(
            "oob_score=False for a forest that is grown on blocks", got=f"{estimator.oob_score}", where=f"in `{name}`", do=do
        )
    sizes = [len(trees) for trees in np.array_split(np.arange(estimator.n_estimators), n_members)]
    return [clone(estimator).set_params(n_estimators=size, warm_start=False) for size in sizes]


def merged(estimator: Any, groves: Sequence[Any]) -> Any:
    """A forest of the trees of fitted smaller ones, which know the same classes, with the parameters of the estimator."""
    result = copy(groves[0])
    result.set_params(**{name: getattr(estimator, name) for name in ("n_estimators", "random_state", "warm_start")})
    result.estimators_ = [tree for grove in groves for tree in grove.estimators_]
    return result
