"""The models are plain compiled Keras models that `train` takes as they are."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.errors import ColumnError, ConfigError
from bigml.training.state import State

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

TEXTS = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="texts are inputs on TensorFlow alone")
N = 400


def train(build, rows, **how):
    return bigml.train(build, rows, **{"batch_size": 50, "progress": False, **how})


@pytest.fixture(scope="module")
def images():
    """Images of 8 x 8 pixels, a bright square in one of three corners."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, N)
    pixels = rng.integers(0, 80, (N, 8, 8))
    for i, corner in enumerate(label):
        pixels[i, 4 * (corner // 2) :, 4 * (corner % 2) :][:4, :4] += 120
    return pd.DataFrame(pixels.reshape(N, 64), columns=[f"x{i}" for i in range(64)]).assign(label=label)


def test_linear_regression_finds_the_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2))
    rows = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": X @ [2.0, -1.0] + 3})
    build = partial(bigml.models.linear_regression, 2, optimizer=keras.optimizers.Adam(0.1))
    model, _ = train(build, rows, target="y", epochs=30)
    weights, bias = model.get_weights()
    np.testing.assert_allclose([*weights.ravel(), *bias], [2, -1, 3], atol=0.02)


@pytest.mark.parametrize(
    "build",
    [
        partial(bigml.models.softmax_regression, 64, 3, scale=1 / 255),
        partial(bigml.models.mlp, 64, 3, hidden=(32,), dropout=0.1, scale=1 / 255),
        partial(bigml.models.cnn, (8, 8, 1), 3, filters=(4, 8), dense=16, batch_norm=True, activation="silu"),
    ],
    ids=["softmax", "mlp", "cnn"],
)
def test_classifiers_of_images_learn(images, build):
    model, history = train(partial(build, optimizer=keras.optimizers.Adam(0.01)), images, target="label", epochs=6)
    assert history.history["accuracy"][-1] > 0.8
    assert model.predict(images.drop(columns="label").to_numpy().reshape(-1, *model.input_shape[1:]), verbose=0).shape == (N, 3)


def test_a_model_goes_on_from_its_weights_and_is_left_as_it_is(images):
    model = bigml.models.mlp(64, 3, hidden=(4,), scale=1 / 255)
    before = model.get_weights()
    rows = bigml.from_pandas(images)
    still, _ = train(model, rows, target="label")
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    _, further = train(still, rows, target="label", epochs=2)
    _, fresh = train(model, rows, target="label", epochs=3)
    assert further.history["loss"][-1] == pytest.approx(fresh.history["loss"][-1], rel=0.1)


def test_an_encoder_learns_without_labels_and_helps_where_there_are_few(images):
    pixels = images.drop(columns="label")
    build = partial(bigml.models.denoising_autoencoder, 64, hidden=(32, 8), scale=1 / 255)
    autoencoder, history = train(build, pixels, epochs=15)
    assert history.history["loss"][-1] < 0.6 * history.history["loss"][0]
    few = images.head(40)
    tuned, _ = train(bigml.models.fine_tuned(autoencoder, 3), few, target="label", epochs=40, batch_size=10)
    assert bigml.score(tuned, images, target="label") > 0.85
    first = State.of(autoencoder).trainable[0]
    assert not np.array_equal(first, State.of(tuned).trainable[0])
    assert np.array_equal(first, bigml.models.fine_tuned(autoencoder, 3).get_weights()[0])


@pytest.fixture(scope="module")
def jobs():
    """The class follows from a cross of two texts alone, and a little from a number."""
    rng = np.random.default_rng(0)
    job, town = rng.choice(["a", "b"], N), rng.choice(["x", "y"], N)
    age = rng.normal(40, 10, N)
    rich = ((job == "a") == (town == "x")) ^ (rng.random(N) < 0.05)
    return bigml.from_pandas(pd.DataFrame({"job": job, "town": town, "age": age, "rich": rich.astype(int)}), part_rows=90)


@TEXTS
def test_a_cross_learns_what_its_columns_alone_cannot_and_the_saved_model_takes_raw_columns(jobs, tmp_path):
    layers = bigml.models.adapted(jobs, {"age": keras.layers.Normalization(), "job": keras.layers.StringLookup()})
    how = {"layers": layers, "wide": ["job", "town"], "optimizer": keras.optimizers.Adam(0.05)}
    alone, _ = train(partial(bigml.models.wide_and_deep, jobs.schema, **how), jobs, target="rich", epochs=10)
    crossed, _ = train(
        partial(bigml.models.wide_and_deep, jobs.schema, crosses=[("job", "town")], deep=["age"], **how),
        jobs,
        target="rich",
        epochs=10,
        shards=2,
    )
    assert bigml.score(alone, jobs, target="rich") < 0.7
    assert bigml.score(crossed, jobs, target="rich") > 0.9
    crossed.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    expected, found = (bigml.predict(model, jobs, method="predict_proba").to_pandas() for model in (crossed, again))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_columns_that_a_wide_and_deep_model_cannot_have_are_told(jobs):
    with pytest.raises(ColumnError, match="jobb"):
        bigml.models.wide_and_deep(jobs.schema, wide=["jobb"])
    with pytest.raises(ConfigError, match="`age`, a column of numbers"):
        bigml.models.wide_and_deep(jobs.schema, crosses=[("job", "age")])
    with pytest.raises(ConfigError, match="got none"):
        bigml.models.wide_and_deep(jobs.schema)
