"""What a fit will do is told before it does it, without reading, and is what it then does."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler, TargetEncoder

import bigml
from bigml.errors import ColumnError, ConfigError, FitError
from bigml.learning import cache, worth
from bigml.testing import CountingSource

N_ROWS, PART_ROWS = 2000, 250


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N_ROWS)
    words = rng.choice(["spam and eggs", "eggs", "ham and spam"], N_ROWS)
    columns = {"x": rng.normal(size=N_ROWS) + y, "k": rng.choice(list("abc"), N_ROWS), "w": rng.random(N_ROWS), "text": words}
    return pd.DataFrame({**columns, "y": y})


@pytest.fixture
def counting(frame):
    return CountingSource(bigml.from_pandas(frame, part_rows=PART_ROWS))


@pytest.fixture
def worthwhile(monkeypatch):
    """Keeping pays for any source."""
    monkeypatch.setattr(worth, "WORTH", 0)


MIXED = make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["k"]))
CODED = make_column_transformer((OneHotEncoder(drop="first"), ["k"]), ("passthrough", ["x"]))
CASES = {
    "one scan": (LinearRegression(), ["x", "w", "y"], {"target": "y"}),
    "preprocessing alone": (MIXED, ["x", "k"], {}),
    "two scans of preprocessing": (make_pipeline(PolynomialFeatures(), StandardScaler()), ["x", "w"], {}),
    "preprocessing and one scan": (make_pipeline(CODED, LinearRegression()), ["x", "k", "y"], {"target": "y"}),
    "epochs": (make_pipeline(MIXED, SGDClassifier()), ["x", "k", "y"], {"target": "y", "epochs": 3}),
    "classes known": (SGDClassifier(), ["x", "y"], {"target": "y", "classes": [0, 1], "epochs": 2}),
    "classes asked": (SGDClassifier(), ["x", "y"], {"target": "y"}),
    "weights": (SGDRegressor(), ["x", "w", "y"], {"target": "y", "sample_weight": "w"}),
    "averaged": (SGDRegressor(), ["x", "w", "y"], {"target": "y", "averaging": 2, "epochs": 2}),
    "target encoded": (make_pipeline(TargetEncoder(), LinearRegression()), ["k", "y"], {"target": "y"}),
    "chosen": (make_pipeline(StandardScaler(), SelectKBest(k=1)), ["x", "w", "y"], {"target": "y"}),
    "chosen for numbers": (SelectKBest(f_regression, k=1), ["x", "w", "y"], {"target": "y"}),
    "projected": (make_pipeline(StandardScaler(), PCA(1), StandardScaler(), SGDClassifier()), ["x", "w", "y"], {"target": "y"}),
    "hashed": (make_pipeline(HashingVectorizer(), SGDClassifier()), ["text", "y"], {"target": "y"}),
    "counted": (make_pipeline(CountVectorizer(), TfidfTransformer(), SGDClassifier()), ["text", "y"], {"target": "y"}),
    "words given": (make_pipeline(CountVectorizer(vocabulary=["eggs"]), SGDClassifier()), ["text", "y"], {"target": "y"}),
    "weighed": (TfidfVectorizer(vocabulary=["eggs"]), ["text"], {}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kept", [False, True], ids=["encoded anew", "kept"])
def test_scans_and_columns_are_those_of_the_fit_and_telling_them_reads_nothing(counting, name, kept):
    estimator, columns, options = CASES[name]
    source = counting.select(*columns)
    told = bigml.explain_fit(estimator, source, cache=kept, **options)
    assert counting.reads == []
    bigml.fit(estimator, source, cache=kept, **options)
    assert set(counting.times_read.values()) == {told.source_scans}
    assert counting.columns_read == set(told.scan.columns)


def test_columns_that_are_dropped_are_not_priced(counting):
    chosen = ColumnTransformer([("x", StandardScaler(), ["x"]), ("k", "drop", ["k"])])
    told = bigml.explain_fit(make_pipeline(chosen, SGDClassifier()), counting.drop("text"), target="y", sample_weight="w")
    assert told.scan.columns == ("x", "w", "y")
    assert told.scan.nbytes < bigml.explain_fit(MIXED, counting.drop("text")).scan.nbytes * 3


def test_a_warm_start_takes_no_scan_for_preprocessing(frame, counting):
    pipeline = make_pipeline(MIXED, SGDClassifier())
    model = bigml.fit(pipeline, frame[["x", "k", "y"]], target="y")
    told = bigml.explain_fit(model, counting.select("x", "k", "y"), target="y", warm_start=True)
    assert (told.preparing_scans, told.source_scans) == (0, 1)
    bigml.fit(model, counting.select("x", "k", "y"), target="y", warm_start=True)
    assert set(counting.times_read.values()) == {1}


@pytest.mark.parametrize(
    ("estimator", "options", "kept", "why"),
    [
        (LinearRegression(), {}, False, "one scan needs them"),
        (SGDRegressor(), {"epochs": 4}, True, "about 4 scans need them"),
        (LogisticRegression(), {}, True, "about 5 scans need them"),
        (LogisticRegression(), {"cache": False}, False, "cache=False"),
        (LinearRegression(), {"cache": True}, True, "cache=True"),
    ],
)
def test_why_encoded_rows_are_kept_or_not(frame, worthwhile, estimator, options, kept, why):
    told = bigml.explain_fit(estimator, frame[["x", "w", "y"]], target="y", **options)
    assert ((told.keeping.directory is not None), told.keeping.why) == (kept, why)
    assert (told.kept_scans > 0) == (kept and told.learning_scans > 1)
    assert why in repr(told)


def test_few_rows_are_not_kept(frame):
    told = bigml.explain_fit(LogisticRegression(), frame[["x", "y"]], target="y")
    assert "less than 16.0 MiB" in told.keeping.why


def test_a_matrix_is_not_kept_once_more(tmp_path, frame, worthwhile):
    bigml.from_pandas(frame).write_memmap(tmp_path, columns=["x", "w"], target="y")
    told = bigml.explain_fit(LogisticRegression(), bigml.read_memmap(tmp_path), target="y")
    assert told.keeping.why == "they are a matrix already"
    scaled = bigml.explain_fit(make_pipeline(StandardScaler(), LogisticRegression()), bigml.read_memmap(tmp_path), target="y")
    assert scaled.kept_scans == 4


def test_files_are_not_kept_for_workers_elsewhere(frame, worthwhile):
    workers = {"tcp://10.0.0.7:1234": {"memory_limit": 1 << 30, "nthreads": 2}}
    elsewhere = SimpleNamespace(scheduler_info=lambda n_workers: {"workers": workers})
    assert "other machines" in worth.verdict(None, bigml.from_pandas(frame), raw=False, scans=9, client=elsewhere).why


@pytest.mark.parametrize("weight", [None, "w"])
def test_the_size_is_that_of_the_files(frame, tmp_path, weight):
    rows = frame.drop(columns=["k", "text"] + (["w"] if weight is None else []))
    options = {"target": "y", "sample_weight": weight, "epochs": 2, "cache": tmp_path / "new"}
    pipeline = make_pipeline(StandardScaler(), SGDClassifier())
    keeping = bigml.explain_fit(pipeline, rows, **options).keeping
    assert not (tmp_path / "new").exists()
    bigml.fit(pipeline, rows, **options)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert keeping.stays
    assert keeping.exact
    assert sum(map(os.path.getsize, files)) == pytest.approx(keeping.nbytes, rel=0.05)


def test_what_encoders_make_of_a_column_is_not_known_before(frame):
    told = bigml.explain_fit(make_pipeline(MIXED, LogisticRegression()), frame[["x", "k", "y"]], target="y", cache=True)
    assert not told.keeping.exact
    assert "if every column stays one" in str(told)


def test_a_full_disk_is_left_alone(frame, monkeypatch):
    monkeypatch.setattr(cache, "ROOM", 1 << 60)
    told = bigml.explain_fit(SGDClassifier(), frame[["x", "y"]], target="y", epochs=3, cache=True)
    assert told.kept_scans == 0
    assert told.source_scans == 4
    assert "of the disk" in told.keeping.why


def test_rows_that_are_held_out_are_counted(frame):
    rows = frame[["x", "y"]]
    told = bigml.explain_fit(SGDClassifier(), rows, target="y", epochs=7, validation=rows, patience=2)
    assert told.validation_scans == 7
    assert "at most 7" in str(told)


def test_boosted_trees_are_fed_from_kept_rows(frame, worthwhile):
    xgboost = pytest.importorskip("xgboost")
    rows = frame[["x", "w", "y"]]
    told = bigml.explain_fit(xgboost.XGBClassifier(), rows, target="y")
    assert (told.source_scans, told.kept_scans) == (2, 3)
    assert told.keeping.nbytes == N_ROWS * (2 * 4 + 8)
    with pytest.raises(FitError, match="validation="):
        bigml.explain_fit(xgboost.XGBClassifier(), rows, target="y", patience=3)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (KMeans(2), "whole scans, about"),
        (LinearRegression(), "whole scans, one: LinearRegression"),
        (MLPClassifier(), "partial_fit part by part, epochs: 1: MLPClassifier"),
        (StandardScaler(), "scans for preprocessing alone"),
    ],
)
def test_how_it_learns_is_told(frame, estimator, words):
    target = None if isinstance(estimator, KMeans | StandardScaler) else "y"
    told = bigml.explain_fit(estimator, frame[["x", "y"]], target=target)
    assert words in told.learner


def test_it_prints_and_renders_and_is_plain_values(frame):
    told = bigml.explain_fit(
        make_pipeline(MIXED, SGDClassifier()), frame[["x", "k", "y"]].rename(columns={"y": "<y>"}), target="<y>"
    )
    text, html = str(told), told._repr_html_()
    assert [line.split("  ")[0] for line in text.splitlines()[:3]] == ["fit", "learns by", "scans of the source"]
    assert html.startswith("<table>")
    assert "&lt;y&gt;" in html
    assert "<y>" not in html
    assert json.loads(json.dumps(told.to_dict()))["scan"]["columns"] == ["x", "k", "<y>"]


@pytest.mark.parametrize(
    ("estimator", "options", "kind", "words"),
    [
        (SGDClassifier, {}, FitError, "an instance"),
        (SGDClassifier(), {"target": "z"}, ColumnError, "`z`"),
        (SGDClassifier(), {"target": "y", "epoch": 3}, ConfigError, "Did you mean `epochs=`"),
        (SGDClassifier(), {"target": "y", "epochs": 0}, FitError, "one epoch"),
        (SGDClassifier(), {}, FitError, "target="),
        (RandomForestClassifier(), {"target": "y"}, FitError, "RandomForestClassifier"),
        (LinearRegression(), {"target": "y", "patience": 2}, FitError, "patience="),
        (MLPClassifier(), {"target": "y", "averaging": 2}, FitError, "averaging="),
        (IncrementalPCA(1), {"sample_weight": "x"}, FitError, "sample_weight"),
        (SGDClassifier(), {"target": "y", "sample_weight": "z"}, ColumnError, "`z`"),
        (SGDClassifier(), {"target": "y", "warm_start": True}, FitError, "fitted"),
    ],
)
def test_what_fit_would_refuse_is_refused_by_both_before_anything_is_read(counting, estimator, options, kind, words):
    source = counting.select("x", "y")
    with pytest.raises(kind, match=words):
        bigml.explain_fit(estimator, source, **options)
    if "epoch" not in options:
        with pytest.raises(kind, match=words):
            bigml.fit(estimator, source, **options)
    assert counting.reads == []


def test_explain_of_an_estimator_names_the_right_function(frame):
    with pytest.raises(ConfigError, match="explain_fit"):
        bigml.explain(SGDClassifier(), bigml.from_pandas(frame))
