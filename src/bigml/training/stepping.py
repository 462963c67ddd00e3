"""Stepping: many steps of a compiled Keras model, one after another, at what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from bigml.training.feed import Fed


class Steps(Protocol):
    """Takes a step for each batch."""

    def train(self, fed: Sequence[Fed]) -> None:
        """Learn from each batch; metrics count them."""
        ...

    def judge(self, fed: Sequence[Fed]) -> None:
        """Let metrics count each batch."""
        ...


def steps_of(model: Any) -> Steps:
    """The fastest way through the steps of a model that the backend has."""
    import keras

    return Traced(model) if keras.config.backend() == "tensorflow" and not model.run_eagerly else OneByOne(model)


class OneByOne:
    """Steps by Keras's own methods for one batch, on any backend."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def train(self, fed: Sequence[Fed]) -> None:
        for x, y, weights in fed:
            self._model.train_on_batch(x, y, sample_weight=weights)

    def judge(self, fed: Sequence[Fed]) -> None:
        for x, y, weights in fed:
            self._model.test_on_batch(x, y, sample_weight=weights)


class Traced:
    """Steps of a model on TensorFlow: batches of equal shape are one call of one graph, which loops over `train_step`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graphs: dict[Any, Any] = {}

    def train(self, fed: Sequence[Fed]) -> None:
        self._run(self._model.train_step, fed)

    def judge(self, fed: Sequence[Fed]) -> None:
        self._run(self._model.test_step, fed)

    def _run(self, step: Any, fed: Sequence[Fed]) -> None:
        import tensorflow as tf

        for stacks in _stacks(fed):
            # How many batches and how many rows they have is left open: a short last batch is no reason to trace again.
            known = tf.nest.map_structure(lambda one: tf.TensorSpec((None, None, *one.shape[2:]), one.dtype), stacks)
            key = step.__name__, str(known)
            if key not in self._graphs:
                self._graphs[key] = _loop(step, known, self._model.jit_compile)
            self._graphs[key](stacks)


def _loop(step: Any, known: Any, jit_compile: Any) -> Any:
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


def _stacks(fed: Sequence[Fed]) -> Iterator[Any]:
    """Batches of one shape after another, stacked."""
    for _, some in groupby(fed, key=lambda one: len(one[1])):
        batches = list(some)
        stacked = _stack([x for x, _, _ in batches]), np.stack([y for _, y, _ in batches])
        weights = [weights for _, _, weights in batches if weights is not None]
        yield (*stacked, np.stack(weights)) if weights else stacked


def _stack(x: Sequence[Any]) -> Any:
    if isinstance(x[0], dict):
        return {name: np.stack([one[name] for one in x]) for name in x[0]}
    return np.stack(x)
