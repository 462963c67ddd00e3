"""Dense: linear models and multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bigml.models.heads import activation as link
from bigml.models.heads import compiled, units


def linear_regression(n_inputs: int, *, optimizer: Any = "adam") -> Any:
    """A compiled Keras model that is one weighted sum.

    Args:
        n_inputs: Columns, best of similar spread (StandardScaler as `preprocessor=` of `bigml.train`).
        optimizer: Of Keras, or its name.

    >>> import bigml
    >>> bigml.models.linear_regression(4).count_params()
    5
    """
    return mlp(n_inputs, None, hidden=(), optimizer=optimizer)


def softmax_regression(shape: int | Sequence[int], n_classes: int, *, scale: float = 1.0, optimizer: Any = "adam") -> Any:
    """A compiled Keras model that is logistic regression: one weighted sum a class (of two classes, one).

    Args:
        shape: Of one row: a number of columns, or an image's (height, width, channels).
        n_classes: Classes of the target.
        scale: Inputs are multiplied by it, pixels by 1 / 255.
        optimizer: Of Keras, or its name.

    >>> import bigml
    >>> bigml.models.softmax_regression((28, 28, 1), 10, scale=1 / 255).count_params()
    7850
    """
    return mlp(shape, n_classes, hidden=(), scale=scale, optimizer=optimizer)


def mlp(
    shape: int | Sequence[int],
    n_classes: int | None = None,
    *,
    hidden: Sequence[int] = (64, 32),
    activation: str = "relu",
    dropout: float = 0.0,
    scale: float = 1.0,
    optimizer: Any = "adam",
) -> Any:
    """A compiled Keras model of layers that are fully connected.

    Args:
        shape: Of one row: a number of columns, or an image's (height, width, channels).
        n_classes: Classes of the target; None for numbers.
        hidden: Units of each hidden layer.
        activation: Behind each of them.
        dropout: Share of units that a step leaves out.
        scale: Inputs are multiplied by it, pixels by 1 / 255.
        optimizer: Of Keras, or its name.

    >>> import bigml, pandas as pd
    >>> rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "label": ["a", "a", "b", "b"]})
    >>> model, history = bigml.train(bigml.models.mlp(1, 2, hidden=(4,)), rows, target="label")
    >>> bigml.predict(model, rows, method="predict_proba").columns
    ('proba_a', 'proba_b')
    """
    import keras

    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    layers = perceptron(shape, hidden, activation=activation, dropout=dropout, scale=scale)
    layers.append(keras.layers.Dense(units(n_classes), activation=link(n_classes)))
    return compiled(keras.Sequential(layers), n_classes, optimizer)


def perceptron(
    shape: Sequence[int], hidden: Sequence[int], *, activation: str, dropout: float = 0.0, scale: float = 1.0
) -> list[Any]:
    """The layers of such a model but the last."""
    import keras

    layers = [keras.layers.Input(tuple(shape))]
    if scale != 1.0:
        layers.append(keras.layers.Rescaling(scale))
    if len(shape) > 1:
        layers.append(keras.layers.Flatten())
    for size in hidden:
        layers.append(keras.layers.Dense(size, activation=activation))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return layers
