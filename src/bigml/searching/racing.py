"""Racing: which candidates go on being trained, told by their scores alone, so that a search repeats exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from bigml.errors import ConfigError

Scores = Mapping[int, NDArray[np.float64]]
"""By candidate its score on each split, more is better; NaN where it failed."""
GOLDEN = (math.sqrt(5) - 1) / 2


@runtime_checkable
class Rule(Protocol):
    """Says when candidates are judged, and which of them stay."""

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """After how many windows of training candidates are judged, ascending; all windows come last."""
        ...

    def staying(self, at: int, scores: Scores, n_windows: int) -> frozenset[int]:
        """Of the candidates that were judged after `at` of all windows, those that are trained further."""
        ...


@dataclass(frozen=True)
class Exhaustive:
    """All candidates are trained to the end."""

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """The end alone."""
        del candidates
        return [n_windows]

    def staying(self, at: int, scores: Scores, n_windows: int) -> frozenset[int]:
        """All of them."""
        del at, n_windows
        return frozenset(scores)


@dataclass(frozen=True)
class Ladder:
    """Stops at shares of the training that grow by a factor.

    Attributes:
        eta: The factor, and of how many candidates one stays.
        rungs: Stops before the end: the first is after 1 / eta ** rungs of all training, or after one window where that is more.
    """

    eta: int = 3
    rungs: int = 3

    def __post_init__(self) -> None:
        _check("eta", self.eta, 2)
        _check("rungs", self.rungs, 1)

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """The same, however many candidates there are."""
        del candidates
        return ladder(n_windows, self.eta, self.rungs)


@dataclass(frozen=True)
class Halving(Ladder):
    """Successive halving: of the candidates at each stop the best 1 / eta go on, for eta times as long.

    Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016.

    Attributes:
        eta: One of so many stays.
        rungs: Stops before the end: the first is after 1 / eta ** rungs of all training, or after one window where that is more.

    >>> Halving().stops(range(27), 54)
    [2, 6, 18, 54]
    >>> sorted(Halving().staying(2, {i: np.array([i / 10]) for i in range(6)}, 54))
    [4, 5]
    """

    def staying(self, at: int, scores: Scores, n_windows: int) -> frozenset[int]:
        """The best 1 / eta of them, rounded up."""
        del at, n_windows
        return best(scores, self.eta)


@dataclass(frozen=True)
class Hyperband(Ladder):
    """Brackets of successive halving that start from the first window to the end, over the given candidates, in shared scans.

    Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband, JMLR 18(185), 2018. The bracket of a candidate follows from its
    number: shares are those of the paper, dealt along a golden sequence, which spreads neighbours of a grid over all brackets.

    Attributes:
        eta: In every bracket one of so many stays.
        rungs: Stops of the keenest bracket; the mildest has none, so its candidates are all trained to the end.
    """

    def staying(self, at: int, scores: Scores, n_windows: int) -> frozenset[int]:
        """In each bracket that has a stop here, the best 1 / eta; of the others all that did not fail."""
        kept: set[int] = set()
        for bracket in range(self.rungs + 1):
            own = {number: values for number, values in scores.items() if self.bracket(number) == bracket}
            kept |= best(own, self.eta) if at in ladder(n_windows, self.eta, bracket) else set(own)
        return frozenset(kept & set(comparable(scores)[0] or scores))

    def bracket(self, number: int) -> int:
        """How many stops a candidate's bracket has."""
        sizes = [math.ceil((self.rungs + 1) / (s + 1) * self.eta**s) for s in range(self.rungs + 1)]
        place = (number + 0.5) * GOLDEN % 1 * sum(sizes)
        return next(s for s, edge in enumerate(accumulate(sizes)) if place < edge)


