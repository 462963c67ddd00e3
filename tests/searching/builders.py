"""A builder of Keras models, in a module that workers can import."""

from __future__ import annotations


def small(X, y, width=4, rate=1e-2):
    """A compiled model with one hidden layer."""
    import keras

    given = keras.layers.Input((X.shape[1],))
    hidden = keras.layers.Dense(width, activation="relu")(given)
    model = keras.Model(given, keras.layers.Dense(y.shape[1], activation="softmax")(hidden))
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="categorical_crossentropy")
    return model
