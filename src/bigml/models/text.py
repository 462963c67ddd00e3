"""Text: a network that reads characters one by one and tells the next, and writes text of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigml.errors import DataError


def char_lstm(
    n_codes: int,
    length: int = 100,
    *,
    embedding: int = 64,
    units: Sequence[int] = (256,),
    dropout: float = 0.0,
    unroll: bool = False,
    optimizer: Any = None,
) -> Any:
    """A compiled Keras model that tells of each code in a window the probabilities of the next one.

    Args:
        n_codes: How many codes there are; they are 0, 1, ...
        length: Codes of a window.
        embedding: Numbers that stand for a code.
        units: Of each LSTM layer.
        dropout: Share of the units behind each that a step leaves out.
        unroll: Write the network out code by code, in the place of a loop: a seventh faster, after ten seconds of tracing.
        optimizer: Of Keras, or its name; None is Adam with a rate of 0.005.

    >>> import bigml, numpy as np, pandas as pd
    >>> alphabet, codes = np.unique(list("to be or not to be " * 20), return_inverse=True)
    >>> model = bigml.models.char_lstm(len(alphabet), 20, units=(8,))
    >>> model, history = bigml.train(model, pd.DataFrame({"code": codes}), windows=10)
    >>> len(bigml.models.generate(model, "to ", 30, alphabet=alphabet))
    30
    """
    import keras

    layers = [keras.layers.Input((length,), dtype="int32"), keras.layers.Embedding(n_codes, embedding)]
    for size in units:
        layers += [keras.layers.LSTM(size, return_sequences=True, unroll=unroll), keras.layers.Dropout(dropout)]
    model = keras.Sequential([*layers, keras.layers.Dense(n_codes, activation="softmax")])
    model.compile(optimizer or keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    return model


def generate(model: Any, prompt: str, n: int, *, alphabet: Sequence[str], temperature: float = 1.0, seed: int = 0) -> str:
    """Text that a model of characters writes behind a prompt, which is not part of it.

    Args:
        model: From `char_lstm`, trained.
        prompt: What comes before, one character or more.
        n: Characters to write.
        alphabet: By code its character.
        temperature: Below 1 rare characters become rarer.
        seed: Decides what is drawn.

    Raises:
        DataError: The prompt is empty, or has a character that is not in the alphabet.
    """
    places = {character: code for code, character in enumerate(alphabet)}
    strange = [character for character in prompt if character not in places]
    if strange or not prompt:
        raise DataError(
            "a prompt of characters of the alphabet", got=f"{strange[0]!r}" if strange else "none", where="in generate"
        )
    reader, rng, text = _reader(model), np.random.default_rng(seed), ""
    for character in prompt[:-1]:
        _read(reader, places[character])
    code = places[prompt[-1]]
    for _ in range(n):
        logits = np.log(_read(reader, code).astype(np.float64) + 1e-30) / temperature
        shares = np.exp(logits - logits.max())
        code = int(rng.choice(len(shares), p=shares / shares.sum()))
        text += alphabet[code]
    return text


def _reader(model: Any) -> Any:
    """The same network, which is given one code at a time and remembers those before."""
    import keras

    def made(layer: Any) -> Any:
        remembers = {"stateful": True, "unroll": True} if isinstance(layer, keras.layers.LSTM) else {}
        return type(layer).from_config({**layer.get_config(), **remembers})

    layers = [made(layer) for layer in model.layers]
    reader = keras.Sequential([keras.layers.Input(batch_shape=(1, 1), dtype="int32"), *layers])
    reader.set_weights(model.get_weights())
    return reader


def _read(reader: Any, code: int) -> Any:
    from keras import ops

    # Called, not asked to predict: on JAX what a layer remembers is lost in a compiled call.
    return np.asarray(ops.convert_to_numpy(reader(np.array([[code]], np.int32))))[0, 0]
