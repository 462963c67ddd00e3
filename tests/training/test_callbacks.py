"""Callbacks see and do in `train` what they see and do in Keras's own `fit`: the same events, logs, files and weights."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.errors import ConfigError
from bigml.graph.progress import Bar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

N, SIZE, EPOCHS = 60, 20, 4
HAS_TENSORBOARD = find_spec("tensorboard") is not None


class Diary(keras.callbacks.Callback):
    """A user's own callback: writes down what it is told, and sets the learning rate of one round."""

    def __init__(self):
        super().__init__()
        self.told, self.values, self.weights = [], [], {}

    def note(self, event, *about, logs=None):
        self.told.append((event, *about, sorted(logs or {})))
        self.values += [float(value) for _, value in sorted((logs or {}).items())]
        self.weights[event] = self.model.get_weights()

    def on_train_begin(self, logs=None):
        self.note("train begin", self.params["epochs"], self.params["steps"], logs=logs)

    def on_train_end(self, logs=None):
        self.note("train end", logs=logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.note("epoch begin", epoch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        self.note("epoch end", epoch, logs=logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.note("batch begin", batch, logs=logs)
        self.model.optimizer.learning_rate.assign(0.03 if batch == 1 else 0.01)

    def on_train_batch_end(self, batch, logs=None):
        self.note("batch end", batch, logs=logs)

    def on_test_begin(self, logs=None):
        self.note("test begin", logs=logs)

    def on_test_end(self, logs=None):
        self.note("test end", logs=logs)

    def on_test_batch_begin(self, batch, logs=None):
        self.note("test batch begin", batch, logs=logs)

    def on_test_batch_end(self, batch, logs=None):
        self.note("test batch end", batch, logs=logs)


def made():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(3, activation="tanh", name="first"), keras.layers.Dense(1, name="last")],
        name="net",
    )
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error", metrics=["mae"])
    return model


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2)).astype(np.float32)
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": X @ np.float32([1.0, -2.0])})


def callbacks(folder, diary):
    found = [
        diary,
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=9.0),
        keras.callbacks.ModelCheckpoint(folder / "best.keras", monitor="val_loss", mode="max", save_best_only=True),
        keras.callbacks.EarlyStopping("val_loss", mode="max", patience=2, restore_best_weights=True),
    ]
    tensorboard = {"log_dir": str(folder / "logs"), "histogram_freq": 1, "update_freq": 1}
    return found + ([keras.callbacks.TensorBoard(**tensorboard)] if HAS_TENSORBOARD else [])


@pytest.fixture(scope="module")
def ours(rows, tmp_path_factory):
    """Folder, diary, model and history of a training whose rounds are Keras's batches."""
    folder, diary = tmp_path_factory.mktemp("ours"), Diary()
    how = {"target": "y", "validation": rows, "epochs": EPOCHS, "batch_size": SIZE, "local_steps": 1, "checkpoint_every": 1}
    told = {"callbacks": callbacks(folder, diary), "shuffle": False, "progress": False}
    return folder, diary, *bigml.train(made, rows, **how, **told)


@pytest.fixture(scope="module")
def theirs(rows, tmp_path_factory):
    """The same of Keras's own fit."""
    folder, diary, model = tmp_path_factory.mktemp("theirs"), Diary(), made()
    X, y = rows[["a", "b"]].to_numpy(), rows["y"].to_numpy()
    how = {"validation_data": (X, y), "validation_batch_size": N, "epochs": EPOCHS, "batch_size": SIZE, "shuffle": False}
    return folder, diary, model, model.fit(X, y, **how, verbose=0, callbacks=callbacks(folder, diary))


def test_a_callback_is_told_the_same_events_logs_and_figures_as_by_keras_own_fit(ours, theirs):
    assert ours[1].told == theirs[1].told
    assert {event for event, *_ in ours[1].told} == set(ours[1].weights)
    np.testing.assert_allclose(ours[1].values, theirs[1].values, rtol=2e-4)
    for event, weights in theirs[1].weights.items():
        for mine, other in zip(ours[1].weights[event], weights, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-5, err_msg=event)


def test_training_stops_early_with_the_best_weights_and_the_same_history(ours, theirs):
    found, expected = ours[3].history, theirs[3].history
    assert len(found["loss"]) < EPOCHS, found
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-4, err_msg=name)
    best = keras.saving.load_model(ours[0] / "best.keras")
    for mine, kept in zip(ours[2].get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, kept)


def test_the_learning_rate_is_reduced_on_a_plateau(ours):
    assert ours[3].history["learning_rate"] == pytest.approx([0.01, 0.01, 0.01])
    assert float(ours[2].optimizer.learning_rate) == pytest.approx(0.005)  # the diary sets it anew in each round


def events(folder):
    """What TensorFlow reads back of the files of TensorBoard: where it was, step, name and kind."""
    import tensorflow as tf

    found = []
    for path in sorted(folder.rglob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            found += [(path.parent.name, event.step, v.tag, v.metadata.plugin_data.plugin_name) for v in event.summary.value]
    return found


@pytest.mark.skipif(not HAS_TENSORBOARD, reason='TensorBoard is not installed: pip install "bigml[tensorboard]"')
def test_tensorboard_gets_the_same_scalars_histograms_and_graph_as_from_keras_own_fit(ours, theirs):
    found = events(ours[0] / "logs")
    assert found == events(theirs[0] / "logs")
    assert {kind for *_, kind in found} == {"scalars", "histograms", "graph_keras_model"}
    assert ("train", 2, "epoch_loss", "scalars") in found
    assert ("validation", 2, "epoch_loss", "scalars") in found


def test_tensorboard_that_is_not_installed_and_what_is_no_callback_are_told_before_anything_is_read(rows, monkeypatch):
    monkeypatch.setattr("bigml.training.followers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "bigml\[tensorboard\]"'):
        bigml.train(made(), rows, target="y", callbacks=[keras.callbacks.TensorBoard()])
    with pytest.raises(ConfigError, match="callbacks of Keras, got `int`"):
        bigml.train(made(), rows, target="y", callbacks=[3])


class StopsAtOnce(keras.callbacks.Callback):
    """Stops within an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1


def test_a_callback_stops_a_training_within_an_epoch_and_the_bar_tells_samples_a_second(rows, monkeypatch):
    titles = []
    monkeypatch.setattr(Bar, "entitle", lambda self, title: titles.append(title))
    how = {"target": "y", "epochs": 3, "batch_size": SIZE, "local_steps": 1, "checkpoint_every": 1, "progress": False}
    model, history = bigml.train(made(), rows, callbacks=[StopsAtOnce()], **how)
    assert len(history.history["loss"]) == 1
    assert int(model.optimizer.iterations) == 2
    told = [title for title in titles if title.startswith("epoch 1/3, loss ")]
    assert len(told) == 2
    assert all(float(title.split(", ")[2].removesuffix(" samples/s").replace(",", "")) > 0 for title in told)
