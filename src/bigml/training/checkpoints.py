"""Checkpoints: states of a training on disk, found again after a kill, and never trusted when their hash is wrong."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bigml.errors import FitError
from bigml.learning.keeping.shelf import Shelf
from bigml.training.state import State
from bigml.training.variables import Arrays

NUMBER = re.compile(r"_\d+(?=[_/]|$)")
MAGIC = b"bigml training 1\n"
FIELDS = ("trainable", "fixed", "slots", "velocity", "sums")


@dataclass(frozen=True, eq=False)
class Moment:
    """How far a training is.

    Attributes:
        state: The model's.
        epoch: That goes on.
        turn: Rounds or intervals of it that are done.
        sums: Of the metrics in them.
        history: Of the epochs before: by name one value each.
    """

    state: State
    epoch: int = 0
    turn: int = 0
    sums: Arrays = ()
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training in a directory of their own.

    A checkpoint is one file: a SHA-256, what is told of it as JSON, and plain arrays: nothing in it can run code. It is written
    under a temporary name, flushed and renamed, so a kill leaves the one before.

    Args:
        directory: Made when it is not there.
        layers: Names and shapes of the model's variables; a checkpoint of another model is refused, its first other layer named.
        about: What else decides the result, by name; a checkpoint that differs in it is refused.
    """

    def __init__(self, directory: str | Path, layers: Sequence[str], about: Mapping[str, Any]) -> None:
        self._shelf = Shelf(directory, "training", MAGIC)
        self._layers, self._about = list(layers), json.loads(json.dumps(dict(about)))

    def save(self, moment: Moment) -> None:
        """Write a checkpoint; older ones than the one before are removed."""
        groups = {name: getattr(moment.state, name, moment.sums) for name in FIELDS}
        arrays = {f"{name}{i}": array for name, some in groups.items() for i, array in enumerate(some)}
        head = {"epoch": moment.epoch, "turn": moment.turn, "history": dict(moment.history)}
        told = {**head, "layers": self._layers, "about": self._about}
        self._shelf.put(moment.epoch * 10**6 + moment.turn, told, _packed(arrays))

    def load(self) -> Moment | None:
        """The newest checkpoint that is whole; None when there is none. A corrupt one is passed over with a warning.

        Raises:
            FitError: They are of another model or training.
        """
        for path, head, packed in self._shelf.whole():
            self._check(path, head)
            arrays = _unpacked(packed)
            trainable, fixed, slots, velocity, sums = (_numbered(arrays, name) for name in FIELDS)
            state = State(trainable, fixed, slots, velocity)
            return Moment(state, head["epoch"], head["turn"], sums, head["history"])
        return None

    def _check(self, path: Path, head: Mapping[str, Any]) -> None:
        pairs = zip([*head["layers"], "nothing"], [*self._layers, "nothing"], strict=False)
        there, own = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
        do = "Give another directory."
        if there != own:
            raise FitError(f"a checkpoint of this model, whose variable is {own}", got=there, where=str(path), do=do)
        for name, value in self._about.items():
            if head["about"].get(name) != value:
                got = f"one with {name}={head['about'].get(name)}"
                raise FitError(f"a checkpoint of this training, with {name}={value}", got=got, where=str(path), do=do)


def _packed(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _numbered(arrays: Mapping[str, Any], name: str) -> Arrays:
    return tuple(arrays[f"{name}{i}"] for i in range(sum(key.rstrip("0123456789") == name for key in arrays)))


def _unpacked(packed: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return dict(arrays)


def layers_of(model: Any) -> list[str]:
    """Names and shapes of a model's variables, as a checkpoint knows them.

    Keras numbers layers of one kind through a process, so the numbers are left out.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
    return [f"{NUMBER.sub('', variable.path)} {tuple(variable.shape)} {variable.dtype}" for variable in variables]
