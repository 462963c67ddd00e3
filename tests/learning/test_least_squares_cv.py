"""Penalties chosen by cross-validation from sums over rows are those that scikit-learn chooses with all rows at hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.model_selection import KFold, ShuffleSplit

import bigml
from bigml.errors import DataError, FitError
from bigml.testing import CountingSource

TIGHT = {"tol": 1e-10, "max_iter": 100_000}
FOLDED = [
    LassoCV(**TIGHT),
    LassoCV(alphas=[5.0, 1.0, 2.0], cv=3, fit_intercept=False, tol=1e-6, max_iter=100_000),
    LassoCV(cv=4, positive=True, selection="random", random_state=3, **TIGHT),
    ElasticNetCV(l1_ratio=[0.2, 0.9], cv=3, **TIGHT),
    RidgeCV(alphas=[0.1, 1e3, 10.0], cv=5),
    RidgeCV(cv=KFold(3), scoring="neg_mean_squared_error", fit_intercept=False),
    RidgeCV(cv=4, scoring="explained_variance"),
]
LEFT_OUT = [
    RidgeCV(),
    RidgeCV(alphas=np.logspace(-3, 5, 12), fit_intercept=False),
    RidgeCV(alphas=[1e-3, 5.0, 300.0], scoring="r2"),
    RidgeCV(alphas=[300.0, 5.0], scoring="neg_mean_absolute_error"),
    RidgeCV(alphas=2.0, scoring="neg_root_mean_squared_error"),
]
FOUND = ("alpha_", "best_score_", "l1_ratio_", "alphas_", "mse_path_", "dual_gap_", "n_iter_", "coef_", "intercept_")


def table(n=203, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-1, 1, d) + np.linspace(-100, 100, d)
    y = X @ np.linspace(-1, 1, d) + 3 * rng.normal(size=n)
    return pd.DataFrame(X, columns=list("abcde")[:d]).assign(y=y, w=rng.integers(1, 5, n) / 2)


def same(model, expected, rtol=1e-7):
    for name in FOUND:
        assert hasattr(model, name) == hasattr(expected, name), name
        if hasattr(expected, name):
            atol = 1e-9 * np.abs(np.asarray(expected.coef_)).max()
            np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("estimator", FOLDED + LEFT_OUT, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_choice_equals_that_of_scikit_learn(estimator, weighted):
    frame = table()
    source = bigml.from_pandas(frame if weighted else frame.drop(columns="w"), part_rows=37)
    model = bigml.fit(estimator, source, target="y", sample_weight="w" if weighted else None)
    X = frame.drop(columns=["y", "w"])
    expected = clone(estimator).fit(X, frame["y"], sample_weight=frame["w"] if weighted else None)
    same(model, expected)
    assert repr(model.get_params()) == repr(estimator.get_params())
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-7)


@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from(FOLDED + LEFT_OUT))
@settings(max_examples=15, deadline=None)
def test_any_chunking_gives_the_same_choice(cuts, estimator):
    frame, edges = table(60, 4), [0, *sorted(cuts), 60]
    parts = [bigml.from_pandas(frame[a:b]) for a, b in pairwise(edges) if b > a]
    model = bigml.fit(estimator, bigml.concat(*parts), target="y", sample_weight="w")
    same(model, bigml.fit(estimator, bigml.from_pandas(frame), target="y", sample_weight="w"), rtol=1e-6)


@pytest.mark.parametrize("estimator", [RidgeCV(cv=3), LassoCV(cv=7, **TIGHT)], ids=str)
def test_folds_count_only_rows_that_a_filter_lets_through(estimator):
    frame = table().drop(columns="w")
    source = bigml.from_pandas(frame, part_rows=20).where("b > -50")
    rows = frame[frame["b"] > -50]
    assert len(rows) < 180
    same(bigml.fit(estimator, source, target="y"), clone(estimator).fit(rows.drop(columns="y"), rows["y"]))


@pytest.mark.parametrize(("estimator", "scans"), [(LassoCV(**TIGHT), 1), (RidgeCV(cv=5), 1), (RidgeCV(), 2)], ids=str)
def test_all_folds_and_penalties_share_their_scans(estimator, scans):
    source = CountingSource(bigml.from_pandas(table().drop(columns="w"), part_rows=50))
    bigml.fit(estimator, source, target="y")
    assert set(source.times_read.values()) == {scans}


@pytest.mark.parametrize("estimator", [RidgeCV(alphas=[1e-6, 1e-3], cv=4), RidgeCV(alphas=[1e-6, 1e-3])], ids=str)
def test_a_fit_that_leaves_next_to_nothing_has_the_score_of_scikit_learn(estimator):
    frame = table().drop(columns=["w", "y"])
    frame["y"] = frame.sum(axis=1) + 1e-6 * np.sin(np.arange(len(frame)))
    estimator = clone(estimator).set_params(scoring="neg_mean_squared_error")
    model = bigml.fit(estimator, bigml.from_pandas(frame, part_rows=64), target="y")
    expected = clone(estimator).fit(frame.drop(columns="y"), frame["y"])
    np.testing.assert_allclose(model.best_score_, expected.best_score_, rtol=1e-3)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-8)


REFUSED = [
    (LassoCV(cv=ShuffleSplit(3)), "a number of folds"),
    (LassoCV(cv=KFold(3, shuffle=True)), "KFold without shuffling"),
    (RidgeCV(store_cv_results=True), "no value for each row"),
    (RidgeCV(scoring="neg_median_absolute_error"), "a score among r2"),
    (RidgeCV(scoring=lambda model, X, y: 0.0), "a score among r2"),
    (RidgeCV(cv=3, scoring="neg_mean_absolute_error"), "a score among None, r2"),
]


@pytest.mark.parametrize(("estimator", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_what_would_need_all_rows_at_once_is_refused_with_a_way_out(estimator, expected):
    with pytest.raises(FitError, match=expected) as refused:
        bigml.fit(estimator, bigml.from_pandas(table()), target="y")
    assert refused.value.do


def test_fewer_rows_than_folds_are_refused():
    with pytest.raises(DataError, match="5 rows or more"):
        bigml.fit(LassoCV(), bigml.from_pandas(table(4)), target="y")


def test_folds_change_with_more_rows_so_a_warm_start_is_refused():
    source = bigml.from_pandas(table())
    model = bigml.fit(LassoCV(**TIGHT), source, target="y")
    with pytest.raises(FitError, match="warm_start"):
        bigml.fit(model, source, target="y", warm_start=True)
