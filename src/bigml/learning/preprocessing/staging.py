"""Staging: steps that learn one after another, from what is known of their columns or from another scan.

One scan of the raw columns serves every step that treats columns one by one. Behind a step that does not (a function, products
of columns, a projection) nothing is known; the next step that must know something asks for a scan of the rows as the steps
before make them. Steps at the same depth share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, singledispatch
from typing import Any

from sklearn.pipeline import Pipeline

from bigml.chunk import Chunk
from bigml.learning.batch import Encoded, Encoder
from bigml.learning.design import Design
from bigml.learning.inquiry import Inquiry, changed
from bigml.learning.preprocessing.demands import NONE, ahead, demands, is_idle
from bigml.learning.preprocessing.registry import is_trained, learn, taught, wants
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.surveying import Surveyed
from bigml.learning.preprocessing.wide import is_wide, widely
from bigml.learning.preprocessing.witness import Witness
from bigml.learning.solving import Problem, is_solved, solve
from bigml.learning.structure import named
from bigml.learning.target import Target


@dataclass(frozen=True, eq=False)
class Stage:
    """Rows on their way through preprocessing: where a step stands, and what is known there.

    Attributes:
        witness: Stands for all rows.
        design: Makes the rows of this stage of a chunk.
        glimpse: A few raw rows.
        seed: For what is random.
        target: What is to be predicted; None when there is none.
    """

    witness: Witness
    design: Design
    glimpse: Chunk
    seed: int = 0
    target: Target | None = None

    @cached_property
    def rows(self) -> Any:
        """A few real rows of this stage."""
        return self.design.matrix(self.glimpse)

    @property
    def names(self) -> list[str] | None:
        """The names of the columns, where the rows are a DataFrame."""
        return [str(name) for name in self.rows.columns] if hasattr(self.rows, "columns") else None

    def choose(self, positions: Sequence[int], *, flat: bool = False) -> Stage:
        """The stage of some of the columns."""
        return replace(self, witness=self.witness.select(positions), design=self.design.choose(positions, flat))

    def then(self, step: Any, witness: Witness | None = None) -> Stage:
        """The stage behind a fitted step; without a witness nothing is known there."""
        design = self.design.then(step)
        if witness is None:
            witness = Witness.unknown(design.matrix(self.glimpse), self.witness.n_rows)
        return replace(self, witness=witness, design=design)


@dataclass(frozen=True, eq=False)
class Trained:
    """A question that no reducer answers: the step, trained by `partial_fit` on all rows as the encoder makes them."""

    estimator: Any
    encoder: Encoder


@singledispatch
def inquire(step: Any, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    """Fit a step (it may be changed in place) on the rows of a stage; returns the fitted step and the stage behind it.

    What a scan must find out is yielded as a reducer of chunks.

    Args:
        step: A clone of the caller's step, "passthrough", "drop" or None.
        stage: What the step is given.
        later: What the steps behind it want of every column that it makes, so that the same scan can tell.

    Raises:
        FitError: The step cannot be learned by scans.
        DataError: The values do not fit the step.
    """
    if is_idle(step):
        return step, stage
    is_registered = learn.dispatch(type(step)) is not learn.dispatch(object)
    if is_solved(step) and not is_registered:
        return (yield from _solved(step, stage))
    if is_trained(step) and not is_registered:
        trained = yield Trained(step, Encoder(stage.design))
        return trained, stage.then(trained)
    if Want.ROWS in wants(step):
        return step, stage.then(step, taught(step, Witness.unknown(stage.rows, stage.witness.n_rows)))
    if is_wide(step, stage.witness):
        fitted = yield from widely(step, stage.design, stage.witness.width)
        return fitted, stage.then(fitted)
    stage = yield from informed(stage, step, later)
    return step, stage.then(step, taught(step, stage.witness))


@inquire.register
def _(step: Pipeline, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    for i, (name, inner) in enumerate(step.steps):
        fitted, stage = yield from inquire(inner, stage, ahead([one for _, one in step.steps[i + 1 :]], later))
        step.steps[i] = (name, fitted)
    return step, stage


def informed(stage: Stage, step: Any, later: Wants = NONE) -> Inquiry[Stage]:
    """The stage with all that a step must know of its columns, after a scan if something is not known."""
    wanted = demands(step, stage.witness.data, later)
    if stage.witness.holds(wanted):
        return stage
    summaries = yield Surveyed(stage.design, stage.rows, tuple(wanted))
    before = stage.witness
    return replace(stage, witness=replace(Witness.like(stage.rows, summaries, before.n_rows), stored=before.stored))


def _solved(step: Any, stage: Stage) -> Inquiry[tuple[Any, Stage]]:
    """A step that learns as models do: its questions about batches are asked of chunks."""
    encoder = Encoder(stage.design)
    learned = yield from changed(solve(step, Problem(None, stage.seed)), lambda asked: Encoded(encoder, asked))
    learned = named(learned, stage.names)
    return learned, stage.then(learned)


def is_learnable(step: Any) -> bool:
    """Whether the step is preprocessing that is learned by scans."""
    known = any(one.dispatch(type(step)) is not one.dispatch(object) for one in (learn, inquire))
    return known or isinstance(step, str)
