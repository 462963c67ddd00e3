"""Job: what is to be fitted on what: preprocessing and a final estimator, the columns, and how rows become batches."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from bigml.errors import DataError, FitError
from bigml.learning import catalogue
from bigml.learning.answering import Answers
from bigml.learning.batch import Encoder
from bigml.learning.chains.incremental import takes_classes
from bigml.learning.design import Design, needed
from bigml.learning.models.boosting import is_boosted
from bigml.learning.preprocessing.cross_fitting import is_cross_fitted, released
from bigml.learning.preprocessing.preparation import Survey, Wants, check_types, classes_of, prepared, preprocessing_wants, survey
from bigml.learning.preprocessing.registry import unknown
from bigml.learning.preprocessing.selecting import selects_by_class
from bigml.learning.preprocessing.staging import is_learnable
from bigml.learning.preprocessing.summary import Want, plain
from bigml.learning.solving import is_solved
from bigml.learning.structure import named, nameless
from bigml.learning.target import Target, check_classes
from bigml.learning.track import Track
from bigml.learning.trainable import Trainable
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

KNOWN = catalogue.MODULES
"""Imported for what they register."""
PASSED = frozenset([Want.NOTHING])


class Job:
    """What is to be fitted on what, and how far that is.

    Attributes:
        before: Preprocessing, unfitted unless this is a warm start; None when there is none.
        final: The estimator at the end, if any.
        features: The source's columns to learn from.
        fitted: Preprocessing when it is fitted.
        names: Of the columns that the final estimator is given, where these have some.
        encoder: Makes batches of chunks, when preprocessing is fitted.
    """

    encoder: Encoder

    def __init__(
        self,
        estimator: Any,
        source: Source,
        target: str | None,
        *,
        sample_weight: str | None = None,
        epochs: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        warm: bool = False,
        client: Client | None = None,
    ) -> None:
        self.estimator, self.source, self.target = estimator, source, target
        self.sample_weight, self.seed, self.warm, self.client = sample_weight, seed, warm, client
        self.epochs, self.shuffle = epochs, shuffle
        self.before, self.final = _warm(estimator) if warm else divided(clone(estimator))
        self.features = _features(estimator if warm else None, source, target, sample_weight)
        self.wanted: Wants = {} if warm else _wants(self.before, self.final, self.features.schema)
        self.fitted = self.before if warm else None
        self.names: Sequence[str] | None = self.features.columns if self.before is None else None

    def asks_classes(self, classes: Sequence[Any] | None) -> bool:
        """Whether the classes must be found by a scan."""
        known = classes is not None or (self.warm and hasattr(self.final, "classes_"))
        if known or self.warm or self.final is not None:
            return not known and self.final is not None and _needs_classes(self.final)
        kind = plain(self.source.schema.field(self.target).type) if self.target is not None else pa.float64()
        return (is_cross_fitted(self.before) or selects_by_class(self.before)) and not pa.types.is_floating(kind)

    def scans_before(self, classes: Sequence[Any] | None) -> int:
        """Scans before the final estimator learns, as far as that is known."""
        return int(bool(self.wanted) or self.asks_classes(classes))

    def prepare(self, classes: Sequence[Any] | None, track: Track) -> None:
        """Fit the preprocessing and find the classes."""
        scans = self.scans_before(classes)
        sought = self.target if self.asks_classes(classes) else None
        found = survey(self.source, self.wanted, sought, client=self.client, progress=track.scan(0)) if scans else None
        known = getattr(self.final, "classes_", classes) if self.warm else classes
        target, learner = _target(self.target, found, known, self.source), self.fitted
        if self.before is not None and not self.warm:
            answer = Answers(self.source, self.epochs, self.seed, self.shuffle, self.client, track.scan(max(scans - 1, 0)))
            how: dict[str, Any] = {"answer": answer, "target": target, "seed": self.seed}
            learner, behind = prepared(self.before, self.features.schema, found, **how)
            self.fitted, self.names = released(learner), behind.names if self.final is not None else None
        if self.final is not None:
            self.encoder = Encoder(design_of(learner, self.features), target, self.sample_weight)

    def assembled(self, learned: Any) -> Any:
        """The caller's own kind of object with the final estimator that was learned."""
        return assembled(clone(self.estimator), self.fitted, named(learned, self.names))


