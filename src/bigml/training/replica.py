"""Replica: the compiled model of one process, which the tasks there use in turn."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from bigml.errors import ConfigError
from bigml.learning.network import is_network, restored
from bigml.training.contract import contract_of
from bigml.training.devices import check_installed, settle
from bigml.training.feed import Fed
from bigml.training.state import State, groups_of
from bigml.training.stepping import steps_of
from bigml.training.variables import Arrays, Variables, variables_of

_LOCK = threading.RLock()
_REPLICAS: dict[str, Replica] = {}
ATTEMPTS = 8
"""Models of which two must have the same initial weights; a function may draw them anew each time."""

CALL_SECONDS = 0.5
"""How long a call of steps takes, about, so that a bar moves; it decides nothing of the result."""


@dataclass(frozen=True, eq=False)
class Build:
    """How a model is made, so that every process can make it.

    Attributes:
        pickled: The caller's function without arguments, or model, as cloudpickle wrote it in this process for its workers.
        seed: Of its initial weights.
    """

    pickled: bytes
    seed: int

    @classmethod
    def of(cls, build_model: Callable[[], Any] | Any, seed: int) -> Build:
        """Of the caller's function, or of a compiled model.

        Raises:
            ConfigError: It cannot be sent to workers.
        """
        import cloudpickle

        if not callable(build_model):
            got, where = f"`{type(build_model).__name__}`", "in build_model="
            raise ConfigError("a function that makes a compiled Keras model, or such a model", got=got, where=where)
        try:
            return cls(cloudpickle.dumps(build_model), seed)
        except Exception as error:
            do = "Make everything in it that it needs; open files, locks and models cannot be sent."
            raise ConfigError("a build_model that can be pickled", got=f"{error}", where="in build_model=", do=do) from error

    @cached_property
    def key(self) -> str:
        return hashlib.sha256(self.pickled + str(self.seed).encode()).hexdigest()

    def __call__(self) -> Any:
        """A new compiled model with all its variables.

        Raises:
            ConfigError: Keras or its backend is not installed here.
            FitError: It is no model that can be trained.
        """
        check_installed()
        import keras

        settle()
        keras.utils.set_random_seed(self.seed)
        made = self._restored()
        model = made if is_network(made) else made()
        contract_of(model)
        model.optimizer.build(model.trainable_variables)
        return model

    def _restored(self) -> Any:
        try:
            return restored(self.pickled)
        except (TypeError, ValueError, NameError) as error:
            do = "Pass a function that makes it, `build_model=lambda: build()`, or register what is your own in it with Keras."
            got = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            raise ConfigError("a model that can be made again from its file", got=got, where="in build_model=", do=do) from error


class Replica:
    """A compiled model and its steps.

    Args:
        model: Its weights are those of the last task.
        sample: Gives some rows; Keras makes the variables of metrics when it first sees some.
    """

    def __init__(self, model: Any, sample: Callable[[], Fed]) -> None:
        self.model, self.steps = model, steps_of(model)
        self.steps.look(sample())
        model.reset_metrics()
        self._counts = variables_of(model.metrics_variables)
        self._blank = self._counts.read()
        self._held: Arrays = ()
        self.n_batches = 4  # of one call

    @cached_property
    def _weights(self) -> Variables:
        # Made when they are first asked for: the caller's model only tells metrics.
        return variables_of([one for group in groups_of(self.model) for one in group])

    def put(self, state: State, seed: Sequence[int] | None = None) -> None:
        """Take these weights, and count metrics from nothing; random numbers, of dropout say, follow from the seed."""
        values = [value for group in state.groups for value in group]
        held, self._held = self._held, ()
        if len(held) != len(values) or any(mine is not one for mine, one in zip(held, values, strict=True)):
            self._weights.write(values)
        self._counts.write(self._blank)
        if seed is not None:
            self._reseed(seed)

    def state(self, n_rows: int = 0) -> State:
        """The weights as they are, copied; put back before anything else they need not be written."""
        self._held = values = self._weights.read()
        sizes = [len(group) for group in groups_of(self.model)]
        trainable, fixed, slots = (values[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True))
        return State(trainable, fixed, slots, n_rows=n_rows)

    def told(self, sums: Arrays) -> dict[str, float]:
        """The metrics by name that such sums make."""
        self._counts.write(sums)
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def train(self, stacks: Sequence[Any], n_batches: int) -> None:
        """Learn from batches that are ready; how many there should be next time follows from the time that it takes."""
        begun = time.perf_counter()
        self.steps.train(stacks)
        self.n_batches = max(1, int(CALL_SECONDS * n_batches / (time.perf_counter() - begun)))

    @property
    def metrics(self) -> Arrays:
        """Sums over the rows since weights were put."""
        return self._counts.read()

    def _reseed(self, seed: Sequence[int]) -> None:
        """Other random numbers, of dropout say, for every shard and round, and always the same ones for the same."""
        for i, variable in enumerate(self.model.non_trainable_variables):
            if variable.path.endswith("seed_generator_state"):
                variable.assign(np.random.default_rng([*seed, i]).integers(0, 2**31, size=variable.shape, dtype=np.uint32))


@contextmanager
def replica(build: Build, sample: Callable[[], Fed]) -> Iterator[Replica]:
    """The model of this process, for one user at a time; it is built and its steps are compiled once."""
    with _LOCK:
        if build.key not in _REPLICAS:
            _REPLICAS.clear()
            _REPLICAS[build.key] = Replica(build(), sample)
        yield _REPLICAS[build.key]


def built(build: Build) -> Any:
    """A new model beside that of this process, whose initial weights follow from the seed alone.

    Keras draws them by Python's global generator, of which other threads draw too, those of a Dask worker for instance. Where
    there may be such threads, a model counts only when an earlier one had the same weights.
    """
    with _LOCK:
        seen = set[str]()
        for _ in range(ATTEMPTS):
            model = build()
            digest = _digest(model)
            if digest in seen or "distributed" not in sys.modules:
                break
            seen.add(digest)
        return model


def identity(model: Any) -> dict[str, Any]:
    """What decides a training of a model, beside the shapes of its variables: how it is compiled, and its initial weights."""
    told: Any = None
    with suppress(Exception):  # what it is compiled with may be nothing that Keras can write down
        told = model.get_compile_config()
    compiled = hashlib.sha256(json.dumps(_nameless(told), sort_keys=True, default=str).encode()).hexdigest()
    return {"compiled": compiled[:16], "initial_weights": _digest(model)[:16]}


def _nameless(config: Any) -> Any:
    """A configuration without names and numbers of objects, which Keras counts through a process."""
    if isinstance(config, dict):
        return {key: _nameless(value) for key, value in config.items() if key not in {"name", "shared_object_id"}}
    return [_nameless(value) for value in config] if isinstance(config, list | tuple) else config


def _digest(model: Any) -> str:
    told, state = hashlib.sha256(), State.of(model)
    for array in (*state.trainable, *state.fixed):
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()


def added(sums: Sequence[Arrays]) -> Arrays:
    """Sums of metrics over all rows that some of them saw."""
    return tuple(sum(arrays[1:], start=arrays[0]) for arrays in zip(*sums, strict=True))
