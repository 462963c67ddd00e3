"""Ranks in step are one process on all their rows, and the death of one costs a leg and no more."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import ClusterError, ConfigError, FitError
from bigml.graph.progress import Bar
from bigml.training import crews, ranks
from bigml.training.contract import contract_of
from bigml.training.feed import Feed
from bigml.training.generations import Generations
from bigml.training.ledger import Ledger
from bigml.training.replica import Build, Replica, added
from bigml.training.rounds import Lesson
from bigml.training.rows import encoder_of, kept_rows
from bigml.training.shards import Order, deal
from bigml.training.state import State
from bigml.training.terms import TRUSTED

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason='TensorFlow is not installed: pip install "bigml[tensorflow]"')

N, BATCH = 1000, 50
HOW = {"target": "label", "batch_size": BATCH, "engine": "sync", "shards": 2, "progress": False}
LEGS = {"epochs": 2, "local_steps": 2, "checkpoint_every": 2}


@pytest.fixture(scope="module", autouse=True)
def _a_trusted_network():
    """Of the machine that tests run on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRUSTED, "1")
        yield


def test_nothing_listens_where_the_network_is_not_said_to_be_trusted(source, monkeypatch):
    monkeypatch.delenv(TRUSTED)
    with pytest.raises(ConfigError, match=r"listens on all interfaces.*BIGML_TRUSTED_NETWORK=1"):
        bigml.train(plain, source, **HOW)


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)).astype(np.float32)
    label = np.where(rng.random(N) < 1 / (1 + np.exp(-X @ [2.0, -1.0, 0.5, 0.0])), "yes", "no")
    table = pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "w": rng.random(N), "label": label})
    return bigml.from_pandas(table, part_rows=130)


def plain(loss="binary_crossentropy", normalisation=None):
    """A logistic regression with all that an optimizer makes of a gradient."""
    rate = keras.optimizers.schedules.ExponentialDecay(0.5, 4, 0.9)
    optimizer = keras.optimizers.SGD(rate, global_clipnorm=0.1, gradient_accumulation_steps=2)
    regular = keras.regularizers.L2(0.01)
    layers = [] if normalisation is None else [normalisation]
    last = keras.layers.Dense(1, activation="sigmoid", kernel_regularizer=regular)
    model = keras.Sequential([keras.layers.Input((4,)), *layers, last])
    model.compile(optimizer, loss, metrics=["accuracy"], weighted_metrics=["mse"])
    return model