def _features(model: Any, source: Source, target: str | None, sample_weight: str | None) -> Source:
    """The columns to learn from: all but target and weight, or those of a model that was fitted."""
    known = getattr(model, "feature_names_in_", None)
    if known is not None:
        return source.select(*(str(name) for name in known))
    gone = [name for name in (target, sample_weight) if name is not None]
    return source.drop(*gone) if gone else source


def _warm(estimator: Any) -> tuple[Any, Any]:
    """Preprocessing and final estimator of a fitted object, copied; a scaler alone learns more as a chain does.

    Raises:
        FitError: It is not fitted, or cannot go on.
    """
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise FitError("a fitted estimator for warm_start=", got=f"`{type(estimator).__name__}`", where="in fit") from error
    own = deepcopy(estimator)
    if is_learnable(own) and not isinstance(own, Pipeline) and hasattr(own, "partial_fit"):
        return None, nameless(own)
    before, final = divided(own)
    if final is None:
        do = "Fit it on all rows again."
        raise FitError("a model or a scaler for warm_start=", got=f"`{type(estimator).__name__}`", where="in fit", do=do)
    return before, nameless(final) if before is None else final


def _needs_classes(final: Any) -> bool:
    return is_classifier(final) or (hasattr(final, "partial_fit") and not is_solved(final) and takes_classes(final))


def _wants(before: Any, final: Any, features: pa.Schema) -> Wants:
    """What must be known of which features, all of them of types that can be learned from."""
    wanted = preprocessing_wants(before, features) if before is not None else {}
    if not (features.names if before is None else wanted):
        where = "beside target and weights" if before is None else "behind preprocessing"
        raise FitError("columns to learn from", got="none", where=where)
    check_types(wanted if before is not None else dict.fromkeys(features.names, PASSED), features, passed=final is not None)
    return wanted


def divided(estimator: Any) -> tuple[Any, Any]:
    """Preprocessing and final estimator of an unfitted object; None for what it has not.

    Raises:
        FitError: The final estimator can be learned neither by scans nor by `partial_fit`.
    """
    if isinstance(estimator, Pipeline) and estimator.steps:
        last = estimator.steps[-1][1]
        if last is None or is_learnable(last):
            return estimator, None
        return (Pipeline(estimator.steps[:-1]) if len(estimator.steps) > 1 else None), _final(last)
    return (estimator, None) if is_learnable(estimator) else (None, _final(estimator))


def _final(estimator: Any) -> Any:
    if is_solved(estimator) or is_boosted(estimator) or hasattr(estimator, "partial_fit") or isinstance(estimator, Trainable):
        return estimator
    if not (is_classifier(estimator) or is_regressor(estimator)):
        raise unknown(estimator)
    raise FitError(
        "a final estimator that learns by scans or with `partial_fit`",
        got=f"`{type(estimator).__name__}`",
        where="in fit",
        do="Fit it on blocks of the rows by `bigml.ensemble`, use a linear model, an MLP or XGBoost's trees, or fit a sample "
        "with plain scikit-learn (source.sample(n).to_pandas()).",
    )


def design_of(fitted: Any, features: Source) -> Design:
    """How batches are made of features, through fitted preprocessing where there is some."""
    if fitted is not None:
        return Design(needed(fitted, features.columns), fitted)
    kinds = {str(field.type) for field in features.schema}
    return Design(features.columns, dtype=np.float32 if kinds == {"float"} else np.float64)


def _target(target: str | None, found: Survey | None, classes: Sequence[Any] | None, source: Source) -> Target | None:
    if target is None:
        return None
    if classes is not None:
        known = np.unique(np.asarray(classes))
        if len(known) < 2:
            raise DataError("two classes or more", got=f"{known.tolist()}", where="in classes=")
        return Target(target, check_classes(known, "in classes="), checked=True)
    if found is None or found.target is None:
        return Target(target)
    return Target(target, check_classes(classes_of(target, found.target, source), f"column `{target}`"))


def assembled(result: Any, fitted: Any, final: Any) -> Any:
    """The caller's own kind of object, made of the fitted pieces."""
    if not isinstance(result, Pipeline):
        return final
    result.steps = [*(fitted.steps if fitted is not None else []), (result.steps[-1][0], final)]
    return result
