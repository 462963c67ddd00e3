"""Plain Keras models in and out: one shard is Keras's own fit, single steps are synchronous SGD, a kill loses nothing."""

from __future__ import annotations

import os
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import ColumnError, ConfigError, DataError, FitError
from bigml.training import devices
from bigml.training.state import State

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

N = 1000


@pytest.fixture(scope="module")
def frame():
    """1,000 rows of a logistic model, sorted by their class."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)).astype(np.float32)
    label = np.where(rng.random(N) < 1 / (1 + np.exp(-X @ [2.0, -1.0, 0.5, 0.0])), "yes", "no")
    table = pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "label": label})
    return table.sort_values("label", ignore_index=True)


@pytest.fixture(scope="module")
def source(frame):
    return bigml.from_pandas(frame, part_rows=130)


def made(optimizer="sgd", hidden=(), loss="binary_crossentropy", units=1, metrics=("accuracy",), n_inputs=4):
    """A compiled classifier."""
    last = {"binary_crossentropy": "sigmoid", "mse": None}.get(loss, "softmax")
    layers = [keras.layers.Input((n_inputs,)), *hidden, keras.layers.Dense(units, activation=last)]
    model = keras.Sequential(layers)
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def dense():
    return [keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization()]


def adam():
    return made("adam", dense(), metrics=["accuracy", "auc"])


def rich():
    """Everything that an optimizer makes of a gradient, in half precision."""
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.9)
    inner = keras.optimizers.Adam(rate, global_clipnorm=0.1, gradient_accumulation_steps=2)
    hidden = [keras.layers.Dense(8, activation="relu", dtype="mixed_float16"), keras.layers.BatchNormalization()]
    return made(keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0), hidden, metrics=["accuracy", "auc"])


def train(build, source, **how):
    return bigml.train(build, source, **{"target": "label", "batch_size": 50, "progress": False, **how})


def own_fit(frame, build, **how):
    """Keras's own fit of the same initial weights, rows in their order."""
    keras.utils.set_random_seed(0)
    model = build()
    y = (frame["label"] == "yes").to_numpy(np.float32)
    history = model.fit(frame.filter(like="x").to_numpy(np.float32), y, batch_size=50, shuffle=False, verbose=0, **how)
    return model, history.history


def assert_equal_weights(one, other, tolerance=1e-6):
    for mine, theirs in zip(State.of(one).trainable, State.of(other).trainable, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)


def bits(model):
    state = State.of(model)
    return [array.tobytes() for array in (*state.trainable, *state.fixed, *state.slots)]


@pytest.mark.parametrize("local_steps", [1, 7, 100])
def test_one_shard_is_keras_own_fit_however_it_is_cut_into_rounds(frame, source, local_steps):
    model, history = train(rich, source, epochs=2, shuffle=False, local_steps=local_steps)
    expected, curves = own_fit(frame, rich, epochs=2)
    assert_equal_weights(model, expected, 2e-5)
    for name in ("loss", "accuracy", "auc"):
        np.testing.assert_allclose(history.history[name], curves[name], atol=1e-4)
    assert isinstance(model, keras.Model)


def test_steps_that_are_run_eagerly_are_kerass_and_metrics_count_them_all(frame, source):
    def build():
        model = made(metrics=["accuracy", "auc"])
        model.run_eagerly = True
        return model

    model, history = train(build, source, shuffle=False)
    expected, curves = own_fit(frame, build)
    assert_equal_weights(model, expected)
    for name in ("loss", "accuracy", "auc"):
        np.testing.assert_allclose(history.history[name], curves[name], atol=1e-5)


def test_weights_of_rows_and_classes_are_kerass(frame):
    table = frame.assign(w=np.linspace(0, 2, N))
    weighing = {"no": 3.0, "yes": 0.5}
    model, _ = train(made, bigml.from_pandas(table, part_rows=130), shuffle=False, sample_weight="w", class_weight=weighing)
    expected, _ = own_fit(frame, made, sample_weight=table["w"].to_numpy() * np.where(table["label"] == "no", 3.0, 0.5))
    assert_equal_weights(model, expected)


