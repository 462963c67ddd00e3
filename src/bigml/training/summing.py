"""Summing: steps of a Keras model whose gradient is the mean over the batches of all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigml.training.stepping import loop_of, spec_of, tensors
from bigml.training.synchrony import Synchrony


class SummedSteps:
    """Steps of a model, each with the gradient of all ranks.

    Ranks sum gradients, each times its share of the rows of the step, before the optimizer sees them. So whatever the optimizer
    makes of a gradient (clipping, accumulation, the scaling of losses in mixed precision) it makes of the whole one. Keras would
    clip what each rank has by itself before it sums (`BaseOptimizer.apply` under a strategy), which is another algorithm; hence
    the model's variables are plain ones and the strategy does nothing but sum.

    Args:
        model: Compiled; its optimizer is one of a process of bigml's and not the caller's.
        synchrony: Of all ranks.
    """

    def __init__(self, model: Any, synchrony: Synchrony) -> None:
        self._model, self._synchrony = model, synchrony
        self._share: Any = None
        self._graph: Any = None
        self._apply = model.optimizer.apply
        model.optimizer.apply = self._apply_sum

    ready = staticmethod(tensors)

    def train(self, stacks: Sequence[Any], shares: Sequence[float]) -> None:
        """Learn from one stack of batches of one size, as many as there are shares.

        All ranks call it with as many batches at the same time: TensorFlow tells sums apart by the turn of the loop.
        """
        import tensorflow as tf

        (stack,) = stacks
        if self._graph is None:
            self._graph = loop_of(self._step, (spec_of(stack), tf.TensorSpec((None,), tf.float32)), jit_compile=False)
        self._graph((stack, np.asarray(shares, np.float32)))

    def _step(self, batch: Any) -> None:
        data, self._share = batch
        self._model.train_step(data)

    def _apply_sum(self, grads: Sequence[Any], trainable_variables: Any = None) -> Any:
        """In the place of the optimizer's `apply`: all gradients as one vector, so that a step waits for the others once."""
        import tensorflow as tf

        there = [tf.convert_to_tensor(one) for one in grads if one is not None]
        flat = tf.concat([tf.reshape(tf.cast(one, tf.float32), [-1]) for one in there], 0)
        parts = tf.split(self._synchrony.sum(self._share * flat), [one.shape.num_elements() for one in there])
        whole = iter([tf.cast(tf.reshape(part, one.shape), one.dtype) for part, one in zip(parts, there, strict=True)])
        return self._apply([None if one is None else next(whole) for one in grads], trainable_variables)
