"""Functions that make Keras models, in a module that workers can import."""

from __future__ import annotations

from typing import Any


def build(units: int = 4, rate: float = 0.1) -> Any:
    """A compiled classifier of two classes by three numbers; of 13 units there is none."""
    import keras

    if units == 13:
        raise ValueError("unlucky")
    layers = [keras.layers.Input((3,)), keras.layers.Dense(units, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


def regressor(rate: float) -> Any:
    """A compiled linear regressor by three numbers."""
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mean_squared_error")
    return model
