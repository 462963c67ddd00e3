"""Convolutional: the classic network for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bigml.models.heads import activation as link
from bigml.models.heads import compiled, units


def cnn(
    shape: Sequence[int] = (28, 28, 1),
    n_classes: int | None = 10,
    *,
    filters: Sequence[int] = (32, 64),
    dense: int = 1024,
    dropout: float = 0.4,
    batch_norm: bool = False,
    activation: str = "relu",
    scale: float = 1 / 255,
    optimizer: Any = "adam",
) -> Any:
    """A compiled Keras model of blocks of a 5 x 5 convolution and pooling, and a dense layer behind them.

    Args:
        shape: Of an image: (height, width, channels).
        n_classes: Classes of the target; None for numbers.
        filters: Of each block; a block halves height and width.
        dense: Units of the dense layer.
        dropout: Share of these that a step leaves out.
        batch_norm: Whether each convolution is followed by BatchNormalization.
        activation: "relu", "silu" or another of Keras.
        scale: Pixels are multiplied by it.
        optimizer: Of Keras, or its name.

    >>> import bigml
    >>> bigml.models.cnn(dense=128, activation="silu", batch_norm=True).output_shape
    (None, 10)
    """
    import keras

    about: dict[str, Any] = {"batch_norm": batch_norm, "activation": activation, "scale": scale}
    layers = [keras.layers.Input(tuple(shape)), *convolutions(filters, dense=dense, dropout=dropout, **about)]
    layers.append(keras.layers.Dense(units(n_classes), activation=link(n_classes)))
    return compiled(keras.Sequential(layers), n_classes, optimizer)


def convolutions(
    filters: Sequence[int],
    *,
    dense: int,
    dropout: float,
    scale: float,
    batch_norm: bool = False,
    activation: str = "relu",
) -> list[Any]:
    """The layers of such a model between the first and the last."""
    import keras

    layers = [keras.layers.Rescaling(scale)]
    for n in filters:
        layers.append(keras.layers.Conv2D(n, 5, padding="same", use_bias=not batch_norm))
        layers += [keras.layers.BatchNormalization()] if batch_norm else []
        layers += [keras.layers.Activation(activation), keras.layers.MaxPooling2D(2)]
    return [*layers, keras.layers.Flatten(), keras.layers.Dense(dense, activation=activation), keras.layers.Dropout(dropout)]
