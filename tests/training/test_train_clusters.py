"""One worker, three, and three of which one dies give the same model."""

from __future__ import annotations

import os
import signal
import sys

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


class Moved(keras.callbacks.Callback):
    """Adds two workers after the first leg, in the middle of an epoch, and kills the first one after the second."""

    def __init__(self, cluster, client):
        super().__init__()
        self.cluster, self.client, self.legs, self.learned = cluster, client, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.legs += 1
        if self.legs == 1:
            self.first, self.number = next(iter(self.client.run(os.getpid).items()))
            self.cluster.scale(3)
            self.client.wait_for_workers(3, timeout=60)
        elif self.legs == 2:
            self.learned = [there for address, there in self.client.run(has_learned).items() if address != self.first]
            os.kill(self.number, signal.SIGKILL)


def has_learned():
    """Whether the process of a worker has had a shard to learn from: Keras is imported for that alone."""
    return "keras" in sys.modules


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_are_added_and_one_that_dies_in_the_middle_of_an_epoch_change_nothing(rows):
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        told = bigml.explain_train(build, rows, client=client, **HOW)
        ((place, n_threads),) = client.nthreads().items()
        one, history = bigml.train(build, rows, client=client, **HOW)
        moved = Moved(cluster, client)
        model, again = bigml.train(build, rows, client=client, callbacks=[moved], **HOW)
    assert [(seat.process, seat.n_threads) for seat in told.seats] == [(place, n_threads)]
    weights, statistics, slots = (sum(array.nbytes for array in group) for group in State.of(one).groups)
    legs = -(-told.rounds // HOW["checkpoint_every"])
    assert told.moved_nbytes == 2 * HOW["shards"] * (told.rounds * (weights + statistics) + legs * slots)
    assert moved.learned == [True, True]
    assert bits(model) == bits(one)
    assert again.history == history.history
