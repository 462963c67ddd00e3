"""Models that diverged are refused, wherever in them the weights are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import SGDRegressor

import bigml
from bigml.errors import DataError
from bigml.learning.keeping.trust import check_weights

FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})


class Wrapped(BaseEstimator):
    """An estimator of one's own around scikit-learn's, whose weight it may spoil."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def partial_fit(self, X: Any, y: Any = None) -> Wrapped:
        self.inner_ = SGDRegressor().partial_fit(X, y)
        self.inner_.coef_[0] = self.weight
        return self


def test_weights_inside_the_final_estimator_are_checked_and_named() -> None:
    source = bigml.from_pandas(FRAME)
    with pytest.raises(DataError, match=r"finite weights, got 1 that are NaN or infinite - Wrapped\.inner_\.coef_"):
        bigml.fit(Wrapped(np.inf), source, target="y")
    assert bigml.fit(Wrapped(), source, target="y").inner_.coef_ == [1.0]


def test_sparse_weights_are_checked() -> None:
    model = SGDRegressor().fit(FRAME[["x"]], FRAME["y"]).sparsify()
    check_weights(model)
    model.coef_.data[0] = np.nan
    with pytest.raises(DataError, match=r"SGDRegressor\.coef_"):
        check_weights(model)
