"""Encodings: the preprocessing of every candidate, fitted once for each split that it learns from, all of it in shared scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bigml.errors import DataError
from bigml.graph.progress import ProgressLike
from bigml.learning.batch import Encoder
from bigml.learning.chains.checkpoint import fingerprint
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.job import Job, design_of
from bigml.learning.preprocessing.cross_fitting import is_cross_fitted, released
from bigml.learning.preprocessing.preparation import MOST_CLASSES, Wants, classes_of, preparing, surveyed, surveyor
from bigml.learning.preprocessing.summarising import Counted
from bigml.learning.target import Target, check_classes, coded
from bigml.searching.cells import Partition
from bigml.searching.failures import Failure, catching
from bigml.searching.hands import Feed, Table
from bigml.searching.questions import Ask, Learner, Questions, joint
from bigml.sources.source import Source

Place: TypeAlias = tuple[str, int]
"""The key of preprocessing, and the number of a split."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """Preprocessing that some candidates share, fitted on the rows of one split.

    Attributes:
        fitted: As it stands in their pipelines; None where there is none.
        names: Of the columns that the final estimator is given, where these have some.
        learn: The encoding of rows that are learned from.
        judge: The encoding of rows that are tested on; another one where preprocessing is cross-fitted.
    """

    fitted: Any
    names: Sequence[str] | None
    learn: int
    judge: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """Preprocessing that has learned.

    Attributes:
        learner: As it encodes the rows that are learned from; None where there is none.
        names: Of the columns that it makes, where these have some.
        width: How many they are.
    """

    learner: Any
    names: Sequence[str] | None
    width: int


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of the target, and how often each is in which cells.

    Attributes:
        values: Sorted.
        counts: Rows of each class by cell, shape (n_cells, n_classes).
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]

    def among(self, cells: Sequence[int]) -> NDArray[np.int64]:
        """The codes of the classes, ascending, without those that only rows of other cells have."""
        here, anywhere = self.counts[list(cells)].sum(axis=0) > 0, self.counts.sum(axis=0) > 0
        return np.flatnonzero(here | ~anywhere)

    def target(self, whole: Target, cells: Sequence[int]) -> Target:
        """The target as the rows of some cells have it."""
        codes = self.among(cells)
        return whole if len(codes) == len(self.values) else replace(whole, classes=self.values[codes])


@dataclass(frozen=True, eq=False)
class Encodings:
    """All that was fitted before the final estimators.

    Attributes:
        prefixes: By (key of preprocessing, number of the first split that learns from the same cells); a failure where it could
            not be fitted.
        encoders: By number of the encoding.
        widths: Features of each encoding.
        classes: Of the target; None where there are none.
        scans: How many scans it took.
    """

    prefixes: Mapping[Place, Prefix | Failure]
    encoders: tuple[Encoder, ...]
    widths: tuple[int, ...]
    classes: Classes | None
    scans: int


def prefix_key(job: Job) -> str:
    """Equal for jobs whose preprocessing is equal."""
    return fingerprint(before=job.before)


@dataclass(eq=False)
class Preparing:
    """Fits preprocessing on the rows of splits.

    Attributes:
        source: The rows.
        partition: Their cells.
        seed: For steps that use random numbers and have no `random_state`.
        client: Where scans run.
        tell: Progress of a scan, by its number.
    """

    source: Source
    partition: Partition
    seed: int
    client: Any = None
    tell: Callable[[int], ProgressLike] = lambda scan: False
    scans: int = 0

    @property
    def _pools(self) -> dict[int, tuple[int, ...]]:
        """What is learned from, by the number of the first split that does."""
        return {number: self.partition.splits[number].train for number in dict.fromkeys(self.partition.firsts)}

    def ask(self, questions: Questions) -> list[Any]:
        """The answers, from one scan of rows as they are read."""
        raw = tuple(dict.fromkeys(name for one in questions.asks for name in one.reducer.columns))
        feed, told = Feed(self.partition, (None,), raw), self.tell(self.scans)
        self.scans += 1
        answers: list[Any] = Table(self.source, feed, None, self.client).scan(questions, title="survey", progress=told)
        return answers

    def of(self, jobs: Sequence[Job], classes: Sequence[Any] | None) -> Encodings:
        """The encodings of all jobs, which are of one source and target."""
        distinct = {prefix_key(job): job for job in dict.fromkeys(jobs)}
        counted = next((job.target for job in jobs if job.asks_classes(None)), None)
        found, counts = self._surveyed(distinct, counted)
        told = None if counted is None else _classes(counts, counted, classes, self.source)
        column = jobs[0].target
        target = None if column is None else Target(column, None if told is None else told.values, checked=classes is not None)
        return self._prepared(distinct, found, target, told)

    def _surveyed(self, distinct: Mapping[str, Job], counted: str | None) -> tuple[dict[Place, Any], list[Any]]:
        """What is known of the rows that are learned from; and the target's values in each cell, and in all."""
        asks: dict[Any, Ask] = {}
        surveys: list[tuple[Wants, Any]] = []
        for key, job in distinct.items():
            if job.wanted:
                known = next((one for wanted, one in surveys if wanted == job.wanted), None)
                reducer = known or surveyor(job.features.schema, job.wanted, None)
                surveys.append((job.wanted, reducer))
                asks.update({(key, number): Ask(reducer, 0, train) for number, train in self._pools.items()})
        cells = range(self.partition.n_cells)
        if counted is not None:
            reducer = Counted(counted, self.source.schema.field(counted).type, MOST_CLASSES)
            asks.update({("", cell): Ask(reducer, 0, (cell,)) for cell in cells} | {("", -1): Ask(reducer, 0, tuple(cells))})
        found = dict(zip(asks, self.ask(Questions(tuple(asks.values()))) if asks else [], strict=True))
        counts = [found.pop(("", cell)) for cell in (*cells, -1)] if counted is not None else []
        return found, counts

    def _prepared(
        self, distinct: Mapping[str, Job], found: Mapping[Place, Any], target: Target | None, classes: Classes | None
    ) -> Encodings:
        encoders: list[Encoder] = []
        widths: list[int] = []
        prefixes: dict[Place, Prefix | Failure] = {}
        for (key, number), fitted in self._fitted(distinct, found, target, classes).items():
            job = distinct[key]
            if isinstance(fitted, Failure):
                prefixes[key, number] = fitted
                continue
            if number and not learns(job):
                prefixes[key, number] = prefixes[key, 0]
                continue
            plain = released(fitted.learner)
            designs = [design_of(one, job.features) for one in (fitted.learner, plain)[: 1 + is_cross_fitted(job.before)]]
            prefixes[key, number] = Prefix(plain, fitted.names, len(encoders), len(encoders) + len(designs) - 1)
            encoders += [Encoder(design, target, job.sample_weight, coded=True) for design in designs]
            widths += [fitted.width for _ in designs]
        return Encodings(prefixes, tuple(encoders), tuple(widths), classes, self.scans)

    def _fitted(
        self, distinct: Mapping[str, Job], found: Mapping[Place, Any], target: Target | None, classes: Classes | None
    ) -> dict[Place, Any]:
        """By place preprocessing as it encodes rows to learn from, or why there is none."""
        places, learners = [], []
        for key, job in distinct.items():
            for number, train in self._pools.items():
                places.append((key, number))
                own = target if target is None or classes is None else classes.target(target, train)
                learners.append(Learner(_inquiry(job, found.get((key, number)), own, self.seed), 0, train))
        return dict(zip(places, conduct(joint(learners), self.ask), strict=True))


