"""Searches on real data find what exhaustive loops find."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import bigml
from bigml.learning.batch import Batch
from bigml.searching.panel import Panel

SLOW = os.environ.get("BIGML_SLOW") == "1"
FEATURES = ["distance", "hour", "month", "day"]


class MiniBatches(ClassifierMixin, BaseEstimator):
    """The learner of searches by mini-batches, one candidate alone, as scikit-learn takes it."""

    def __init__(self, alpha=1e-4, penalty="l2"):
        self.alpha, self.penalty = alpha, penalty

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        model = SGDClassifier(loss="log_loss", alpha=self.alpha, penalty=self.penalty)
        panel = Panel.of([model], np.ones((1, 1), bool), X.shape[1], self.classes_, seed=0)
        self.model_ = panel.step([Batch(np.arange(len(X)), np.asarray(X), codes)], epoch=0, part=0).estimators()[0]
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(np.asarray(X))

    def predict(self, X):
        return self.model_.predict(np.asarray(X))


def flights(data_dir, n):
    source = bigml.read_parquet(data_dir / "flights" / "nineteen_columns").select("arr_delay", *FEATURES).dropna()
    return source.assign(late="arr_delay > 15").drop("arr_delay").sample(n, seed=3) if n else source.assign(late="arr_delay > 15")


@pytest.mark.parametrize("candidates", [pytest.param(64, marks=pytest.mark.skipif(not SLOW, reason="minutes")), 12])
def test_the_winner_on_flights_is_that_of_an_exhaustive_loop_with_the_same_learner(data_dir, folds_of, candidates):
    rows = flights(data_dir, 200_000 if candidates == 64 else 30_000)
    # Flights of one day are alike: in their order the last ones would decide.
    frame = rows.to_pandas().sample(frac=1, random_state=0).reset_index(drop=True)
    source = bigml.from_pandas(frame, part_rows=10_000)
    alphas = np.logspace(-6, 1, candidates // 2)
    grid = {"sgdclassifier__alpha": alphas, "sgdclassifier__penalty": ["l2", "l1"]}
    model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
    found = bigml.search(model, source, target="late", grid=grid, scoring="neg_log_loss", progress=False)
    known = GridSearchCV(
        make_pipeline(StandardScaler(), MiniBatches()),
        {"minibatches__alpha": alphas, "minibatches__penalty": ["l2", "l1"]},
        scoring="neg_log_loss",
        cv=folds_of(source, 5, "late", classifier=True),
        refit=False,
    ).fit(frame.drop(columns="late"), frame["late"])
    ours, theirs = found.cv_results_["mean_test_score"].to_numpy(), known.cv_results_["mean_test_score"]
    # Rows come in another order, and the last of them move small penalties most: the winner is theirs, or one that ties with it.
    np.testing.assert_allclose(ours, theirs, rtol=2.5e-2)
    assert theirs[found.best_index_] >= theirs.max() - 2e-3


def test_digits_are_told_by_the_winner_of_a_grid_of_penalties():
    frame = load_digits(as_frame=True).frame
    train, test = bigml.from_pandas(frame, part_rows=200).split(test=0.25, seed=0)
    model = make_pipeline(MinMaxScaler(), SGDClassifier(loss="log_loss"))
    grid = {"sgdclassifier__alpha": [1e-5, 1e-3, 1e-1], "sgdclassifier__penalty": ["l2", "elasticnet"]}
    found = bigml.search(model, train, target="target", grid=grid, cv=3, epochs=20, progress=False)
    assert found.best_params_["sgdclassifier__alpha"] < 1e-1
    assert bigml.score(found.best_estimator_, test, target="target", progress=False) >= 0.93


@pytest.mark.skipif(not SLOW, reason="minutes")
@pytest.mark.timeout(1800)
def test_the_winner_of_a_grid_tells_the_digits_of_mnist(data_dir):
    folder = data_dir / "mnist"
    train, test = (
        bigml.read_idx(folder / f"{name}-images-idx3-ubyte.gz", y=folder / f"{name}-labels-idx1-ubyte.gz")
        for name in ("train", "t10k")
    )
    # A perceptron without hidden layers is softmax regression.
    model = make_pipeline(MinMaxScaler(), MLPClassifier((), learning_rate_init=3e-3))
    grid = {"mlpclassifier__alpha": [1e-4, 1e-2], "mlpclassifier__beta_2": [0.99, 0.999]}
    found = bigml.search(model, train, target="target", grid=grid, cv=3, epochs=8, progress=False)
    assert bigml.score(found.best_estimator_, test, target="target", progress=False) >= 0.920
