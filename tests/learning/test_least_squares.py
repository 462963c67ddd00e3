"""Least squares from one scan equals scikit-learn's own fit on all rows, and the certified values of NIST."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

import bigml
from bigml.errors import FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import conduct
from bigml.learning.models import least_squares
from bigml.learning.solving import Problem, solve
from bigml.testing import CountingSource

MODELS = [
    LinearRegression(),
    LinearRegression(fit_intercept=False),
    LinearRegression(positive=True),
    Ridge(alpha=3.0),
    Ridge(alpha=0.5, fit_intercept=False),
    Lasso(alpha=0.05, tol=1e-12, max_iter=100_000),
    ElasticNet(alpha=0.1, l1_ratio=0.3, tol=1e-12, max_iter=100_000),
]


def rows(n=500, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-1, 1, d) + np.linspace(-100, 100, d)
    y = X @ np.linspace(-1, 1, d) + rng.normal(size=n)
    return X, y, rng.random(n) + 0.1


def same(model, expected, rtol=1e-8):
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol, atol=1e-9 * np.abs(expected.coef_).max())
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("estimator", MODELS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_model_equals_scikit_learn(estimator, weighted):
    X, y, w = rows()
    frame = pd.DataFrame(X, columns=list("abcde")).assign(y=y, w=w)
    frame = frame if weighted else frame.drop(columns="w")
    source = bigml.from_pandas(frame, part_rows=70)
    model = bigml.fit(estimator, source, target="y", sample_weight="w" if weighted else None)
    expected = clone(estimator).fit(frame[list("abcde")], y, **({"sample_weight": w} if weighted else {}))
    same(model, expected)
    assert model.get_params() == estimator.get_params()
    np.testing.assert_allclose(model.predict(frame[list("abcde")]), expected.predict(frame[list("abcde")]), rtol=1e-8, atol=1e-6)


def learned(estimator, X, y, weights, cuts=()):
    """The model of rows cut into batches at these places, each folded alone, then all merged."""
    batches = [Batch(np.arange(a, b), X[a:b], y[a:b], weights[a:b]) for a, b in pairwise([0, *sorted(cuts), X.shape[0]])]

    def answer(asked):
        states = [asked.update(asked.start(), batch) if batch.n_rows else asked.start() for batch in batches]
        return asked.finish(reduce(asked.merge, states))

    return conduct(solve(clone(estimator), Problem()), answer)


@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from(MODELS), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_any_chunking_gives_the_same_model(cuts, estimator, seed):
    X, y, w = rows(60, 4, seed)
    same(learned(estimator, X, y, w, cuts), learned(estimator, X, y, w), rtol=1e-7)


def test_sparse_rows_give_the_model_of_dense_ones():
    X, y, w = rows(80, 4)
    same(learned(Ridge(), sparse.csr_matrix(X), y, w, (20, 50)), Ridge().fit(X, y, sample_weight=w))


def test_one_scan_is_enough_for_columns_that_are_apart():
    X, y, _ = rows()
    source = CountingSource(bigml.from_pandas(pd.DataFrame(X).rename(columns=str).assign(y=y), part_rows=100))
    bigml.fit(Ridge(), source, target="y")
    assert set(source.times_read.values()) == {1}


@pytest.mark.parametrize("kind", ["collinear", "constant", "few"])
def test_columns_that_do_not_determine_the_model_give_the_shortest_solution(kind):
    rng = np.random.default_rng(3)
    n = 3 if kind == "few" else 200
    X = rng.normal(size=(n, 5))
    if kind == "collinear":
        X[:, 4] = X[:, 0] + 2 * X[:, 1]
    if kind == "constant":
        X[:, 2] = 7.0
    y = X @ [1.0, 2.0, 3.0, 4.0, 5.0] + rng.normal(size=n)
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = bigml.fit(LinearRegression(), bigml.from_pandas(frame.assign(y=y), part_rows=64), target="y")
    same(model, LinearRegression().fit(frame, y))
    assert model.rank_ == LinearRegression().fit(frame, y).rank_


def test_too_many_features_are_refused_before_they_are_multiplied(monkeypatch):
    monkeypatch.setattr(least_squares, "MOST_FEATURES", 3)
    X, y, _ = rows()
    with pytest.raises(FitError, match="at most 3 features"):
        bigml.fit(Ridge(), bigml.from_pandas(pd.DataFrame(X).rename(columns=str).assign(y=y)), target="y")


def test_delays_of_real_flights_equal_numpy(data_dir):
    names = ["dep_delay", "distance", "arr_delay"]
    parts = [
        bigml.read_parquet(data_dir / "flights" / folder / "*.parquet") for folder in ("sixteen_columns", "nineteen_columns")
    ]
    source = bigml.concat(*(part.select(*names) for part in parts)).dropna()
    model = bigml.fit(LinearRegression(), source, target="arr_delay")
    frame = pd.concat([chunk.to_pandas() for chunk in source.iter_chunks()])
    A = np.column_stack([np.ones(len(frame)), frame[["dep_delay", "distance"]]])
    exact, *_ = np.linalg.lstsq(A, frame["arr_delay"].to_numpy(dtype=float), rcond=None)
    np.testing.assert_allclose([model.intercept_, *model.coef_], exact, rtol=1e-9)


LONGLEY = """
60323 83.0 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953
63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962
"""
LONGLEY_CERTIFIED = [
    -3482258.63459582,
    15.0618722713733,
    -0.358191792925910e-1,
    -2.02022980381683,
    -1.03322686717359,
    -0.511041056535807e-1,
    1829.15146461355,
]
"""The certified estimates of NIST's Statistical Reference Datasets, linear regression, Longley: intercept first."""


@pytest.mark.parametrize("part_rows", [3, 16])
def test_longley_has_ten_of_the_certified_digits(part_rows):
    table = np.array([line.split() for line in LONGLEY.split("\n") if line], dtype=float)
    frame = pd.DataFrame(table, columns=["y", "a", "b", "c", "d", "e", "f"])
    model = bigml.fit(LinearRegression(), bigml.from_pandas(frame, part_rows=part_rows), target="y")
    np.testing.assert_allclose([model.intercept_, *model.coef_], LONGLEY_CERTIFIED, rtol=1e-10)
