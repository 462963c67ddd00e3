"""Estimators without `partial_fit` are searched on a sample in memory, as scikit-learn would do it on the same folds."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

import bigml
from bigml.errors import ConfigError, DataError, FitError
from bigml.testing import CountingSource

NUMBERS = [f"x{i}" for i in range(5)]
EVERY = 10**6
"""A sample of all rows."""


class Counting(TransformerMixin, BaseEstimator):
    """Scales rows, and counts how often it was fitted."""

    fits: list[float] = []  # noqa: RUF012

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def fit(self, X, y=None):
        Counting.fits.append(self.scale)
        return self

    def transform(self, X):
        return np.asarray(X) * self.scale


@pytest.mark.parametrize("scores", ["accuracy", ["roc_auc", "neg_log_loss"]], ids=str)
def test_a_search_in_memory_equals_scikit_learns_grid_search(scores, source, frame, folds_of):
    model = Pipeline(
        [
            ("prep", make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["k"]))),
            ("clf", RandomForestClassifier(10, random_state=0)),
        ]
    )
    grid = [{"clf__max_depth": [2, 5]}, {"clf": [KNeighborsClassifier(5)], "prep__standardscaler__with_mean": [True, False]}]
    refit = "accuracy" if scores == "accuracy" else "neg_log_loss"
    folds = folds_of(source, 4, "label", classifier=True)
    about = {"scoring": scores, "refit": refit}
    known = GridSearchCV(model, grid, cv=folds, **about).fit(frame.drop(columns=["label", "value"]), frame["label"])
    rows = source.drop("value")
    found = bigml.search(model, rows, target="label", grid=grid, cv=4, sample=EVERY, progress=False, **about)
    for name in ("score",) if scores == "accuracy" else scores:
        for i in range(4):
            column = f"split{i}_test_{name}"
            np.testing.assert_allclose(found.cv_results_[column], known.cv_results_[column], rtol=1e-9)
    assert found.best_params_ == known.best_params_
    assert np.array_equal(found.best_estimator_.predict(frame), known.best_estimator_.predict(frame))
    assert found.notes_ == ("Searched in memory, on all 600 rows.",)


def test_a_sample_has_each_class_by_its_share_and_is_told(source, frame):
    rows = source.select(*NUMBERS, "label")
    found = bigml.search(
        KNeighborsClassifier(), rows, target="label", grid={"n_neighbors": [3, 9]}, sample=200, cv=3, progress=False
    )
    drawn = found.best_estimator_
    assert drawn.n_samples_fit_ == 200
    assert abs(drawn._y.mean() - frame["label"].mean()) < 1 / 200
    (note,) = found.notes_
    assert "200 of 600 rows" in note
    assert "fitted on the sample" in note


def test_the_sample_does_not_depend_on_the_parts(frame):
    about = {"target": "value", "grid": {"max_depth": [2, 3]}, "sample": 150, "cv": 3, "progress": False}
    tables = [
        bigml.search(HistGradientBoostingRegressor(max_iter=5), bigml.from_pandas(frame[[*NUMBERS, "value"]], **how), **about)
        for how in ({}, {"part_rows": 41})
    ]
    assert tables[0].cv_results_.equals(tables[1].cv_results_)


def test_the_rows_are_read_once_however_many_candidates_there_are(source):
    counting = CountingSource(source.select(*NUMBERS, "label"))
    about = {"target": "label", "grid": {"n_neighbors": range(1, 9)}, "progress": False}
    found = bigml.search(KNeighborsClassifier(), counting, sample=EVERY, cv=3, **about)
    assert len(counting.reads) == len(source.parts)
    assert found.cost_.scans == 1
    assert found.cost_.fits == 8 * 3


def test_steps_that_candidates_share_are_fitted_once_a_split(source):
    Counting.fits.clear()
    model = Pipeline([("scale", Counting()), ("pca", PCA(2)), ("clf", SVC())])
    grid = {"scale__scale": [1.0, 2.0], "pca__n_components": [1, 2], "clf__C": [0.1, 1.0, 10.0]}
    rows = source.select(*NUMBERS, "label")
    found = bigml.search(model, rows, target="label", grid=grid, cv=3, sample=EVERY, refit=False, progress=False)
    # Twelve candidates on three splits, but two different first steps: 2 * 3 fits of it, where a loop has 2 * 2 * 3 * 3.
    assert sorted(Counting.fits) == [1.0] * 3 + [2.0] * 3
    assert found.cost_.fits == 12 * 3


def test_weights_and_groups_are_no_features(frame):
    rows = frame[["x0", "label"]].assign(w=np.where(np.arange(600) % 3, 1.0, 0.0), group=np.arange(600) // 20)
    about = {"target": "label", "sample_weight": "w", "cv": bigml.GroupFolds("group", 3), "progress": False}
    found = bigml.search(RandomForestClassifier(5), rows, grid={"max_depth": [1, 2]}, sample=EVERY, **about)
    assert found.best_estimator_.feature_names_in_.tolist() == ["x0"]
    assert found.best_estimator_.random_state is None


def test_a_candidate_that_fails_in_memory_is_a_result_with_its_cause(source):
    rows = source.select(*NUMBERS, "label")
    found = bigml.search(SVC(), rows, target="label", grid={"C": [-1.0, 1.0]}, sample=EVERY, cv=3, progress=False)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert "C" in found.cv_results_["failed"][0]
    assert found.best_params_ == {"C": 1.0}


def test_a_step_that_fails_fails_the_candidates_behind_it(source):
    model, rows = Pipeline([("pca", PCA()), ("clf", SVC())]), source.select(*NUMBERS, "label")
    found = bigml.search(model, rows, target="label", grid={"pca__n_components": [99, 2]}, sample=EVERY, cv=3, progress=False)
    assert "n_components" in found.cv_results_["failed"][0]
    assert found.best_params_ == {"pca__n_components": 2}


def test_a_killed_search_in_memory_goes_on_from_its_journal(source, tmp_path):
    about = {"target": "label", "grid": {"C": [0.1, 1.0]}, "sample": 300, "cv": 3, "journal": tmp_path, "progress": False}
    rows = source.select(*NUMBERS, "label")
    first = bigml.search(SVC(), rows, **about)
    journal = tmp_path / "search.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:5]))
    again = bigml.search(SVC(), rows, **about)
    assert first.cv_results_.equals(again.cv_results_)
    assert (first.cost_.fits, again.cost_.fits) == (6, 2)


@pytest.mark.parametrize("final", [SVC(), make_pipeline(StandardScaler(), KNeighborsClassifier())], ids=["alone", "pipeline"])
def test_without_a_sample_the_way_out_is_told_before_anything_is_read(final, source):
    counting = CountingSource(source.select(*NUMBERS, "label"))
    grid = {"C": [1.0]} if isinstance(final, SVC) else {"kneighborsclassifier__n_neighbors": [3]}
    with pytest.raises(FitError, match="Pass sample=200_000"):
        bigml.search(final, counting, target="label", grid=grid)
    assert not counting.reads


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"sample": 1}, ConfigError, "a number of rows"),
        ({"sample": 300, "engine": "spark"}, ConfigError, "an engine among auto, dask-ml"),
        ({"engine": "dask-ml"}, ConfigError, "no sample="),
        ({"sample": 300, "engine": "dask-ml", "sample_weight": "x1"}, ConfigError, "without weights"),
        ({"sample": 4, "cv": 5}, DataError, "rows or more of each class"),
    ],
    ids=str,
)
def test_a_sample_that_cannot_be_is_refused(options, error, told, source):
    with pytest.raises(error, match=told):
        bigml.search(SVC(), source.select("x0", "x1", "label"), **{"target": "label", "grid": {"C": [1.0]}, **options})


@pytest.mark.filterwarnings("ignore")
def test_dask_mls_search_gives_the_scores_of_our_own(source):
    about = {"target": "label", "grid": {"clf__C": [0.1, 1.0], "clf": [LogisticRegression(), SVC(probability=False)]}}
    about |= {"scoring": ["accuracy", "roc_auc"], "refit": "roc_auc", "sample": 400, "cv": 3, "progress": False}
    model, rows = Pipeline([("scale", StandardScaler()), ("clf", SVC())]), source.select(*NUMBERS, "label")
    own, other = (bigml.search(model, rows, engine=engine, **about) for engine in ("auto", "dask-ml"))
    pd.testing.assert_frame_equal(own.cv_results_.drop(columns="params"), other.cv_results_.drop(columns="params"), rtol=1e-9)
    assert own.best_index_ == other.best_index_
    assert type(other.best_estimator_) is Pipeline


def test_a_missing_dask_ml_is_told_with_the_command_that_installs_it(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_ml.model_selection", None)
    rows = source.select("x0", "label")
    with pytest.raises(ConfigError, match=r"pip install bigml\[dask-ml\]"):
        bigml.search(SVC(), rows, target="label", grid={"C": [1.0]}, sample=300, engine="dask-ml", progress=False)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(source, client):
    model = Pipeline([("scale", StandardScaler()), ("clf", RandomForestClassifier(5))])
    about = {"target": "label", "grid": {"clf__max_depth": [2, 4]}, "sample": 300, "cv": 3, "progress": False}
    rows = source.select(*NUMBERS, "label")
    here, there = (bigml.search(model, rows, client=one, **about) for one in (None, client))
    assert here.cv_results_.equals(there.cv_results_)
    shown = rows.drop("label").to_pandas()
    assert np.array_equal(*(one.best_estimator_.predict_proba(shown) for one in (here, there)))
