"""Variables: those of a Keras model, read and written all at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[Any], ...]

SMALL = 1 << 15
"""Numbers of a variable that is copied once more to save a call."""


class Variables(Protocol):
    """Some variables of a model, in an order."""

    def read(self) -> Arrays:
        """Copies of their values."""
        ...

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        """Make these their values."""
        ...


def variables_of(some: Sequence[Any]) -> Variables:
    """The fastest way to the values of Keras variables that the backend has."""
    import keras

    return InGraph(some) if keras.config.backend() == "tensorflow" else OneByOne(some)


class OneByOne:
    """Variables by Keras's own methods, on any backend."""

    def __init__(self, some: Sequence[Any]) -> None:
        self._some = tuple(some)

    def read(self) -> Arrays:
        from keras import ops

        # A copy: on some backends the array is a view of the variable, which the next step changes.
        return tuple(np.array(ops.convert_to_numpy(variable)) for variable in self._some)

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        for variable, value in zip(self._some, values, strict=True):
            variable.assign(value)


class InGraph:
    """Variables on TensorFlow: one call of a graph for all, and small ones of one type as one vector.

    A call and a tensor each cost as much as the values of a small layer do.
    """

    def __init__(self, some: Sequence[Any]) -> None:
        import tensorflow as tf

        self._some, self._groups = tuple(some), _groups(some)
        known = [tf.TensorSpec((None,), some[group[0]].dtype) for group in self._groups]
        # TensorFlow would warn of functions that are traced again and again when several models are trained.
        self._read = tf.function(self._vectors, autograph=False).get_concrete_function()
        self._write = tf.function(self._assign, autograph=False).get_concrete_function(*known)

    def read(self) -> Arrays:
        found: dict[int, NDArray[Any]] = {}
        for group, vector in zip(self._groups, self._read(), strict=True):
            ends = np.cumsum([_size(self._some[i]) for i in group])[:-1]
            found.update(zip(group, np.split(vector.numpy(), ends), strict=True))
        return tuple(found[i].reshape(one.shape) for i, one in enumerate(self._some))

    def write(self, values: Sequence[NDArray[Any]]) -> None:
        import tensorflow as tf

        vectors = (np.concatenate([np.ravel(values[i]) for i in group]) for group in self._groups)
        self._write(*(tf.constant(vector) for vector in vectors))

    def _vectors(self) -> list[Any]:
        import tensorflow as tf

        return [tf.concat([tf.reshape(self._some[i].value, [-1]) for i in group], 0) for group in self._groups]

    def _assign(self, *vectors: Any) -> None:
        import tensorflow as tf

        for group, vector in zip(self._groups, vectors, strict=True):
            sizes = [_size(self._some[i]) for i in group]
            for i, part in zip(group, tf.split(vector, sizes), strict=True):
                self._some[i].assign(tf.reshape(part, self._some[i].shape))


def _groups(some: Sequence[Any]) -> list[list[int]]:
    """The numbers of variables that make one vector: small ones of one type, and each large one by itself."""
    groups: dict[Any, list[int]] = {}
    for i, one in enumerate(some):
        groups.setdefault(one.dtype if _size(one) <= SMALL else i, []).append(i)
    return list(groups.values())


def _size(variable: Any) -> int:
    return prod(int(n) for n in variable.shape)
