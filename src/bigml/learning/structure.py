"""Structure: an estimator fitted on a few rows without meaning, so that scikit-learn checks its parameters and sets its parts.

What was learned from all rows is then put in its public attributes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.multiclass import OneVsOneClassifier

from bigml.errors import FitError


def structured(estimator: Any, X: Any, y: NDArray[Any] | None = None, **instead: Any) -> Any:
    """The estimator, fitted in place on these rows.

    Args:
        X: Of the right width and dtype; texts for a vectorizer.
        y: Every class.
        instead: Parameters that are other ones during this fit.

    Raises:
        FitError: scikit-learn refuses a parameter.
    """
    given = {name: estimator.get_params(deep=False)[name] for name in instead}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            estimator.set_params(**instead).fit(X, y)
    except ValueError as error:
        got = str(error).splitlines()[0]
        raise FitError("parameters that scikit-learn accepts", got=got, where=f"in `{type(estimator).__name__}`") from error
    finally:
        estimator.set_params(**given)
    return estimator


def blank(rows: Any, n: int = 2) -> Any:
    """A few rows of zeros, of the same width and kind as these rows, with the names of the columns if there are any."""
    zeros = np.zeros((n, rows.shape[1]))
    return pd.DataFrame(zeros, columns=rows.columns) if hasattr(rows, "iloc") else zeros


def named(estimator: Any, names: Sequence[str] | None) -> Any:
    """The estimator, and those that it is made of, with the names of the features, as if it had learned from a DataFrame."""
    for one in _family(estimator):
        if names is not None and not hasattr(one, "feature_names_in_"):
            one.feature_names_in_ = np.array(names, dtype=object)
    return estimator


def nameless(estimator: Any) -> Any:
    """The estimator, and those that it is made of, without the names of features, to learn more from arrays."""
    for one in _family(estimator):
        if "feature_names_in_" in vars(one):
            del one.feature_names_in_
    return estimator


def _family(estimator: Any) -> list[Any]:
    """The estimator and its members, where it hands them frames as they are; OneVsOneClassifier gives them arrays."""
    members = getattr(estimator, "estimators_", None)
    if not isinstance(members, list) or isinstance(estimator, OneVsOneClassifier):
        return [estimator]
    return [estimator, *members]
