"""Ranks in step are one process on all their rows, and the death of one costs a leg and no more."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leftovers import held

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
from bigml.training.state import State, is_float
from bigml.training.terms import TRUSTED

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason='TensorFlow is not installed: pip install "bigml[tensorflow]"')
if keras.config.backend() != "tensorflow":
    pytest.skip("ranks sum by TensorFlow's strategy", allow_module_level=True)

N, BATCH = 1000, 50
HOW = {"target": "label", "batch_size": BATCH, "engine": "sync", "shards": 2, "progress": False}
HOW |= {"sample_weight": "w", "class_weight": {"no": 3.0, "yes": 0.5}}
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
    table = pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "row": np.arange(N), "w": rng.random(N), "label": label})
    return bigml.from_pandas(table, part_rows=130)


def plain(loss="binary_crossentropy", normalisation=None):
    """A logistic regression."""
    layers = [] if normalisation is None else [normalisation]
    model = keras.Sequential([keras.layers.Input((5,)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", loss)
    return model


class Watched(keras.layers.Layer):
    """Counts the rows by their number, the last input, and passes the others on.

    The second rank is killed in its 6th step, the one after it is frozen in its 5th, where the folder has no mark of it yet.
    """

    def __init__(self, folder):
        super().__init__(name="watched")
        self.folder, self.n = folder, 0

    def build(self, shape):
        self.times = self.add_weight(shape=(N,), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        if training:
            tf.py_function(self.strike, [], [])
            self.times.assign_add(tf.reduce_sum(tf.one_hot(tf.cast(inputs[:, -1], tf.int32), N), axis=0))
        return inputs[:, :-1]

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
    """A net with everything that differs between ranks, and an optimizer with everything that it makes of a gradient."""
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.9)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=0.1, gradient_accumulation_steps=2)
    half, regular = keras.layers.Dense(8, activation="relu", dtype="mixed_float16"), keras.regularizers.L2(0.01)
    layers = [half, keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    last = keras.layers.Dense(1, activation="sigmoid", kernel_regularizer=regular)
    model = keras.Sequential([keras.layers.Input((5,)), Watched(folder), *layers, last])
    scaled = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024.0)
    model.compile(scaled, "binary_crossentropy", metrics=["accuracy", "auc"], weighted_metrics=["mse"])
    return model


def bits(model):
    state = State.of(model)
    return [array.tobytes() for array in (*state.trainable, *state.fixed, *state.slots)]


class Counts(keras.callbacks.Callback):
    """How often each row was learned from, by the end of the first epoch."""

    times = None

    def on_epoch_end(self, epoch, logs=None):
        if self.times is None:
            self.times = np.array(self.model.get_layer("watched").times)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A folder of marks where nothing strikes any more."""
    folder = tmp_path_factory.mktemp("calm")
    for name in ("SIGKILL", "SIGSTOP"):
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def undisturbed(source, calm):
    """What is learned where nothing strikes, and the counts of rows."""
    counts = Counts()
    return *bigml.train(partial(rich, calm), source, callbacks=[counts], **LEGS, **HOW), counts.times


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


class Alone:
    """Synchronous SGD written down with plain Keras, in one process."""

    def __init__(self, lesson, shards):
        self.lesson, self.shards, self.ledger = lesson, shards, Ledger.of(shards, lesson.batch_size)
        self.here, self.grads = Replica(lesson.build(), lesson.sample(shards[0])), []
        self.model, self.apply = self.here.model, self.here.model.optimizer.apply
        self.model.optimizer.apply = lambda grads, variables: self.grads.append(grads)

    def leg(self, state, epoch, begin, end):
        """The state after steps begin to end, and the sums of metrics."""
        orders, fixed = [Order(shard, 0, epoch) for shard in self.shards], []
        for i in range(len(orders)):
            self.here.put(state, [0, epoch, i, begin])
            fixed.append(State.of(self.model).fixed)
        for step in range(begin, end):
            self.step(step, orders, fixed)
        shares = [self.ledger.share(i, begin, end) for i in range(len(orders))]
        means = [mean(each, shares) if is_float(each[0]) else each[0] for each in zip(*fixed, strict=True)]
        return replace(State.of(self.model), fixed=tuple(means)), self.here.metrics

    def step(self, step, orders, fixed):
        """One step, with all that is not learned of each rank for itself."""
        there = np.flatnonzero(self.ledger.rows(step))
        for i in there:
            replace(State.of(self.model), fixed=fixed[i]).put(self.model)
            self.model.train_step(self.lesson.fed(orders[i], step, step + 1))
            fixed[i] = State.of(self.model).fixed
        shares = [self.ledger.share(i, step) for i in there]
        self.apply([mean(each, shares) for each in zip(*self.grads, strict=True)], self.model.trainable_variables)
        self.grads.clear()


