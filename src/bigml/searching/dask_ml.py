"""dask-ml: candidates that are tried on rows in memory by its GridSearchCV."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from bigml.errors import ConfigError
from bigml.graph import execute
from bigml.learning.batch import Batch
from bigml.learning.chains.training import unseeded
from bigml.learning.target import coded
from bigml.searching.failures import Failure, catching
from bigml.searching.judging import Judged, Judging, Scoring
from bigml.searching.sampled import Sampled
from bigml.searching.setting import Result, Trial


@dataclass(frozen=True, eq=False)
class Scorer:
    """One of our scores, as scikit-learn calls scorers; NaN where there is none."""

    name: str
    classes: Any

    def __call__(self, model: Any, X: Any, y: Any) -> float:
        codes = np.asarray(y) if self.classes is None else coded(np.asarray(y), self.classes)
        asked = Judging((Judged(model, 0, (0,)),), Scoring((self.name,), self.classes))
        (found,) = asked.finish(asked.update(asked.start(), ((Batch(np.arange(len(codes)), X, codes),),)))
        return np.nan if isinstance(found, Failure) else found[self.name]


class ByDaskMl(Sampled):
    """Trials on a sample by dask-ml: all that have the same splits to do are one of its searches.

    Models are fitted and judged by dask-ml, on the folds and by the scores that any other search has; the best one is fitted
    by scikit-learn.
    """

    def _results(self, wave: Sequence[Trial], scoring: Scoring | None, train_scores: bool) -> list[Result]:
        if scoring is None:
            return super()._results(wave, scoring, train_scores)
        asked: dict[tuple[int, ...], list[int]] = {}
        for number in dict.fromkeys(trial.candidate.number for trial in wave):
            asked.setdefault(tuple(t.split for t in wave if t.candidate.number == number), []).append(number)
        found: dict[tuple[int, int], Result] = {}
        for splits, numbers in asked.items():
            found |= self._searched(numbers, splits, scoring, train_scores)
        return [found[trial.candidate.number, trial.split] for trial in wave]

    def _searched(
        self, numbers: Sequence[int], splits: Sequence[int], scoring: Scoring, train_scores: bool
    ) -> dict[tuple[int, int], Result]:
        """By candidate and split what one search of dask-ml has found."""
        sample, candidates = self.sample, {one.number: one for one in self.candidates}
        rows, cells = sample.batch(self.setting.aside), sample.cells(self.partition)
        cuts = [self.partition.splits[split] for split in splits]
        folds = [tuple(np.flatnonzero(np.isin(cells, some)) for some in (one.train, one.test)) for one in cuts]
        y = np.asarray(rows.y) if sample.classes is None else sample.classes[np.asarray(rows.y)]
        # A grid of one candidate each: theirs are the parameters that our own space has made.
        grids = [{name: [self._seeded(value)] for name, value in candidates[number].params.items()} for number in numbers]
        base = self._seeded(candidates[numbers[0]].estimator)
        how: dict[str, Any] = {"scoring": {name: Scorer(name, sample.classes) for name in scoring.names}, "cv": folds}
        wanted = grid_search(base, grids, self.setting.client, return_train_score=train_scores, **how)
        with catching() as caught:
            found = _fitted(wanted, rows.X, y)
            return {
                (number, split): Result(None, *(_scores(found.cv_results_, scoring, i, j, kind) for kind in ("test", "train")))
                for i, number in enumerate(numbers)
                for j, split in enumerate(splits)
            }
        return {(number, split): Result(None, caught.failed) for number in numbers for split in splits}

    def _seeded(self, value: Any) -> Any:
        """An estimator whose random numbers come from the seed; anything else as it is."""
        if not hasattr(value, "get_params"):
            return value
        own = clone(value)
        return own.set_params(**dict.fromkeys(unseeded(own), self.setting.seed))


def grid_search(estimator: Any, grids: Sequence[Mapping[str, Any]], client: Any, **options: Any) -> Any:
    """dask-ml's search.

    Raises:
        ConfigError: dask-ml is not installed.
    """
    try:
        from dask_ml.model_selection import GridSearchCV
    except ImportError as error:
        do = "Run `pip install bigml[dask-ml]`, or leave engine= out."
        raise ConfigError("dask-ml", got=str(error), where="in engine=", do=do) from None
    return GridSearchCV(estimator, list(grids), refit=False, error_score=np.nan, scheduler=client, iid=False, **options)


def _fitted(wanted: Any, X: Any, y: Any) -> Any:
    """The search when it is done; fits that failed come out as failures, and no threads are left behind."""
    import dask

    with ThreadPoolExecutor(execute.n_threads()) as pool, dask.config.set(pool=pool), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wanted.fit(X, y)


def _scores(results: Mapping[str, Any], scoring: Scoring, candidate: int, split: int, kind: str) -> Any:
    columns = {name: results.get(f"split{split}_{kind}_{name}") for name in scoring.names}
    scores = {name: float(column[candidate]) for name, column in columns.items() if column is not None}
    if scores and np.isnan(list(scores.values())).all():
        return Failure("dask-ml told no score")
    return scores
