"""Stepping: many steps of a compiled Keras model, one after another, at what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from bigml.training.feed import Fed, batches
from bigml.training.jitted import Jitted
from bigml.training.shards import ALIGNMENT

LARGE = 1 << 16
"""Bytes of an array that is worth sharing; a smaller one is copied sooner."""

Ready = Callable[[Fed, int], Sequence[Any]]
"""Makes batches of so many rows, as steps take them."""


class Steps(Protocol):
    """Takes a step for each batch."""

    def look(self, fed: Fed) -> None:
        """Let the model see some rows, upon which Keras makes the variables of its metrics."""
        ...

    def ready(self, fed: Fed, size: int) -> Sequence[Any]:
        """Batches of so many rows, as steps take them; in any thread, while others are learned from."""
        ...

    def train(self, stacks: Sequence[Any]) -> None:
        """Learn from batches that are ready; metrics count them."""
        ...

    def judge(self, stacks: Sequence[Any]) -> None:
        """Let metrics count batches that are ready."""
        ...


def steps_of(model: Any) -> Steps:
    """The fastest way through the steps of a model that the backend has."""
    import keras

    ways: dict[str, Callable[[Any], Steps]] = {"tensorflow": Traced, "jax": Jitted}
    fast = ways.get(keras.config.backend(), OneByOne)
    # Only on JAX is jit_compile all that there is of a graph.
    return OneByOne(model) if model.run_eagerly or (fast is Jitted and not model.jit_compile) else fast(model)


class OneByOne:
    """Steps by Keras's own methods for one batch, on any backend. These forget what metrics counted before; it is added again."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def look(self, fed: Fed) -> None:
        x, y, weights = fed
        self._model.test_on_batch(x, y, sample_weight=weights)

    def ready(self, fed: Fed, size: int) -> Sequence[Any]:
        return list(batches(fed, size))

    def train(self, stacks: Sequence[Any]) -> None:
        self._run(self._model.train_on_batch, stacks)

    def judge(self, stacks: Sequence[Any]) -> None:
        self._run(self._model.test_on_batch, stacks)

    def _run(self, step: Any, stacks: Sequence[Any]) -> None:
        from keras import ops

        for x, y, weights in stacks:
            counted = [ops.copy(variable.value) for variable in self._model.metrics_variables]
            self._model.reset_metrics()
            step(x, y, sample_weight=weights)
            for variable, value in zip(self._model.metrics_variables, counted, strict=True):
                variable.assign_add(value)


class Traced:
    """Steps of a model on TensorFlow: batches of equal shape are one call of one graph, which loops over `train_step`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graphs: dict[Any, Any] = {}

    def look(self, fed: Fed) -> None:
        # As it is, since a graph for one step would cost a second.
        self._model.test_step(fed)

    def ready(self, fed: Fed, size: int) -> Sequence[Any]:
        return tensors(fed, size)

    def train(self, stacks: Sequence[Any]) -> None:
        self._run(self._model.train_step, stacks)

    def judge(self, stacks: Sequence[Any]) -> None:
        self._run(self._model.test_step, stacks)

    def _run(self, step: Any, stacks: Sequence[Any]) -> None:
        for stack in stacks:
            known = spec_of(stack)
            key = step.__name__, str(known)
            if key not in self._graphs:
                self._graphs[key] = loop_of(step, known, self._model.jit_compile)
            self._graphs[key](stack)


def tensors(fed: Fed, size: int) -> Sequence[Any]:
    """Stacks of batches as tensors: a graph takes several times as long to make them of arrays."""
    import tensorflow as tf

    return [tf.nest.map_structure(_tensor, stack) for stack in stacked(fed, size)]


def _tensor(array: Any) -> Any:
    """A tensor of an array that nobody changes any more: the array itself where it may be, since a copy is a copy of all rows."""
    import tensorflow as tf

    can_share = array.flags.writeable and array.dtype == np.float32 and not array.ctypes.data % ALIGNMENT
    if array.nbytes < LARGE or not can_share:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def spec_of(stack: Any) -> Any:
    """What a graph knows of a stack of batches.

    How many they are and how many rows they have is left open: a short last batch is no reason to trace again.
    """
    import tensorflow as tf

    return tf.nest.map_structure(lambda one: tf.TensorSpec((None, None, *one.shape[2:]), one.dtype), stack)


def loop_of(step: Any, known: Any, jit_compile: Any) -> Any:
    """A graph that takes a step for each batch of a stack."""
    import tensorflow as tf

    one = tf.function(step, jit_compile=True, reduce_retracing=True) if jit_compile else step

    def batch(stacks: Any, i: Any) -> Any:
        return tf.nest.map_structure(lambda stack: stack[i], stacks)

    @tf.function(input_signature=[known])
    def loop(stacks: Any) -> None:
        for i in tf.range(tf.shape(tf.nest.flatten(stacks)[0])[0]):
            one(batch(stacks, i))

    return loop


def stacked(fed: Fed, size: int) -> Iterator[Any]:
    """Rows as a stack of full batches, without a copy, and one of the short batch that is left."""
    n = len(fed[1])
    full = n - n % size
    for cut, rows in ((slice(0, full), size), (slice(full, n), n - full)):
        if cut.start < cut.stop:
            yield tuple(_stack(some, cut, rows) for some in fed if some is not None)


def _stack(some: Any, cut: slice, n_rows: int) -> Any:
    if isinstance(some, dict):
        return {name: _stack(values, cut, n_rows) for name, values in some.items()}
    return some[cut].reshape(-1, n_rows, *some.shape[1:])
