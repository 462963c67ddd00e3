"""Voting: members of an ensemble as scikit-learn's VotingClassifier or VotingRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import Bunch


def voted(members: Sequence[Any], fitted: Sequence[Any], classes: NDArray[Any] | None, features: Sequence[str]) -> Any:
    """A fitted VotingClassifier (soft where all members have `predict_proba`), or a VotingRegressor.

    Args:
        members: Unfitted.
        fitted: The same, classifiers on codes 0, 1, ... of the classes.
        classes: Sorted; None for regressors.
        features: Names of the columns.
    """
    named = [(f"member_{i}", member) for i, member in enumerate(members)]
    result = VotingRegressor(named) if classes is None else _classifier(named, fitted, classes)
    result.estimators_ = list(fitted)
    result.named_estimators_ = Bunch(**{name: one for (name, _), one in zip(named, fitted, strict=True)})
    result.feature_names_in_ = np.array(features, dtype=object)
    return result


def _classifier(named: list[tuple[str, Any]], fitted: Sequence[Any], classes: NDArray[Any]) -> VotingClassifier:
    soft = all(hasattr(one, "predict_proba") for one in fitted)
    result = VotingClassifier(named, voting="soft" if soft else "hard")
    result.le_ = LabelEncoder().fit(classes)
    result.classes_ = result.le_.classes_
    return result
