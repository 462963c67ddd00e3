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
from bigml.searching.found import Cost, Found, ranks, results
from bigml.searching.judging import Scoring
from bigml.searching.ledger import Ledger
from bigml.searching.racing import Rule
from bigml.searching.sampled import Sampled
from bigml.searching.setting import Result, Setting, Trial
from bigml.searching.space import Candidate, Params, chosen
from bigml.searching.strategies import Strategy
from bigml.searching.trials import Trials


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
        results: By candidate, one a split.
        duplicates: Parameters that made a candidate again.
        rule: Which candidates are trained further; None trains all to the end.
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
    results: dict[int, list[Result]] = field(default_factory=dict)
    duplicates: list[Params] = field(default_factory=list)
    rule: Rule | None = None
    ledger: Ledger | None = None
    engine: Callable[..., Trials | Sampled] = Trials
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
        first = 0
        for partition in self.partitions if made.candidates else ():
            for number, some in self._tried(partition, first, made.candidates, train_scores).items():
                self.results.setdefault(number, []).extend(some)
            first += len(partition.splits)
        table = self.table(self.decides)
        return self.scoring.sign(self.decides) * np.array([table[i].mean() for i in made.numbers])

    def _tried(
        self, partition: Partition, first: int, candidates: Sequence[Candidate], train_scores: bool
    ) -> dict[int, list[Result]]:
        """By candidate its results on the splits of a partition, the first of which has this number in the search."""
        keys = {one.number: one.key for one in candidates}
        known = self._known(keys, first, len(partition.splits), train_scores)
        race = self._race(keys, first, len(partition.splits))
        trials = self.engine(self.setting, partition, candidates, frozenset(known), race, self._record(first))
        for trial, result in zip(trials.trials, trials.run(self.scoring, train_scores=train_scores), strict=True):
            known[trial.candidate.number, trial.split] = result
        self.scans += trials.scans
        self.rungs += [replace(rung, split=first + rung.split) for rung in trials.rungs]
        self.fits += trials.fits
        return {number: [known[number, split] for split in range(len(partition.splits))] for number in keys}

    def _known(self, keys: Mapping[int, str], first: int, n_splits: int, train_scores: bool) -> dict[tuple[int, int], Result]:
        """What an earlier run has found of these candidates, unless it did not judge what is wanted now."""
        if self.ledger is None:
            return {}
        pairs = [(number, split) for number in keys for split in range(n_splits)]
        found = {(number, split): self.ledger.result(keys[number], first + split) for number, split in pairs}
        return {
            pair: result for pair, result in found.items() if result is not None and not (train_scores and lacks_training(result))
        }

    def _record(self, first: int) -> Callable[[Trial, Result], None] | None:
        ledger = self.ledger
        if ledger is None:
            return None
        return lambda trial, result: ledger.add(trial.candidate.key, first + trial.split, result)

    def _race(self, keys: Mapping[int, str], first: int, n_splits: int) -> Race | None:
        if self.rule is None:
            return None
        race, ledger = Race(self.rule, self.scoring, self.decides, tuple(keys)), self.ledger
        if ledger is None:
            return race

        def known(share: float) -> list[Rung]:
            found = [(number, *one) for number, key in keys.items() for one in ledger.rungs(key, share)]
            return [
                Rung(number, split - first, share, scores) for number, split, scores in found if 0 <= split - first < n_splits
            ]

        def judged(trial: Trial, rung: Rung) -> None:
            ledger.add_rung(trial.candidate.key, first + trial.split, rung.share, rung.scores)

        def dropped(trial: Trial, rung: Rung) -> None:
            ledger.add(trial.candidate.key, first + trial.split, Result(None, rung.scores, share=rung.share))

        return replace(race, known=known, judged=judged, dropped=dropped)

    def table(self, name: str, *, train: bool = False) -> NDArray[np.float64]:
        """One score by candidate and split, NaN for failures."""
        rows = [[_score(one.train_scores if train else one.scores, name) for one in self.results[i]] for i in range(len(self))]
        return np.array(rows, dtype=np.float64).reshape(len(self), -1)

    def __len__(self) -> int:
        return len(self.candidates)

    def found(self, error_score: float, begun: float, *, refit: bool) -> Found:
        """What was found, the best candidate fitted on all rows.

        Raises:
            FitError: All candidates failed.
        """
        names, sign = self.scoring.names, self.scoring.sign(self.decides)
        tables = {name: self.table(name) for name in names}
        shares = np.array([min(one.share for one in self.results[i]) for i in range(len(self))])
        causes = [_cause(self.results[i], self.decides) for i in range(len(self))]
        # Those that were trained to the end come first, whatever the others had before they were dropped.
        order = ranks(tables[self.decides].mean(axis=1), sign, shares)
        best = int(np.argmin(order))
        if np.isnan(tables[self.decides][best].mean()):
            where = f"in grid={dict(self.candidates[0].params)}"
            raise FitError("a candidate with a score", got=causes[0], where=where, do="All failed; mend the first.")
        learned = {name: self.table(name, train=True) for name in names} if self._has_train_scores() else {}
        signs = {name: self.scoring.sign(name) for name in names}
        params = [one.params for one in self.candidates]
        frame = results(params, tables, learned, signs, {"share": shares.tolist(), "failed": causes}, error_score=error_score)
        return Found(
            cv_results_=frame,
            best_index_=best,
            best_estimator_=self.refitted(best) if refit else None,
            scorer_=self.decides,
            n_splits_=tables[self.decides].shape[1],
            greater_is_better_=sign > 0,
            cost_=self._cost(shares, begun),
            duplicates_=tuple(self.duplicates),
            notes_=(*self.notes, *self._whole()),
            history_=self._history(),
        )

    def _cost(self, shares: NDArray[np.float64], begun: float) -> Cost:
        nbytes = self.scans * self.setting.source.nbytes
        return Cost(len(self), self.fits, self.scans, nbytes, time.perf_counter() - begun, float(shares.mean()))

    def _history(self) -> pd.DataFrame | None:
        """Every judgement on the way; None where nothing was judged before the end."""
        if not self.rungs:
            return None
        facts = [{"candidate": one.candidate, "split": one.split, "share": one.share} for one in self.rungs]
        scores = [{name: _score(one.scores, name) for name in self.scoring.names} for one in self.rungs]
        return pd.DataFrame([{**fact, **score} for fact, score in zip(facts, scores, strict=True)])

    def _whole(self) -> list[str]:
        """Who took no part in the race."""
        if self.rule is None:
            return []
        finals = [
            estimator.steps[-1][1] if hasattr(estimator := one.estimator, "steps") else estimator for one in self.candidates
        ]
        names = sorted({type(final).__name__ for final in finals if is_solved(final)})
        return [f"{', '.join(names)}: learned by scans of all rows, so none of them was dropped on the way"] if names else []

    def _has_train_scores(self) -> bool:
        found = [one.train_scores for some in self.results.values() for one in some]
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


def _score(scores: Mapping[str, float] | Failure, name: str) -> float:
    return np.nan if isinstance(scores, Failure) else scores.get(name, np.nan)


def lacks_training(result: Result) -> bool:
    """Whether a result of a whole training has no scores of the rows that were learned from."""
    return result.share >= 1.0 and not result.train_scores and not isinstance(result.scores, Failure)


def _cause(found: Sequence[Result], name: str) -> str:
    """Why a candidate has not the score of this name on all splits, empty when it has."""
    causes = [one.scores.cause for one in found if isinstance(one.scores, Failure)]
    unknown = [f"NaN as {name} on split {i}" for i, one in enumerate(found) if np.isnan(_score(one.scores, name))]
    return next(iter(causes + unknown), "")
