"""Networks: candidates that are Keras models, trained and judged on each split by tasks, all of them from the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from bigml.errors import ConfigError
from bigml.graph import execute
from bigml.graph.tree import Graph
from bigml.learning.network import remember
from bigml.searching.builders import Builder
from bigml.searching.cells import Partition
from bigml.searching.chained import Race, Rung
from bigml.searching.failures import Failure
from bigml.searching.found import Found
from bigml.searching.judging import Scoring
from bigml.searching.pieces import Pieces, Stock
from bigml.searching.pupils import Going, Pupil, Stage
from bigml.searching.sampled import WAVE
from bigml.searching.setting import Result, Setting, Trial, trials_of
from bigml.searching.space import Candidate
from bigml.training.replica import built
from bigml.training.rows import known_of

BEGIN = Stage(None, {}, {})
"""Of a trial that has had no epoch yet."""


@dataclass(eq=False)
class Networks:
    """All trials of some candidates on one partition; what `Trials` is to estimators that learn by scans or by `partial_fit`.

    Each trial learns from its rows as one shard, so it is a chain of pure tasks, one from each stop of a race to the next, which
    any worker may do. Whoever goes on does so from its own weights and those of its optimizer.

    Attributes:
        stock: Encoded rows.
        setting: What trials have in common.
        partition: Whose splits they learn from and are judged by.
        candidates: Each is tried on every split, but for what `skip` holds.
        skip: Pairs of the number of a candidate and of a split.
        race: How they are judged on the way; None trains all to the end.
        record: Told of results.
        rungs: Judgements on the way.
        scans: Of the source.
    """

    stock: Stock
    setting: Setting
    partition: Partition
    candidates: Sequence[Candidate]
    skip: frozenset[tuple[int, int]] = frozenset()
    race: Race | None = None
    record: Callable[[Trial, Result], None] | None = None
    rungs: list[Rung] = field(default_factory=list)
    scans: int = 0

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
        self.setting.progress.plan([("prepare", 1), ("encode", 1), ("train", self.setting.epochs)], last=scoring is None)
        if not self.trials:
            return []
        before = self.stock.scans
        pieces = self.stock.of(self.partition, self.setting)
        self.scans = self.stock.scans - before
        results: dict[int, Result] = {}
        for wave in self._waves():
            for number, result in self._trained({number: self._pupil(number, pieces) for number in wave}, scoring, train_scores):
                results[number] = result
                if self.record is not None and result.share >= 1.0:
                    self.record(self.trials[number], result)
        return [results[number] for number in range(len(self.trials))]

    def _waves(self) -> list[Sequence[int]]:
        """Trials that run together: all, or a few at a time, so that results are recorded early."""
        size = len(self.trials) if self.record is None or self.race is not None else WAVE * self.setting.n_teams
        return [range(i, min(i + size, len(self.trials))) for i in range(0, len(self.trials), size)]

    def _trained(self, pupils: Mapping[int, Pupil], scoring: Scoring | None, train: bool) -> Iterator[tuple[int, Result]]:
        """The results of trials that run together, each as soon as it goes no further."""
        epochs, done, live = self.setting.epochs, 0, dict.fromkeys(pupils, BEGIN)
        for stop in self.race.rule.stops(self.race.candidates, epochs) if self.race else [epochs]:
            ends = stop == epochs
            how = {"scoring": scoring, "keep": scoring is None or not ends, "train": train and ends}
            live = self._further({number: pupils[number] for number in live}, live, range(done, stop), how)
            staying = frozenset[int]() if ends else self._staying(live, stop)
            for number in [number for number in live if number not in staying]:
                stage = live.pop(number)
                final = stage.going if scoring is None else None
                yield number, Result(final, stage.scores, stage.train_scores, share=stop / epochs)
            done = stop

    def _further(
        self, pupils: Mapping[int, Pupil], live: Mapping[int, Stage], epochs: range, how: Mapping[str, Any]
    ) -> dict[int, Stage]:
        """All that are live, some epochs further."""
        graph, bar, in_all = Graph(), self.setting.progress("train"), self.setting.epochs
        tasks = {number: partial(pupil.stage, epochs=epochs, **how) for number, pupil in pupils.items()}
        keys = [graph.add("train", task, live[number].going) for number, task in tasks.items()]

        def tell(done: int, total: int) -> None:
            bar(epochs.start * total + done * len(epochs), in_all * total)

        found = execute.run(graph, keys, client=self.setting.client, progress=tell, counted=keys)
        return dict(zip(pupils, found, strict=True))

    def _staying(self, live: Mapping[int, Stage], stop: int) -> frozenset[int]:
        """The trials of candidates that go on."""
        race, share = self.race, stop / self.setting.epochs
        if race is None:
            return frozenset(live)
        known = {(rung.candidate, rung.split): rung for rung in race.known(share)}
        for number, stage in live.items():
            trial = self.trials[number]
            place = trial.candidate.number, trial.split
            if place not in known:
                known[place] = Rung(*place, share, stage.scores)
                race.judged(trial, known[place])
        self.rungs += known.values()
        chosen = race.staying(stop, known.values(), self.setting.epochs)
        dropped = [number for number in live if self.trials[number].candidate.number not in chosen]
        for number in dropped:
            trial = self.trials[number]
            race.dropped(trial, known[trial.candidate.number, trial.split])
        return frozenset(live) - frozenset(dropped)

    def _pupil(self, number: int, pieces: Pieces) -> Pupil:
        trial, setting = self.trials[number], self.setting
        split, builder = self.partition.splits[trial.split], self._builder(number)
        rows, shard = pieces.shard(split.train)
        how: dict[str, Any] = {"batch_size": builder.batch_size, "seed": setting.seed, "shuffle": setting.shuffle}
        tested = pieces.batches(split.test) if split.test else None
        return Pupil(builder.make(setting.seed), self.stock.encoder, self.stock.contract.inputs, rows, shard, tested, **how)

    def _builder(self, number: int) -> Builder:
        builder: Builder = self.trials[number].candidate.estimator
        return builder

    def model(self, number: int, result: Result) -> Any:
        """The plain Keras model of a trial; or why there is none."""
        if not isinstance(result.final, Going):
            return result.final
        model = built(self._builder(number).make(self.setting.seed))
        result.final.state.put(model)
        remember(model, known_of(self.stock.encoder))
        return model


@contextmanager
def networks(estimator: Any, sample: int | None) -> Iterator[Callable[..., Networks] | None]:
    """What makes the trials of a builder's candidates, as long as a search goes on; None of any other estimator.

    Raises:
        ConfigError: They are to be tried on a sample in memory.
    """
    if isinstance(estimator, Builder) and sample is not None:
        do = "Leave it out; or search keras.wrappers.SKLearnClassifier(build_model) on a sample."
        raise ConfigError("all rows for a function that makes Keras models", got=f"sample={sample}", where="in search", do=do)
    with ExitStack() as stack:
        yield partial(Networks, Stock(estimator.contract, stack)) if isinstance(estimator, Builder) else None


def with_epochs(found: Found, epochs: int) -> Found:
    """The results with the epochs that each candidate was trained, over the splits on average."""
    table = found.cv_results_
    return replace(found, cv_results_=table.assign(epochs=table["share"] * epochs))
