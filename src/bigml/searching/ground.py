"""Ground: what trials stand on when all preprocessing is fitted: encoded rows in cells, and who learns from which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from bigml.learning.chains.training import unseeded
from bigml.learning.job import Job
from bigml.learning.scores.scoring import known
from bigml.learning.solving import is_solved, n_scans
from bigml.searching import residuals
from bigml.searching.cells import Partition
from bigml.searching.encodings import Encodings, Prefix, prefix_key
from bigml.searching.failures import Failure
from bigml.searching.hands import Table
from bigml.searching.judging import Judged, Judging, Scoring
from bigml.searching.meter import JUDGE
from bigml.searching.setting import Setting, Trial


def n_needed(jobs: Sequence[Job], epochs: int, scoring: Scoring | None) -> int:
    """How often encoded rows are needed, about: to learn, and to score where products of columns do not tell."""
    learning = [n_scans(job.final) if is_solved(job.final) else epochs for job in jobs]
    return max(learning, default=0) + any(scoring is not None and not _is_told(job.final, scoring) for job in jobs)


def _is_told(final: Any, scoring: Scoring) -> bool:
    gauges = {gauge for name in scoring.names for gauge in known(name).gauges}
    return type(final) in residuals.LINEAR and gauges <= residuals.TOLD


@dataclass(frozen=True, eq=False)
class Ground:
    """Encoded rows in cells, and the trials that learn from them.

    Attributes:
        setting: What they have in common.
        partition: The cells, and the splits made of them.
        trials: By their numbers.
        encodings: How rows are encoded for them.
        table: Where encoded rows come from.
        products: By encoding and cells the products of columns that are known.
    """

    setting: Setting
    partition: Partition
    trials: Sequence[Trial]
    encodings: Encodings
    table: Table
    products: dict[tuple[int, tuple[int, ...]], Any] = field(default_factory=dict)

    @property
    def classes(self) -> NDArray[Any] | None:
        """Of the target; None for numbers."""
        return None if self.encodings.classes is None else self.encodings.classes.values

    def prefix(self, number: int) -> Prefix | Failure:
        """The preprocessing of a trial."""
        trial = self.trials[number]
        if isinstance(trial.job, Failure):
            return trial.job
        return self.encodings.prefixes[self._keys[trial.job], self.partition.firsts[trial.split]]

    @cached_property
    def _keys(self) -> dict[Job, str]:
        """Of the preprocessing of each job, which the trials of a candidate share: a key takes a walk through all parameters."""
        return {job: prefix_key(job) for job in dict.fromkeys(trial.job for trial in self.trials) if isinstance(job, Job)}

    def cells(self, number: int) -> tuple[int, ...]:
        """What a trial learns from."""
        return self.partition.splits[self.trials[number].split].train

    def learned_classes(self, number: int) -> NDArray[np.int64] | None:
        """Codes of the classes that the rows of a trial have; None for numbers, or where they have all."""
        known = self.encodings.classes
        codes = None if known is None else known.among(self.cells(number))
        return None if known is None or codes is None or len(codes) == len(known.values) else codes

    def unfitted(self, number: int) -> Any:
        """The final estimator of a trial as the caller gave it, to look at."""
        job = self.trials[number].job
        if not isinstance(job, Job):
            raise TypeError("a trial that failed has no estimator")
        return job.final

    def final(self, number: int) -> Any:
        """A clone of it, to be fitted; random numbers that are left to chance come from the seed."""
        final = clone(self.unfitted(number))
        return final.set_params(**dict.fromkeys(unseeded(final), self.setting.seed))

    def judged(
        self, finals: Mapping[int, Any], scoring: Scoring, *, table: Table | None = None, train: bool = False
    ) -> dict[int, Any]:
        """By trial the scores of its model, or why there are none.

        Args:
            finals: By trial the final estimator, fitted, or why it is not.
            table: Where rows come from; None for all rows.
            train: Whether models are judged by the rows that they learned from.
        """
        scoring = Scoring(scoring.names, self.classes)
        told = {} if train or table is not None else {number: self._told(number, one, scoring) for number, one in finals.items()}
        scores = {number: scoring.scored(finals[number], gathered) for number, gathered in told.items() if gathered is not None}
        left = [number for number in finals if number not in scores]
        if left:
            split = {number: self.partition.splits[self.trials[number].split] for number in left}
            cells = {number: one.train if train else one.test for number, one in split.items()}
            judged = [Judged(finals[number], self.tested(number)[0], cells[number]) for number in left]
            asked = Judging(tuple(judged), scoring)
            title = JUDGE if table is None else "race"
            found = (table or self.table).scan(asked, title=title, progress=self.setting.progress(title))
            scores.update(zip(left, found, strict=True))
        return scores

    def tested(self, number: int) -> tuple[int, tuple[int, ...]]:
        """The encoding and the cells that a trial is judged by."""
        prefix = self.prefix(number)
        return -1 if isinstance(prefix, Failure) else prefix.judge, self.partition.splits[self.trials[number].split].test

    def _told(self, number: int, final: Any, scoring: Scoring) -> Any:
        """What gauges would gather of a model, where products of columns tell it; else None."""
        moments = self.products.get(self.tested(number))
        if moments is None or isinstance(moments, Failure) or not residuals.is_told(final):
            return None
        gauges = {gauge for metric in scoring.metrics(final).values() for gauge in metric.gauges}
        return residuals.gauged(final, moments) if gauges <= residuals.TOLD else None
