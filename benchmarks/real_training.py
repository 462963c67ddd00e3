"""Keras models on real data: what each must reach, and what it reaches. `make check-train` runs all of it.

The data are found by BIGML_DATA. A job prints a row of the table as soon as it is done; any that falls short fails the run.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(os.environ.get("BIGML_DATA", Path(__file__).parents[2] / "shared" / "data"))
CENSUS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
CENSUS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]


@dataclass(frozen=True)
class Found:
    """A figure and its bound: at least `must`, or at most where it is a loss."""

    what: str
    value: float
    must: float
    at_most: bool = False

    @property
    def holds(self) -> bool:
        return self.value <= self.must if self.at_most else self.value >= self.must

    def __str__(self) -> str:
        return f"| {self.what} | {'<=' if self.at_most else '>='} {self.must:.4f} | {self.value:.4f} |"


def cosine(rate: float, steps: int) -> Any:
    """Adam, whose rate falls to nothing."""
    import keras

    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def digits() -> tuple[Any, Any]:
    import bigml

    folder = DATA / "mnist"
    files = [(folder / f"{name}-images-idx3-ubyte.gz", folder / f"{name}-labels-idx1-ubyte.gz") for name in ("train", "t10k")]
    rows, held = (bigml.read_idx(images, y=labels) for images, labels in files)
    return rows, held


def softmax(arguments: argparse.Namespace) -> Iterator[Found]:
    """One linear layer on the pixels of MNIST."""
    import bigml

    rows, held = digits()
    for epochs, must in ((1, 0.918), (12, 0.925)):
        optimizer = cosine(0.01 if epochs == 1 else 0.005, 600 * epochs)
        build = partial(bigml.models.softmax_regression, 784, 10, scale=1 / 255, optimizer=optimizer)
        model, _ = bigml.train(build, rows, target="target", epochs=epochs, batch_size=100)
        yield Found(f"MNIST, softmax regression, {epochs} epochs: accuracy", bigml.score(model, held, target="target"), must)


def convolutional(engine: str, arguments: argparse.Namespace) -> Iterator[Found]:
    """Two blocks of convolution on MNIST, three epochs."""
    import bigml

    rows, held = digits()
    found = []
    for seed in range(arguments.seeds):
        build = partial(bigml.models.cnn, optimizer=cosine(0.0015, 3 * 469))
        how: dict[str, Any] = {"epochs": 3, "batch_size": 64, "shards": 2, "engine": engine, "seed": seed}
        model, _ = bigml.train(build, rows, target="target", **how)
        found.append(bigml.score(model, held, target="target"))
        print(f"  seed {seed}: {found[-1]:.4f}", flush=True)
    yield Found(f"MNIST, CNN, {engine}, mean of {len(found)} seeds: accuracy", statistics.mean(found), 0.9915)


def census(arguments: argparse.Namespace) -> Iterator[Found]:
    """Wide and deep on the census, and each of its parts alone."""
    import keras
    import pandas as pd

    import bigml

    def read(name: str, skip: int = 0) -> Any:
        frame = pd.read_csv(DATA / "adult" / name, names=CENSUS, skipinitialspace=True, skiprows=skip)
        return bigml.from_pandas(frame.assign(income=frame["income"].str.rstrip(".")), part_rows=8192)

    rows, held = read("adult.data.gz"), read("adult.test.gz", skip=1)
    numbers = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
    texts = ["workclass", "education", "marital_status", "occupation", "relationship", "native_country"]
    scaled = {name: [keras.layers.Normalization(), keras.layers.Discretization(num_bins=20)] for name in numbers}
    layers = bigml.models.adapted(rows, scaled | {name: keras.layers.StringLookup() for name in texts})
    crosses = [("education", "occupation"), ("marital_status", "occupation"), ("age", "education")]
    parts: dict[str, dict[str, Any]] = {
        "wide": {"wide": [*numbers, *texts], "crosses": crosses},
        "deep": {"deep": [*numbers, *texts]},
    }
    scores = {}
    for name, columns in (parts | {"wide and deep": parts["wide"] | parts["deep"]}).items():
        found = []
        for seed in range(arguments.seeds):
            build = partial(bigml.models.wide_and_deep, rows.schema, layers=layers, **columns)
            model, _ = bigml.train(build, rows, target="income", batch_size=128, epochs=3, seed=seed)
            found.append(bigml.score(model, held, target="income", scoring=["accuracy", "roc_auc", "log_loss"]))
        scores[name] = {each: statistics.mean(one[each] for one in found) for each in found[0]}
    both = scores["wide and deep"]
    yield Found("Census, wide and deep: accuracy", both["accuracy"], 0.852)
    yield Found("Census, wide and deep: roc_auc", both["roc_auc"], 0.908)
    yield Found("Census: log loss against the wide part's", both["log_loss"], scores["wide"]["log_loss"], at_most=True)
    yield Found("Census: log loss against the deep part's", both["log_loss"], scores["deep"]["log_loss"], at_most=True)


def pretrained(arguments: argparse.Namespace) -> Iterator[Found]:
    """An autoencoder on all images of MNIST, then 1,000 labels; against the 1,000 labels alone."""
    import keras

    import bigml

    rows, held = digits()
    few, gains = rows.sample(1000, seed=0), []
    # Where much is blotted out, more must be learned of how digits look.
    how: dict[str, Any] = {"noise": 0.5, "scale": 1 / 255, "optimizer": keras.optimizers.Adam(0.002)}
    build = partial(bigml.models.denoising_autoencoder, 784, **how)
    autoencoder, _ = bigml.train(build, rows.drop("target"), epochs=20)
    for seed in range(arguments.seeds):
        how = {"target": "target", "epochs": 30, "batch_size": 50, "seed": seed}
        tuned, _ = bigml.train(bigml.models.fine_tuned(autoencoder, 10, dropout=0.3), few, **how)
        alone, _ = bigml.train(partial(bigml.models.mlp, 784, 10, hidden=(512, 128), dropout=0.3, scale=1 / 255), few, **how)
        gains.append(100 * (bigml.score(tuned, held, target="target") - bigml.score(alone, held, target="target")))
    yield Found("MNIST, autoencoder and 1,000 labels: points above the labels alone", statistics.mean(gains), 1.0)


def text(arguments: argparse.Namespace) -> Iterator[Found]:
    """An LSTM of characters on Tiny Shakespeare; the last tenth is held out and read as one text."""
    import bigml

    written = gzip.decompress((DATA / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode()
    alphabet, codes = np.unique(list(written), return_inverse=True)
    cut = len(codes) * 9 // 10
    model, _, seconds = _lstm(codes[:cut], len(alphabet))
    yield Found("Tiny Shakespeare, LSTM: nats a character", nats(model, codes[cut:]), 1.60, at_most=True)
    yield Found("Tiny Shakespeare, LSTM: seconds of training", seconds, 600, at_most=True)
    own = set(bigml.models.generate(model, "\n", 2000, alphabet=alphabet, temperature=0.7).split())
    share = len(own & set(written.split())) / len(own)
    yield Found("Tiny Shakespeare, LSTM: share of its words that are in the text", share, 0.5)


def _lstm(codes: Any, n_codes: int) -> tuple[Any, Any, float]:
    import pandas as pd
    from distributed import Client, LocalCluster

    import bigml

    batch, length, epochs, shards = 64, 100, 14, 2
    steps = epochs * (len(codes) // length // batch // shards)
    shape: dict[str, Any] = {"units": (256,), "dropout": 0.2, "unroll": True}
    build = partial(bigml.models.char_lstm, n_codes, length, **shape, optimizer=cosine(0.006, steps))
    begun = time.perf_counter()
    rows = pd.DataFrame({"code": codes})
    # A step over characters gains little by a second thread, so each core has a worker.
    local: dict[str, Any] = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    how: dict[str, Any] = {"windows": length, "epochs": epochs, "batch_size": batch, "shards": shards}
    with LocalCluster(n_workers=shards, **local) as cluster, Client(cluster) as client:
        model, history = bigml.train(build, rows, client=client, **how)
    return model, history, time.perf_counter() - begun


def nats(model: Any, codes: Any, streams: int = 32) -> float:
    """What a character costs, of a text that is read in some streams from beginning to end."""
    import keras

    length = (len(codes) - 1) // streams
    grid = codes[: length * streams + 1]
    x, y = (some.reshape(streams, length) for some in (grid[:-1], grid[1:]))
    shape = keras.layers.Input((length,), dtype="int32")
    configs = [(type(layer), layer.get_config()) for layer in model.layers]
    rolled = [kind.from_config(config | ({"unroll": False} if "unroll" in config else {})) for kind, config in configs]
    reader = keras.Sequential([shape, *rolled])
    reader.set_weights(model.get_weights())
    told = np.asarray(reader.predict(x.astype(np.int32), batch_size=streams, verbose=0))
    chances = np.take_along_axis(told, y[..., None], axis=-1)
    return float(-np.log(chances).mean())


def flights(arguments: argparse.Namespace) -> Iterator[Found]:
    """How late flights arrive, by wide and deep with crosses of routes, against a linear model of the same columns."""
    import keras
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    import bigml

    texts, numbers = ["carrier", "origin", "dest"], ["dep_delay", "distance", "month", "hour"]
    folders = [bigml.read_parquet(DATA / "flights" / name / "*.parquet") for name in ("sixteen_columns", "nineteen_columns")]
    known = bigml.concat(*(one.select("arr_delay", *texts, *numbers) for one in folders)).dropna()
    rows, held = known.assign(late=bigml.col("arr_delay") / 45).drop("arr_delay").split(test=0.1, seed=0)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [*texts, "month", "hour"]), (StandardScaler(), numbers)
    )
    linear = bigml.fit(make_pipeline(columns, Ridge()), rows, target="late")
    scaled = {name: [keras.layers.Normalization(), keras.layers.Discretization(num_bins=24)] for name in numbers}
    layers = bigml.models.adapted(rows, scaled | {name: keras.layers.StringLookup() for name in texts})
    wide = {"wide": [*texts, *numbers], "crosses": [("origin", "dest"), ("carrier", "origin"), ("origin", "hour")]}
    deep = {"deep": [*texts, *numbers], "n_classes": None, "optimizer": cosine(0.003, 3 * 5600)}
    build = partial(bigml.models.wide_and_deep, rows.schema, layers=layers, **wide, **deep)
    model, _ = bigml.train(build, rows, target="late", epochs=3, batch_size=256)
    ours, theirs = (
        bigml.score(one, held, target="late", scoring=["r2", "neg_root_mean_squared_error"]) for one in (model, linear)
    )
    yield Found("Flights, wide and deep: R2, against the linear model's", ours["r2"], theirs["r2"])
    minutes = [-45 * one["neg_root_mean_squared_error"] for one in (ours, theirs)]
    yield Found("Flights, wide and deep: error in minutes, against the linear model's", *minutes, at_most=True)


JOBS: dict[str, Callable[[argparse.Namespace], Iterator[Found]]] = {
    "softmax": softmax,
    "census": census,
    "autoencoder": pretrained,
    "text": text,
    "flights": flights,
    "cnn-rounds": partial(convolutional, "rounds"),
    "cnn-sync": partial(convolutional, "sync"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    short = []
    print("| figure | must | reached |\n|---|---|---|", flush=True)
    for name in arguments.only:
        begun = time.perf_counter()
        for found in JOBS[name](arguments):
            print(found, flush=True)
            short += [] if found.holds and math.isfinite(found.value) else [found.what]
        print(f"  {name}: {time.perf_counter() - begun:.0f} s", flush=True)
    if short:
        raise SystemExit("short of what it must: " + "; ".join(short))


if __name__ == "__main__":
    main()
