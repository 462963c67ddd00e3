"""Heads: the last layer of a model, and what it is compiled with, for numbers, two classes and several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def units(n_classes: int | None) -> int:
    """Outputs: one for numbers and for two classes."""
    return n_classes if n_classes is not None and n_classes > 2 else 1


def activation(n_classes: int | None) -> str | None:
    """What makes probabilities of them."""
    return None if n_classes is None else "softmax" if n_classes > 2 else "sigmoid"


def compiled(model: Any, n_classes: int | None, optimizer: Any) -> Any:
    """The model, ready for `bigml.train`: squared error for numbers, cross-entropy and accuracy for classes."""
    if n_classes is None:
        model.compile(optimizer, "mean_squared_error")
    else:
        loss = "sparse_categorical_crossentropy" if n_classes > 2 else "binary_crossentropy"
        model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def one_each(layers: Sequence[Any], n_classes: int | None, optimizer: Any) -> Any:
    """A compiled model with one output a class, also of two, as Keras's wrappers for scikit-learn want it; one for numbers."""
    import keras

    last = keras.layers.Dense(n_classes or 1, activation=None if n_classes is None else "softmax")
    model = keras.Sequential([*layers, last])
    if n_classes is None:
        return compiled(model, None, optimizer)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model
