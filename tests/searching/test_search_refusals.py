"""What cannot be searched is refused before anything is read, with what to do instead."""

from __future__ import annotations

import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

import bigml
from bigml.errors import ConfigError, FitError
from bigml.searching.racing import Halving


@pytest.mark.parametrize(
    "values", [(alpha for alpha in [0.1, 1.0]), map(float, [0.1]), {0.1, 1.0}], ids=lambda v: type(v).__name__
)
def test_values_that_are_no_list_are_refused_by_what_they_are(values, source):
    message = f"a list, an array or a distribution for `alpha`, got a {type(values).__name__}"
    rows = source.select("x0", "x1", "value")
    for searching in (bigml.search, bigml.nested_search, bigml.explain_search):
        with pytest.raises(ConfigError, match=message):
            searching(Ridge(), rows, target="value", grid={"alpha": values})
    with pytest.raises(ConfigError, match=r"got a generator - in grid=\. It can be gone through but once; write list"):
        bigml.search(Ridge(), rows, target="value", grid=({"alpha": [one]} for one in (0.1, 1.0)))


@pytest.mark.parametrize(
    "estimator", [KMeans(2), MiniBatchKMeans(2), IsolationForest(), PCA(1), make_pipeline(PCA(1), KMeans(2))]
)
def test_what_does_not_predict_the_target_is_refused(estimator, source):
    rows = source.select("x0", "x1", "value")
    for searching in (bigml.search, bigml.nested_search, bigml.explain_search):
        with pytest.raises(FitError, match="a classifier or a regressor"):
            searching(estimator, rows, target="value", grid={"memory" if hasattr(estimator, "steps") else "random_state": [None]})


def test_a_step_that_the_grid_replaces_need_not_predict(source):
    rows = source.select("x0", "x1", "value")
    found = bigml.search(Pipeline([("clf", PCA(1))]), rows, target="value", grid={"clf": [Ridge()]}, progress=False, scoring="r2")
    assert found.cv_results_["failed"].tolist() == [""]


@pytest.mark.parametrize("strategy", ["halving", "refine", "optuna", "racing", "hyperband", "gird", Halving(), 3])
def test_nested_searches_name_the_strategies_that_are_possible(strategy, source):
    rows = source.select("x0", "x1", "value")
    with pytest.raises(ConfigError, match="a strategy among grid, random"):
        bigml.nested_search(Ridge(), rows, target="value", grid={"alpha": [1.0]}, strategy=strategy)
