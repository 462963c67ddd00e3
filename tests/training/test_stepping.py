"""Batches are handed to TensorFlow without a copy where that is safe, and how many in one call decides no bit."""

import gc

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.training import replica
from bigml.training.shards import aligned
from bigml.training.state import State
from bigml.training.stepping import LARGE, Traced

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

ROWS, WIDTH, SIZE = 1003, 40, 10


@pytest.fixture(scope="module")
def rows():
    X = aligned((ROWS, WIDTH), np.dtype("float32"))
    X[:] = np.random.default_rng(0).normal(size=X.shape)
    return X


def ready(X):
    if keras.config.backend() != "tensorflow":
        pytest.skip("of TensorFlow's graphs")
    return Traced(None).ready((X, np.arange(len(X), dtype=np.int32)[:, None], None), SIZE)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_rows_arrive_as_they_are_wherever_they_begin_in_memory(rows, shift):
    stacks = ready(rows[shift:])
    found = np.concatenate([stack[0].numpy().reshape(-1, WIDTH) for stack in stacks])
    np.testing.assert_array_equal(found, rows[shift:])


def test_large_aligned_rows_are_not_copied_and_live_as_long_as_their_tensor():
    X = aligned((ROWS, WIDTH), np.dtype("float32"))
    X[:] = 7.0
    assert X.nbytes > LARGE
    (whole, _), (rest, _) = ready(X)
    X[:] = 8.0
    assert (whole.numpy() == 8.0).all()
    del X
    gc.collect()
    others = [np.full((ROWS, WIDTH), 9.0, np.float32) for _ in range(4)]
    assert len(others) == 4
    assert float(whole.numpy().mean()) == 8.0
    assert rest.shape[1] == 3


def build():
    layers = [keras.layers.Input((WIDTH,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse", metrics=["mae"])
    return model


def trained(rows, **how):
    table = pd.DataFrame(rows).rename(columns="x{}".format).assign(y=rows[:, 0])
    return bigml.train(build, table, target="y", epochs=2, batch_size=SIZE, **how)


@pytest.mark.parametrize("seconds", [1e-9, 100.0])
def test_how_many_batches_a_call_takes_decides_no_bit(rows, monkeypatch, seconds):
    model, history = trained(rows)
    monkeypatch.setattr(replica, "CALL_SECONDS", seconds)
    other, again = trained(rows)
    assert [one.tobytes() for one in State.of(model).trainable] == [one.tobytes() for one in State.of(other).trainable]
    assert history.history == again.history


def test_a_bar_moves_within_the_rounds_of_one_shard(rows, monkeypatch):
    monkeypatch.setattr(replica, "CALL_SECONDS", 1e-9)
    seen = []
    trained(rows, local_steps=5, progress=lambda done, total: seen.append((done, total)))
    total = seen[-1][1]
    assert [done for done, n in seen if n == total] == sorted(done for done, n in seen if n == total)
    assert len({done for done, n in seen if n == total}) > total // 2