def _inquiry(job: Job, answer: Any, target: Target | None, seed: int) -> Inquiry[Fitted]:
    """Preprocessing fitted from what one survey found."""
    if job.before is None:
        return Fitted(None, job.names, len(job.features.columns))
    if isinstance(answer, Failure):
        raise DataError("columns that preprocessing accepts", got=answer.cause)
    found = None if answer is None else surveyed(job.wanted, None, answer)
    learner, behind = yield from preparing(job.before, job.features.schema, found, target=target, seed=seed)
    return Fitted(learner, behind.names, behind.rows.shape[1])


def learns(job: Job) -> bool:
    """Whether its preprocessing depends on the rows: whether it asks for anything."""
    if job.before is None or job.wanted:
        return bool(job.wanted)
    with catching() as caught:
        return next(_inquiry(job, None, None, 0), None) is not None
    # Whatever it is, it is found again, and told, where the rows are known.
    return caught.failure is not None


def _classes(counts: Sequence[Any], target: str, given: Sequence[Any] | None, source: Source) -> Classes:
    """The classes, of the values of the target in each cell and, last, in all.

    Raises:
        DataError: A value is missing, there is one class only, or there are too many for classes.
    """
    *cells, whole = counts
    if isinstance(whole, Failure):
        raise DataError("a target with classes", got=whole.cause, where=f"column `{target}`")
    found = classes_of(target, whole, source)
    values = check_classes(found if given is None else np.unique(np.asarray(given)), f"column `{target}`")
    table = np.zeros((len(cells), len(values)), np.int64)
    for row, summary in zip(table, cells, strict=True):
        codes = coded(summary.values.to_pandas().to_numpy(), values)
        np.add.at(row, codes[codes >= 0], summary.counts[codes >= 0])
    return Classes(values, table)
