"""Cross-fitting: how TargetEncoder learns, and encodes the rows that others learn from without a look at their own target."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import TargetEncoder

from bigml.errors import FitError
from bigml.learning.inquiry import Inquiry
from bigml.learning.preprocessing.chain import Choice, flattened
from bigml.learning.preprocessing.demands import NONE, leaves
from bigml.learning.preprocessing.registry import wants
from bigml.learning.preprocessing.staging import Stage, informed, inquire
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.target_means import ByCategory, encoder_of, fold_of
from bigml.learning.solving import Problem
from bigml.learning.structure import structured
from bigml.learning.target import Target


class CrossFitted(BaseEstimator):
    """Stands in for a fitted TargetEncoder while others learn: it encodes a row by what is known of the other folds' rows.

    Attributes:
        encoder: Knows of all rows.
        folds: By fold an encoder that knows of the rows of all others.
        seed: Of the hash that tells the fold of a row by its number.
    """

    def __init__(self, encoder: TargetEncoder, folds: tuple[TargetEncoder, ...], seed: int) -> None:
        self.encoder, self.folds, self.seed = encoder, folds, seed

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> CrossFitted:
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Encodings of a DataFrame whose index is the numbers of its rows."""
        fold = fold_of(X.index.to_numpy(), len(self.folds), self.seed)
        encoded = np.empty((len(X), len(self.encoder.encodings_)))
        for i in np.unique(fold):
            encoded[fold == i] = self.folds[i].transform(X[fold == i])
        return encoded

    def get_feature_names_out(self, given: Any = None) -> Any:
        return self.encoder.get_feature_names_out(given)


@wants.register
def _(step: TargetEncoder) -> Wants:
    return frozenset([Want.VALUES])


@inquire.register
def _(step: TargetEncoder, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    target = stage.target
    if target is None:
        raise FitError("target=, the column to encode by", got="none", where="in fit of `TargetEncoder`")
    if not all(isinstance(one, Choice) for one in flattened(stage.design.preprocessor)):
        do = "Put it in front of its branch: it takes missing values as they are; make columns by source.assign(...)."
        raise FitError("columns as they are read for `TargetEncoder`", got="a step before it", do=do)
    if not isinstance(step.cv, int | None):
        raise FitError("a number of folds", got=f"cv={step.cv!r}", where="in `TargetEncoder`", do="Folds are hashed: cv=5.")
    stage = yield from informed(stage, step, later)
    _shape(step, stage, target)
    seed = int(Problem(seed=stage.seed).random(_seeded(step)).integers(2**31))
    folds = yield ByCategory(stage.design, target, step, step.cv or 5, seed)
    others = tuple(encoder_of(step, [*folds[:i], *folds[i + 1 :]]) for i in range(len(folds)))
    fitted = CrossFitted(encoder_of(step, folds), others, seed)
    return fitted, stage.then(fitted)


def _seeded(step: TargetEncoder) -> TargetEncoder:
    """The encoder, whose `random_state` is None where it is left at scikit-learn's mark for a parameter that goes away."""
    given = step.random_state
    return copy(step).set_params(random_state=None) if isinstance(given, str) else step


def _shape(step: TargetEncoder, stage: Stage, target: Target) -> None:
    """Let scikit-learn find the categories, and say what kind of target it is."""
    data = stage.witness.data
    structured(step, data, np.zeros(len(data)), target_type="continuous")
    step.target_type_, step.classes_ = _kind(step, target), None
    if step.target_type_ != "continuous":
        step.classes_ = target.classes


def _kind(step: TargetEncoder, target: Target) -> str:
    n = 0 if target.classes is None else len(target.classes)
    kind = str(step.target_type) if step.target_type != "auto" else ["continuous", "binary", "multiclass"][(n > 0) + (n > 2)]
    if kind not in ("continuous", "binary", "multiclass") or (kind != "continuous" and not n) or (kind == "binary" and n != 2):
        got, do = f"{n} classes" if n else "numbers", 'Leave it at "auto".'
        raise FitError(f"a target that is {kind}, as target_type= says", got=got, where="in `TargetEncoder`", do=do)
    return kind


def is_cross_fitted(step: Any) -> bool:
    """Whether preprocessing, fitted or not, learns from the target."""
    return step is not None and any(isinstance(one, TargetEncoder | CrossFitted) for one in leaves(step))


def released(step: Any) -> Any:
    """Fitted preprocessing as it encodes new rows; the one that was given goes on to encode the rows it learned from."""
    if isinstance(step, CrossFitted):
        return step.encoder
    if isinstance(step, Pipeline):
        made = copy(step)
        made.steps = [(name, released(one)) for name, one in step.steps]
    elif isinstance(step, ColumnTransformer):
        made = copy(step)
        made.transformers_ = [(name, released(one), chosen) for name, one, chosen in step.transformers_]
    elif isinstance(step, FeatureUnion):
        made = copy(step)
        made.transformer_list = [(name, released(one)) for name, one in step.transformer_list]
    else:
        return step
    return made
