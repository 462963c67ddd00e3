"""An epoch of a Keras model fed from kept rows, against the same compiled steps on one tensor and against Keras's own ways.

All engines learn from the same rows with the same model and batches. The limit has the whole table in one tensor already.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import race

COLUMNS, BATCH = 65, 256
STEPS, EVERY = 32, 8
"""Steps of a round, and rounds of a leg: as they are by default."""


def table(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Rows of a model with two classes, or images of ten."""
    rng = np.random.default_rng(0)
    width, n_classes = (784, 10) if arguments.model == "cnn" else (COLUMNS, 2)
    X = rng.normal(size=(arguments.rows, width)).astype(np.float32)
    return X, (X @ rng.normal(size=(width, n_classes))).argmax(axis=1)


def build(kind: str) -> Any:
    """A compiled model."""
    import keras

    if kind == "mlp":
        layers = [keras.layers.Input((COLUMNS,)), *(keras.layers.Dense(n, activation="relu") for n in (64, 32))]
        model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    else:
        blocks = [(keras.layers.Conv2D(n, 5, padding="same", activation="relu"), keras.layers.MaxPooling2D()) for n in (16, 32)]
        layers = [keras.layers.Input((28, 28, 1)), *(layer for block in blocks for layer in block), keras.layers.Flatten()]
        model = keras.Sequential(
            [*layers, keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10, activation="softmax")]
        )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def shaped(arguments: argparse.Namespace) -> tuple[Any, Any]:
    X, y = table(arguments)
    return X.reshape(len(X), 28, 28, 1) if arguments.model == "cnn" else X, y


@contextmanager
def kept(arguments: argparse.Namespace, batch: int = BATCH) -> Iterator[tuple[Any, Any]]:
    """The lesson and the kept rows of a training that is on its way."""
    import tempfile
    from functools import partial

    import bigml
    from bigml.graph.progress import Bar
    from bigml.training.contract import contract_of
    from bigml.training.feed import Feed
    from bigml.training.replica import Build
    from bigml.training.rounds import Lesson
    from bigml.training.rows import encoder_of, kept_rows

    X, y = table(arguments)
    source = bigml.from_arrow(_arrow(X, y, [f"x{i}" for i in range(X.shape[1])]))
    bar, maker = Bar("", show=False), Build.of(partial(build, arguments.model), 0)
    contract = contract_of(maker())
    about: dict[str, Any] = {"weight": None, "preprocessor": None, "classes": range(10 if arguments.model == "cnn" else 2)}
    encoder = encoder_of(source, contract, target="label", client=None, bar=bar, **about)
    with tempfile.TemporaryDirectory() as folder, kept_rows(source, encoder, folder, None, bar) as rows:
        yield Lesson(maker, rows.blocks, Feed.of(contract, encoder, None), batch, 0), rows


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """Steps of a training that is on its way: rows are kept, the model is traced."""
    from bigml.graph.progress import silent
    from bigml.training.rounds import Rounds
    from bigml.training.shards import deal
    from bigml.training.state import Average, State

    with kept(arguments) as (lesson, rows):
        rounds = Rounds(lesson, deal(rows.counts, 1), STEPS, Average())
        begun, _ = rounds.leg(State.of(lesson.build()), 0, 0, EVERY, client=None, progress=silent)

        def work() -> int:
            state = begun
            for first in range(0, rounds.n_rounds, EVERY):
                state, _ = rounds.leg(state, 1, first, min(first + EVERY, rounds.n_rounds), client=None, progress=silent)
            return arguments.rows

        yield work


def _arrow(X: Any, y: Any, names: list[str]) -> Any:
    import pyarrow as pa

    return pa.table({**{name: X[:, i] for i, name in enumerate(names)}, "label": y})


def run_resident(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The same steps on one tensor, in the order in which it lies."""
    import tensorflow as tf

    X, y = shaped(arguments)
    n = len(X) // BATCH
    X, y = (tf.constant(values[: n * BATCH].reshape(n, BATCH, *values.shape[1:])) for values in (X, y.astype(np.int32)[:, None]))
    model = build(arguments.model)
    model.test_on_batch(X[0], y[0])
    model.optimizer.build(model.trainable_variables)

    @tf.function
    def loop(begin: Any, end: Any) -> None:
        for i in tf.range(begin, end):
            model.train_step((X[i], y[i]))

    loop(tf.constant(0), tf.constant(8))

    def work() -> int:
        loop(tf.constant(0), tf.constant(n))
        return arguments.rows

    yield work


def keras_fit(feed: Callable[[Any, Any], dict[str, Any]]) -> race.Engine:
    """Keras's own `fit` of one epoch, fed in some way."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        X, y = shaped(arguments)
        model = build(arguments.model)
        model.fit(X[: 4 * BATCH], y[: 4 * BATCH], batch_size=BATCH, verbose=0)

        def work() -> int:
            model.fit(**feed(X, y), verbose=0)
            return arguments.rows

        yield work

    return run


def arrays(X: Any, y: Any) -> dict[str, Any]:
    return {"x": X, "y": y, "batch_size": BATCH}


def shuffled(X: Any, y: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {"x": tf.data.Dataset.from_tensor_slices((X, y)).shuffle(65_536).batch(BATCH).prefetch(2)}


def one_by_one(X: Any, y: Any) -> dict[str, Any]:
    import tensorflow as tf

    signature = tuple(tf.TensorSpec(values.shape[1:], values.dtype) for values in (X, y))
    return {"x": tf.data.Dataset.from_generator(lambda: zip(X, y, strict=True), output_signature=signature).batch(BATCH)}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--model", choices=["mlp", "cnn"], default="mlp")


if __name__ == "__main__":
    engines = {
        "bigml, kept rows, mixed": run_bigml,
        "resident tensor, the limit": run_resident,
        "keras fit, arrays, shuffled": keras_fit(arrays),
        "from_tensor_slices, shuffle, batch": keras_fit(shuffled),
        "from_generator by rows, batch": keras_fit(one_by_one),
    }
    race.main("One epoch of a Keras model", engines, prepare=lambda arguments: None, same=lambda a, b: a == b, options=options)
