"""Sampled: candidates that are tried on rows in memory, each by scikit-learn's own `fit`, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from bigml.errors import ConfigError, FitError
from bigml.graph import execute
from bigml.graph.progress import reporting
from bigml.graph.tree import Graph
from bigml.learning.batch import Batch
from bigml.learning.chains.checkpoint import fingerprint
from bigml.learning.chains.training import unseeded
from bigml.searching.cells import Partition, Split
from bigml.searching.chained import Rung
from bigml.searching.failures import Failure, catching
from bigml.searching.judging import Judged, Judging, Scoring
from bigml.searching.sample import Sample
from bigml.searching.setting import Result, Setting, Trial, trials_of
from bigml.searching.space import Candidate

WAVE = 4
"""Trials for each thread that there is, which run together where results are recorded."""
LARGE = "10GB"
"""Rows in memory go to workers with the tasks; Dask warns above this."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The rows of one split behind the first steps of a pipeline.

    Attributes:
        train: What is learned from; y are codes of classes where there are some.
        test: What is tested on.
        classes: Of the target; None for numbers.
        steps: That were fitted so far.
    """

    train: Batch
    test: Batch
    classes: NDArray[Any] | None
    steps: tuple[Any, ...] = ()

    @property
    def labels(self) -> NDArray[Any]:
        """The target of what is learned from, as it is in the source."""
        y = np.asarray(self.train.y)
        return y if self.classes is None else self.classes[y]


def held(given: tuple[Batch, NDArray[np.int16], NDArray[Any] | None], split: Split) -> Prepared:
    """The rows of one split, of all rows with their cells and the classes of the target."""
    rows, cells, classes = given
    train, test = (rows.take(np.flatnonzero(np.isin(cells, some))) for some in (split.train, split.test))
    return Prepared(train, test, classes)


def stepped(before: Prepared | Failure, step: Any) -> Prepared | Failure:
    """The rows behind one more step, fitted on what is learned from."""
    if isinstance(before, Failure):
        return before
    with catching() as caught:
        own, train, test = clone(step), before.train, before.test
        if hasattr(own, "fit_transform"):
            learned = own.fit_transform(train.X, before.labels)
        else:
            learned = own.fit(train.X, before.labels).transform(train.X)
        tested = own.transform(test.X) if test.n_rows else test.X
        parts = [Batch(rows.rows, X, rows.y, rows.weights) for rows, X in ((train, learned), (test, tested))]
        return Prepared(parts[0], parts[1], before.classes, (*before.steps, own))
    return caught.failed


def judged(before: Prepared | Failure, final: Any, scoring: Scoring | None, train_scores: bool) -> Result:
    """The result of a final estimator: its scores, or the steps and it itself where nothing is judged."""
    if isinstance(before, Failure):
        return Result(before, before)
    with catching() as caught:
        weights = {} if before.train.weights is None else {"sample_weight": before.train.weights}
        model = clone(final).fit(before.train.X, before.labels, **weights)
        if scoring is None:
            return Result((*before.steps, model), {})
        scored = Scoring(scoring.names, before.classes)
        return Result(None, _scores(model, before.test, scored), _scores(model, before.train, scored) if train_scores else {})
    return Result(caught.failed, caught.failed)


def _scores(model: Any, rows: Batch, scoring: Scoring) -> Any:
    asked = Judging((Judged(model, 0, (0,)),), scoring)
    return asked.finish(asked.update(asked.start(), ((rows,),)))[0]


@dataclass(eq=False)
class Sampled:
    """All trials of some candidates on one partition of a sample; what `Trials` is to whole sources.

    Each trial is a task. Steps before the final estimator that several candidates share, with equal parameters, are fitted once
    for each split.

    Attributes:
        sample: The rows.
        setting: What trials have in common.
        partition: Whose splits they learn from and are judged by.
        candidates: Each is tried on every split, but for what `skip` holds.
        skip: Pairs of the number of a candidate and of a split.
        race: None; models in memory are trained in one go.
        record: Told of results, a few at a time.
        steps: Steps that were fitted before final estimators.
    """

    sample: Sample
    setting: Setting
    partition: Partition
    candidates: Sequence[Candidate]
    skip: frozenset[tuple[int, int]] = frozenset()
    race: Any = None
    record: Callable[[Trial, Result], None] | None = None
    steps: int = 0
    rungs: list[Rung] = field(default_factory=list)
    scans: int = 0

    def __post_init__(self) -> None:
        if self.race is not None:
            raise ConfigError("a strategy that trains all candidates to the end", got="one that drops some", where="with sample=")

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """In the order of candidates and splits."""
        return trials_of(self.candidates, len(self.partition.splits), self.skip, lambda one: Failure(""))

    @property
    def fits(self) -> int:
        """Models that are trained."""
        return len(self.trials)

    def run(self, scoring: Scoring | None, *, train_scores: bool = False) -> list[Result]:
        """The results, in the order of the trials; models are kept where nothing is judged."""
        results: dict[int, Result] = {}
        waves = self._waves()
        self.setting.progress.plan([("train", 1)] * len(waves), last=scoring is None)
        for wave in waves:
            for trial, result in zip(wave, self._results(wave, scoring, train_scores), strict=True):
                results[trial.number] = result
                if self.record is not None:
                    self.record(trial, result)
        return [results[number] for number in range(len(self.trials))]

    def _waves(self) -> list[Sequence[Trial]]:
        """Trials that run together: all, or a few of one split at a time, so that results are recorded early."""
        if self.record is None:
            return [self.trials] if self.trials else []
        order, size = sorted(self.trials, key=lambda trial: trial.split), WAVE * self.setting.n_teams
        return [order[i : i + size] for i in range(0, len(order), size)]

    def _results(self, wave: Sequence[Trial], scoring: Scoring | None, train_scores: bool) -> list[Result]:
        import dask

        graph = Graph()
        keys = self._tasks(graph, wave, scoring, train_scores)
        with (
            reporting(self.setting.progress("train"), "train") as bar,
            dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE}),
        ):
            found: list[Result] = execute.run(graph, keys, client=self.setting.client, progress=bar, counted=keys)
        return found

    def _tasks(self, graph: Graph, wave: Sequence[Trial], scoring: Scoring | None, train_scores: bool) -> list[str]:
        """The tasks of some trials; equal steps behind equal rows are one task."""
        sample, known, keys = self.sample, dict[tuple[Any, ...], str](), []
        rows = graph.add("rows", _same, sample.batch(self.setting.aside), sample.cells(self.partition), sample.classes)
        for trial in wave:
            steps = steps_of(trial.candidate.estimator, self.setting.seed)
            place: tuple[Any, ...] = (trial.split,)
            if place not in known:
                known[place] = graph.add("split", held, graph.ref(rows), self.partition.splits[trial.split])
            for step in steps[:-1]:
                before, place = known[place], (*place, fingerprint(step=step))
                if place not in known:
                    known[place], self.steps = graph.add("step", stepped, graph.ref(before), step), self.steps + 1
            keys.append(graph.add("judge", judged, graph.ref(known[place]), steps[-1], scoring, train_scores))
        return keys

    def model(self, number: int, result: Result) -> Any:
        """The whole model of a trial, as the caller's own kind of object; or why there is none."""
        if isinstance(result.final, Failure):
            return result.final
        own = clone(self.trials[number].candidate.estimator)
        fitted = assembled(own, result.final)
        return fitted.set_params(**dict.fromkeys(unseeded(own)))


def _same(*values: Any) -> tuple[Any, ...]:
    return values


def steps_of(estimator: Any, seed: int) -> list[Any]:
    """The steps of an estimator, the final one last, without those that do nothing; what is random is seeded.

    Raises:
        FitError: The last step does nothing.
    """
    own = clone(estimator)
    own.set_params(**dict.fromkeys(unseeded(own), seed))
    if not isinstance(own, Pipeline):
        return [own]
    steps = [step for _, step in own.steps[:-1] if step is not None and step != "passthrough"]
    if not hasattr(own.steps[-1][1], "fit"):
        raise FitError("a pipeline that ends in an estimator", got=f"`{own.steps[-1][1]}`", where="in search")
    return [*steps, own.steps[-1][1]]


def assembled(own: Any, fitted: Sequence[Any]) -> Any:
    """The caller's kind of object, made of fitted steps."""
    if not isinstance(own, Pipeline):
        return fitted[0]
    rest = iter(fitted)
    own.steps = [(name, step if step is None or step == "passthrough" else next(rest)) for name, step in own.steps]
    return own