def test_single_steps_of_shards_are_synchronous_sgd_on_their_batches_together(source):
    from bigml.training.shards import Order

    model, rounds = with_rounds(made, source, shards=4, local_steps=1)
    expected = rounds.lesson.build()
    orders = [Order(shard, 0, 0) for shard in rounds.shards]
    assert rounds.n_rounds > 3
    # The rows are gone with the training: they are kept again.
    with kept_again(source) as lesson:
        for turn in range(rounds.n_rounds):
            there = [order for order in orders if turn < order.shard.n_steps(50)]
            fed = [lesson.fed(order, turn, turn + 1) for order in there]
            expected.train_on_batch(np.concatenate([x for x, _, _ in fed]), np.concatenate([y for _, y, _ in fed]))
    assert_equal_weights(model, expected)


@pytest.mark.parametrize(("steps", "every", "n_rounds"), [(2, 3, 6), (10, 8, 2)])
def test_what_an_optimizer_keeps_stays_with_its_shard_until_the_end_of_a_leg(source, steps, every, n_rounds):
    from bigml.training.shards import Order

    build = partial(made, "adam")
    model, rounds = with_rounds(build, source, shards=2, local_steps=steps, checkpoint_every=every)
    orders, alone = [Order(shard, 0, 0) for shard in rounds.shards], [rounds.lesson.build() for _ in rounds.shards]
    seen = np.zeros(2)
    with kept_again(source) as lesson:
        for turn in range(rounds.n_rounds):
            span = range(turn * steps, (turn + 1) * steps)
            rows = [learned_alone(lesson, one, order, span) for one, order in zip(alone, orders, strict=True)]
            seen += rows
            average([one.weights for one in alone], rows)
            if (turn + 1) % every == 0 or turn + 1 == n_rounds:
                average([one.optimizer.variables for one in alone], seen)
                seen[:] = 0
    assert rounds.n_rounds == n_rounds
    assert_equal_weights(model, alone[0])


def with_rounds(build, source, **how):
    """A trained model and the rounds that made it."""
    from bigml.training.rounds import Rounds

    seen = []
    leg = Rounds.leg

    def spied(self, *arguments, **named):
        seen.append(self)
        return leg(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rounds, "leg", spied)
        model, _ = train(build, source, **how)
    return model, seen[0]


def learned_alone(lesson, model, order, steps):
    """Rows that plain Keras learned from in some steps on a shard."""
    spans = [lesson.fed(order, step, step + 1) for step in steps if step < order.shard.n_steps(50)]
    return sum(len(x) for x, y, _ in spans if model.train_on_batch(x, y) is not None)


def average(groups, rows):
    """Give the variables of all groups their mean, counted by rows."""
    for several in zip(*groups, strict=True):
        values = [variable.numpy() for variable in several]
        for variable in several if values[0].dtype.kind == "f" else ():
            variable.assign(np.average(values, axis=0, weights=rows))


def kept_again(source):
    """The lesson of a training, its rows kept anew."""
    from contextlib import contextmanager

    from bigml.graph.progress import Bar
    from bigml.training.contract import contract_of
    from bigml.training.feed import Feed
    from bigml.training.replica import Build
    from bigml.training.rounds import Lesson
    from bigml.training.rows import encoder_of, kept_rows

    @contextmanager
    def lesson():
        bar, contract = Bar("", show=False), contract_of(made())
        about = {"target": "label", "weight": None, "preprocessor": None, "classes": None, "client": None, "bar": bar}
        encoder = encoder_of(source, contract, **about)
        with kept_rows(source, encoder, True, None, bar) as rows:
            yield Lesson(Build.of(made, 0), rows.blocks, Feed.of(contract, encoder, None), 50, 0)

    return lesson()


def test_a_sorted_file_does_not_hurt_and_shards_learn_as_well_as_one(source, frame):
    build = partial(made, optimizer="adam", metrics=("accuracy",))
    losses = [train(build, source, epochs=12, shards=n, local_steps=2)[1].history["loss"][-1] for n in (1, 4)]
    mixed = bigml.from_pandas(frame.sample(frac=1, random_state=0), part_rows=130)
    shuffled = train(build, mixed, epochs=12)[1].history["loss"][-1]
    assert losses[0] <= 1.02 * shuffled
    assert losses[1] <= 1.15 * shuffled


def test_the_same_call_gives_the_same_bits_and_another_seed_others(source):
    build = partial(made, hidden=[])
    one, again, other = (train(build, source, shards=3, local_steps=2, seed=seed)[0] for seed in (0, 0, 1))
    assert bits(one) == bits(again) != bits(other)