class Stricken(keras.layers.Layer):
    """Passes its inputs on; the second rank is killed in its 6th step, and the one after it is frozen in its 5th."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.n = folder, 0

    def call(self, inputs, training=False):
        if training:
            tf.py_function(self.strike, [], [])
        return inputs

    def strike(self):
        self.n += 1
        if '"index": 1' in os.environ.get("TF_CONFIG", ""):
            for name, at in (("SIGKILL", 6), ("SIGSTOP", 5)):
                mark = self.folder / name
                if not mark.exists():
                    if self.n == at:
                        mark.touch()
                        os.kill(os.getpid(), getattr(signal, name))
                    return


def rich(folder):
    """A net with everything that differs between ranks."""
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.layers.Input((5,)), Stricken(folder), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(clipnorm=0.5), "binary_crossentropy", metrics=["accuracy", "auc"])
    return model


def bits(model):
    state = State.of(model)
    return [array.tobytes() for array in (*state.trainable, *state.fixed, *state.slots)]


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """A folder of marks where nothing strikes any more, and what is learned then."""
    folder = tmp_path_factory.mktemp("calm")
    for name in ("SIGKILL", "SIGSTOP"):
        (folder / name).touch()
    return folder, *bigml.train(partial(rich, folder), source, **LEGS, **HOW)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_each_row_is_counted_once_in_an_epoch_and_shares_add_up_to_one(counts, size):
    ledger = Ledger(tuple(counts), size)
    each = np.array([ledger.rows(step) for step in range(ledger.n_steps)])
    assert each.sum(axis=0).tolist() == counts == ledger.rows(0, ledger.n_steps).tolist()
    assert (each[: ledger.n_full] == size).all()
    assert each.max() <= size
    for step in range(ledger.n_steps):
        assert sum(ledger.share(i, step) for i in range(len(counts))) == pytest.approx(1)


def test_uneven_ranks_are_one_process_of_keras_on_their_batches_together(source):
    build, bar = Build.of(plain, 0), Bar("", show=False)
    model = build()
    contract = contract_of(model)
    about = {"target": "label", "weight": "w", "preprocessor": None, "classes": None, "client": None, "bar": bar}
    encoder = encoder_of(source, contract, **about)
    with kept_rows(source, encoder, True, None, bar) as rows:
        feed = Feed.of(contract, encoder, np.array([3.0, 0.5], np.float32))
        lesson, shards = Lesson(build, rows.blocks, feed, BATCH, 0), deal(rows.counts, 2, whole=True)
        ledger = Ledger.of(shards, BATCH)
        assert ledger.rows(ledger.n_steps - 1).tolist() == [20, 0]
        with Generations(lesson, shards, 4) as ours:
            state, sums = ours.leg(State.of(model), 0, 0, ours.n_rounds, client=None, progress=lambda done, total: None)
        told, one, each = Replica(model, lesson.sample(shards[0])), Replica(build(), lesson.sample(shards[0])), []
        orders = [Order(shard, 0, 0) for shard in shards]
        for step in range(ledger.n_steps):
            there = [order for order, n in zip(orders, ledger.rows(step), strict=True) if n]
            x, y, weights = (
                np.concatenate(some) for some in zip(*(lesson.fed(who, step, step + 1) for who in there), strict=True)
            )
            one.model.train_on_batch(x, y, sample_weight=weights)
            each.append(one.metrics)
    for name in ("trainable", "slots"):
        for mine, theirs in zip(getattr(state, name), getattr(State.of(one.model), name), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    found = told.told(sums)
    assert found == pytest.approx(told.told(added(each)), abs=1e-5)
    assert list(found) == ["loss", "accuracy", "mse"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_and_a_frozen_rank_cost_a_leg_each_and_change_nothing(source, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(ranks, "SILENCE_SECONDS", 8.0)
    digests, failures = [], []
    ask, failed = crews.Crew.ask, Generations._failed

    def spied(self, name, *arguments, **how):
        answers = ask(self, name, *arguments, **how)
        digests.extend([{answer.digest for answer in answers}] if name == "learn" else [])
        return answers

    def noted(self, failure, where):
        failures.append(failure.what)
        failed(self, failure, where)

    monkeypatch.setattr(crews.Crew, "ask", spied)
    monkeypatch.setattr(Generations, "_failed", noted)
    model, history = bigml.train(partial(rich, tmp_path), source, **LEGS, **HOW)
    assert failures == ["killed by SIGKILL", "no sign of life for 8 s"]
    assert bits(model) == bits(undisturbed[1])
    assert history.history == undisturbed[2].history
    assert [len(some) for some in digests] == [1] * 6


class Interrupted(keras.callbacks.Callback):
    """Ends a training as Ctrl-C does, after the second leg of the second epoch."""

    left = 5

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_training_leaves_nothing_and_goes_on_to_the_same_bits(source, tmp_path, undisturbed):
    build = partial(rich, undisturbed[0])
    with pytest.raises(KeyboardInterrupt):
        bigml.train(build, source, checkpoint=tmp_path, callbacks=[Interrupted()], **LEGS, **HOW)
    with pytest.raises(FitError, match="engine=rounds"):
        bigml.train(build, source, checkpoint=tmp_path, **LEGS, **{**HOW, "engine": "rounds"})
    model, history = bigml.train(build, source, checkpoint=tmp_path, **LEGS, **HOW)
    assert bits(model) == bits(undisturbed[1])
    assert history.history == undisturbed[2].history


class Doomed:
    """Rows whose arrival ends the process of a rank."""

    def __reduce__(self):
        return exec, ("import os; print('the disk has gone', flush=True); os._exit(7)",)


def test_after_the_last_restart_the_first_cause_is_told_with_the_log(source):
    lesson = Lesson(Build(b"", 0), Doomed(), Feed((4,)), BATCH, 0)
    with (
        Generations(lesson, deal([N], 2), 4, restarts=1) as ours,
        pytest.raises(ClusterError, match=r"(?s)2 failures.*ended with status 7.*epoch 1.*the disk has gone"),
    ):
        ours.leg(State((), (), ()), 0, 0, 1, client=None, progress=lambda done, total: None)
    assert ours.restarts == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "fast"}, "rounds, sync"),
        ({"momentum": 0.9}, "outer `momentum`"),
        ({"build": partial(plain, keras.losses.BinaryCrossentropy(reduction="sum"))}, "mean over rows"),
        ({"build": partial(plain, normalisation=keras.layers.BatchNormalization(synchronized=True))}, "synchronized"),
    ],
)
def test_what_cannot_be_in_step_is_refused_with_the_reason(source, change, message):
    how = {"build": plain, **HOW, "sample_weight": "w", **change}
    with pytest.raises((ConfigError, FitError), match=message):
        bigml.train(how.pop("build"), source, **how)


def test_another_backend_is_refused_in_one_line(source, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match=r"^Expected TensorFlow for engine='sync', got Keras on jax") as told:
        bigml.train(plain, source, **HOW)
    assert "\n" not in str(told.value)


class KillWorker(keras.callbacks.Callback):
    """Kills a Dask worker after the first leg."""

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
def test_ranks_on_dask_workers_survive_one_of_them_and_learn_the_same(source, undisturbed):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        kill = KillWorker(client)
        model, history = bigml.train(partial(rich, undisturbed[0]), source, client=client, callbacks=[kill], **LEGS, **HOW)
    assert kill.killed
    assert bits(model) == bits(undisturbed[1])
    assert history.history == undisturbed[2].history
