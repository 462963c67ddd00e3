"""Searching: the best parameters of an estimator, found over a source of any size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from bigml.graph.progress import ProgressLike
from bigml.searching.builders import builder_of, is_build_model
from bigml.searching.dask_ml import ByDaskMl
from bigml.searching.folds import partitions
from bigml.searching.found import Found
from bigml.searching.judging import Scoring
from bigml.searching.meter import COUNTING, metered, phases
from bigml.searching.networks import networks, with_epochs
from bigml.searching.racing import Heats, Rule
from bigml.searching.sample import Sample, draw
from bigml.searching.sampled import Sampled
from bigml.searching.setting import Setting
from bigml.searching.space import Grid
from bigml.searching.strategies import Rounds
from bigml.searching.terms import (
    check,
    check_engine,
    check_learnable,
    check_numbers,
    check_predicts,
    deciding,
    ledger,
    score_names,
)
from bigml.searching.trials import Trials
from bigml.searching.tried import Tried
from bigml.searching.ways import way_of
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client


def search(
    estimator: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str,
    grid: Grid,
    strategy: str | Rule | Heats | Rounds = "grid",
    n_iter: int = 10,
    cv: Any = 5,
    groups: str | None = None,
    scoring: str | Sequence[str] | None = None,
    refit: bool | str = True,
    epochs: int = 1,
    sample_weight: str | None = None,
    classes: Sequence[Any] | None = None,
    train_scores: bool = False,
    error_score: float = np.nan,
    seed: int = 0,
    shuffle: bool = True,
    journal: str | Path | None = None,
    sample: int | None = None,
    engine: str = "auto",
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Found:
    """The scores of all candidates of a grid on all splits, and the best of them fitted on all rows.

    Each part of the source is read and encoded once for all candidates and splits, however many there are; what they learn by
    sums is gathered by fold and merged, so k folds cost one scan. Results depend on the arguments alone: threads, clusters and
    any chunking of the rows give the same folds, and any number of workers the same bits.

    Args:
        estimator: A scikit-learn estimator or Pipeline that `bigml.fit` takes; never changed. Or a function that makes a compiled
            Keras model of named arguments, which are the parameters of the grid: each candidate is trained on each split by
            one worker, as `bigml.train` does with one shard, all of them from rows that are encoded once. In a race stops are
            epochs, and who stays goes on from its weights. `batch_size` in the grid is that of the training (else 256).
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        target: The column to predict.
        grid: By parameter, as `set_params` names it, its values; a list of such grids; whole steps may be values too. But
            for strategy="grid" also distributions of scipy.
        strategy: "grid" for all combinations, "random" for `n_iter` of them; "halving", "hyperband" and "racing" for all, or
            `n_iter` of a grid with distributions, of which those that fall behind are trained no further, and "heats" where
            only the best on the first split are tried on the others; "refine" for a coarse grid and then finer ones around
            the best; "optuna" for `n_iter` that its sampler chooses in several rounds. Or one of these with other options:
            `bigml.searching.racing.Halving(eta=4)`, `bigml.searching.racing.Heats(finalists=8)`,
            `bigml.searching.refining.Refine(rounds=6)`, `bigml.searching.asking.Optuna(batch=16)`.
        n_iter: Candidates that are drawn.
        cv: A number of folds (of equal shares of the classes, for a classifier), a splitter of scikit-learn that says how to
            split (`KFold(5, shuffle=True)`, ...), or `bigml.HoldOut`, `GroupFolds`, `TimeFolds` or `FoldColumn`. Which fold a
            row is in follows from a hash of its number or group. Columns that tell the folds, but the target, are no features.
        groups: The column whose equal values stay in one fold, for a splitter of groups.
        scoring: scikit-learn's names of scores, one or several; None means accuracy or, of a regressor, r2.
        refit: Whether the best candidate is fitted on all rows; with several scores the name of the one that decides, or False,
            by which the first decides.
        epochs: Passes of estimators with `partial_fit`, and of Keras models.
        sample_weight: A column of weights for learning and scores, 0 or more; it is no feature.
        classes: All classes, when they are known.
        train_scores: Whether models that were trained to the end are also judged by the rows that they learned from.
        error_score: The score of a candidate that fails; its cause is in `cv_results_["failed"]`.
        seed: Decides the folds, the order of rows and the `random_state` of estimators that have none.
        shuffle: Whether parts are permuted anew in each epoch, and rows exchanged among every four of them and permuted.
        journal: A directory where every result is written at once: a search that was killed goes on from there when it is called
            again with the same arguments, and tries only what has no result yet.
        sample: About how many rows to search on, in memory, by scikit-learn's own `fit`: for estimators that learn neither by
            scans nor with `partial_fit`. They are drawn by a hash, each class by its share; the best candidate too is fitted
            on them. Each candidate and split is a task, and preprocessing that candidates share is fitted once a split.
        engine: "auto", or "dask-ml" for its GridSearchCV on a sample.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (one bar on a terminal, which tells what is being done) or a function (done, total), in
            hundredths of a scan; see `bigml.searching.meter.Meter`.

    Raises:
        ConfigError: The grid is empty or has an unknown parameter, or `scoring` and `refit` do not fit together.
        DataError: A class has fewer rows than there are folds; there are no rows.
        FitError: The estimator does not predict the target; every candidate failed, the first cause is told.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> rows = pd.DataFrame({"x": range(100), "y": [2.0 * i for i in range(100)]})
    >>> found = bigml.search(Ridge(), rows, target="y", grid={"alpha": [0.1, 1e6]}, scoring="neg_mean_squared_error")
    >>> found.best_params_
    {'alpha': 0.1}
    """
    begun = time.perf_counter()
    source = as_source(source)
    if is_build_model(estimator):
        estimator = builder_of(estimator, grid, seed)
    check(estimator, source, target, groups=groups, sample_weight=sample_weight)
    check_predicts(estimator, grid)
    check_numbers(error_score, epochs=epochs, n_iter=n_iter)
    way, names = way_of(strategy), score_names(estimator, scoring)
    decides = deciding(names, refit)
    check_engine(engine, sample, sample_weight)
    if sample is None:
        check_learnable(estimator, grid)
    options: dict[str, Any] = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "client": client}
    with metered(progress, refits=bool(refit)) as meter, networks(estimator, sample) as trained:
        setting = Setting(source, target, sample_weight, classes, **options, progress=meter)
        meter.plan([*COUNTING, *phases([setting.job(estimator)], epochs, judged=True)])
        in_memory = None if sample is None else draw(setting, sample, classifier=is_classifier(estimator))
        about: dict[str, Any] = {"target": target, "classifier": is_classifier(estimator), "groups": groups, "seed": seed}
        rows = source if in_memory is None else in_memory.source
        parts, scans = replace(setting, source=rows).dealt(partitions(cv, rows, **about))
        aside = {name for partition in parts for name in partition.dealer.columns} - {target}
        tried = Tried(estimator, replace(setting, aside=tuple(sorted(aside))), Scoring(names, None), decides, tuple(parts))
        # What is trained in memory is trained in one go: heats have the first split alone there.
        tried.finalists, tried.rule = way.finalists, None if sample is not None and way.finalists else way.rule
        tried.scans, tried.engine = in_memory.scans if in_memory else scans, trained or _engine(engine, in_memory)
        more = {} if way.rule is None and way.finalists is None else way.told(grid, n_iter, seed)
        with ledger(journal, tried, cv=cv, groups=groups, sample=sample, **more) as tried.ledger:
            tried.follow(way.rounds(grid, n_iter, seed), train_scores=train_scores)
            found = tried.found(error_score, begun, refit=bool(refit))
    if trained is not None:
        return with_epochs(found, epochs)
    return found if in_memory is None else replace(found, notes_=(*found.notes_, in_memory.note))


def _engine(name: str, sample: Sample | None) -> Callable[..., Trials | Sampled]:
    """What tries candidates on all rows, or in memory on a sample."""
    return Trials if sample is None else partial(ByDaskMl if name == "dask-ml" else Sampled, sample)
