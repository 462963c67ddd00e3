"""Trials: candidates on the splits of one partition, all of them prepared, trained and judged in shared scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sklearn.base import clone

from bigml.learning.chains.training import unseeded
from bigml.learning.job import Job, assembled, divided
from bigml.learning.solving import is_solved
from bigml.learning.structure import named
from bigml.searching.cells import Partition
from bigml.searching.chained import Chained, Race, Rung
from bigml.searching.encodings import Prefix, Preparing
from bigml.searching.failures import Failure
from bigml.searching.ground import Ground, n_needed
from bigml.searching.hands import Feed, table
from bigml.searching.judging import Scoring
from bigml.searching.meter import phases
from bigml.searching.panel import suits
from bigml.searching.setting import Result, Setting, Trial, trials_of
from bigml.searching.solved import solved
from bigml.searching.space import Candidate

WAVE = 8
"""Trials of estimators that learn one by one, which run together where results are recorded."""


@dataclass(eq=False)
class Trials:
    """All trials of some candidates on one partition.

    Attributes:
        setting: What they have in common.
        partition: Whose splits they learn from and are judged by.
        candidates: Each is tried on every split, but for what `skip` holds.
        skip: Pairs of the number of a candidate and of a split.
        race: How candidates are judged on the way; None trains all to the end.
        record: Told of results as soon as they are there, but of those that a race dropped; then trials run in waves, so that
            there are some early.
        scans: Of the source so far.
        rungs: Judgements on the way.
        dropped: By trial the last judgement of those that were not trained to the end.
    """

    setting: Setting
    partition: Partition
    candidates: Sequence[Candidate]
    skip: frozenset[tuple[int, int]] = frozenset()
    race: Race | None = None
    record: Callable[[Trial, Result], None] | None = None
    scans: int = 0
    rungs: list[Rung] = field(default_factory=list)
    dropped: dict[int, Rung] = field(default_factory=dict)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """In the order of candidates and splits."""
        jobs = {one.number: self.setting.job(one.estimator) for one in self.candidates}
        return trials_of(self.candidates, len(self.partition.splits), self.skip, lambda one: jobs[one.number])

    @cached_property
    def leaders(self) -> tuple[int, ...]:
        """By trial the first one of the same candidate that learns from the same cells, and is trained for both."""
        known: dict[tuple[int, int], int] = {}
        places = [(trial.candidate.number, self.partition.firsts[trial.split]) for trial in self.trials]
        return tuple(known.setdefault(place, number) for number, place in enumerate(places))

    @property
    def fits(self) -> int:
        """Models that are trained."""
        return len(set(self.leaders))

    def run(self, scoring: Scoring | None, *, train_scores: bool = False) -> list[Result]:
        """The results, in the order of the trials.

        Args:
            scoring: What the models are judged by; None judges none.
            train_scores: Whether they are judged by the rows that they learned from, too.
        """
        jobs = [trial.job for trial in self.trials if isinstance(trial.job, Job)]
        if not jobs:
            return [Result(trial.job, trial.job) for trial in self.trials if isinstance(trial.job, Failure)]
        results: dict[int, Result] = {}
        waves = self.waves()
        expected = phases(jobs, self.setting.epochs, judged=scoring is not None, waves=len(waves))
        self.setting.progress.plan(expected, last=scoring is None)
        with self.prepared(jobs, scoring) as ground:
            for wave in waves:
                for number, result in self.wave(ground, wave, scoring, train_scores).items():
                    results[number] = result
                    if self.record is not None and number not in self.dropped:
                        self.record(self.trials[number], result)
        return [results[number] for number in range(len(self.trials))]

    def waves(self) -> list[list[int]]:
        """Trials that run together: all, or where results are recorded those that share scans and then a few at a time."""
        numbers = range(len(self.trials))
        if self.record is None or self.race is not None:
            return [list(numbers)]
        shared = [number for number in numbers if not isinstance(job := self.trials[number].job, Job) or _shares(job)]
        alone = [number for number in numbers if number not in set(shared)]
        leaders, size = sorted({self.leaders[number] for number in alone}), max(self.setting.n_teams, WAVE)
        some = [set(leaders[i : i + size]) for i in range(0, len(leaders), size)]
        waves = [shared, *([number for number in alone if self.leaders[number] in chosen] for chosen in some)]
        return [wave for wave in waves if wave]

    def wave(self, ground: Ground, numbers: Sequence[int], scoring: Scoring | None, train_scores: bool) -> dict[int, Result]:
        """The results of some trials that run together."""
        chained = Chained(ground, self.race, self.rungs, self.dropped)
        trained = self.trained(ground, chained, sorted({self.leaders[number] for number in numbers}))
        finals = {number: trained[self.leaders[number]] for number in numbers}
        last = {number: rung.scores for number, rung in chained.dropped.items()}
        left = {number: one for number, one in finals.items() if number not in last}
        scores = {**last, **ground.judged(left, scoring)} if scoring is not None else {}
        learned = ground.judged(left, scoring, train=True) if scoring is not None and train_scores else {}
        shares = {number: rung.share for number, rung in chained.dropped.items()}
        return {
            i: Result(one, scores.get(i, {}), learned.get(i, {}), ground.prefix(i), shares.get(i, 1.0))
            for i, one in finals.items()
        }

    @contextmanager
    def prepared(self, jobs: Sequence[Job], scoring: Scoring | None) -> Iterator[Ground]:
        """What the trials stand on, as long as it is needed: all preprocessing fitted, encoded rows at hand."""
        setting = self.setting
        preparing = Preparing(
            setting.source, self.partition, setting.seed, setting.client, lambda scan: setting.progress("prepare")
        )
        encodings = preparing.of(jobs, setting.classes)
        needed = n_needed(jobs, setting.epochs, scoring)
        how: dict[str, Any] = {"scans": needed, "client": setting.client, "told": lambda: setting.progress("encode")}
        with table(setting.source, Feed(self.partition, encodings.encoders), **how) as found:
            yield Ground(setting, self.partition, self.trials, encodings, found)
        self.scans += preparing.scans + found.scans

    @staticmethod
    def trained(ground: Ground, chained: Chained, numbers: Iterable[int]) -> dict[int, Any]:
        """By trial the final estimator, fitted, or why it is not."""
        finals: dict[int, Any] = {}
        whole: list[int] = []
        parted: list[int] = []
        for number in numbers:
            prefix, job = ground.prefix(number), ground.trials[number].job
            finals[number] = prefix
            if not isinstance(prefix, Failure) and not isinstance(job, Failure):
                (whole if is_solved(job.final) else parted).append(number)
        return finals | (solved(ground, whole) if whole else {}) | (chained.of(parted) if parted else {})

    def model(self, number: int, result: Result) -> Any:
        """The whole model of a trial, as the caller's own kind of object; or why there is none."""
        if isinstance(result.final, Failure) or not isinstance(result.prefix, Prefix):
            return result.final
        own = clone(self.trials[number].candidate.estimator)
        # Its random numbers came from the seed where the caller left them to chance.
        final = result.final.set_params(**dict.fromkeys(unseeded(divided(own)[1])))
        return assembled(own, result.prefix.fitted, named(final, result.prefix.names))


def _shares(job: Job) -> bool:
    """Whether candidates learn together with others: by the same scans, or as columns of one matrix."""
    return is_solved(job.final) or suits(job.final)