def test_dropout_differs_between_shards_and_rounds_and_repeats_with_the_seed(source):
    def build():
        return made(hidden=[keras.layers.Dropout(0.5)])

    one, again = (train(build, source, shards=2, local_steps=2)[0] for _ in range(2))
    assert bits(one) == bits(again)
    plain, _ = train(made, source, shards=2, local_steps=2)
    assert State.of(plain).trainable[0].tobytes() != State.of(one).trainable[0].tobytes()


class StopError(RuntimeError):
    """The end of a process."""


class StopAt(keras.callbacks.Callback):
    """Ends a training after so many rounds."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise StopError


@pytest.mark.parametrize("n", [3, 8])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(source, tmp_path, n):
    how = {"epochs": 3, "shards": 2, "local_steps": 2, "checkpoint_every": 2, "momentum": 0.5}
    whole, history = train(adam, source, **how)
    with pytest.raises(StopError):
        train(adam, source, checkpoint=tmp_path, callbacks=[StopAt(n)], **how)
    model, resumed = train(adam, source, checkpoint=tmp_path, **how)
    assert bits(model) == bits(whole)
    assert resumed.history == history.history


def test_a_checkpoint_of_another_model_or_training_is_refused_and_the_difference_named(source, tmp_path):
    train(made, source, checkpoint=tmp_path)
    with pytest.raises(FitError, match=r"dense.*\(4, 8\)"):
        train(adam, source, checkpoint=tmp_path)
    with pytest.raises(FitError, match="seed=1"):
        train(made, source, checkpoint=tmp_path, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "other"}, "target=other"),
        ({"class_weight": {"no": 2.0}}, "class_weight="),
        ({"sample_weight": "w"}, "sample_weight=w"),
        ({"preprocessor": StandardScaler()}, "encoder="),
        ({"build": partial(made, keras.optimizers.SGD(0.5))}, "compiled="),
    ],
)
def test_a_checkpoint_of_a_training_that_learns_something_else_is_refused(frame, tmp_path, change, message):
    rows = bigml.from_pandas(frame.assign(other=frame["label"], w=1.0), part_rows=500)
    train(made, rows.drop("other", "w"), checkpoint=tmp_path)
    how = {"build": made, "checkpoint": tmp_path, **change}
    named = {change.get("target", "label"), *([change["sample_weight"]] if "sample_weight" in change else [])}
    with pytest.raises(FitError, match=message):
        train(how.pop("build"), rows.select(*frame.filter(like="x").columns, *named), **how)


def test_a_checkpoint_of_a_model_goes_on_to_more_epochs_but_not_from_other_weights_or_back(source, tmp_path):
    whole, _ = train(adam, source, epochs=3)
    train(adam, source, epochs=2, checkpoint=tmp_path)
    model, history = train(adam, source, epochs=3, checkpoint=tmp_path)
    assert bits(model) == bits(whole)
    assert len(history.history["loss"]) == 3
    with pytest.raises(FitError, match="at most 2 epochs"):
        train(adam, source, epochs=2, checkpoint=tmp_path)
    with pytest.raises(FitError, match="variable"):
        train(model, source, epochs=3, checkpoint=tmp_path)


def test_a_checkpoint_of_a_model_with_other_initial_weights_is_refused(source, tmp_path):
    one, other = made(), made()
    train(one, source, checkpoint=tmp_path)
    with pytest.raises(FitError, match="initial_weights="):
        train(other, source, checkpoint=tmp_path)


def test_a_corrupt_checkpoint_is_passed_over(source, tmp_path):
    how = {"epochs": 2, "checkpoint": tmp_path}
    whole, _ = train(made, source, **how)
    newest = max(tmp_path.glob("*.bigml"))
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="corrupt"):
        model, _ = train(made, source, **how)
    assert bits(model) == bits(whole)


def test_callbacks_see_the_newest_weights_and_may_change_the_learning_rate_or_stop(source, frame, tmp_path):
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))
    expected, _ = own_fit(frame, made, epochs=2, callbacks=[keras.callbacks.LearningRateScheduler(lambda e, r: 0.1 / (e + 1))])
    model, _ = train(made, source, epochs=2, shuffle=False, callbacks=[rates])
    assert_equal_weights(model, expected)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_loss", save_best_only=True)
    patient = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0, restore_best_weights=True)
    model, history = train(made, source, epochs=9, validation=source, callbacks=[best, patient])
    assert len(history.history["loss"]) == 2
    again = keras.saving.load_model(tmp_path / "best.keras")
    table = frame.filter(like="x").to_numpy(np.float32)
    assert again.evaluate(table, (frame["label"] == "yes").to_numpy(), verbose=0)[0] == pytest.approx(
        min(history.history["val_loss"]), rel=1e-4
    )


def test_held_out_rows_are_judged_as_keras_judges_them(source, frame):
    model, history = train(adam, source, validation=source, epochs=2)
    found = model.evaluate(
        frame.filter(like="x").to_numpy(np.float32), (frame["label"] == "yes").to_numpy(), verbose=0, return_dict=True
    )
    for name, value in found.items():
        assert history.history[f"val_{name}"][-1] == pytest.approx(value, abs=2e-5)


def test_numbers_one_hot_classes_and_inputs_themselves_are_targets(frame):
    table = frame.drop(columns="label").assign(t=frame["x0"] * 2 + 1, c=np.arange(N) % 3)
    sgd = {"optimizer": keras.optimizers.SGD(0.1)}
    numbers, history = bigml.train(
        partial(made, loss="mse", metrics=(), **sgd),
        bigml.from_pandas(table.drop(columns="c")),
        target="t",
        epochs=8,
        progress=False,
    )
    assert history.history["loss"][-1] < 1e-2
    assert numbers.output_shape == (None, 1)
    losses = [
        bigml.train(partial(made, loss=loss, units=3), bigml.from_pandas(table.drop(columns="t")), target="c", progress=False)[1]
        for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy")
    ]
    assert losses[0].history["loss"] == pytest.approx(losses[1].history["loss"], rel=1e-5)
    _, history = bigml.train(
        partial(made, loss="mse", units=4, metrics=(), **sgd),
        bigml.from_pandas(table.drop(columns=["t", "c"])),
        epochs=20,
        progress=False,
    )
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_a_preprocessor_is_fitted_by_a_scan_and_sparse_rows_are_learned_from(frame):
    table = frame.assign(place=np.array(["a", "b", "c"])[np.arange(N) % 3])
    before = make_column_transformer((StandardScaler(), ["x0", "x1"]), (OneHotEncoder(), ["place"]), sparse_threshold=1.0)
    source = bigml.from_pandas(table[["x0", "x1", "place", "label"]], part_rows=130)
    _, history = train(partial(made, "adam", n_inputs=5), source, preprocessor=before, epochs=5)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"build_model": lambda: keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])}, "compiled"),
        ({"build_model": lambda: 3}, "Keras model"),
        ({"build_model": partial(made, n_inputs=5)}, r"5 features.*got 4"),
        ({"build_model": partial(made, loss="sparse_categorical_crossentropy", units=3)}, "3 classes"),
        ({"build_model": partial(made, loss="mse", units=3)}, r"output is \(1,\), as one row of `label`, got \(3,\).*units"),
        ({"build_model": partial(made, units=2)}, r"output is \(1,\).*got \(2,\)"),
        ({"build_model": partial(made, loss="mse"), "target": None}, r"\(4,\), as its input, .*got \(1,\)"),
        ({"shards": 2000}, "shards"),
        ({"shards": 4, "batch_size": 300}, r"300 of a shard.s 260.*4 shards.*fewer shards"),
        ({"classes": ["no", "maybe"]}, r"maybe.*got the class .yes.*`label`, row"),
        ({"batch_size": 0}, "batch_size"),
        ({"target": "lable"}, "label"),
        ({"class_weight": {"maybe": 2.0}}, "maybe"),
        ({"momentum": 1.5}, "momentum"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(source, change, message):
    how = {"build_model": made, "source": source, "target": "label", "progress": False, **change}
    with pytest.raises((ConfigError, FitError, bigml.BigmlError), match=message):
        bigml.train(how.pop("build_model"), how.pop("source"), **how)


def test_what_cannot_be_sent_to_workers_is_told(source):
    lock = __import__("threading").Lock()
    with pytest.raises(ConfigError, match="pickled"):
        train(lambda: lock and made(), source)


def test_a_missing_feature_and_a_loss_that_diverges_are_told_with_their_place(frame):
    holes = frame.copy()
    holes.loc[700, "x2"] = np.nan
    with pytest.raises(DataError, match=r"x2.*700"):
        train(made, bigml.from_pandas(holes, part_rows=130))
    huge = frame.assign(t=frame["x0"] * 1e4).drop(columns="label")
    wild = partial(made, loss="mse", optimizer=keras.optimizers.SGD(1e4), metrics=())
    with pytest.raises(DataError, match=r"after batch \d+ of epoch 1 on shard 0, with rows of parts? \d.*learning rate"):
        bigml.train(wild, bigml.from_pandas(huge), target="t", batch_size=10, progress=False)


class Explode(keras.callbacks.Callback):
    """Makes the learning rate boundless in the middle of the second epoch."""

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations > 40:
            self.model.optimizer.learning_rate = float("inf")


@pytest.mark.skipif(keras.config.backend() == "torch", reason="PyTorch's cross-entropy itself refuses what is no number")
def test_a_training_whose_loss_is_no_number_stops_and_goes_on_from_its_last_good_checkpoint(source, tmp_path):
    how = {"epochs": 3, "local_steps": 2, "checkpoint_every": 2}
    with pytest.raises(DataError, match=r"NaN or infinity - after batch \d+ of epoch 3"):
        train(made, source, checkpoint=tmp_path, callbacks=[Explode()], **how)
    model, history = train(made, source, checkpoint=tmp_path, **how)
    whole, expected = train(made, source, **how)
    assert bits(model) == bits(whole)
    assert history.history == expected.history


def test_a_loss_that_is_no_number_stops_a_training_whose_weights_still_are():
    def hollow():
        model = made(n_inputs=1)
        model.compile("sgd", lambda truth, told: keras.ops.mean(told) * 0.0 + float("nan"))
        return model

    with pytest.raises(DataError, match="NaN or infinity - after batch 0 of epoch 1"):
        bigml.train(hollow, pd.DataFrame({"x": [1.0, 2.0], "t": [0.0, 1.0]}), target="t", progress=False)


def test_keras_that_is_not_installed_is_told_with_the_command_here_and_on_a_worker(source, monkeypatch):
    from bigml.training.replica import Build

    build = Build.of(made, 0)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ConfigError, match=r'in this environment.*pip install "bigml\[tensorflow\]"'):
        train(made, source)
    monkeypatch.setattr(devices, "_worker", lambda: SimpleNamespace(address="tcp://10.0.0.7:4711"))
    with pytest.raises(ConfigError, match=r'on the worker tcp://10.0.0.7:4711.*pip install "bigml\[tensorflow\]"'):
        build()


def test_what_is_misunderstood_is_refused_in_words(source, frame):
    cases = [
        ({"build": "model"}, ConfigError, "function that makes"),
        ({"callbacks": keras.callbacks.EarlyStopping("loss")}, ConfigError, "list of callbacks"),
        ({"epochs": True}, ConfigError, "whole number"),
        ({"batch_size": 2.0}, ConfigError, "whole number"),
        ({"validation": frame.drop(columns="x0")}, ColumnError, "x0"),
        ({"target": None}, FitError, "Give target="),
    ]
    for change, kind, message in cases:
        how = {"build": made, **change}
        with pytest.raises(kind, match=message):
            train(how.pop("build"), source, **how)
    train(made, source, batch_size=np.int64(50), epochs=np.int32(1))


def test_a_model_of_ones_own_pieces_wants_a_function_and_says_so(source):
    def own(y, p):
        return keras.ops.mean((y - p) ** 2)

    def build():
        model = made(n_inputs=3)
        model.compile("sgd", own)
        return model

    numbers = source.drop("label")
    with pytest.raises(ConfigError, match="Pass a function"):
        train(build(), numbers, target="x3")
    model, _ = train(build, numbers, target="x3")
    assert isinstance(model, keras.Model)


def test_within_a_strategy_of_the_callers_training_is_refused(source):
    tf = pytest.importorskip("tensorflow")
    with tf.distribute.get_strategy().scope():
        train(made, source)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope(), pytest.raises(ConfigError, match="Call it outside"):
        train(made, source)
