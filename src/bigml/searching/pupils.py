"""Pupils: what a task is told of a candidate that is a Keras model, and of the rows that it learns from and is judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bigml.errors import FitError
from bigml.learning.batch import Batch, Encoder
from bigml.learning.inputs import Input
from bigml.learning.network import network_of, remember
from bigml.searching.failures import Failure, catching
from bigml.searching.judging import Judged, Judging, Scoring
from bigml.training.contract import contract_of
from bigml.training.feed import Feed
from bigml.training.replica import Build, built, replica
from bigml.training.rounds import Lesson
from bigml.training.rows import known_of
from bigml.training.shards import Shard
from bigml.training.state import State

Scores = Mapping[str, float] | Failure


@dataclass(frozen=True, eq=False)
class Going:
    """A model on its way.

    Attributes:
        feed: Makes of rows what it asks for.
        state: Its weights, and those of its optimizer.
    """

    feed: Feed
    state: State


@dataclass(frozen=True, eq=False)
class Stage:
    """What a task gives back.

    Attributes:
        going: The model, where it is needed again; or why there is none.
        scores: On the rows that it is tested on.
        train_scores: On those that it learned from, where they were asked for.
    """

    going: Going | Failure | None
    scores: Scores
    train_scores: Scores


@dataclass(frozen=True, eq=False)
class Pupil:
    """A candidate on a split, as a task is told of it.

    Attributes:
        build: Makes its model.
        encoder: Has made the rows.
        inputs: That rows were made for.
        rows: Gives those to learn from, by block.
        shard: All of them, in slabs.
        tested: Gives batches of those to be tested on; None where nothing is.
        batch_size: Rows of a step.
        seed: Of their order, and of random numbers.
        shuffle: Whether they are permuted.
    """

    build: Build
    encoder: Encoder
    inputs: tuple[Input, ...]
    rows: Any
    shard: Shard
    tested: Any
    batch_size: int
    seed: int
    shuffle: bool

    def begun(self) -> Going:
        """The model as it is made.

        Raises:
            FitError: It does not fit the rows, or asks for other columns than the first one.
        """
        model = built(self.build)
        contract = contract_of(model)
        if contract.inputs != self.inputs:
            names = ", ".join(one.name for one in self.inputs) or "one input of all columns"
            raise FitError(f"models that all ask for the same ({names})", got=f"`{model.name}`", where="in search")
        contract.check_width(self.rows(self.shard.slabs[0].block).X.shape[-1], ", ".join(self.encoder.design.features[:20]))
        if self.encoder.target is not None and self.encoder.target.classes is not None:
            contract.check_classes(len(self.encoder.target.classes))
        return Going(Feed.of(contract, self.encoder, None), State.of(model))

    def stage(self, before: Going | Failure | None, epochs: range, scoring: Scoring | None, *, keep: bool, train: bool) -> Stage:
        """The model after some epochs more, and its scores; a failure stays one."""
        if isinstance(before, Failure):
            return Stage(before, before, before)
        with catching() as caught:
            going = before or self.begun()
            lesson = Lesson(self.build, self.rows, going.feed, self.batch_size, self.seed, self.shuffle)
            # The model of this process stays that of this candidate until it is judged.
            with replica(self.build, lesson.sample(self.shard)) as here:
                for epoch in epochs:
                    state, _ = lesson.visit(going.state, self.shard, epoch, 0, self.shard.n_steps(self.batch_size))
                    going = replace(going, state=state)
                here.put(going.state)
                scores = {} if scoring is None else self.scored(here.model, scoring, self.tested)
                learned = self.scored(here.model, scoring, self.learned) if scoring is not None and train else {}
            return Stage(going if keep else None, scores, learned)
        return Stage(caught.failed, caught.failed, caught.failed)

    def scored(self, model: Any, scoring: Scoring, batches: Callable[[], Iterator[Batch]]) -> Scores:
        """What the model scores on some rows."""
        remember(model, known_of(self.encoder))
        classes = None if self.encoder.target is None else self.encoder.target.classes
        asked = Judging((Judged(network_of(model), 0, (0,)),), Scoring(scoring.names, classes))
        state = asked.start()
        for batch in batches():
            state = asked.update(state, ((batch,),))
        (found,) = asked.finish(state)
        return found

    def learned(self) -> Iterator[Batch]:
        """The rows that were learned from."""
        yield from self.rows.batches(sorted({slab.block for slab in self.shard.slabs}))
