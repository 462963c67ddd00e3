"""Naive Bayes and linear discriminant analysis: equal to scikit-learn's fit on all rows together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.scatter import Scatter
from bigml.testing import CountingSource

N, D = 900, 5
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, N)
X = RNG.normal(size=(N, D)) * [1, 2, 3, 0.1, 10] + Y[:, None] * [1, 0, 2, 0.1, -3] + 50
COUNTS = RNG.poisson(0.7 + Y[:, None] * np.linspace(0, 1, D), (N, D)).astype(float)
WEIGHTS = RNG.random(N) * (RNG.random(N) < 0.9)
NAMES = [f"x{i}" for i in range(D)]

GAUSSIAN = "theta_", "var_", "class_prior_", "class_count_", "epsilon_"
DISCRETE = "feature_log_prob_", "feature_count_", "class_count_", "class_log_prior_"
LINEAR = "coef_", "intercept_", "means_", "priors_"
CUTS = st.lists(st.integers(0, N), max_size=6)


def equal(model, expected, names, rtol=1e-9):
    """All these attributes, with their dtypes."""
    for name in names:
        got, wanted = np.asarray(getattr(model, name)), np.asarray(getattr(expected, name))
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol, err_msg=name)
        assert got.dtype == wanted.dtype, name


def source(features, y=Y, part_rows=200, **more):
    return bigml.from_pandas(pd.DataFrame(features, columns=NAMES).assign(y=y, **more), part_rows=part_rows)


DISCRETE_MODELS = [
    MultinomialNB(alpha=0.3),
    MultinomialNB(fit_prior=False),
    MultinomialNB(class_prior=[0.2, 0.3, 0.5], alpha=[0.1, 0.2, 0.3, 0.4, 0.5]),
    ComplementNB(),
    ComplementNB(norm=True, alpha=1e-3),
    BernoulliNB(),
    BernoulliNB(binarize=1.0, alpha=0.1, fit_prior=False),
    BernoulliNB(alpha=1e-12, force_alpha=False),
]


@pytest.mark.filterwarnings("ignore:alpha too small")
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("estimator", DISCRETE_MODELS, ids=str)
def test_counting_models_equal_scikit_learn(learn, estimator, make, weights):
    model = learn(estimator, make(COUNTS), Y, weights, cuts=(0, 17, 400))
    expected = clone(estimator).fit(make(COUNTS), Y, sample_weight=weights)
    equal(model, expected, DISCRETE)
    assert vars(model).keys() == vars(expected).keys()
    np.testing.assert_array_equal(model.predict(COUNTS), expected.predict(COUNTS))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("estimator", [GaussianNB(), GaussianNB(var_smoothing=0.01, priors=[0.5, 0.2, 0.3])], ids=str)
def test_gaussian_classes_equal_scikit_learn(learn, estimator, weights):
    model = learn(estimator, X, Y, weights, cuts=(1, 500))
    expected = clone(estimator).fit(X, Y, sample_weight=weights)
    equal(model, expected, GAUSSIAN)
    assert vars(model).keys() == vars(expected).keys()
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), atol=1e-9)


LINEAR_MODELS = [
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(n_components=1, store_covariance=True),
    LinearDiscriminantAnalysis(priors=[0.2, 0.3, 0.5]),
    LinearDiscriminantAnalysis(solver="lsqr"),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3),
    LinearDiscriminantAnalysis(solver="eigen"),
    LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=2),
]


@pytest.mark.parametrize("y", [Y, Y > 0], ids=["three classes", "two classes"])
@pytest.mark.parametrize("estimator", LINEAR_MODELS, ids=str)
def test_linear_discriminants_equal_scikit_learn(learn, estimator, y):
    if len(np.unique(y)) == 2:
        given_priors = None if estimator.priors is None else [0.4, 0.6]
        estimator = clone(estimator).set_params(priors=given_priors, n_components=None)
    model, expected = learn(estimator, X, y, cuts=(300, 310)), clone(estimator).fit(X, y)
    learned = [name for name in ("covariance_", "explained_variance_ratio_", "xbar_") if hasattr(expected, name)]
    equal(model, expected, [*LINEAR, *learned])
    assert vars(model).keys() == vars(expected).keys()
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    if estimator.solver != "lsqr":  # whose transform scikit-learn has not
        np.testing.assert_allclose(np.abs(model.transform(X - 50)), np.abs(expected.transform(X - 50)), rtol=1e-6, atol=1e-6)


def test_a_constant_feature_is_left_out_of_discriminants(learn):
    constant = np.column_stack([X, np.full(N, 0.1)])
    model = learn(LinearDiscriminantAnalysis(), constant, Y, cuts=(100,))
    np.testing.assert_allclose(model.coef_[:, :D], LinearDiscriminantAnalysis().fit(X, Y).coef_, rtol=1e-7)
    assert (model.coef_[:, D] == 0).all()


def test_weights_of_discriminants_count_as_repeated_rows(learn):
    times = RNG.integers(0, 3, N)
    model = learn(LinearDiscriminantAnalysis(), X, Y, times.astype(float), cuts=(450,))
    equal(model, LinearDiscriminantAnalysis().fit(np.repeat(X, times, axis=0), np.repeat(Y, times)), LINEAR)


@pytest.mark.parametrize(
    ("estimator", "names"), [(GaussianNB(), GAUSSIAN), (LinearDiscriminantAnalysis(), LINEAR), (MultinomialNB(), DISCRETE)]
)
def test_float32_features_give_the_dtypes_of_scikit_learn(learn, estimator, names):
    small = COUNTS.astype(np.float32)
    model, expected = learn(estimator, small, Y, cuts=(300,)), clone(estimator).fit(small, Y)
    equal(model, expected, names, rtol=2e-4)
    np.testing.assert_array_equal(model.predict(small), expected.predict(small))


@settings(max_examples=25, deadline=None)
@given(cuts=CUTS)
def test_chunks_change_nothing(learn, cuts):
    for estimator, names in (GaussianNB(), GAUSSIAN), (LinearDiscriminantAnalysis(), LINEAR), (BernoulliNB(), DISCRETE):
        data = COUNTS if isinstance(estimator, BernoulliNB) else X
        equal(learn(estimator, data, Y, cuts=cuts), clone(estimator).fit(data, Y), names)


@settings(max_examples=25, deadline=None)
@given(shift=st.sampled_from([0.0, 1e3, 1e6]), cuts=CUTS)
def test_features_far_from_zero_lose_no_digits(learn, shift, cuts):
    model = learn(GaussianNB(), X + shift, Y, cuts=cuts)
    np.testing.assert_allclose(model.var_, GaussianNB().fit(X, Y).var_, rtol=1e-7)


@pytest.mark.parametrize(
    "estimator", [GaussianNB(), BernoulliNB(), MultinomialNB(), ComplementNB(), LinearDiscriminantAnalysis()]
)
def test_one_scan_is_enough_when_the_classes_are_known(estimator):
    counting = CountingSource(source(COUNTS))
    model = bigml.fit(estimator, counting, target="y", classes=[0, 1, 2])
    assert set(counting.times_read.values()) == {1}
    np.testing.assert_array_equal(
        model.predict(pd.DataFrame(COUNTS, columns=NAMES)), clone(estimator).fit(COUNTS, Y).predict(COUNTS)
    )


def test_names_of_classes_and_features_are_kept():
    names = np.array(["early", "late", "lost"])[Y]
    model = bigml.fit(GaussianNB(), source(X, y=names), target="y")
    assert model.classes_.tolist() == ["early", "late", "lost"]
    assert model.feature_names_in_.tolist() == NAMES


def test_one_hot_columns_are_counted_as_they_come():
    frame = pd.DataFrame({"k": RNG.choice(list("abcdefghij"), N), "y": Y})
    pipeline = make_pipeline(make_column_transformer((OneHotEncoder(), ["k"]), sparse_threshold=1.0), BernoulliNB())
    model = bigml.fit(pipeline, bigml.from_pandas(frame, part_rows=100), target="y")
    equal(model[-1], clone(pipeline).fit(frame[["k"]], Y)[-1], DISCRETE)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(client):
    for estimator, names in (GaussianNB(), GAUSSIAN), (LinearDiscriminantAnalysis(), LINEAR), (MultinomialNB(), DISCRETE):
        rows = source(COUNTS, w=WEIGHTS)
        here, there = (bigml.fit(estimator, rows, target="y", sample_weight="w", client=one) for one in (None, client))
        assert all((getattr(here, name) == getattr(there, name)).all() for name in names)


@pytest.mark.parametrize(
    ("estimator", "error", "words"),
    [
        (MultinomialNB(), DataError, r"features of 0 or more, got -1 - feature 2, row 437"),
        (ComplementNB(), DataError, r"feature 2, row 437"),
        (MultinomialNB(alpha=-1.0), FitError, r"alpha"),
        (GaussianNB(priors=[0.5, 0.5]), FitError, r"priors"),
        (LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), FitError, r"shrinkage='auto'"),
        (LinearDiscriminantAnalysis(shrinkage=0.5), FitError, r"solver='svd'"),
        (LinearDiscriminantAnalysis(solver="eigen", priors=[0.2, 0.3, 0.5]), FitError, r"priors"),
        (LinearDiscriminantAnalysis(n_components=7), FitError, r"n_components"),
    ],
    ids=str,
)
def test_what_is_refused_is_named(estimator, error, words):
    data = COUNTS.copy()
    if error is DataError:
        data[437, 2] = -1
    with pytest.raises(error, match=words):
        bigml.fit(estimator, source(data), target="y")


def test_a_sparse_matrix_is_refused_where_scikit_learn_refuses_it(learn):
    with pytest.raises(FitError, match="dense matrix"):
        learn(GaussianNB(), sparse.csr_matrix(COUNTS), Y)


def test_a_class_without_rows_has_no_discriminant():
    with pytest.raises(DataError, match="rows of every class"):
        bigml.fit(LinearDiscriminantAnalysis(), source(X), target="y", classes=[0, 1, 2, 3])


def test_nothing_can_be_learned_from_weights_of_zero():
    with pytest.raises(DataError, match="weights of 0 alone"):
        bigml.fit(GaussianNB(), source(X, w=0.0), target="y", sample_weight="w")


def test_scatter_merges_like_a_sum():
    empty = Scatter(pairs=D).start()
    assert Scatter(pairs=D).merge(empty, empty) is None
