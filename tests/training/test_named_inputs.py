"""Models with named inputs are fed raw columns, each in its own type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.errors import BigmlError, DataError, FitError
from bigml.training.state import State

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

tf = pytest.importorskip("tensorflow", reason="texts are inputs on TensorFlow alone")
if keras.config.backend() != "tensorflow":
    pytest.skip("texts are inputs on TensorFlow alone", allow_module_level=True)

N = 600


@pytest.fixture(scope="module")
def frame():
    """A class that follows from a number, a whole number and a text, whose lengths differ from part to part."""
    rng = np.random.default_rng(0)
    age, level = rng.normal(size=N), rng.integers(0, 5, N)
    job = np.where(rng.random(N) < 0.5, "clerk", "sales") + np.where(np.arange(N) < 300, "", "-\u00e9xecutive")
    odds = 2 * age + (level - 2) + np.where(np.char.startswith(job, "clerk"), 1.0, -1.0)
    rich = np.where(rng.random(N) < 1 / (1 + np.exp(-odds)), "yes", "no")
    pixels = {f"pixel{i}": rng.random(N) for i in range(4)}
    return pd.DataFrame({"age": age, "level": level, "job": job, **pixels, "unused": "x", "rich": rich})


def build(structure=dict):
    """A model of a number, an integer that is embedded, a text that is hashed and four numbers in a square."""
    age = keras.layers.Input((1,), name="age")
    level = keras.layers.Input((1,), name="level", dtype="int64")
    job = keras.layers.Input((1,), name="job", dtype="string")
    pixel = keras.layers.Input((2, 2), name="pixel")
    inputs = {one.name: one for one in (age, level, job, pixel)}
    embedded = [keras.layers.Embedding(5, 2)(level), keras.layers.Embedding(64, 2)(keras.layers.Hashing(64)(job))]
    flat = [age, *(keras.layers.Flatten()(one) for one in (*embedded, pixel))]
    out = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Concatenate()(flat))
    model = keras.Model(inputs if structure is dict else list(inputs.values()), out)
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    return model


def fed(frame):
    """What Keras is given of all rows."""
    x = {name: frame[name].to_numpy().astype(kind)[:, None] for name, kind in (("age", np.float32), ("level", np.int64))}
    x["job"] = tf.constant(frame["job"].tolist(), shape=(len(frame), 1))
    return x | {"pixel": frame.filter(like="pixel").to_numpy(np.float32).reshape(-1, 2, 2)}


def train(build, rows, **how):
    return bigml.train(build, rows, **{"target": "rich", "batch_size": 50, "progress": False, **how})


@pytest.mark.parametrize("structure", [dict, list])
def test_raw_columns_are_fed_as_keras_is_fed_a_dict(frame, structure):
    model, history = train(
        lambda: build(structure), bigml.from_pandas(frame, part_rows=130), shuffle=False, epochs=2, validation=frame
    )
    keras.utils.set_random_seed(0)
    expected = build()
    y = (frame["rich"] == "yes").to_numpy(np.float32)
    curves = expected.fit(fed(frame), y, batch_size=50, epochs=2, shuffle=False, verbose=0).history
    for mine, theirs in zip(State.of(model).trainable, State.of(expected).trainable, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)
    np.testing.assert_allclose(history.history["loss"], curves["loss"], atol=1e-4)
    assert history.history["val_loss"][-1] == pytest.approx(expected.evaluate(fed(frame), y, verbose=0), abs=1e-4)


def test_shards_mix_rows_of_parts_with_texts_of_other_lengths(frame):
    _, history = train(build, bigml.from_pandas(frame, part_rows=130), shards=2, local_steps=2, epochs=4)
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="job"), r"`job`.*input `job`"),
        (lambda frame: frame.drop(columns="pixel3"), r"`pixel3`.*input `pixel`"),
        (lambda frame: frame.assign(job=1.5), r"a column of text, got double - column `job`"),
        (lambda frame: frame.assign(age="old"), r"a column of numbers.*`age`"),
        (lambda frame: frame.assign(level=frame["level"] + 0.5), r"whole numbers, got a fraction - column `level`, row 0"),
    ],
)
def test_columns_that_an_input_cannot_be_fed_are_told(frame, change, message):
    with pytest.raises(BigmlError, match=message):
        train(build, change(frame))


@pytest.mark.parametrize("column", ["age", "level", "job", "pixel2"])
def test_a_missing_value_is_told_with_its_column_row_and_part(frame, column):
    holes = frame.astype({"level": "Int64"})
    holes.loc[[205, 207], column] = None
    with pytest.raises(DataError, match=rf"missing value - column `{column}`, row 205") as refused:
        train(build, bigml.from_pandas(holes, part_rows=100))
    assert any("part" in note or "200" in note for note in refused.value.__notes__)


def test_named_inputs_with_a_preprocessor_or_without_a_target_are_refused(frame):
    with pytest.raises(BigmlError, match="no target="):
        train(build, frame, target=None)


def test_text_on_another_backend_is_refused_in_one_line(frame, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(
        FitError, match=r"^Expected TensorFlow for inputs of text, got Keras on jax - input `job`\. Set KERAS_BACK"
    ):
        train(build, frame)
