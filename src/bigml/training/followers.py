"""Followers: callbacks of Keras on a training's way, told what Keras's own `fit` tells them, and free to change the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from typing import Any

import numpy as np

from bigml.errors import ConfigError
from bigml.training.state import State


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse callbacks that lack what they need, before anything is read.

    Raises:
        ConfigError: One is no callback, or writes for TensorBoard where that is not installed.
    """
    import keras

    if not isinstance(callbacks, Sequence):
        raise ConfigError("a list of callbacks", got=f"`{type(callbacks).__name__}`", where="in callbacks=")
    for one in callbacks:
        if not isinstance(one, keras.callbacks.Callback):
            raise ConfigError("callbacks of Keras", got=f"`{type(one).__name__}`", where="in callbacks=")
        if isinstance(one, keras.callbacks.TensorBoard) and find_spec("tensorboard") is None:
            do = 'Install it: pip install "bigml[tensorboard]".'
            raise ConfigError("TensorBoard, which its callback writes by", got="none installed", where="in callbacks=", do=do)


@dataclass(eq=False)
class Followers:
    """The callbacks of one training.

    Attributes:
        model: What they look at, and may change.
        listeners: All of them, as Keras calls them.
        watched: Whether any of them may look at the model; a History does not.
    """

    model: Any
    listeners: Any
    watched: bool
    _there: State | None = None

    @classmethod
    def of(cls, model: Any, callbacks: Sequence[Any], history: Any, **params: Any) -> Followers:
        """The caller's callbacks, and behind them a History, which so knows what they added to the logs."""
        import keras

        listeners = keras.callbacks.CallbackList([*callbacks, history], model=model, verbose=0, **params)
        return cls(model, listeners, bool(callbacks))

    def tell(self, event: str, state: State, *told: Any) -> State:
        """The state that callbacks leave, who are told of an event: they may set the learning rate, or weights."""
        if self.watched:
            self.put(state)
        getattr(self.listeners, event)(*told)
        return self._seen(state) if self.watched else state

    def put(self, state: State) -> None:
        """Let the model be in this state."""
        if state is not self._there:
            state.put(self.model)
            self._there = state

    def _seen(self, state: State) -> State:
        """The model's state: the same object where nothing has changed, so that it need not be sent anew."""
        seen = State.of(self.model, velocity=state.velocity)
        self._there = state if _are_equal(seen, state) else seen
        return self._there


def _are_equal(one: State, other: State) -> bool:
    mine, others = (chain(state.trainable, state.fixed, state.slots) for state in (one, other))
    return all(np.array_equal(a, b) for a, b in zip(mine, others, strict=True))
