"""Fitting: scikit-learn in, scikit-learn out, over a source of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sklearn.base import is_classifier, is_regressor

from bigml.errors import ColumnError, FitError
from bigml.graph.progress import ProgressLike, reporting
from bigml.learning import trainable
from bigml.learning.chains import training
from bigml.learning.chains.training import Training
from bigml.learning.chains.validating import Validation
from bigml.learning.job import PASSED, Job
from bigml.learning.models import boosting
from bigml.learning.models.boosting import Boosting, is_boosted
from bigml.learning.preprocessing.preparation import check_types
from bigml.learning.scans import solved
from bigml.learning.scores.scoring import score
from bigml.learning.solving import is_solved, n_scans
from bigml.learning.target import check_number
from bigml.learning.track import Track
from bigml.learning.trainable import Trainable
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client


def fit(
    estimator: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str | None = None,
    sample_weight: str | None = None,
    epochs: int = 1,
    seed: int = 0,
    shuffle: bool = True,
    classes: Sequence[Any] | None = None,
    validation: Source | pd.DataFrame | pa.Table | None = None,
    patience: int | None = None,
    averaging: int | None = None,
    warm_start: bool = False,
    cache: bool | str | Path | None = None,
    client: Client | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 16,
    progress: ProgressLike = None,
) -> Any:
    """A fitted clone of a scikit-learn estimator, pipeline or preprocessor; it predicts where bigml is not installed.

    Preprocessing is learned exactly from one scan; only the medians of SimpleImputer, for a column of more than 16,384 distinct
    numbers, are within 2**-13 (0.012 %) of the value. An estimator with `partial_fit` then learns part by part, in an order that
    depends on the seed alone: threads, clusters, the death of a worker and a resumed run give the same bits. Features are all
    columns but the target. At most a few parts are held in memory. XGBClassifier and XGBRegressor (extra `xgboost`) boost the
    trees that they would in memory, from files: see `bigml.learning.models.boosting.Boosting`. `bigml.models.MLP` and `CNN` are
    trained as `bigml.train` trains a Keras model, and come back as Keras's own wrapper for scikit-learn.

    Args:
        estimator: Never changed. Preprocessing in Pipelines, ColumnTransformers and FeatureUnions, and at the end, if anything,
            a model that learns by scans or one with `partial_fit`; docs/models.md lists them.
            A text vectorizer in front reads the only feature; beside others a ColumnTransformer gives it one by its name.
            Behind a TargetEncoder a row is learned from as the rows of other folds encode it (by a hash of its number); it takes
            the target of a regressor for numbers, also where they are whole.
        source: The rows; a table in memory, such as a pandas DataFrame, will do. Columns of times and nested columns are for
            encoders only: make numbers of them by `assign`.
        target: The column to predict; None for preprocessing and clustering.
        sample_weight: A column of weights, 0 or more; it is no feature.
        epochs: Passes over the parts.
        seed: Decides the order of parts, of rows within a part, and the `random_state` of a final estimator that has none.
        shuffle: Whether parts are permuted anew in each epoch, and rows exchanged among every four of them and permuted; the last
            is left to an estimator that permutes rows itself (`shuffle=True` among its parameters).
        classes: All classes, when they are known: saves a scan where there is no preprocessing. Any other is refused.
        validation: Rows that are held out: after each epoch the loss on them (log loss, the share of errors where there are no
            probabilities, or squared error) goes to `learning_curve_` of the final estimator, and the best epoch's weights
            are returned. Rows count by `sample_weight` where they have that column.
        patience: Epochs without a smaller loss after which to stop; None goes through all epochs.
        averaging: Shares of the parts from which linear models learn side by side, their weights averaged after each epoch: as
            many times faster where there are workers, with another result than one chain's, the same on any cluster.
        warm_start: Go on from `estimator`, which is fitted (and not changed). The preprocessing of a pipeline stays as it is. A
            chain begins at its weights; a model of one scan (least squares, naive Bayes, components) and a scaler are then as
            if all rows had been there from the start. A class that it does not know is refused.
        cache: Whether encoded rows are kept in files when they are needed more than once, so that they are decoded and encoded
            once: None where it pays; True in a temporary directory that is removed at the end; a directory keeps them for later
            fits of the same rows and preprocessing. A disk with less than 2 GiB to spare is left alone. `explain_fit` says
            which, and why.
        client: A `distributed.Client`; None means threads of this process.
        checkpoint: A directory of its own for checkpoints; a fit that was killed goes on from the newest whole one when it
            is called again with the same arguments (the scan for preprocessing is repeated). Removed at the end.
        checkpoint_every: Parts between two checkpoints, and the most that the death of a worker repeats.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Raises:
        FitError: A step cannot be fitted out of core, a column of times or a nested one would be taken for numbers, or a
            checkpoint belongs to another fit.
        DataError: There are no rows, the target is missing somewhere or has one class, a feature is not finite, or the
            weights diverged.
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
    source = as_source(source)
    given: dict[str, Any] = {"averaging": averaging, "validation": validation, "patience": patience}
    about: dict[str, Any] = {"sample_weight": sample_weight, "seed": seed, "warm": warm_start, "client": client}
    job = posed(estimator, source, target, epochs=epochs, chained=given, shuffle=shuffle, **about)
    scans = job.scans_before(classes)
    track = Track(len(source.parts), scans + _expected_scans(job.final, epochs))
    with reporting(progress, "fit") as track.bar:
        job.prepare(classes, track)
        if job.final is None:
            return job.fitted
        if is_solved(job.final):
            told = track.from_scan(scans)
            how: dict[str, Any] = {"seed": seed, "warm": warm_start, "cache": cache, "client": client}
            return job.assembled(solved(job.final, source, job.encoder, progress=told, **how))
        if is_boosted(job.final):
            held_out = None if validation is None else as_source(validation)
            trees = Boosting(source, job.encoder, held_out, patience, seed)
            return job.assembled(trees.of(job.final, cache=cache, client=client, progress=track.scan(scans)))
        if isinstance(job.final, Trainable):
            how = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "validation": validation, "patience": patience}
            how |= {"cache": cache, "checkpoint": checkpoint, "checkpoint_every": max(checkpoint_every, 1), "client": client}
            return job.assembled(job.final.trained(source, job.encoder, how | {"progress": track.scan(scans)}))
        loss = None if validation is None else Validation(Loss(job, as_source(validation)), patience)
        order: dict[str, Any] = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "every": max(checkpoint_every, 1)}
        chain = Training(source, job.encoder, **order, shares=averaging, validation=loss)
        options: dict[str, Any] = {"cache": cache, "checkpoint": checkpoint, "client": client}
        return job.assembled(chain.of(estimator, job.final, tell=track.parts(scans), **options))


