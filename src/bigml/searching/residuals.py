"""Residuals: how well linear models fit, told by products of columns alone: no row is looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

from bigml.learning.scatter import Moments
from bigml.learning.scores.gauges import Spread

LINEAR = (LinearRegression, Ridge, Lasso, ElasticNet)
TOLD = frozenset({"rows", "squared", "spread"})
"""Gauges that follow from products."""
KNOWN = 1e-12
"""Squared residuals are told where rounding is below this share of them."""


def is_told(model: Any) -> bool:
    """Whether products tell the residuals of a model."""
    return type(model) in LINEAR and np.ndim(getattr(model, "coef_", 0)) == 1


def gauged(model: Any, moments: Moments) -> Mapping[str, Any] | None:
    """What the gauges of `TOLD` gather of a fitted model on rows with these moments; None where rounding would be felt.

    Args:
        moments: Of the features and, last, the truth.
    """
    weights = np.append(model.coef_, -1.0)
    squares = weights @ moments.scatter @ weights
    terms = np.abs(weights) @ np.abs(moments.scatter) @ np.abs(weights)
    mean = float(weights @ moments.mean + model.intercept_)
    whole = squares + moments.weight * mean**2
    if not whole > terms * len(weights) * np.finfo(np.float64).eps / KNOWN:
        return None
    spread = Spread(moments.weight, np.array([moments.mean[-1], mean]), np.array([moments.scatter[-1, -1], squares]))
    return {
        "rows": np.array([moments.n_rows, moments.weight]),
        "squared": np.array([moments.weight, whole]),
        "spread": spread,
    }
