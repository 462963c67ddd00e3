"""Models on real data, with small budgets: what each reaches in seconds. `make check-train` has the full ones."""

from __future__ import annotations

import gzip
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

CENSUS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
CENSUS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]


def train(build, rows, **how):
    return bigml.train(build, rows, **{"progress": False, **how})


@pytest.fixture(scope="module")
def mnist(data_dir):
    """Images to learn from, and to judge by."""
    folder = data_dir / "mnist"
    files = [(folder / f"{name}-images-idx3-ubyte.gz", folder / f"{name}-labels-idx1-ubyte.gz") for name in ("train", "t10k")]
    return tuple(bigml.read_idx(images, y=labels) for images, labels in files)


@pytest.mark.slow
def test_mnist_softmax_reaches_the_classic_accuracy_after_an_epoch(mnist):
    rows, held = mnist
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 600))
    build = partial(bigml.models.softmax_regression, 784, 10, scale=1 / 255, optimizer=adam)
    model, _ = train(build, rows, target="target", batch_size=100)
    assert bigml.score(model, held, target="target") >= 0.918


@pytest.mark.slow
def test_census_wide_and_deep_is_better_than_a_linear_model_after_two_epochs(data_dir):
    def census(name, skip=0):
        frame = pd.read_csv(data_dir / "adult" / name, names=CENSUS, skipinitialspace=True, skiprows=skip)
        return bigml.from_pandas(frame.assign(income=frame["income"].str.rstrip(".")), part_rows=8192)

    rows, held = census("adult.data.gz"), census("adult.test.gz", skip=1)
    numbers = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
    texts = ["workclass", "education", "marital_status", "occupation", "relationship", "native_country"]
    scaled = {name: [keras.layers.Normalization(), keras.layers.Discretization(num_bins=20)] for name in numbers}
    layers = bigml.models.adapted(rows, scaled | {name: keras.layers.StringLookup() for name in texts})
    how = {"wide": [*numbers, *texts], "deep": [*numbers, *texts], "layers": layers}
    crosses = [("education", "occupation"), ("marital_status", "occupation"), ("age", "education")]
    build = partial(bigml.models.wide_and_deep, rows.schema, crosses=crosses, **how)
    model, _ = train(build, rows, target="income", batch_size=128, epochs=2)
    scores = bigml.score(model, held, target="income", scoring=["accuracy", "roc_auc"])
    assert scores["accuracy"] >= 0.851
    assert scores["roc_auc"] >= 0.905


@pytest.mark.slow
def test_a_small_network_of_convolutions_learns_mnist_from_a_fifth_of_it(mnist):
    rows, held = mnist[0].sample(12_000, seed=0), mnist[1].sample(2000, seed=0)
    build = partial(bigml.models.cnn, filters=(8, 16), dense=64, optimizer=keras.optimizers.Adam(0.003))
    model, _ = train(build, rows, target="target", batch_size=64, shards=2)
    assert bigml.score(model, held, target="target") >= 0.93


@pytest.mark.slow
def test_characters_of_shakespeare_are_foretold_better_than_by_the_one_before(data_dir):
    text = gzip.decompress((data_dir / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode()[:100_000]
    alphabet, codes = np.unique(list(text), return_inverse=True)
    build = partial(bigml.models.char_lstm, len(alphabet), 40, units=(64,), embedding=16)
    rows = {"validation": pd.DataFrame({"code": codes[90_000:]}), "windows": 40}
    _, history = train(build, pd.DataFrame({"code": codes[:90_000]}), epochs=2, batch_size=32, **rows)
    # By the one before alone: 2.5 nats.
    assert history.history["val_loss"][-1] < 2.5


@pytest.mark.slow
def test_delays_of_flights_are_foretold_as_well_as_by_a_linear_model(data_dir):
    texts, numbers = ["carrier", "origin", "dest"], ["dep_delay", "distance"]
    flights = bigml.read_parquet(data_dir / "flights" / "nineteen_columns" / "nyc_2014.parquet")
    known = flights.select("arr_delay", *texts, *numbers).dropna().assign(late=bigml.col("arr_delay") / 45).drop("arr_delay")
    rows, held = known.sample(60_000, seed=0).split(test=0.2, seed=0)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numbers))
    linear = bigml.fit(make_pipeline(columns, Ridge()), rows, target="late")
    scaled = {name: keras.layers.Normalization() for name in numbers}
    layers = bigml.models.adapted(rows, scaled | {name: keras.layers.StringLookup() for name in texts})
    parts = {"wide": [*texts, *numbers], "crosses": [("origin", "dest")], "deep": [*texts, *numbers], "n_classes": None}
    build = partial(bigml.models.wide_and_deep, rows.schema, layers=layers, optimizer=keras.optimizers.Adam(0.003), **parts)
    model, _ = train(build, rows, target="late", epochs=2, batch_size=64)
    ours, theirs = (bigml.score(one, held, target="late", scoring="r2") for one in (model, linear))
    assert ours > theirs - 0.01
