"""Principal components and singular vectors: equal to scikit-learn's on all rows together, signs included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.models import decomposition
from bigml.testing import CountingSource

N, D = 800, 6
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, D)) @ RNG.normal(size=(D, D)) * [1, 2, 3, 0.5, 5, 1] + 20
SPARSE = sparse.random(N, 40, density=0.1, format="csr", random_state=0, data_rvs=lambda n: RNG.integers(1, 5, n).astype(float))
FRAME = pd.DataFrame(X, columns=[f"x{i}" for i in range(D)])
VECTORS = "components_", "singular_values_", "explained_variance_", "explained_variance_ratio_"
COMPONENTS = (*VECTORS, "mean_", "noise_variance_", "n_components_", "n_samples_")
CUTS = st.lists(st.integers(0, N), max_size=6)


def equal(model, expected, names, rtol=1e-9):
    for name in names:
        got, wanted = np.asarray(getattr(model, name)), np.asarray(getattr(expected, name))
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol, err_msg=name)


def source(frame=FRAME, part_rows=150):
    return bigml.from_pandas(frame, part_rows=part_rows)


@pytest.mark.parametrize("n_components", [None, 3, 0, 0.9, 0.9999999])
def test_components_equal_scikit_learn(learn, n_components):
    model = learn(PCA(n_components), X, cuts=(0, 3, 500))
    expected = PCA(n_components, svd_solver="full").fit(X)
    equal(model, expected, COMPONENTS)
    np.testing.assert_allclose(model.transform(X), expected.transform(X), atol=1e-9)
    assert model.get_params() == PCA(n_components).get_params()


@pytest.mark.parametrize("solver", ["auto", "full", "covariance_eigh", "arpack", "randomized"])
def test_whitened_rows_equal_scikit_learn_whatever_the_solver(learn, solver):
    model = learn(PCA(3, whiten=True, svd_solver=solver), X, cuts=(200,))
    expected = PCA(3, whiten=True, svd_solver="full").fit(X)
    np.testing.assert_allclose(model.transform(X), expected.transform(X), atol=1e-9)
    np.testing.assert_allclose(model.score(X), expected.score(X), rtol=1e-9)


def test_components_of_a_sparse_matrix_equal_those_of_the_dense_one(learn):
    equal(learn(PCA(4), SPARSE, cuts=(100, 700)), PCA(4, svd_solver="full").fit(SPARSE.toarray()), COMPONENTS, rtol=1e-8)


def test_fewer_rows_than_features_give_as_many_components_as_rows(learn):
    model, expected = learn(PCA(), X[:4], cuts=(2,)), PCA(svd_solver="full").fit(X[:4])
    equal(model, expected, ("mean_", "explained_variance_", "noise_variance_", "n_components_"), rtol=1e-7)
    np.testing.assert_allclose(np.abs(model.transform(X)[:, :3]), np.abs(expected.transform(X)[:, :3]), rtol=1e-7)


def test_float32_rows_are_learned_in_float64_and_kept_in_float32(learn):
    small = X.astype(np.float32)
    model = learn(PCA(3), small, cuts=(400,))
    exact = PCA(3, svd_solver="full").fit(small.astype(np.float64))
    equal(model, exact, VECTORS, rtol=1e-6)
    assert {getattr(model, name).dtype for name in VECTORS} == {np.dtype(np.float32)}
    assert model.transform(small).dtype == np.float32


def test_features_far_from_zero_keep_their_components(learn):
    far = X + 1e7
    equal(learn(PCA(3), far, cuts=(10, 400)), PCA(3, svd_solver="full").fit(X), VECTORS, rtol=1e-6)


@pytest.mark.parametrize("estimator", [PCA(3), TruncatedSVD(3)], ids=str)
def test_weights_count_as_repeated_rows(learn, estimator):
    times = RNG.integers(0, 3, N)
    model = learn(estimator, X, None, times.astype(float), cuts=(333,))
    exact = {"svd_solver": "full"} if isinstance(estimator, PCA) else {"algorithm": "arpack"}
    equal(model, clone(estimator).set_params(**exact).fit(np.repeat(X, times, axis=0)), VECTORS, rtol=1e-8)


@settings(max_examples=25, deadline=None)
@given(cuts=CUTS)
def test_chunks_change_nothing(learn, cuts):
    equal(learn(PCA(4), X, cuts=cuts), learn(PCA(4), X), COMPONENTS)
    equal(learn(TruncatedSVD(4), SPARSE, cuts=cuts), learn(TruncatedSVD(4), SPARSE), VECTORS)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_singular_vectors_equal_scikit_learn(learn, make):
    data = make(SPARSE.toarray())
    model, expected = learn(TruncatedSVD(5), data, cuts=(10, 300)), TruncatedSVD(5, algorithm="arpack").fit(data)
    equal(model, expected, VECTORS)
    np.testing.assert_allclose(model.transform(data), expected.transform(data), atol=1e-9)


def test_singular_vectors_of_many_features_come_from_products_with_a_thin_matrix(learn, monkeypatch):
    low_rank = sparse.random(N, 8, 0.3, random_state=1) @ sparse.random(8, 300, 0.2, random_state=2)
    wide = sparse.csr_matrix(low_rank + sparse.random(N, 300, 0.02, random_state=3) * 1e-3)
    exact = TruncatedSVD(5, algorithm="arpack").fit(wide)
    monkeypatch.setattr(decomposition, "NARROW", 100)
    for data in wide, wide.toarray():
        equal(learn(TruncatedSVD(5, n_iter=6), data, cuts=(200, 600)), exact, VECTORS, rtol=1e-6)
    weighted = learn(TruncatedSVD(5, n_iter=6), wide, None, np.full(N, 2.0), cuts=(200,))
    np.testing.assert_allclose(weighted.singular_values_, np.sqrt(2) * exact.singular_values_, rtol=1e-6)


def test_a_thin_product_is_at_least_as_good_as_scikit_learns_random_one(learn, monkeypatch):
    monkeypatch.setattr(decomposition, "NARROW", 10)
    model = learn(TruncatedSVD(5), SPARSE, cuts=(200,))
    expected = TruncatedSVD(5, random_state=0).fit(SPARSE)
    assert (model.singular_values_ > 0.995 * expected.singular_values_).all()


@pytest.mark.parametrize("estimator", [PCA(2), TruncatedSVD(2)], ids=str)
def test_one_scan_is_enough(estimator):
    counting = CountingSource(source())
    model = bigml.fit(estimator, counting)
    assert set(counting.times_read.values()) == {1}
    assert model.feature_names_in_.tolist() == list(FRAME.columns)


def test_components_end_a_pipeline():
    model = bigml.fit(make_pipeline(StandardScaler(), PCA(2)), source())
    expected = make_pipeline(StandardScaler(), PCA(2, svd_solver="full")).fit(FRAME)
    np.testing.assert_allclose(model.transform(FRAME), expected.transform(FRAME), atol=1e-9)
    streamed = bigml.predict(model, source(), method="transform").to_pandas()
    assert streamed.columns.tolist() == ["pca0", "pca1"]
    np.testing.assert_allclose(streamed, expected.transform(FRAME), atol=1e-9)


def test_rows_of_an_integer_table_are_taken_as_numbers():
    whole = FRAME.round().astype(int)
    equal(bigml.fit(PCA(2), source(whole)), PCA(2, svd_solver="full").fit(whole), COMPONENTS)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(client):
    wide = pd.DataFrame(RNG.normal(size=(6000, 40)), columns=[f"x{i}" for i in range(40)])
    for estimator in PCA(2), TruncatedSVD(2):
        here, there = (bigml.fit(estimator, source(wide, 2500), client=one) for one in (None, client))
        assert all((getattr(here, name) == getattr(there, name)).all() for name in VECTORS)


@pytest.mark.parametrize(
    ("estimator", "frame", "error", "words"),
    [
        (PCA("mle"), FRAME, FitError, "'mle'"),
        (PCA(7), FRAME, FitError, "at most 6 components"),
        (PCA(-1), FRAME, FitError, "n_components=-1"),
        (PCA(whiten="yes"), FRAME, FitError, "whiten"),
        (PCA(), FRAME[:1], DataError, "two rows or more"),
        (PCA(), FRAME[:0], DataError, "rows to learn from"),
        (TruncatedSVD(7), FRAME, FitError, "at most 6 components"),
    ],
    ids=str,
)
def test_what_is_refused_is_named(estimator, frame, error, words):
    with pytest.raises(error, match=words):
        bigml.fit(estimator, source(frame))


def test_incremental_components_learn_part_by_part():
    model = bigml.fit(IncrementalPCA(2), source(), epochs=2)
    exact = PCA(2, svd_solver="full").fit(X)
    assert model.n_samples_seen_ == 2 * N
    np.testing.assert_allclose(np.abs(model.components_), np.abs(exact.components_), atol=0.05)


def test_a_boltzmann_machine_learns_part_by_part():
    model = bigml.fit(BernoulliRBM(4, random_state=0), source((FRAME > 20).astype(float)), epochs=3)
    assert model.components_.shape == (4, D)
    assert np.isfinite(model.transform((FRAME > 20).astype(float))).all()
