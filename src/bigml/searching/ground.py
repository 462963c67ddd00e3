"""Ground: what trials stand on when all preprocessing is fitted: encoded rows in cells, and who learns from which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bigml.learning.chains.training import unseeded
from bigml.learning.job import Job
from bigml.learning.solving import is_solved
from bigml.searching.cells import Partition
from bigml.searching.encodings import Encodings, Prefix, prefix_key
from bigml.searching.failures import Failure
from bigml.searching.hands import Table
from bigml.searching.judging import Judged, Judging, Scoring
from bigml.searching.setting import Setting, Trial


@dataclass(frozen=True, eq=False)
class Ground:
    """Encoded rows in cells, and the trials that learn from them.

    Attributes:
        setting: What they have in common.
        partition: The cells, and the splits made of them.
        trials: By their numbers.
        encodings: How rows are encoded for them.
        table: Where encoded rows come from.
    """

    setting: Setting
    partition: Partition
    trials: Sequence[Trial]
    encodings: Encodings
    table: Table

    @property
    def classes(self) -> NDArray[Any] | None:
        """Of the target; None for numbers."""
        return None if self.encodings.classes is None else self.encodings.classes.values

    def prefix(self, number: int) -> Prefix | Failure:
        """The preprocessing of a trial."""
        trial = self.trials[number]
        return trial.job if isinstance(trial.job, Failure) else self.encodings.prefixes[prefix_key(trial.job), trial.split]

    def cells(self, number: int) -> tuple[int, ...]:
        """What a trial learns from."""
        return self.partition.splits[self.trials[number].split].train

    def final(self, number: int) -> Any:
        """The unfitted final estimator of a trial, a clone; random numbers that are left to chance come from the seed."""
        job = self.trials[number].job
        if not isinstance(job, Job):
            raise TypeError("a trial that failed has no estimator")
        final = job.new_final()
        return final.set_params(**dict.fromkeys(unseeded(final), self.setting.seed))

    def shares(self, number: int) -> bool:
        """Whether a trial learns together with others, by the same scans."""
        return is_solved(self.final(number))

    def judged(
        self, finals: Mapping[int, Any], scoring: Scoring, *, table: Table | None = None, train: bool = False
    ) -> dict[int, Any]:
        """By trial the scores of its model, or why there are none.

        Args:
            finals: By trial the final estimator, fitted, or why it is not.
            table: Where rows come from; None for all rows.
            train: Whether models are judged by the rows that they learned from.
        """
        judged = []
        for number, final in finals.items():
            prefix, split = self.prefix(number), self.partition.splits[self.trials[number].split]
            encoding = -1 if isinstance(prefix, Failure) else prefix.judge
            judged.append(Judged(final, encoding, split.train if train else split.test))
        asked = Judging(tuple(judged), Scoring(scoring.names, self.classes))
        scores = (table or self.table).scan(asked, title="score", progress=self.setting.progress("score"))
        return dict(zip(finals, scores, strict=True))