def mean(arrays, shares):
    return sum(share * array for share, array in zip(shares, arrays, strict=True))


@pytest.fixture(scope="module")
def lesson_and_shards(source, calm):
    """Those of the undisturbed training."""
    build, bar = Build.of(partial(rich, calm), 0), Bar("", show=False)
    contract = contract_of(build())
    about = {"target": "label", "weight": "w", "preprocessor": None, "classes": None, "client": None, "bar": bar}
    encoder = encoder_of(source, contract, **about)
    with kept_rows(source, encoder, True, None, bar) as rows:
        weights = np.array([HOW["class_weight"][name] for name in ("no", "yes")], np.float32)
        yield Lesson(build, rows.blocks, Feed.of(contract, encoder, weights), BATCH, 0), deal(rows.counts, 2)


def test_uneven_ranks_are_one_process_that_sums_the_gradients_of_their_batches(undisturbed, lesson_and_shards):
    """Weights of rows and classes, clipping, accumulation, a schedule, half precision, normalisation, dropout and metrics."""
    lesson, shards = lesson_and_shards
    ledger = Ledger.of(shards, BATCH)
    assert [ledger.rows(step).tolist() for step in range(ledger.n_full, ledger.n_steps)] == [[50, 35], [15, 0]]
    model, history, _ = undisturbed
    alone, leg, logs = Alone(lesson, shards), LEGS["local_steps"] * LEGS["checkpoint_every"], []
    expected = State.of(alone.model)
    for epoch in range(LEGS["epochs"]):
        sums = []
        for begin in range(0, ledger.n_steps, leg):
            expected, some = alone.leg(expected, epoch, begin, min(begin + leg, ledger.n_steps))
            sums.append(some)
        logs.append(alone.here.told(added(sums)))
    for name in ("trainable", "slots", "fixed"):
        for mine, theirs in zip(getattr(State.of(model), name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    assert sorted(history.history) == ["accuracy", "auc", "loss", "mse"]
    for name, values in history.history.items():
        assert values == pytest.approx([one[name] for one in logs], abs=1e-5)


def test_each_row_is_learned_from_once_in_an_epoch_by_the_count_of_the_model(undisturbed, lesson_and_shards):
    ledger, leg = Ledger.of(lesson_and_shards[1], BATCH), LEGS["local_steps"] * LEGS["checkpoint_every"]
    spans = [(begin, begin + leg) for begin in range(0, ledger.n_steps, leg)]
    # What layers count is averaged at the end of a leg: a row counts as its rank's share of the leg.
    shares = [np.repeat(ledger.rows(*span) / ledger.rows(*span).sum(), ledger.rows(*span)) for span in spans]
    np.testing.assert_allclose(np.sort(undisturbed[2]), np.sort(np.concatenate(shares)), rtol=1e-6)


class Interrupted(keras.callbacks.Callback):
    """Ends a training as Ctrl-C does, after the first leg of the second epoch."""

    left = 4

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stricken(source, tmp_path_factory):
    """A training that finds a port taken, loses a rank, then another, then its driver.

    Its folder, what failed, and digests of each leg.
    """
    folder, digests, failures = tmp_path_factory.mktemp("stricken"), [], []
    ask, failed, before, taken = crews.Crew.ask, Generations._failed, held(), socket.create_server(("127.0.0.1", 0))

    def spied(self, name, *arguments, **how):
        if name == "join" and not failures:
            arguments = ([arguments[0][0], f"127.0.0.1:{taken.getsockname()[1]}"],)
        answers = ask(self, name, *arguments, **how)
        digests.extend([{answer.digest for answer in answers}] if name == "learn" else [])
        return answers

    def noted(self, failure, where):
        failures.append(failure.what)
        taken.close()
        failed(self, failure, where)

    how = {"checkpoint": folder / "run", "callbacks": [Interrupted()], **LEGS, **HOW}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "SILENCE_SECONDS", 8.0)
        patch.setattr(crews.Crew, "ask", spied)
        patch.setattr(Generations, "_failed", noted)
        with pytest.raises(KeyboardInterrupt):
            bigml.train(partial(rich, folder), source, **how)
    assert not held().beyond(before)
    return folder, failures, digests


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_port_that_is_taken_and_a_killed_and_a_frozen_rank_cost_a_leg_each_and_all_ranks_have_the_same_weights(stricken):
    _, failures, digests = stricken
    assert "Could not start gRPC server" in failures[0]
    assert failures[1:] == ["killed by SIGKILL", "no sign of life for 8 s"]
    assert [len(some) for some in digests] == [1] * 4


class Moved(keras.callbacks.Callback):
    """After the first leg adds a worker, then kills the one that has the ranks."""

    def __init__(self, cluster, client):
        super().__init__()
        self.cluster, self.client, self.added = cluster, client, set()

    def on_train_batch_end(self, batch, logs=None):
        if not self.added:
            (first, number) = next(iter(self.client.run(os.getpid).items()))
            self.cluster.scale(2)
            self.client.wait_for_workers(2, timeout=60)
            self.added = set(self.client.nthreads()) - {first}
            os.kill(number, signal.SIGKILL)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_goes_on_elsewhere_and_on_a_worker_that_is_added_when_one_dies_to_the_same_bits(
    source, stricken, undisturbed, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    folder, places, placed = stricken[0], [], crews.places_of

    def noted(client, n):
        places.append({place.worker for place in placed(client, n)})
        return placed(client, n)

    monkeypatch.setattr(crews, "places_of", noted)
    with pytest.raises(FitError, match="engine=rounds"):
        bigml.train(partial(rich, folder), source, checkpoint=folder / "run", **LEGS, **{**HOW, "engine": "rounds"})
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        moved = Moved(cluster, client)
        how = {"checkpoint": folder / "run", "client": client, "callbacks": [moved], **LEGS, **HOW}
        model, history = bigml.train(partial(rich, folder), source, **how)
    assert moved.added <= places[-1]
    assert len(places) == 2
    assert bits(model) == bits(undisturbed[0])
    assert history.history == undisturbed[1].history


class Doomed:
    """Rows whose arrival ends the process of a rank."""

    def __reduce__(self):
        return exec, ("import os; print('the disk has gone', flush=True); os._exit(7)",)


def test_after_the_last_restart_the_first_cause_is_told_with_the_log(source):
    lesson = Lesson(Build(b"", 0), Doomed(), Feed((4,)), BATCH, 0)
    with (
        Generations(lesson, deal([N], 1), 4, restarts=1) as ours,
        pytest.raises(ClusterError, match=r"(?s)2 failures.*ended with status 7.*epoch 1.*the disk has gone"),
    ):
        ours.leg(State((), (), ()), 0, 0, 1, client=None, progress=lambda done, total: None)
    assert ours.restarts == 0


def eager():
    model = plain()
    model.run_eagerly = True
    return model


def test_ranks_step_by_their_graph_also_where_the_model_would_step_eagerly(source):
    models = [bigml.train(build, source, **HOW)[0] for build in (plain, eager)]
    assert bits(models[0]) == bits(models[1])


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
    how = {"build": plain, **HOW, **change}
    with pytest.raises((ConfigError, FitError), match=message):
        bigml.train(how.pop("build"), source, **how)


def test_another_backend_is_refused_in_one_line(source, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match=r"^Expected TensorFlow for engine='sync', got Keras on jax") as told:
        bigml.train(plain, source, **HOW)
    assert "\n" not in str(told.value)
