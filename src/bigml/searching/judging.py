"""Judging: the scores of many models on the rows that each of them was not given, all scorers in one scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.learning.batch import Batch
from bigml.learning.scores.gauges import GAUGES, Outcome
from bigml.learning.scores.metrics import Metric
from bigml.learning.scores.scoring import METHODS, known, metric_of, single
from bigml.learning.target import coded
from bigml.searching.failures import Failure, catching
from bigml.searching.hands import Hand


@dataclass(frozen=True, eq=False)
class Judged:
    """A model, and the rows that it is judged by.

    Attributes:
        model: The final estimator, fitted; or why there is none.
        encoding: Of its rows.
        cells: Where they are.
    """

    model: Any
    encoding: int
    cells: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scoring:
    """The scores that are wanted of each model.

    Attributes:
        names: As they were asked for.
        classes: Of the target; None for numbers.
    """

    names: tuple[str, ...]
    classes: NDArray[Any] | None

    def metrics(self, model: Any) -> dict[str, Metric]:
        """By name how a model is scored.

        Raises:
            FitError: A score does not fit the model.
        """
        return {name: metric_of(name, model, self.classes) for name in self.names}

    def sign(self, name: str) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if name.startswith("neg_") or known(name).greater_is_better else -1

    def values(self, model: Any, gathered: Mapping[str, Any]) -> dict[str, float]:
        """The scores that what was gathered of a model makes."""
        found = {}
        for name, metric in self.metrics(model).items():
            value = metric.value(*(gathered[gauge] for gauge in metric.gauges))
            found[name] = float(-value if name.startswith("neg_") else value)
        return found


@dataclass(frozen=True, eq=False)
class Judging:
    """A reducer of hands: by model what its gauges gathered, or why they did not.

    The result is a list in the order of the models: their scores by name, or a failure.
    """

    judged: tuple[Judged, ...]
    scoring: Scoring

    def start(self) -> tuple[Any, ...]:
        return tuple(one.model if isinstance(one.model, Failure) else {} for one in self.judged)

    def update(self, state: tuple[Any, ...], hand: Hand) -> tuple[Any, ...]:
        return tuple(self._shown(i, one, hand) for i, one in enumerate(state))

    def _shown(self, number: int, state: Any, hand: Hand) -> Any:
        judged = self.judged[number]
        for piece in pieces_of(hand, judged):
            if isinstance(state, Failure) or isinstance(piece, Failure):
                return state if isinstance(state, Failure) else piece
            with catching() as caught:
                state = self._merged(state, self._gathered(judged.model, piece))
            state = caught.failure or state
        return state

    def _gathered(self, model: Any, batch: Batch) -> dict[str, Any]:
        gauges = {gauge for metric in self.scoring.metrics(model).values() for gauge in metric.gauges}
        outcome = outcome_of(model, batch, self.scoring.classes, {GAUGES[name].needs for name in gauges} - {""})
        return {name: GAUGES[name].of(outcome) for name in gauges}

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._merged(one, other) for one, other in zip(left, right, strict=True))

    def _merged(self, one: Any, other: Any) -> Any:
        if isinstance(one, Failure) or isinstance(other, Failure) or not one or not other:
            return one if isinstance(one, Failure) else other if isinstance(other, Failure) else one or other
        return {name: GAUGES[name].merge(one[name], other[name]) for name in one}

    def finish(self, state: tuple[Any, ...]) -> list[dict[str, float] | Failure]:
        return [self._scores(one.model, gathered) for one, gathered in zip(self.judged, state, strict=True)]

    def _scores(self, model: Any, gathered: Any) -> dict[str, float] | Failure:
        if isinstance(gathered, Failure):
            return gathered
        if not gathered:
            return Failure("DataError: Expected rows to test on, got none.")
        with catching() as caught:
            return self.scoring.values(model, gathered)
        return caught.failed


def pieces_of(hand: Hand, judged: Judged) -> Iterator[Any]:
    """The rows of a hand that a model is judged by, or why they cannot be encoded."""
    pieces = hand[judged.encoding]
    if isinstance(pieces, Failure):
        yield pieces
        return
    yield from (pieces[cell] for cell in judged.cells if pieces[cell].n_rows)


def outcome_of(model: Any, batch: Batch, classes: NDArray[Any] | None, needs: set[str]) -> Outcome:
    """The truth and what a model says of some rows; y of the batch are codes of the classes."""
    predicted = single(model.predict(batch.X))
    if classes is None:
        return Outcome(np.asarray(batch.y), predicted, 0, weights=batch.weights)
    methods = {what: next(one for one in METHODS[what] if hasattr(model, one)) for what in needs}
    said = {what: _complete(model, np.asarray(getattr(model, one)(batch.X)), classes) for what, one in methods.items()}
    return Outcome(np.asarray(batch.y), coded(predicted, classes), len(classes), weights=batch.weights, **said)


def _complete(model: Any, values: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """A column for each class, 0 for one that the model has not seen."""
    if values.ndim == 1 or values.shape[1] == len(classes):
        return values
    whole = np.zeros((len(values), len(classes)), values.dtype)
    whole[:, coded(np.asarray(model.classes_), classes)] = values
    return whole


def values_of(scores: Sequence[Mapping[str, float] | Failure], name: str) -> NDArray[np.float64]:
    """One score of some models, NaN for failures."""
    return np.array([np.nan if isinstance(one, Failure) else one[name] for one in scores])
