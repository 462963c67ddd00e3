"""What a training will do is told before it does it, without reading, and is what it then does."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ColumnError, ConfigError, FitError
from bigml.testing import CountingSource
from bigml.training import crews, devices, explaining, rounds
from bigml.training.terms import TRUSTED

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

HOW = {"target": "label", "batch_size": 50, "local_steps": 2}
WEIGHTS = 5
"""Of a logistic regression on four columns."""


@pytest.fixture
def counting():
    table = pd.DataFrame({f"x{i}": np.arange(1000.0) for i in range(4)}).assign(label=np.arange(1000) % 2)
    return CountingSource(bigml.from_pandas(table, part_rows=130))


def build():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


def test_what_is_told_is_what_a_training_does(counting, monkeypatch):
    told = bigml.explain_train(build, counting, shards=3, cache=True, **HOW)
    assert not counting.reads
    shards, visit = set(), rounds.Lesson.visit

    def noted(self, state, shard, *where):
        shards.add((shard.number, shard.n_rows, where))
        return visit(self, state, shard, *where)

    monkeypatch.setattr(rounds.Lesson, "visit", noted)
    bigml.train(build, counting, shards=3, progress=False, **HOW)
    assert told.shards == tuple(n for _, n in sorted({(i, n) for i, n, _ in shards}))
    assert len(shards) == len(told.shards) * told.rounds
    assert told.steps == -(-max(told.shards) // 50)
    assert told.parameters == WEIGHTS
    assert told.moved_nbytes == 0
    assert told.kept_nbytes == 1000 * (4 * 4 + 8)
    assert len(counting.reads) == told.source_scans * len(counting.parts)


def test_it_is_told_to_people_to_notebooks_and_to_programs(counting):
    told = bigml.explain_train(build, counting, shards=3, **HOW)
    lines = dict(line.split("  ", 1) for line in repr(told).splitlines())
    assert lines["shards"].strip() == f"3, of {min(told.shards)} to {max(told.shards)} rows"
    assert lines["between processes"].strip() == "nothing: there is one"
    assert "<th style='text-align:left'>any shard</th>" in told._repr_html_()
    assert json.loads(json.dumps(told.to_dict()))["parameters"] == WEIGHTS


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="ranks sum by TensorFlow's strategy")
def test_ranks_sum_gradients_and_share_the_gpus_and_cores_that_there_are(counting, monkeypatch):
    monkeypatch.setenv(TRUSTED, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    told = bigml.explain_train(build, counting, engine="sync", shards=4, **HOW)
    assert told.moved_nbytes == 2 * 3 * told.steps * WEIGHTS * 4
    assert [seat.gpu for seat in told.seats] == ["3", "5", "3", "5"]
    assert [seat.n_threads for seat in told.seats] == [place.n_threads for place in crews.places_of(None, 4)]
    assert "rank 3" in str(told)


def test_gpus_are_those_of_the_environment_or_of_the_machine(tmp_path, monkeypatch):
    for name in ("nvidia1", "nvidia0", "nvidia10", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.gpus() == ["0", "1", "10"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.gpus() == []


def test_rows_count_before_filters_and_preprocessing_by_its_scans(counting):
    how = {"target": "label", "batch_size": 50, "preprocessor": StandardScaler(), "classes": [0, 1]}
    told = bigml.explain_train(build, counting.source.where(bigml.col("x0") > 500), **how)
    assert (told.shards, told.exact, told.source_scans) == ((1000,), False, 2)
    assert "at most 1,000" in str(told)
    assert bigml.explain_train(build, counting.source.head(300), cache="runs", **how).shards == (300,)


def test_workers_that_share_no_files_are_dealt_whole_parts(counting, monkeypatch):
    monkeypatch.setattr(explaining, "local", lambda client: False)
    told = bigml.explain_train(build, counting, shards=4, **HOW)
    assert sorted(told.shards) == [220, 260, 260, 260]
    assert told.kept.startswith("kept in files of each worker")
    assert not counting.reads


def test_windows_are_examples(tmp_path):
    np.save(tmp_path / "codes.npy", (np.arange(1000) % 7).astype(np.uint8))
    codes = bigml.read_memmap(tmp_path / "codes.npy", columns=["code"], part_bytes=300)
    network = bigml.models.char_lstm(7, length=20, units=(4,))
    told = bigml.explain_train(network, codes, windows=10, batch_size=7)
    assert (told.shards, told.steps, told.kept_nbytes) == ((98,), 14, 8000)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epoch": 3}, ConfigError, r"option of `bigml.train`.*explain_train.*`epochs=`"),
        ({"target": "lable"}, ColumnError, "label"),
        ({"shards": 30}, ConfigError, "batch_size"),
        ({"epochs": 0}, ConfigError, "`epochs` as a whole number, 1 or more"),
        ({"build": partial(bigml.models.softmax_regression, 5, 2)}, FitError, "5 features"),
    ],
)
def test_what_train_would_refuse_is_refused_before_anything_is_read(counting, change, error, message):
    how = {"build": build, **HOW, **change}
    with pytest.raises(error, match=message):
        bigml.explain_train(how.pop("build"), counting, **how)
    assert not counting.reads
