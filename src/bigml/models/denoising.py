"""Denoising: an autoencoder that learns from rows without labels, and a classifier that goes on from it with few."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bigml.models.heads import activation as link
from bigml.models.heads import compiled, units

ENCODER = "encoder"


def denoising_autoencoder(
    shape: int | Sequence[int],
    *,
    hidden: Sequence[int] = (512, 128),
    activation: str = "relu",
    noise: float = 0.3,
    scale: float = 1.0,
    optimizer: Any = "adam",
) -> Any:
    """A compiled Keras model that learns to give rows back of which a part was blotted out.

    (Vincent, Larochelle, Bengio and Manzagol, Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008.)

    Args:
        shape: Of one row: a number of columns, or an image's (height, width, channels). Times `scale` they are from 0 to 1.
        hidden: Units of each layer of the encoder; those of the decoder are the same ones backwards.
        activation: Behind each of them.
        noise: Share of the inputs that a step blots out.
        scale: Inputs are multiplied by it, pixels by 1 / 255.
        optimizer: Of Keras, or its name.

    >>> import bigml, pandas as pd
    >>> rows = pd.DataFrame({"x": [0.0, 1.0], "z": [1.0, 0.0]})
    >>> model, history = bigml.train(bigml.models.denoising_autoencoder(2, hidden=(4,)), rows)
    >>> bigml.models.fine_tuned(model, 2).output_shape
    (None, 1)
    """
    import keras

    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    n = prod(sizes)
    encoder = [keras.layers.Input(sizes), keras.layers.Rescaling(scale), keras.layers.Flatten()]
    encoder += [keras.layers.Dense(size, activation=activation) for size in hidden]
    decoder = [keras.layers.Dense(size, activation=activation) for size in reversed(hidden[:-1])]
    decoder += [keras.layers.Dense(n, activation="sigmoid"), keras.layers.Rescaling(1 / scale), keras.layers.Reshape(sizes)]
    noisy = [keras.layers.Input(sizes), keras.layers.Dropout(noise)]
    model = keras.Sequential([*noisy, keras.Sequential(encoder, name=ENCODER), *decoder])
    model.compile(optimizer, "mean_squared_error")
    return model


def fine_tuned(autoencoder: Any, n_classes: int | None, *, dropout: float = 0.0, optimizer: Any = "adam") -> Any:
    """A compiled Keras model that begins as the encoder of an autoencoder; training goes on from its weights.

    Args:
        autoencoder: From `denoising_autoencoder`, trained; it is left as it is.
        n_classes: Classes of the target; None for numbers.
        dropout: Share of the encoder's outputs that a step leaves out.
        optimizer: Of Keras, or its name.
    """
    import keras

    learned = autoencoder.get_layer(ENCODER)
    encoder = keras.models.clone_model(learned)
    encoder.set_weights(learned.get_weights())
    head = keras.layers.Dense(units(n_classes), activation=link(n_classes))
    layers = [keras.layers.Input(learned.input_shape[1:]), encoder, keras.layers.Dropout(dropout), head]
    return compiled(keras.Sequential(layers), n_classes, optimizer)
