"""What is made of a source for Dask feeds dask-ml's estimators, which then learn what scikit-learn learns from the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import cluster, decomposition, linear_model, metrics, naive_bayes, preprocessing
from sklearn.model_selection import GridSearchCV

import bigml

pytest.importorskip("dask_ml")

import dask
import dask.array as da
import dask_ml.cluster
import dask_ml.decomposition
import dask_ml.impute
import dask_ml.linear_model
import dask_ml.metrics
import dask_ml.model_selection
import dask_ml.naive_bayes
import dask_ml.preprocessing
import dask_ml.wrappers

FEATURES = ["a", "b", "c"]
N_ROWS, N_FILES = 1200, 3


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N_ROWS)
    X = rng.normal(size=(N_ROWS, 3)) * [1, 2, 3] + 2 * y[:, None]
    return pd.DataFrame(X, columns=FEATURES).assign(y=y, k=rng.choice(["x", "y", "z"], N_ROWS))


@pytest.fixture(scope="module")
def source(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> bigml.Source:
    """Parquet files with a filter in the way, which leaves parts of unlike sizes."""
    folder = tmp_path_factory.mktemp("rows")
    for i, rows in enumerate(np.array_split(np.arange(N_ROWS), N_FILES)):
        frame.iloc[rows].to_parquet(Path(folder, f"{i}.parquet"))
    return bigml.read_parquet(folder, part_bytes=8_000).where("a > -1")


@pytest.fixture(scope="module")
def rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows in memory."""
    return frame[frame["a"] > -1]


@pytest.fixture(scope="module")
def features(source: bigml.Source) -> Any:
    return source.to_dask_array(FEATURES)


@pytest.fixture(scope="module")
def labels(source: bigml.Source) -> Any:
    return source.to_dask_array(["y"], dtype=np.int64)[:, 0]


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    with ThreadPoolExecutor(2) as pool, dask.config.set(scheduler="threads", pool=pool):
        yield


@pytest.mark.parametrize(
    ("theirs", "ours", "learned"),
    [
        (dask_ml.preprocessing.StandardScaler(), preprocessing.StandardScaler(), ["mean_", "var_", "scale_"]),
        (dask_ml.preprocessing.MinMaxScaler(), preprocessing.MinMaxScaler(), ["data_min_", "data_max_"]),
        (dask_ml.decomposition.PCA(2, random_state=0), decomposition.PCA(2), ["mean_", "explained_variance_"]),
        (dask_ml.naive_bayes.GaussianNB(), naive_bayes.GaussianNB(), ["theta_", "class_prior_"]),
        (
            dask_ml.linear_model.LogisticRegression(solver="newton", tol=1e-8, fit_intercept=False),
            linear_model.LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10),
            ["coef_"],
        ),
        (
            dask_ml.linear_model.LinearRegression(solver="newton", C=1e12),
            linear_model.LinearRegression(),
            ["coef_", "intercept_"],
        ),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else "",
)
def test_an_estimator_learns_from_the_arrays_of_a_source(
    theirs: Any, ours: Any, learned: list[str], features: Any, labels: Any, rows: pd.DataFrame
) -> None:
    theirs.fit(features, labels)
    ours.fit(rows[FEATURES].to_numpy(), rows["y"].to_numpy())
    for name in learned:
        found = dask.compute(getattr(theirs, name))[0]
        np.testing.assert_allclose(np.ravel(found), np.ravel(getattr(ours, name)), rtol=1e-5, err_msg=name)


def test_clusters_are_those_of_scikit_learn(features: Any, rows: pd.DataFrame) -> None:
    model = dask_ml.cluster.KMeans(2, random_state=0, tol=1e-10).fit(features)
    expected = cluster.KMeans(2, random_state=0, n_init=5).fit(rows[FEATURES].to_numpy())
    ours, theirs = (np.sort(one.cluster_centers_, axis=0) for one in (model, expected))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_incremental_is_a_loop_over_the_parts(features: Any, labels: Any, source: bigml.Source) -> None:
    model = dask_ml.wrappers.Incremental(linear_model.SGDClassifier(random_state=0), shuffle_blocks=False)
    model.fit(features, labels, classes=[0, 1])
    loop = linear_model.SGDClassifier(random_state=0)
    for chunk in source.iter_chunks([*FEATURES, "y"]):
        loop.partial_fit(chunk.matrix(FEATURES), chunk.floats("y").astype(np.int64), classes=[0, 1])
    assert features.numblocks[0] == len(source.parts) > 1
    np.testing.assert_array_equal(model.coef_, loop.coef_)


def test_a_model_of_scikit_learn_predicts_in_parallel(features: Any, rows: pd.DataFrame) -> None:
    model = dask_ml.wrappers.ParallelPostFit(linear_model.LogisticRegression()).fit(rows[FEATURES].to_numpy(), rows["y"])
    np.testing.assert_array_equal(model.predict(features).compute(), model.estimator.predict(rows[FEATURES].to_numpy()))


def test_a_search_finds_what_scikit_learn_finds(source: bigml.Source) -> None:
    table = source.to_pandas()
    options: dict[str, Any] = {"param_grid": {"C": [1e-4, 1.0]}, "cv": 3}
    found = dask_ml.model_selection.GridSearchCV(linear_model.LogisticRegression(), scheduler="threads", iid=False, **options)
    expected = GridSearchCV(linear_model.LogisticRegression(), **options).fit(table[FEATURES], table["y"])
    found.fit(table[FEATURES], table["y"])
    assert found.best_params_ == expected.best_params_
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


def test_scores_of_arrays_are_those_of_rows_in_memory(features: Any, labels: Any, rows: pd.DataFrame) -> None:
    guess = (features[:, 0] > 1).astype(np.int64)
    assert dask_ml.metrics.accuracy_score(labels, guess) == metrics.accuracy_score(rows["y"], rows["a"] > 1)
    expected = metrics.mean_squared_error(rows["y"], rows["a"])
    assert dask_ml.metrics.mean_squared_error(labels, features[:, 0]) == pytest.approx(expected, rel=1e-12)


def test_rows_are_split_and_none_is_lost(features: Any, labels: Any) -> None:
    train, test, *_ = dask_ml.model_selection.train_test_split(features, labels, test_size=0.25, random_state=0, shuffle=True)
    assert len(train) + len(test) == len(features)
    before, after = (np.sort(one.compute()[:, 0]) for one in (features, da.concatenate([train, test])))
    np.testing.assert_array_equal(before, after)


def test_an_estimator_learns_from_the_dataframe_of_a_source(source: bigml.Source, rows: pd.DataFrame) -> None:
    table = source.to_dask_dataframe()
    imputer = dask_ml.impute.SimpleImputer().fit(table[FEATURES])
    np.testing.assert_allclose(imputer.statistics_, rows[FEATURES].mean(), rtol=1e-12)
    coded = dask_ml.preprocessing.Categorizer().fit_transform(table[["k"]])
    dummies = dask_ml.preprocessing.DummyEncoder().fit_transform(coded).compute()
    np.testing.assert_array_equal(dummies, pd.get_dummies(rows[["k"]]))