@dataclass(frozen=True)
class Bounds:
    """Races bounded by confidence: a candidate is dropped as soon as it is worse than the best beyond doubt.

    Its differences to the best on the same splits are taken for draws of a normal distribution: it is dropped when the upper
    one-sided bound of their mean by Student's t, with one degree of freedom less than there are splits, is below the tolerance.
    Races are of Maron and Moore, Hoeffding Races, NIPS 1994; bounds by t on paired differences are those of Birattari, Stützle,
    Paquete and Varrentrapp, A Racing Algorithm for Configuring Metaheuristics, GECCO 2002. Splits share rows to train on, so
    that the bounds are somewhat too narrow, and there is no correction for the number of looks. On one split nothing is dropped.

    Attributes:
        confidence: Of one bound at one stop.
        tolerance: A gain on the best of less than this share of its score is not worth training for; 0 for any gain.
        looks: Stops before the end; each is after twice as much training as the one before.
    """

    confidence: float = 0.95
    tolerance: float = 3e-4
    looks: int = 4

    def __post_init__(self) -> None:
        _check("looks", self.looks, 1)
        if not 0.5 < self.confidence < 1 or not self.tolerance >= 0:
            got = f"confidence={self.confidence}, tolerance={self.tolerance}"
            raise ConfigError("a confidence between 0.5 and 1 and a tolerance of 0 or more", got=got, where="in Bounds")

    def stops(self, candidates: Sequence[int], n_windows: int) -> Sequence[int]:
        """A ladder, however many candidates there are."""
        del candidates
        return ladder(n_windows, 2, self.looks)

    def staying(self, at: int, scores: Scores, n_windows: int) -> frozenset[int]:
        """Those that may be as good as the best."""
        del at, n_windows
        numbers, table = comparable(scores)
        if not table.size:
            return frozenset(scores)
        first = int(np.argmax(table.mean(axis=1)))
        margin = self.tolerance * abs(table[first].mean())
        uppers = self.uppers(table - table[first])
        return frozenset(number for i, number in enumerate(numbers) if i == first or uppers[i] >= margin)

    def uppers(self, differences: NDArray[np.float64]) -> NDArray[np.float64]:
        """Upper bounds of the means of rows, shape (n_rows, n_splits)."""
        n = differences.shape[1]
        if n < 2:
            return np.full(len(differences), np.inf)
        return differences.mean(axis=1) + t.ppf(self.confidence, n - 1) * differences.std(axis=1, ddof=1) / math.sqrt(n)


@dataclass(frozen=True)
class Heats:
    """A race on the first split, whose best are then tried on all the others.

    Candidates differ by more than splits do, so that one split tells nearly all that many do, of whole trainings and not of their
    beginnings: on five splits it is a fifth of the cost, and less with a rule. Trials on few splits first and on more for those
    that do well are those of Hutter, Hoos and Leyton-Brown, Sequential Model-Based Optimization for General Algorithm
    Configuration, LION 2011. What learns by whole scans is tried on all splits at once, as that costs no more.

    Attributes:
        finalists: Go on to all splits, with those that are equal to the last of them; so do all where there are no more.
        rule: Which candidates go on being trained on the first split; None trains all to its end.
    """

    finalists: int = 4
    rule: Rule | None = field(default_factory=lambda: Halving(eta=2, rungs=1))

    def __post_init__(self) -> None:
        _check("finalists", self.finalists, 1)


def ladder(n_windows: int, base: float, rungs: int) -> list[int]:
    """Stops at shares that grow by a factor, as many before the end as there are windows for.

    >>> ladder(32, 2, 3)
    [4, 8, 16, 32]
    """
    return sorted({max(1, round(n_windows / base**k)) for k in range(rungs + 1)})


def comparable(scores: Scores) -> tuple[list[int], NDArray[np.float64]]:
    """The candidates that have not failed, and their scores on the splits that anyone has a score on.

    A split of which no row to test on was met yet tells nothing of anyone.
    """
    table = np.array(list(scores.values()), dtype=np.float64).reshape(len(scores), -1 if scores else 0)
    table = table[:, ~np.isnan(table).all(axis=0)]
    fine = np.flatnonzero(~np.isnan(table).any(axis=1))
    numbers = list(scores)
    return [numbers[i] for i in fine], table[fine]


def best(scores: Scores, eta: int) -> frozenset[int]:
    """The best 1 / eta of all candidates, and of those that failed none, unless all did: then nothing is known."""
    numbers, table = comparable(scores)
    if not table.size:
        return frozenset(scores)
    # Stable: of equal ones those that come first stay.
    order = np.argsort(-table.mean(axis=1), kind="stable")[: math.ceil(len(scores) / eta)]
    return frozenset(numbers[i] for i in order)


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"`{name}` of {least} or more", got=f"{value}")
