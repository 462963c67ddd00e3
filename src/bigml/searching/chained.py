"""Chained: estimators with `partial_fit`, trained side by side; candidates that fall behind are dropped where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bigml.searching.encodings import Prefix
from bigml.searching.failures import Failure
from bigml.searching.ground import Ground
from bigml.searching.judging import Scoring, values_of
from bigml.searching.panel import Panel, suits
from bigml.searching.racing import Rule
from bigml.searching.setting import Trial
from bigml.searching.team import Course, Member, Side, Team


@dataclass(frozen=True)
class Rung:
    """A judgement on the way.

    Attributes:
        candidate: Its number.
        split: Number of the split.
        share: How much of all training it had.
        scores: By name; or why there are none.
    """

    candidate: int
    split: int
    share: float
    scores: Mapping[str, float] | Failure


def _nothing_known(share: float) -> list[Rung]:
    del share
    return []


def _not_told(trial: Trial, rung: Rung) -> None:
    del trial, rung


@dataclass(frozen=True, eq=False)
class Race:
    """How candidates are judged while they are trained.

    Attributes:
        rule: Which of them stay.
        scoring: Their scores.
        decides: The score that the rule is told.
        candidates: All that have started, those among them that an earlier run has dropped.
        known: The judgements of an earlier run at a share of all training.
        judged: Told of every new judgement.
        dropped: Told of every trial that is not trained further, with its last judgement.
    """

    rule: Rule
    scoring: Scoring
    decides: str
    candidates: tuple[int, ...]
    known: Callable[[float], list[Rung]] = _nothing_known
    judged: Callable[[Trial, Rung], None] = _not_told
    dropped: Callable[[Trial, Rung], None] = _not_told

    def staying(self, at: int, rungs: Iterable[Rung], n_windows: int) -> frozenset[int]:
        """The candidates that go on after `at` of all windows."""
        judged = {(rung.candidate, rung.split): rung.scores for rung in rungs}
        candidates, splits = (sorted(set(some)) for some in zip(*judged, strict=True))
        missing = Failure("not judged")
        table = {i: [judged.get((i, split), missing) for split in splits] for i in candidates}
        scores = {i: self.scoring.sign(self.decides) * values_of(some, self.decides) for i, some in table.items()}
        return self.rule.staying(at, scores, n_windows)


@dataclass(eq=False)
class Chained:
    """Estimators with `partial_fit` on their way through all epochs.

    Attributes:
        ground: What they learn from.
        race: How they are judged on the way; None trains all to the end.
        rungs: All judgements so far.
        dropped: By trial the last judgement of those that are not trained to the end.
    """

    ground: Ground
    race: Race | None = None
    rungs: list[Rung] = field(default_factory=list)
    dropped: dict[int, Rung] = field(default_factory=dict)

    def of(self, numbers: Iterable[int]) -> dict[int, Any]:
        """By trial the final estimator as far as it was trained, or why there is none."""
        setting, chosen = self.ground.setting, list(numbers)
        course = Course(self.ground.table, setting.epochs, setting.seed, setting.shuffle)
        teams, done, found = self.teams(chosen), 0, dict[int, Any]()
        for stop in self.race.rule.stops(self.race.candidates, course.n_windows) if self.race else [course.n_windows]:
            if not teams:
                break
            teams = self._trained(teams, done, stop, course)
            found.update({number: one for team in teams for number, one in team.results().items()})
            done = stop
            if self.race and stop < course.n_windows:
                teams = self._raced(self.race, teams, found, stop, course)
        return found

    def _trained(self, teams: Sequence[Team], begin: int, end: int, course: Course) -> list[Team]:
        bar, total = self.ground.setting.progress("train"), course.n_windows * len(teams)
        tell = (lambda n: bar(begin * len(teams) + n, total)) if callable(bar) else lambda n: None
        return course.run(teams, begin, end, client=self.ground.setting.client, tell=tell)

    def _raced(self, race: Race, teams: Sequence[Team], found: Mapping[int, Any], stop: int, course: Course) -> list[Team]:
        """The teams of those that stay, judged by the test rows of the parts that have been passed."""
        share = stop / course.n_windows
        known = {(rung.candidate, rung.split): rung for rung in race.known(share)}
        live = sorted({number for team in teams for number in team.numbers})
        new = {number: found[number] for number in live if self._pair(number) not in known}
        if new:
            passed = self.ground.table.of(part for _, _, parts in course.windows(0, stop) for part in parts)
            for number, scores in self.ground.judged(new, race.scoring, table=passed).items():
                known[self._pair(number)] = rung = Rung(*self._pair(number), share, scores)
                race.judged(self.ground.trials[number], rung)
        self.rungs += known.values()
        staying = race.staying(stop, known.values(), course.n_windows)
        for number in live:
            rung = known[self._pair(number)]
            if rung.candidate not in staying:
                self.dropped[number] = rung
                race.dropped(self.ground.trials[number], rung)
        kept = frozenset(live) - frozenset(self.dropped)
        return evened([team.only(kept) for team in teams])

    def _pair(self, number: int) -> tuple[int, int]:
        trial = self.ground.trials[number]
        return trial.candidate.number, trial.split

    def teams(self, numbers: Sequence[int]) -> list[Team]:
        """Learners dealt to teams of equal size: those of one encoding stay together as far as that goes."""
        prefixes = {number: prefix for number in numbers if isinstance(prefix := self.ground.prefix(number), Prefix)}
        order = sorted(prefixes, key=lambda number: (prefixes[number].learn, number))
        shares = [share for share in np.array_split(order, self.ground.setting.n_teams) if len(share)]
        return [self._team({int(number): prefixes[number] for number in share}) for share in shares]

    def _team(self, chosen: Mapping[int, Prefix]) -> Team:
        members: list[Member] = []
        panels: dict[int, dict[int, Any]] = {}
        for number, prefix in chosen.items():
            final = self.ground.final(number)
            if suits(final):
                panels.setdefault(prefix.learn, {})[number] = final
            else:
                members.append(Member(number, prefix.learn, self.ground.cells(number), final, self.ground.classes))
        return Team(tuple(members), tuple(self._side(encoding, finals) for encoding, finals in panels.items()))

    def _side(self, encoding: int, finals: Mapping[int, Any]) -> Side:
        """Linear models as the columns of one matrix."""
        ground, encodings = self.ground, self.ground.encodings
        trains = np.zeros((len(finals), ground.partition.n_cells), bool)
        for row, number in zip(trains, finals, strict=True):
            row[list(ground.cells(number))] = True
        counts = None if encodings.classes is None else trains @ encodings.classes.counts
        about: dict[str, Any] = {"class_counts": counts, "seed": ground.setting.seed}
        panel = Panel.of(list(finals.values()), trains, encodings.widths[encoding], ground.classes, **about)
        return Side(tuple(finals), encoding, panel)


def evened(teams: Sequence[Team]) -> list[Team]:
    """As many teams, as far as there are learners: where one has none left, the largest is divided in two."""
    left = sorted((team for team in teams if team.numbers), key=lambda team: min(team.numbers))
    while left and len(left) < len(teams) and len(left[most := _largest(left)].numbers) > 1:
        numbers = sorted(left[most].numbers)
        halves = frozenset(numbers[: len(numbers) // 2]), frozenset(numbers[len(numbers) // 2 :])
        left[most : most + 1] = [left[most].only(half) for half in halves]
    return left


def _largest(teams: Sequence[Team]) -> int:
    return max(range(len(teams)), key=lambda i: len(teams[i].numbers))
