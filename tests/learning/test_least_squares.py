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
from scipy.linalg import LinAlgWarning
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
    told = {"collinear": "features 0, 1, 4,", "constant": "features 2,", "few": "features 0, 1, 2, 3, 4,"}[kind]
    with pytest.warns(LinAlgWarning, match=rf"collinear or constant \({told} counted from 0\): solved by minimum norm"):
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


NORRIS = """
0.1 0.2 338.8 337.4 118.1 118.2 888.0 884.6 9.2 10.1 228.1 226.5 668.5 666.3 998.5 996.3 449.1 448.6 778.9 777.0 559.2 558.2
0.3 0.4 0.1 0.6 778.1 775.5 668.8 666.9 339.3 338.0 448.9 447.5 10.8 11.6 557.7 556.0 228.3 228.1 998.0 995.8 888.8 887.6
119.6 120.2 0.3 0.3 0.6 0.3 557.6 556.8 339.3 339.1 888.0 887.2 998.5 999.0 778.9 779.0 10.2 11.1 117.6 118.3 228.9 229.2
668.4 669.1 449.2 448.9 0.2 0.5
"""
"""y and x, in turn."""
NORRIS_CERTIFIED = [-0.262323073774029, 1.00211681802045]
FILIP = """
0.8116 -6.860120914 0.9072 -4.324130045 0.9052 -4.358625055 0.9039 -4.358426747 0.8053 -6.955852379 0.8377 -6.661145254
0.8667 -6.355462942 0.8809 -6.118102026 0.7975 -7.115148017 0.8162 -6.815308569 0.8515 -6.519993057 0.8766 -6.204119983
0.8885 -5.853871964 0.8859 -6.109523091 0.8959 -5.79832982 0.8913 -5.482672118 0.8959 -5.171791386 0.8971 -4.851705903 0.9021
-4.517126416 0.909 -4.143573228 0.9139 -3.709075441 0.9199 -3.499489089 0.8692 -6.300769497 0.8872 -5.953504836 0.89
-5.642065153 0.891 -5.031376979 0.8977 -4.680685696 0.9035 -4.329846955 0.9078 -3.928486195 0.7675 -8.56735134 0.7705
-8.363211311 0.7713 -8.107682739 0.7736 -7.823908741 0.7775 -7.522878745 0.7841 -7.218819279 0.7971 -6.920818754 0.8329
-6.628932138 0.8641 -6.323946875 0.8804 -5.991399828 0.7668 -8.781464495 0.7633 -8.663140179 0.7678 -8.473531488 0.7697
-8.247337057 0.77 -7.971428747 0.7749 -7.676129393 0.7796 -7.352812702 0.7897 -7.072065318 0.8131 -6.774174009 0.8498
-6.478861916 0.8741 -6.159517513 0.8061 -6.835647144 0.846 -6.53165267 0.8751 -6.224098421 0.8856 -5.910094889 0.8919
-5.598599459 0.8934 -5.290645224 0.894 -4.974284616 0.8957 -4.64454848 0.9047 -4.290560426 0.9129 -3.885055584 0.9209
-3.408378962 0.9219 -3.13200249 0.7739 -8.726767166 0.7681 -8.66695597 0.7665 -8.511026475 0.7703 -8.165388579 0.7702
-7.886056648 0.7761 -7.588043762 0.7809 -7.283412422 0.7961 -6.995678626 0.8253 -6.691862621 0.8602 -6.392544977 0.8809
-6.067374056 0.8301 -6.684029655 0.8664 -6.378719832 0.8834 -6.065855188 0.8898 -5.752272167 0.8964 -5.132414673 0.8963
-4.811352704 0.9074 -4.098269308 0.9119 -3.66174277 0.9228 -3.2644011
"""
"""y and x, in turn; the model is a polynomial of degree 10."""
FILIP_CERTIFIED = [
    -1467.48961422980,
    -2772.17959193342,
    -2316.37108160893,
    -1127.97394098372,
    -354.478233703349,
    -75.1242017393757,
    -10.8753180355343,
    -1.06221498588947,
    -0.670191154593408e-1,
    -0.246781078275479e-2,
    -0.402962525080404e-4,
]


def found(frame, part_rows):
    """Coefficients, the intercept first."""
    model = bigml.fit(LinearRegression(), bigml.from_pandas(frame, part_rows=part_rows), target="y")
    return [model.intercept_, *model.coef_]


@pytest.mark.parametrize("part_rows", [3, 16])
def test_longley_has_ten_of_the_certified_digits(part_rows):
    table = np.array([line.split() for line in LONGLEY.split("\n") if line], dtype=float)
    frame = pd.DataFrame(table, columns=["y", "a", "b", "c", "d", "e", "f"])
    np.testing.assert_allclose(found(frame, part_rows), LONGLEY_CERTIFIED, rtol=1e-10)


@pytest.mark.parametrize("part_rows", [5, 36])
def test_norris_has_eleven_of_the_certified_digits(part_rows):
    frame = pd.DataFrame(np.array(NORRIS.split(), dtype=float).reshape(-1, 2), columns=["y", "x"])
    np.testing.assert_allclose(found(frame, part_rows), NORRIS_CERTIFIED, rtol=1e-11)


@pytest.mark.parametrize("part_rows", [7, 82])
def test_filip_has_six_of_the_certified_digits_and_is_said_to_be_nearly_collinear(part_rows):
    y, x = np.array(FILIP.split(), dtype=float).reshape(-1, 2).T
    frame = pd.DataFrame({f"x{power}": x**power for power in range(1, 11)}).assign(y=y)
    with pytest.warns(LinAlgWarning, match="nearly collinear"):
        coefficients = found(frame, part_rows)
    np.testing.assert_allclose(coefficients, FILIP_CERTIFIED, rtol=1e-6)
