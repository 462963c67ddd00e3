"""Models that are judged together are judged as scikit-learn judges each alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import get_scorer
from sklearn.naive_bayes import GaussianNB

from bigml.learning.batch import Batch
from bigml.learning.models.least_squares import Products
from bigml.searching import residuals
from bigml.searching.failures import Failure
from bigml.searching.judging import Judged, Judging, Scoring

NAMES = ("accuracy", "roc_auc", "neg_log_loss", "neg_brier_score", "f1")


def judged(models, X, y, classes, names, *, cuts=(), weights=None):
    """The scores of the models on rows that come in pieces."""
    judging = Judging(tuple(Judged(model, 0, (0,)) for model in models), Scoring(names, classes))
    states = []
    for rows in np.split(np.arange(len(y)), cuts):
        batch = Batch(rows, X[rows], y[rows], None if weights is None else weights[rows])
        states.append(judging.update(judging.start(), ((batch,),)))
    merged = states[0]
    for state in states[1:]:
        merged = judging.merge(merged, state)
    return judging.finish(merged)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 4))
    return X, (X[:, 0] + rng.normal(size=300) > 0.3).astype(np.int64), rng.integers(0, 3, 300).astype(np.float64)


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(1, 299), max_size=4), weighted=st.booleans())
def test_linear_classifiers_are_judged_by_one_product_as_by_their_own_methods(rows, cuts, weighted):
    X, y, weights = rows
    models = [SGDClassifier(loss="log_loss", alpha=a, random_state=0).fit(X, y) for a in (1e-6, 1e-2)]
    models += [LogisticRegression().fit(X, y), GaussianNB().fit(X, y)]
    used = weights if weighted else None
    found = judged(models, X, y, np.array([0, 1]), NAMES, cuts=sorted(cuts), weights=used)
    for model, scores in zip(models, found, strict=True):
        for name in NAMES:
            wanted = get_scorer(name)(model, X, y, sample_weight=used)
            assert scores[name] == pytest.approx(wanted, rel=1e-9), name


def test_a_model_without_probabilities_fails_alone(rows):
    X, y, _ = rows
    models = [SGDClassifier(loss="hinge").fit(X, y), LogisticRegression().fit(X, y)]
    without, with_them = judged(models, X, y, np.array([0, 1]), ("log_loss",))
    assert isinstance(without, Failure)
    assert "predict_proba" in without.cause
    assert with_them["log_loss"] < 1


@pytest.mark.parametrize("model", [LinearRegression(), LinearRegression(fit_intercept=False), Ridge(1e3)], ids=str)
def test_products_tell_the_residuals_that_the_rows_have(rows, model):
    X, _, _ = rows
    y = X @ np.array([1.0, -2.0, 0.0, 0.5]) + 3 + np.random.default_rng(0).normal(size=300)
    fitted = model.fit(X[:200], y[:200])
    moments = Products().update(Products().start(), Batch(np.arange(100), X[200:], y[200:]))
    gathered = residuals.gauged(fitted, Products().finish(moments))
    scores = Scoring(("r2", "neg_root_mean_squared_error", "explained_variance"), None).values(fitted, gathered)
    for name, value in scores.items():
        assert value == pytest.approx(get_scorer(name)(fitted, X[200:], y[200:]), rel=1e-12), name


def test_products_leave_to_the_rows_what_rounding_would_blur(rows):
    X, _, _ = rows
    y = X @ np.ones(4)
    moments = Products().finish(Products().update(None, Batch(np.arange(300), X, y)))
    assert residuals.gauged(LinearRegression().fit(X, y), moments) is None
