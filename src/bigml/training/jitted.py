"""Jitted: steps of a Keras model on JAX, where a step is a function of all variables that XLA compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bigml.training.feed import Fed, batches

Groups = Sequence[Sequence[Any]]
"""Groups of a model's variables."""


class Jitted:
    """Steps of a model on JAX: variables are read once for many batches, and written once behind them.

    A step is the model's own `train_step(state, data)`, which Keras has its users override there, so it is that of `fit`.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._train, self._judge = _compiled(model.train_step), _compiled(model.test_step)

    def look(self, fed: Fed) -> None:
        x, y, weights = fed
        self._model.test_on_batch(x, y, sample_weight=weights)

    def ready(self, fed: Fed, size: int) -> Sequence[Any]:
        return list(batches(fed, size))

    def train(self, stacks: Sequence[Any]) -> None:
        model = self._model
        groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables)
        _run(self._train, groups, stacks)

    def judge(self, stacks: Sequence[Any]) -> None:
        model = self._model
        groups = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
        _run(self._judge, groups, stacks)


def _compiled(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    return jax.jit(lambda state, data: step(state, data)[1])


def _run(step: Callable[..., Any], groups: Groups, data: Iterable[Fed]) -> None:
    """Take a step for each batch, from the variables' values to their next ones."""
    state: Any = tuple([variable.value for variable in group] for group in groups)
    for batch in data:
        state = step(state, batch)
    for variables, values in zip(groups, state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
