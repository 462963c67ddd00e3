"""One worker, three, and three of which one dies give the same model."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.training.state import State

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
distributed = pytest.importorskip("distributed")

HOW = {"target": "label", "epochs": 2, "batch_size": 20, "shards": 4, "local_steps": 3, "checkpoint_every": 4, "progress": False}


def build():
    """A classifier with everything that might depend on where it runs."""
    layers = [keras.layers.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization()]
    model = keras.Sequential([*layers, keras.layers.Dropout(0.2), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 4))
    label = (rng.random(2000) < 1 / (1 + np.exp(-X @ [2.0, -1.0, 0.5, 0.0]))).astype(int)
    return bigml.from_pandas(pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "label": label}), part_rows=100)


def bits(model):
    state = State.of(model)
    return [array.tobytes() for array in (*state.trainable, *state.fixed, *state.slots)]


class Kill(keras.callbacks.Callback):
    """Kills a worker after the first rounds."""

    def __init__(self, client):
        super().__init__()
        self.client, self.killed = client, []

    def on_train_batch_end(self, batch, logs=None):
        if not self.killed:
            self.killed = [next(iter(self.client.run(os.getpid).values()))]
            os.kill(self.killed[0], signal.SIGKILL)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_any_number_of_workers_and_the_death_of_one_give_the_same_bits(rows):
    with (
        distributed.LocalCluster(1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        one, history = bigml.train(build, rows, client=client, **HOW)
        cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        two, _ = bigml.train(build, rows, client=client, **HOW)
        assert bits(two) == bits(one)
        kill = Kill(client)
        stricken, again = bigml.train(build, rows, client=client, callbacks=[kill], **HOW)
        assert kill.killed
        assert bits(stricken) == bits(one)
        assert again.history == history.history
