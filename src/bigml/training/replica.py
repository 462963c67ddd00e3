"""Replica: the compiled model of one process, which the tasks there use in turn."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bigml.errors import ConfigError
from bigml.learning.network import is_network, restored
from bigml.training.contract import contract_of
from bigml.training.feed import Fed
from bigml.training.state import Arrays, State
from bigml.training.stepping import Steps, steps_of

_LOCK = threading.RLock()
_REPLICAS: dict[str, Replica] = {}


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
            FitError: It is no model that can be trained.
        """
        import keras

        keras.utils.set_random_seed(self.seed)
        made = restored(self.pickled)
        model = made if is_network(made) else made()
        contract_of(model)
        model.optimizer.build(model.trainable_variables)
        return model


@dataclass(eq=False)
class Replica:
    """A compiled model and its steps.

    Attributes:
        model: Its weights are those of the last task.
        steps: Takes steps of it.
        knows_metrics: Whether the variables of its metrics are there, which Keras makes when it first sees rows.
    """

    model: Any
    steps: Steps
    knows_metrics: bool = False

    @classmethod
    def of(cls, model: Any) -> Replica:
        """Of a compiled model, whose weights may change."""
        return cls(model, steps_of(model))

    def ready(self, sample: Callable[[], Fed]) -> None:
        """Make the variables of metrics, with some rows."""
        if not self.knows_metrics:
            x, y, weights = sample()
            self.model.test_on_batch(x, y, sample_weight=weights)
            self.knows_metrics = True

    def put(self, state: State, seed: Sequence[int] | None = None) -> None:
        """Take these weights, and count metrics from nothing; random numbers, of dropout say, follow from the seed."""
        state.put(self.model)
        self.model.reset_metrics()
        if seed is not None:
            self._reseed(seed)

    def told(self, sums: Arrays) -> dict[str, float]:
        """The metrics by name that such sums make."""
        for variable, value in zip(self.model.metrics_variables, sums, strict=True):
            variable.assign(value)
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    @property
    def metrics(self) -> Arrays:
        from keras import ops

        return tuple(np.array(ops.convert_to_numpy(variable)) for variable in self.model.metrics_variables)

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
            settle()
            _REPLICAS[build.key] = Replica.of(build())
        found = _REPLICAS[build.key]
        found.ready(sample)
        yield found


def settle() -> None:
    """In a worker process: as many threads for the backend as the worker has, and operations that give the same bits twice.

    A process of the caller's is left as it is.
    """
    import keras

    worker = _worker()
    if worker is None or keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    with suppress(RuntimeError):  # TensorFlow runs already: someone else has settled it
        tf.config.threading.set_intra_op_parallelism_threads(worker.state.nthreads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def _worker() -> Any:
    """The Dask worker whose process this is; None in a process that has others."""
    if "distributed" not in sys.modules:
        return None
    from distributed import Nanny, get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    return worker if isinstance(getattr(worker, "nanny", None), str | Nanny) else None


def added(sums: Sequence[Arrays]) -> Arrays:
    """Sums of metrics over all rows that some of them saw."""
    return tuple(sum(arrays[1:], start=arrays[0]) for arrays in zip(*sums, strict=True))
