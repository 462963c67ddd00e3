"""Fitting: scikit-learn in, scikit-learn out, over a source of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from bigml.errors import ColumnError, DataError, FitError
from bigml.graph.chain import Chain
from bigml.graph.progress import ProgressLike, reporting
from bigml.learning import encoding, preprocessing
from bigml.learning.checkpoint import Checkpoints, Position, fingerprint
from bigml.learning.design import Design, needed
from bigml.learning.incremental import Counted, Learned, Prepare, Step, takes_classes
from bigml.learning.preparation import Survey, classes_of, prepared, preprocessing_wants, survey
from bigml.learning.registry import is_learnable, unknown
from bigml.learning.target import Target
from bigml.learning.trust import check_weights
from bigml.part import Part
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

STEPS = (encoding, preprocessing)
"""Modules that register how steps learn."""


def fit(
    estimator: Any,
    source: Source,
    *,
    target: str | None = None,
    epochs: int = 1,
    seed: int = 0,
    shuffle: bool = True,
    classes: Sequence[Any] | None = None,
    client: Client | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 16,
    progress: ProgressLike = None,
) -> Any:
    """A fitted clone of a scikit-learn estimator, pipeline or preprocessor; it predicts where bigml is not installed.

    Preprocessing is learned exactly from one scan. An estimator with `partial_fit` then learns part by part, in an order
    that depends on the seed alone: threads, clusters, the death of a worker and a resumed run give the same bits.
    Features are all columns but the target. At most a few parts are held in memory.

    Args:
        estimator: Never changed. StandardScaler, MinMaxScaler, SimpleImputer, OneHotEncoder, OrdinalEncoder in Pipelines
            and ColumnTransformers, and at the end, if anything, an estimator with `partial_fit`.
        source: The rows.
        target: The column to predict; None for preprocessing and clustering.
        epochs: Passes over the parts.
        seed: Decides the order of parts, of rows within a part, and the `random_state` of a final estimator that has none.
        shuffle: Whether parts, and rows within a part, are permuted anew in each epoch; the rows are left to an estimator that
            permutes them itself (`shuffle=True` among its parameters).
        classes: All classes, when they are known: saves a scan where there is no preprocessing. Any other is refused.
        client: A `distributed.Client`; None means threads of this process.
        checkpoint: A directory of its own for checkpoints; a fit that was killed goes on from the newest whole one when it
            is called again with the same arguments (the scan for preprocessing is repeated). Removed at the end.
        checkpoint_every: Parts between two checkpoints, and the most that the death of a worker repeats.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Raises:
        FitError: A step cannot be fitted out of core, or a checkpoint belongs to another fit.
        DataError: The target is missing somewhere or has one class, a feature is not finite, or the weights diverged.
        ColumnError: The target or a column of a ColumnTransformer is not there.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import SGDClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 8.0, 9.0], "late": [0, 0, 1, 1]}))
    >>> model = bigml.fit(make_pipeline(StandardScaler(), SGDClassifier()), source, target="late", epochs=5)
    >>> model.predict(pd.DataFrame({"x": [0.0, 10.0]})).tolist()
    [0, 1]
    """
    _check(estimator, source, target, epochs)
    before, final = divided(clone(estimator))
    features = source.drop(target) if target is not None else source
    wanted = preprocessing_wants(before, features.schema) if before is not None else {}
    asks_classes = final is not None and classes is None and takes_classes(final)
    parts, scans = len(source.parts), int(bool(wanted) or asks_classes)
    total = parts * (scans + (epochs if final is not None else 0))
    with reporting(progress, "fit") as bar:
        found = None
        if scans:
            sought = target if asks_classes else None
            found = survey(
                source, wanted, sought, client=client, progress=lambda done, of: bar(parts * done // max(of, 1), total)
            )
        fitted = prepared(before, features.schema, found) if before is not None else None
        if final is None:
            return fitted
        training = Training(
            source=source,
            design=_design(fitted, features),
            target=_target(target, found, classes, source),
            epochs=epochs,
            seed=seed,
            shuffle=shuffle,
            every=max(checkpoint_every, 1),
        )
        store = training.checkpoints(estimator, checkpoint) if checkpoint is not None else None
        learned = training.run(final, store, client, lambda done: bar(parts * scans + done, total))
    return _assembled(clone(estimator), fitted, learned, features.columns)


def _check(estimator: Any, source: Source, target: str | None, epochs: int) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise FitError("a scikit-learn estimator, an instance", got=f"`{estimator!r}`", where="in fit")
    if target is not None and target not in source.columns:
        raise ColumnError.missing(target, source.columns, where="in target=")
    if epochs < 1:
        raise FitError("one epoch or more", got=f"epochs={epochs}", where="in fit")
    if target is None and (is_classifier(estimator) or is_regressor(estimator)):
        raise FitError("target=, the column to predict", got="none", where=f"in fit of `{type(estimator).__name__}`")


def divided(estimator: Any) -> tuple[Any, Any]:
    """Preprocessing and final estimator of an unfitted object; None for what it has not.

    Raises:
        FitError: The final estimator has no `partial_fit`.
    """
    if isinstance(estimator, Pipeline) and estimator.steps:
        last = estimator.steps[-1][1]
        if last is None or is_learnable(last):
            return estimator, None
        if not hasattr(last, "partial_fit"):
            raise _without_partial_fit(last)
        return (Pipeline(estimator.steps[:-1]) if len(estimator.steps) > 1 else None), last
    if is_learnable(estimator):
        return estimator, None
    if not hasattr(estimator, "partial_fit"):
        raise _without_partial_fit(estimator)
    return None, estimator


def _without_partial_fit(estimator: Any) -> FitError:
    if not (is_classifier(estimator) or is_regressor(estimator)):
        return unknown(estimator)
    return FitError(
        "a final estimator with `partial_fit`",
        got=f"`{type(estimator).__name__}`",
        where="in fit",
        do="Use SGDClassifier, SGDRegressor or an MLP, or fit a sample with plain scikit-learn (source.sample(n).to_pandas()).",
    )


def _design(fitted: Any, features: Source) -> Design:
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
        return Target(target, known, checked=True)
    summary = found.target if found is not None else None
    return Target(target, classes_of(target, summary, source) if summary is not None else None)


def _assembled(result: Any, fitted: Any, final: Any, names: tuple[str, ...]) -> Any:
    """The caller's own kind of object, made of the fitted pieces."""
    if isinstance(result, Pipeline):
        steps = [*(fitted.steps if fitted is not None else []), (result.steps[-1][0], final)]
        result.steps = steps
    else:
        result = final
    if fitted is None:
        final.feature_names_in_ = np.array(names, dtype=object)
    return result


