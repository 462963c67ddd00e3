"""Setting: what all trials of a search have in common, and what a trial is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bigml.graph import execute
from bigml.graph.plan import Plan
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.job import Job
from bigml.searching.encodings import Prefix
from bigml.searching.failures import Failure, catching
from bigml.searching.meter import Meter
from bigml.searching.space import Candidate
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class Setting:
    """What all trials have in common.

    Attributes:
        source: The rows.
        target: The column to predict.
        sample_weight: A column of weights; None where every row counts once.
        classes: All classes, when they are known.
        epochs: Passes of estimators with `partial_fit`.
        seed: Of all that is random.
        shuffle: Whether parts and rows are permuted.
        aside: Columns that are no features: those that tell the folds.
        client: Where it runs; None means threads of this process.
        progress: Told of the phases of the search, and how far each is.
    """

    source: Source
    target: str
    sample_weight: str | None = None
    classes: Sequence[Any] | None = None
    epochs: int = 1
    seed: int = 0
    shuffle: bool = True
    aside: tuple[str, ...] = ()
    client: Client | None = None
    progress: Meter = field(default_factory=Meter)

    def job(self, estimator: Any) -> Job | Failure:
        """How an estimator divides into preprocessing and a final estimator; a failure where it cannot be learned by scans."""
        about: dict[str, Any] = {"sample_weight": self.sample_weight, "epochs": self.epochs, "shuffle": self.shuffle}
        with catching() as caught:
            rows = self.source.drop(*self.aside) if self.aside else self.source
            return Job(estimator, rows, self.target, **about, seed=self.seed, client=self.client)
        return caught.failed

    def dealt(self, inquiry: Inquiry[Any]) -> tuple[Any, int]:
        """How rows are dealt, and how many scans it took to know."""
        scans = 0

        def answer(reducer: Any) -> Any:
            nonlocal scans
            scans += 1
            return Plan(self.source, reducer, "folds").compute(self.client, progress=self.progress("folds"))

        return conduct(inquiry, answer), scans

    @property
    def n_teams(self) -> int:
        """Teams that are trained side by side: one for each thread that there is."""
        if self.client is None:
            return execute.n_threads()
        return max(1, sum(self.client.nthreads().values()))


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate on one split.

    Attributes:
        number: Among the trials that run together.
        candidate: Whose parameters.
        split: Its number.
        job: How the candidate divides into preprocessing and final estimator; a failure where it cannot.
    """

    number: int
    candidate: Candidate
    split: int
    job: Job | Failure


def trials_of(
    candidates: Sequence[Candidate], n_splits: int, skip: frozenset[tuple[int, int]], job: Callable[[Candidate], Job | Failure]
) -> tuple[Trial, ...]:
    """Trials in the order of candidates and splits, but for those whose numbers of both are skipped."""
    pairs = [(one, split) for one in candidates for split in range(n_splits) if (one.number, split) not in skip]
    return tuple(Trial(i, one, split, job(one)) for i, (one, split) in enumerate(pairs))


@dataclass(frozen=True, eq=False)
class Result:
    """What became of a trial.

    Attributes:
        final: The final estimator, fitted; or why there is none.
        scores: By name; or why there are none.
        train_scores: The same on the rows that it learned from; empty where they were not asked for.
        prefix: The preprocessing before the final estimator.
        share: How much of all training it had: less than 1 where it was dropped.
    """

    final: Any
    scores: Mapping[str, float] | Failure
    train_scores: Mapping[str, float] | Failure = field(default_factory=dict)
    prefix: Prefix | Failure | None = None
    share: float = 1.0