def posed(estimator: Any, source: Source, target: str | None, *, epochs: int, chained: Mapping[str, Any], **about: Any) -> Job:
    """What is to be fitted on what, checked as far as that goes without reading.

    Args:
        chained: What only a chain of epochs can do: `averaging`, `validation` and `patience`.
        about: What else a `Job` is told.

    Raises:
        ColumnError: A column is not there.
        FitError: The estimator cannot be fitted like this.
    """
    _check(estimator, source, target, epochs)
    job = Job(estimator, source, target, epochs=epochs, **about)
    _check_chained(job.final, chained)
    _check_needed(job, chained)
    if is_boosted(job.final):
        boosting.check(job.final, judged=chained["validation"] is not None, patience=chained["patience"])
    elif isinstance(job.final, Trainable):
        trainable.check(job.final, chained, warm=job.warm)
    elif job.final is not None and not is_solved(job.final):
        training.check(job.final, shares=chained["averaging"], weighted=job.sample_weight is not None)
    return job


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of a chain's estimator on rows that are held out: smaller is better."""

    job: Job
    source: Source

    def __call__(self, final: Any) -> float:
        name = "mean_squared_error" if is_regressor(final) else "log_loss" if hasattr(final, "predict_proba") else "accuracy"
        model, weight = self.job.assembled(deepcopy(final)), self.job.sample_weight
        rows: dict[str, Any] = {"target": self.job.target, "sample_weight": weight if weight in self.source.columns else None}
        value = score(model, self.source, scoring=name, client=self.job.client, progress=False, **rows)
        return float(1 - value if name == "accuracy" else value)


def _check_chained(final: Any, options: Mapping[str, Any]) -> None:
    """Refuse what only a chain of epochs can do, for a model that has none."""
    given = [name for name, value in options.items() if value is not None]
    if given and is_boosted(final) and given[0] == "averaging":
        raise FitError("a linear estimator for averaging=", got=f"`{type(final).__name__}`", where="in fit", do="Leave it out.")
    if given and (final is None or is_solved(final)):
        name = "preprocessing" if final is None else f"`{type(final).__name__}`, which learns from whole scans"
        raise FitError(f"an estimator that learns by `partial_fit` for {given[0]}=", got=name, where="in fit", do="Leave it out.")


def _check_needed(job: Job, options: Mapping[str, Any]) -> None:
    """Refuse what would be left out of account: patience with nothing to judge by, weights of rows for preprocessing alone."""
    if options["patience"] is not None and options["validation"] is None:
        raise FitError("validation=, rows that are held out, for patience=", got="none", where="in fit")
    if job.final is None and job.sample_weight is not None:
        do = "Leave sample_weight= out."
        raise FitError("a model for sample_weight=", got="preprocessing, where every row counts once", where="in fit", do=do)


def _expected_scans(final: Any, epochs: int) -> int:
    in_one = is_boosted(final) or isinstance(final, Trainable)
    return 0 if final is None else n_scans(final) if is_solved(final) else 1 if in_one else epochs


def _check(estimator: Any, source: Source, target: str | None, epochs: int) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise FitError("a scikit-learn estimator, an instance", got=f"`{estimator!r}`", where="in fit")
    if target is not None and target not in source.columns:
        raise ColumnError.missing(target, source.columns, where="in target=")
    if epochs < 1:
        raise FitError("one epoch or more", got=f"epochs={epochs}", where="in fit")
    if target is None and (is_classifier(estimator) or is_regressor(estimator)):
        raise FitError("target=, the column to predict", got="none", where=f"in fit of `{type(estimator).__name__}`")
    if target is not None and is_regressor(estimator):
        check_types({target: PASSED}, source.schema, passed=True)
        check_number(target, source.schema.field(target).type)