@dataclass(frozen=True, eq=False)
class Training:
    """A chain of `partial_fit` over the parts of a source, epoch by epoch."""

    source: Source
    design: Design
    target: Target | None
    epochs: int
    seed: int
    shuffle: bool
    every: int

    def run(self, final: Any, store: Checkpoints | None, client: Client | None, tell: Callable[[int], None]) -> Any:
        """The estimator after all epochs; `tell` is called with the parts done. Checkpoints are removed when it is finished."""
        given = final.get_params(deep=False).get("random_state", 0)
        first = final if given is not None else final.set_params(random_state=self.seed)
        position, estimator = (store.load() if store is not None else None) or (Position(), first)
        state = Learned(estimator, position.n_rows)
        for epoch in range(position.epoch, self.epochs):
            begin = position if epoch == position.epoch else Position(epoch)
            state = self._epoch(state, begin, store=store, client=client, tell=tell)
        if not state.n_rows:
            raise DataError("rows to learn from", got="none", where=f"in fit of `{type(final).__name__}`")
        check_weights(state.estimator)
        if given is None:
            state.estimator.set_params(random_state=None)
        if store is not None:
            store.clear()
        return state.estimator

    def _epoch(
        self, state: Learned, begin: Position, *, store: Checkpoints | None, client: Client | None, tell: Callable[[int], None]
    ) -> Learned:
        epoch, skip = begin.epoch, begin.done
        before = epoch * len(self.source.parts) + skip

        def save(done: int, new: Learned) -> None:
            if store is not None:
                check_weights(new.estimator)
                store.save(Position(epoch, skip + done, new.n_rows), before + done, new.estimator)

        permutes = self.shuffle and state.estimator.get_params(deep=False).get("shuffle") is not True
        prepare = Prepare(self.design, self.target, epoch, self.seed if permutes else None)
        chain = Chain(self.source, self._columns, prepare, Counted(self._step))
        order, told = self.order(epoch)[skip:], lambda done, _: tell(before + done)
        learned: Learned = chain.run(state, order, every=self.every, save=save, client=client, progress=told)
        return learned

    def order(self, epoch: int) -> list[Part]:
        """The parts in the order of this epoch."""
        parts = self.source.parts
        if not self.shuffle:
            return list(parts)
        return [parts[i] for i in np.random.default_rng([self.seed, epoch]).permutation(len(parts))]

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*self.design.names, *((self.target.column,) if self.target is not None else ()))

    @property
    def _step(self) -> Step:
        return Step(tuple(self.design.features), self.target.classes if self.target is not None else None)

    def checkpoints(self, estimator: Any, directory: str | Path) -> Checkpoints:
        """The checkpoints of this training of this estimator."""
        key = fingerprint(
            scikit_learn=sklearn.__version__,
            estimator=estimator,
            source=self.source.token,
            parts=[(part.index, part.offset, part.n_rows) for part in self.source.parts],
            columns=self._columns,
            classes=self.target.classes if self.target is not None else None,
            order=[self.epochs, self.seed, self.shuffle],
        )
        final = divided(clone(estimator))[1]
        return Checkpoints(directory, key, (f"{type(final).__module__}.{type(final).__qualname__}",))
