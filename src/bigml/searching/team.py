"""Team: learners with `partial_fit` that go from part to part together; each part is encoded once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bigml.graph import execute
from bigml.graph.progress import Progress
from bigml.graph.scan import read
from bigml.graph.tree import Graph
from bigml.learning.batch import Batch
from bigml.learning.chains.incremental import Mix, stepped, takes_classes
from bigml.learning.keeping.trust import check_weights
from bigml.part import Part
from bigml.searching.failures import Failure, catching
from bigml.searching.hands import Hand, Table
from bigml.searching.panel import Panel

if TYPE_CHECKING:
    from distributed import Client

AHEAD = 2
"""Windows that are dealt at most where all teams share them: the one that is learned from, and the next."""
WINDOW = 4
"""Most parts whose rows are exchanged with each other, where rows are permuted."""

WINDOWS = 32
"""Where there are fewer windows in all epochs, they are made of fewer parts, so that there are places to judge candidates at."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where in all epochs a hand is learned from, and how its rows are permuted.

    Attributes:
        seed: Of all permutations.
        epoch: From 0.
        part: The index of the part.
        shuffle: Whether rows are permuted.
    """

    seed: int
    epoch: int
    part: int
    shuffle: bool

    def permuted(self, batch: Batch) -> Batch:
        """The rows in the order of this epoch."""
        if not self.shuffle:
            return batch
        return batch.take(np.random.default_rng([self.seed, self.epoch, self.part]).permutation(batch.n_rows))


@dataclass(frozen=True, eq=False)
class Member:
    """One estimator that learns from the rows of some cells, or the reason why it stopped.

    Attributes:
        number: Of the trial.
        encoding: Of its rows.
        cells: Which it learns from.
        estimator: As far as it has come.
        classes: Of the target; None for a regressor.
    """

    number: int
    encoding: int
    cells: tuple[int, ...]
    estimator: Any
    classes: NDArray[Any] | None = None

    def learned(self, rows: Batch) -> Member:
        """The member after one more `partial_fit`, on a copy."""
        if isinstance(self.estimator, Failure) or not rows.n_rows:
            return self
        if self.classes is not None:
            rows = replace(rows, y=self.classes[rows.y])  # hands hold codes of classes
        with catching() as caught:
            return replace(self, estimator=stepped(self.estimator, rows, self._told))
        return replace(self, estimator=caught.failed)

    @property
    def _told(self) -> NDArray[Any] | None:
        """The classes, where its `partial_fit` wants to know them."""
        return self.classes if takes_classes(self.estimator) else None


@dataclass(frozen=True, eq=False)
class Side:
    """A panel within a team.

    Attributes:
        numbers: Of its trials, in the order of its members.
        encoding: Of their rows.
        panel: As far as it has come.
    """

    numbers: tuple[int, ...]
    encoding: int
    panel: Panel

    def learned(self, pieces: Sequence[Batch], place: Place) -> Side:
        """The side after the rows of one part."""
        return replace(self, panel=self.panel.step(pieces, epoch=place.epoch, part=place.part))

    def only(self, numbers: frozenset[int]) -> Side:
        """The side of these trials alone."""
        at = [i for i, number in enumerate(self.numbers) if number in numbers]
        return Side(tuple(self.numbers[i] for i in at), self.encoding, self.panel.only(np.array(at, dtype=np.int64)))


@dataclass(frozen=True, eq=False)
class Team:
    """Learners that visit the same parts in the same order on one worker."""

    members: tuple[Member, ...] = ()
    sides: tuple[Side, ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """Of all trials in it."""
        return frozenset([one.number for one in self.members] + [number for side in self.sides for number in side.numbers])

    @property
    def encodings(self) -> list[int]:
        """The encodings that someone learns from."""
        return sorted({one.encoding for one in self.members} | {one.encoding for one in self.sides})

    def learned(self, encoding: int, pieces: Sequence[Batch], place: Place) -> Team:
        """The team after the rows of one part in one encoding; `pieces` are its cells."""
        pools = {member.cells for member in self.members if member.encoding == encoding}
        members = self.members
        for pool in pools:
            # One pool of rows at a time: copies of a part for all splits would not fit.
            rows = place.permuted(Batch.joined([pieces[cell] for cell in pool]))
            members = tuple(one.learned(rows) if (one.encoding, one.cells) == (encoding, pool) else one for one in members)
        sides = tuple(one.learned(pieces, place) if one.encoding == encoding else one for one in self.sides)
        return Team(members, sides)

    def failed(self, encoding: int, failure: Failure) -> Team:
        """The team without those who learn from an encoding that there is not."""
        members = [replace(one, estimator=failure) if one.encoding == encoding else one for one in self.members]
        lost = [side for side in self.sides if side.encoding == encoding]
        members += [Member(number, encoding, (), failure) for side in lost for number in side.numbers]
        return Team(tuple(members), tuple(side for side in self.sides if side.encoding != encoding))

    def results(self) -> dict[int, Any]:
        """By trial the estimator that was fitted so far, or its failure."""
        found = {member.number: member.estimator for member in self.members}
        for side in self.sides:
            found.update(zip(side.numbers, side.panel.estimators(), strict=True))
        return {number: _checked(one) for number, one in found.items()}

    def only(self, numbers: frozenset[int]) -> Team:
        """The team of these trials alone."""
        sides = tuple(side.only(numbers) for side in self.sides if numbers & set(side.numbers))
        return Team(tuple(member for member in self.members if member.number in numbers), sides)


def _checked(estimator: Any) -> Any:
    if isinstance(estimator, Failure):
        return estimator
    with catching() as caught:
        check_weights(estimator)
        return estimator
    return caught.failure


def deal(table: Table, parts: Sequence[Part]) -> list[Hand]:
    """The hands of some parts."""
    return [table.hand(part, chunk) for part in parts for chunk in read(table.reader, (part,), table.feed.columns)]


@dataclass(frozen=True, eq=False)
class Visit:
    """Brings a team through the parts of one window: what a task runs; pure, so it may run twice.

    Attributes:
        table: Where hands come from.
        seed: Of all permutations.
        shuffle: Whether rows are exchanged among the parts of a window and permuted.
    """

    table: Table
    seed: int
    shuffle: bool

    def __call__(self, team: Team, epoch: int, number: int, parts: Sequence[Part], dealt: Sequence[Hand] | None = None) -> Team:
        hands = deal(self.table, parts) if dealt is None else dealt
        for encoding in team.encodings:
            team = self._through(team, encoding, [hand[encoding] for hand in hands], (epoch, number), parts)
        return team

    def _through(self, team: Team, encoding: int, given: Sequence[Any], at: tuple[int, int], parts: Sequence[Part]) -> Team:
        failure = next((one for one in given if isinstance(one, Failure)), None)
        if failure is not None:
            return team.failed(encoding, failure)
        epoch, number = at
        mix = Mix(self.seed, epoch, permutes=False) if self.shuffle and len(parts) > 1 else None
        for pieces, part in zip(mixed(mix, number, given), parts, strict=True):
            team = team.learned(encoding, pieces, Place(self.seed, epoch, part.index, self.shuffle))
        return team


def mixed(mix: Mix | None, number: int, given: Sequence[Sequence[Batch]]) -> list[tuple[Batch, ...]]:
    """The pieces of each part of a window, rows exchanged within each cell."""
    if mix is None:
        return [tuple(pieces) for pieces in given]
    by_cell = [mix(number, list(cell)) for cell in zip(*given, strict=True)]
    return list(zip(*by_cell, strict=True))


@dataclass(frozen=True, eq=False)
class Course:
    """The way of teams through the parts, epoch by epoch, in windows.

    Attributes:
        table: Where hands come from.
        epochs: How often each part is visited.
        seed: Of all permutations.
        shuffle: Whether parts, and rows within a window, are permuted.
    """

    table: Table
    epochs: int
    seed: int
    shuffle: bool

    @property
    def size(self) -> int:
        """Parts in a window: at least two where rows are permuted, or nothing would be exchanged."""
        visits = self.epochs * len(self.table.reader.parts)
        return min(max(visits // WINDOWS, 2), WINDOW) if self.shuffle else 1

    @property
    def n_windows(self) -> int:
        """In all epochs."""
        return self.epochs * -(-len(self.table.reader.parts) // self.size)

    def windows(self, begin: int, end: int) -> list[tuple[int, int, tuple[Part, ...]]]:
        """Epoch, number within it, and parts of these windows."""
        each = self.n_windows // self.epochs
        orders = {epoch: self.order(epoch) for epoch in {at // each for at in range(begin, end)}}
        return [
            (at // each, at % each, tuple(orders[at // each][at % each * self.size :][: self.size])) for at in range(begin, end)
        ]

    def order(self, epoch: int) -> list[Part]:
        """The parts in the order of an epoch."""
        parts = self.table.reader.parts
        if not self.shuffle:
            return list(parts)
        return [parts[i] for i in np.random.default_rng([self.seed, epoch]).permutation(len(parts))]

    def run(
        self, teams: Sequence[Team], begin: int, end: int, *, client: Client | None, tell: Callable[[int], None]
    ) -> list[Team]:
        """The teams after these windows, side by side: each is a chain of tasks, on whichever worker is free.

        Where hands are kept in files that all workers see, each team looks at them itself, and nothing but teams is moved.
        Elsewhere every window is decoded and encoded once, and each team hops to where its rows are, or they to it, whichever
        is less to move: a window waits until all teams are through with the one before the last.

        Args:
            tell: Told how many windows are done, of all teams together.
        """
        table = self.table.lean()
        if self.table.kept is None:
            each = self.n_windows // self.epochs
            self.table.scans += -(-end // each) - -(-begin // each)  # epochs that are begun
        visit, graph, windows = Visit(table, self.seed, self.shuffle), Graph(), self.windows(begin, end)
        visits: list[list[str]] = []
        for at, (epoch, number, parts) in enumerate(windows):
            dealt: tuple[Any, ...] = ()
            if not self.table.is_near:
                key = graph.add("deal", deal, table, parts, after=visits[at - AHEAD] if at >= AHEAD else ())
                dealt = (graph.ref(key),)
            current = [graph.ref(key) for key in visits[-1]] if visits else teams
            visits.append([graph.add("visit", visit, team, epoch, number, parts, *dealt) for team in current])
        lasts, counted = visits[-1], [key for keys in visits for key in keys]
        progress: Progress = lambda done, total: tell(done)  # noqa: E731
        found: list[Team] = execute.run(graph, lasts, client=client, progress=progress, counted=counted)
        return found
