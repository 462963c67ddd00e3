"""Tried: the candidates of a search on their way, with all that is known of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bigml.errors import FitError
from bigml.learning.solving import is_solved
from bigml.searching.cells import WHOLE, Partition
from bigml.searching.chained import Race, Rung
from bigml.searching.failures import Failure
from bigml.searching.found import Cost, Found, averages, ranks, results
from bigml.searching.judging import Scoring
from bigml.searching.ledger import Ledger
from bigml.searching.networks import Networks
from bigml.searching.racing import Rule
from bigml.searching.sampled import Sampled
from bigml.searching.setting import Result, Setting, Trial
from bigml.searching.space import Candidate, Params, chosen
from bigml.searching.strategies import Strategy
from bigml.searching.trials import Trials

UNTRIED = Result(None, {}, share=0.0)
"""Of a split that a candidate was kept from."""


@dataclass(eq=False)
class Tried:
    """A search on its way.

    Attributes:
        estimator: The caller's.
        setting: What all trials have in common.
        scoring: What they are judged by.
        decides: The score that decides.
        partitions: Of the rows; their splits are those of the search, one after another.
        candidates: So far.
        results: By the number of a candidate and of a split.
        duplicates: Parameters that made a candidate again.
        rule: Which candidates are trained further; None trains all to the end.
        finalists: How many of the candidates that are tried together go on to the other splits, after all have raced on the
            first; None lets all start on all splits.
        ledger: Where results are written at once, and found again; None where they are not.
        engine: Makes the trials of some candidates.
        scans: Of the source so far.
        fits: Models that were trained, to the end or not.
        rungs: Judgements on the way.
        notes: What there is to know about how it was done.
    """

    estimator: Any
    setting: Setting
    scoring: Scoring
    decides: str
    partitions: tuple[Partition, ...] = ()
    candidates: list[Candidate] = field(default_factory=list)
    results: dict[tuple[int, int], Result] = field(default_factory=dict)
    duplicates: list[Params] = field(default_factory=list)
    rule: Rule | None = None
    finalists: int | None = None
    ledger: Ledger | None = None
    engine: Callable[..., Trials | Sampled | Networks] = Trials
    scans: int = 0
    fits: int = 0
    rungs: list[Rung] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def follow(self, strategy: Strategy, *, train_scores: bool = False) -> None:
        """Try what the strategy wants, until it wants no more."""
        params = next(strategy, None)
        while params is not None:
            means = self.try_all(params, train_scores=train_scores)
            try:
                params = strategy.send(means)
            except StopIteration:
                return

    def try_all(self, params: Sequence[Params], *, train_scores: bool) -> NDArray[np.float64]:
        """The mean score of each candidate that these parameters make, more is better."""
        made = chosen(self.estimator, params, {one.key: one.number for one in self.candidates})
        self.candidates += made.candidates
        self.duplicates += made.duplicates
        racing = self._racing(made.candidates)
        heat = frozenset((one.number, split) for one in racing for split in range(1, self._n_splits))
        self._try(made.candidates, heat, self.rule if racing or self.finalists is None else None, train_scores)
        if racing:
            left = self._behind(racing)
            self.notes.append(f"{len(racing) - len(left)} of {len(racing)} went on to all splits from a race on the first")
            self._try(racing, frozenset(pair for pair in heat if pair[0] in left), None, train_scores)
        return self.scoring.sign(self.decides) * self.means(self.decides)[list(made.numbers)]

    @property
    def _n_splits(self) -> int:
        return sum(len(partition.splits) for partition in self.partitions)

    def _racing(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that race on the first split: what learns by shared scans has all splits for the price of one."""
        entrants = [one for one in candidates if not is_solved(_final(one))]
        return [] if self.finalists is None or len(entrants) <= self.finalists else entrants

    def _behind(self, racing: Sequence[Candidate]) -> frozenset[int]:
        """Those that have lost the race on the first split."""
        numbers = [one.number for one in racing]
        table, shares = self.table(self.decides)[numbers, 0], self.shares()[numbers, 0]
        order = ranks(table, self.scoring.sign(self.decides), shares)
        lost = (order > (self.finalists or 0)) | np.isnan(table)
        return frozenset(number for number, behind in zip(numbers, lost, strict=True) if behind)

    def _try(self, candidates: Sequence[Candidate], skip: frozenset[tuple[int, int]], rule: Rule | None, train: bool) -> None:
        """Try candidates on all splits but for some pairs, and but for what is known already."""
        first = 0
        for partition in self.partitions if candidates else ():
            splits = range(first, first + len(partition.splits))
            self._look_up(candidates, splits, train)
            done = frozenset((number, split - first) for number, split in {*skip, *self.results} if split in splits)
            race, record = self._race(candidates, splits, rule), self._record(first)
            trials = self.engine(self.setting, partition, candidates, done, race, record)
            for trial, result in zip(trials.trials, trials.run(self.scoring, train_scores=train), strict=True):
                self.results[trial.candidate.number, first + trial.split] = result
            self.scans += trials.scans
            self.rungs += [replace(rung, split=first + rung.split) for rung in trials.rungs]
            self.fits += trials.fits
            first = splits.stop

    def _look_up(self, candidates: Sequence[Candidate], splits: range, train_scores: bool) -> None:
        """Take what an earlier run has found of these candidates, unless it did not judge what is wanted now."""
        if self.ledger is None:
            return
        for one, split in ((one, split) for one in candidates for split in splits):
            result = self.ledger.result(one.key, split)
            if result is not None and not (train_scores and lacks_training(result)):
                self.results.setdefault((one.number, split), result)

    def _record(self, first: int) -> Callable[[Trial, Result], None] | None:
        ledger = self.ledger
        if ledger is None:
            return None
        return lambda trial, result: ledger.add(trial.candidate.key, first + trial.split, result)

    def _race(self, candidates: Sequence[Candidate], splits: range, rule: Rule | None) -> Race | None:
        if rule is None:
            return None
        keys, first = {one.number: one.key for one in candidates}, splits.start
        race, ledger = Race(rule, self.scoring, self.decides, tuple(keys)), self.ledger
        if ledger is None:
            return race

        def known(share: float) -> list[Rung]:
            found = [(number, *one) for number, key in keys.items() for one in ledger.rungs(key, share)]
            return [Rung(number, split - first, share, scores) for number, split, scores in found if split in splits]

        def judged(trial: Trial, rung: Rung) -> None:
            ledger.add_rung(trial.candidate.key, first + trial.split, rung.share, rung.scores)

        def dropped(trial: Trial, rung: Rung) -> None:
            ledger.add(trial.candidate.key, first + trial.split, Result(None, rung.scores, share=rung.share))

        return replace(race, known=known, judged=judged, dropped=dropped)

    def rows(self) -> list[list[Result]]:
        """By candidate its results, one a split."""
        n_splits = 1 + max((split for _, split in self.results), default=-1)
        return [[self.results.get((i, split), UNTRIED) for split in range(n_splits)] for i in range(len(self))]

    def table(self, name: str, *, train: bool = False) -> NDArray[np.float64]:
        """One score by candidate and split, NaN for failures and where it was not tried."""
        rows = [[_score(one.train_scores if train else one.scores, name) for one in some] for some in self.rows()]
        return np.array(rows, dtype=np.float64).reshape(len(self), -1)

    def shares(self) -> NDArray[np.float64]:
        """By candidate and split how much of all training there was; 0 where it was not tried."""
        return np.array([[one.share for one in some] for some in self.rows()]).reshape(len(self), -1)

    def means(self, name: str) -> NDArray[np.float64]:
        """The mean score of each candidate over the splits that it was tried on, NaN where it failed on one of them."""
        return averages(self.table(name), self.shares())[0]

    def __len__(self) -> int:
        return len(self.candidates)

    def found(self, error_score: float, begun: float, *, refit: bool) -> Found:
        """What was found, the best candidate fitted on all rows.

        Raises:
            FitError: All candidates failed.
        """
        names, sign = self.scoring.names, self.scoring.sign(self.decides)
        tables, shares = {name: self.table(name) for name in names}, self.shares()
        causes = [_cause(some, self.decides) for some in self.rows()]
        # Those that were trained to the end come first, whatever the others had before they were dropped.
        means = self.means(self.decides)
        best = int(np.argmin(ranks(means, sign, shares.mean(axis=1))))
        if np.isnan(means[best]):
            where = f"in grid={dict(self.candidates[0].params)}"
            raise FitError("a candidate with a score", got=causes[0], where=where, do="All failed; mend the first.")
        learned = {name: self.table(name, train=True) for name in names} if self._has_train_scores() else {}
        signs = {name: self.scoring.sign(name) for name in names}
        params = [one.params for one in self.candidates]
        frame = results(params, tables, learned, signs, shares=shares, causes=causes, error_score=error_score)
        return Found(
            cv_results_=frame,
            best_index_=best,
            best_estimator_=self.refitted(best) if refit else None,
            scorer_=self.decides,
            n_splits_=shares.shape[1],
            greater_is_better_=sign > 0,
            cost_=self._cost(shares, begun),
            duplicates_=tuple(self.duplicates),
            notes_=(*self.notes, *self._whole()),
            history_=self._history(),
        )

    def _cost(self, shares: NDArray[np.float64], begun: float) -> Cost:
        source, seconds = self.setting.source, time.perf_counter() - begun
        told = (self.scans, self.scans * source.nbytes, seconds, float(shares.mean()), self.scans * len(source.parts))
        return Cost(len(self), self.fits, *told)

    def _history(self) -> pd.DataFrame | None:
        """Every judgement on the way; None where nothing was judged before the end."""
        if not self.rungs:
            return None
        facts = [{"candidate": one.candidate, "split": one.split, "share": one.share} for one in self.rungs]
        scores = [{name: _score(one.scores, name) for name in self.scoring.names} for one in self.rungs]
        return pd.DataFrame([{**fact, **score} for fact, score in zip(facts, scores, strict=True)])

    def _whole(self) -> list[str]:
        """Who took no part in the race."""
        if self.rule is None and self.finalists is None:
            return []
        names = sorted({type(final).__name__ for final in map(_final, self.candidates) if is_solved(final)})
        return [f"{', '.join(names)}: learned by scans of all rows, so none of them was dropped on the way"] if names else []

    def _has_train_scores(self) -> bool:
        found = [one.train_scores for one in self.results.values()]
        return any(one and not isinstance(one, Failure) for one in found)

    def refitted(self, number: int) -> Any:
        """A candidate, fitted on all rows by whatever fitted it on the splits.

        Raises:
            FitError: It fails on all rows.
        """
        trials = self.engine(self.setting, WHOLE, [self.candidates[number]])
        model = trials.model(0, trials.run(None)[0])
        self.scans += trials.scans
        if isinstance(model, Failure):
            raise FitError("the best candidate to be fitted on all rows", got=model.cause, where="in refit=")
        return model


def _final(candidate: Candidate) -> Any:
    """The estimator at the end of a candidate's steps."""
    estimator = candidate.estimator
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _score(scores: Mapping[str, float] | Failure, name: str) -> float:
    return np.nan if isinstance(scores, Failure) else scores.get(name, np.nan)


def lacks_training(result: Result) -> bool:
    """Whether a result of a whole training has no scores of the rows that were learned from."""
    return result.share >= 1.0 and not result.train_scores and not isinstance(result.scores, Failure)


def _cause(found: Sequence[Result], name: str) -> str:
    """Why a candidate has not the score of this name on all splits, empty when it has."""
    causes = [one.scores.cause for one in found if isinstance(one.scores, Failure)]
    unknown = [f"NaN as {name} on split {i}" for i, one in enumerate(found) if one.share and np.isnan(_score(one.scores, name))]
    return next(iter(causes + unknown), "")
