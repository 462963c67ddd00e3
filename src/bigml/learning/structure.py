"""Structure: an estimator fitted on a few rows without meaning, so that scikit-learn checks its parameters and sets its parts.

What was learned from all rows is then put in its public attributes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
