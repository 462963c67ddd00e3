"""Judging: the scores of many models on the rows that each of them was not given, all scorers in one scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.learning.batch import Batch
from bigml.learning.scores.gauges import GAUGES, Outcome
from bigml.learning.scores.metrics import Metric
from bigml.learning.scores.scoring import METHODS, known, metric_of, single
from bigml.learning.target import coded
from bigml.searching import decisions
from bigml.searching.decisions import Linear
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

    def scored(self, model: Any, gathered: Any) -> dict[str, float] | Failure:
        """The scores that what was gathered of a model makes, or why there are none."""
        if isinstance(gathered, Failure):
            return gathered
        if not gathered:
            return Failure("DataError: Expected rows to test on, got none.")
        with catching() as caught:
            return self.values(model, gathered)
        return caught.failed

    def values(self, model: Any, gathered: Mapping[str, Any]) -> dict[str, float]:
        """The scores that what was gathered of a model makes."""
        found = {}
        for name, metric in self.metrics(model).items():
            value = metric.value(*(gathered[gauge] for gauge in metric.gauges))
            found[name] = float(-value if name.startswith("neg_") else value)
        return found


@dataclass(frozen=True, eq=False)
class Bench:
    """Models that are judged by the same rows together.

    Attributes:
        numbers: Of the models.
        encoding: Of the rows.
        cells: Where they are.
        gauges: What is gathered.
        models: One, or linear ones whose decisions are one product of matrices.
    """

    numbers: tuple[int, ...]
    encoding: int
    cells: tuple[int, ...]
    gauges: frozenset[str]
    models: Linear | Any

    def pieces(self, hand: Hand) -> Iterator[Any]:
        """Their rows of a hand, or why these cannot be encoded."""
        pieces = hand[self.encoding]
        if isinstance(pieces, Failure):
            yield pieces
            return
        yield from (pieces[cell] for cell in self.cells if pieces[cell].n_rows)

    def gathered(self, piece: Batch | Failure, classes: NDArray[Any] | None) -> list[Any]:
        """By model what its gauges gather of some rows, or why they do not."""
        if isinstance(piece, Failure):
            return [piece] * len(self.numbers)
        with catching() as caught:
            if isinstance(self.models, Linear):
                return list(self.models.gauged(piece, self.gauges))
            outcome = outcome_of(self.models, piece, classes, {GAUGES[name].needs for name in self.gauges} - {""})
            return [{name: GAUGES[name].of(outcome) for name in self.gauges}]
        return [caught.failed] * len(self.numbers)


@dataclass(frozen=True, eq=False)
class Judging:
    """A reducer of hands: by model what its gauges gathered, or why they did not.

    The result is a list in the order of the models: their scores by name, or a failure.
    """

    judged: tuple[Judged, ...]
    scoring: Scoring

    @cached_property
    def benches(self) -> list[Bench]:
        """Models gathered by their rows; those that cannot be scored are in none."""
        alike: dict[Any, list[int]] = {}
        for number, one in enumerate(self.judged):
            gauges = self._gauges(one.model)
            if gauges is not None:
                is_linear = decisions.is_told(one.model, gauges) and self._sees_two
                alike.setdefault((one.encoding, one.cells, gauges, -1 if is_linear else number), []).append(number)
        return [self._bench(key, numbers) for key, numbers in alike.items()]

    def _bench(self, key: Any, numbers: Sequence[int]) -> Bench:
        encoding, cells, gauges, alone = key
        models = [self.judged[number].model for number in numbers]
        return Bench(tuple(numbers), encoding, cells, gauges, Linear.of(models) if alone < 0 else models[0])

    @property
    def _sees_two(self) -> bool:
        return self.scoring.classes is not None and len(self.scoring.classes) == 2

    def _gauges(self, model: Any) -> frozenset[str] | None:
        if isinstance(model, Failure):
            return None
        with catching():
            return frozenset(gauge for metric in self.scoring.metrics(model).values() for gauge in metric.gauges)
        return None

    def start(self) -> tuple[Any, ...]:
        return tuple(self._begun(one.model) for one in self.judged)

    def _begun(self, model: Any) -> Any:
        if isinstance(model, Failure):
            return model
        with catching() as caught:
            self.scoring.metrics(model)
            return {}
        return caught.failed

    def update(self, state: tuple[Any, ...], hand: Hand) -> tuple[Any, ...]:
        new = list(state)
        for bench in self.benches:
            for piece in bench.pieces(hand):
                for number, gathered in zip(bench.numbers, bench.gathered(piece, self.scoring.classes), strict=True):
                    new[number] = self._merged(new[number], gathered)
        return tuple(new)

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._merged(one, other) for one, other in zip(left, right, strict=True))

    def _merged(self, one: Any, other: Any) -> Any:
        if isinstance(one, Failure) or isinstance(other, Failure) or not one or not other:
            return one if isinstance(one, Failure) else other if isinstance(other, Failure) else one or other
        return {name: GAUGES[name].merge(one[name], other[name]) for name in one}

    def finish(self, state: tuple[Any, ...]) -> list[dict[str, float] | Failure]:
        return [self.scoring.scored(one.model, gathered) for one, gathered in zip(self.judged, state, strict=True)]


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
