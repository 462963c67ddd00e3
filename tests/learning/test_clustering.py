"""k-means: equal to scikit-learn's from the same centres, as good as its best of many from others."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.models import clustering
from bigml.learning.models.nearness import Centres, Farthest
from bigml.learning.models.seeding import Drawn
from bigml.testing import CountingSource

N, D, K = 3000, 4, 6
X, _ = make_blobs(N, D, centers=K, cluster_std=2.5, random_state=0)
X += 30
RNG = np.random.default_rng(0)
WEIGHTS = RNG.random(N) * (RNG.random(N) < 0.9)
FRAME = pd.DataFrame(X, columns=[f"x{i}" for i in range(D)])
COUNTS = sparse.random(N, 30, density=0.1, format="csr", random_state=0, data_rvs=lambda n: RNG.integers(1, 5, n).astype(float))
FROM = KMeans(K, init=X[:K], n_init=1)
CUTS = st.lists(st.integers(0, N), max_size=6)


def source(frame=FRAME, part_rows=500):
    return bigml.from_pandas(frame, part_rows=part_rows)


def equal(model, expected, rtol=1e-9):
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=rtol, atol=rtol)
    assert model.inertia_ == pytest.approx(expected.inertia_, rel=rtol)
    assert model.n_iter_ == expected.n_iter_
    assert model.cluster_centers_.dtype == expected.cluster_centers_.dtype
    assert vars(model).keys() == vars(expected).keys() - {"labels_"}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("options", [{}, {"tol": 0.0}, {"max_iter": 3}, {"algorithm": "elkan"}], ids=str)
def test_the_same_centres_lead_where_scikit_learn_goes(learn, weights, options):
    estimator = clone(FROM).set_params(**options)
    equal(learn(estimator, X, None, weights, cuts=(0, 11, 1500)), clone(estimator).fit(X, sample_weight=weights))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_sparse_rows_lead_where_scikit_learn_goes(learn, weights):
    estimator = KMeans(K, init=COUNTS[:K].toarray(), n_init=1)
    model, expected = learn(estimator, COUNTS, None, weights, cuts=(900,)), estimator.fit(COUNTS, sample_weight=weights)
    equal(model, expected)
    np.testing.assert_array_equal(model.predict(COUNTS), expected.predict(COUNTS))


def test_float32_rows_are_clustered_in_float32(learn):
    small = X.astype(np.float32)
    model, expected = learn(FROM, small, cuts=(1000,)), clone(FROM).fit(small)
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=1e-4)
    assert model.inertia_ == pytest.approx(expected.inertia_, rel=1e-4)
    np.testing.assert_array_equal(model.predict(small), expected.predict(small))


def test_float32_clusters_are_predicted_over_a_source():
    small = source(FRAME.astype(np.float32))
    model = bigml.fit(FROM, small)
    assert model.cluster_centers_.dtype == np.float32
    predicted = bigml.predict(model, small).to_pandas()["prediction"]
    np.testing.assert_array_equal(predicted, model.predict(FRAME.astype(np.float32)))


def test_empty_clusters_take_the_farthest_rows_as_in_scikit_learn(learn):
    init = X[:K].copy()
    init[2] = 1e4
    equal(learn(KMeans(K, init=init, n_init=1), X, cuts=(700,)), KMeans(K, init=init, n_init=1).fit(X))


def test_many_empty_clusters_are_all_taken(learn):
    init = np.vstack([X[:2], np.full((K - 2, D), 1e4) + np.arange(K - 2)[:, None]])
    model = learn(KMeans(K, init=init, n_init=1), X, cuts=(700,))
    assert len(np.unique(model.predict(X))) == K


def test_fewer_distinct_rows_than_clusters_are_said(learn):
    rows = np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0)
    with pytest.warns(ConvergenceWarning, match="2 clusters have rows, of 4"):
        model = learn(KMeans(4, random_state=0), rows, cuts=(30,))
    assert model.inertia_ == 0
    assert model.predict([[0.1, 0.0], [1.0, 0.9]])[0] != model.predict([[1.0, 0.9]])[0]


@settings(max_examples=8, deadline=None)
@given(cuts=CUTS)
def test_chunks_change_nothing(learn, cuts):
    for estimator, rows in (FROM, X), (KMeans(K, n_init=3), X), (KMeans(K, init="random", n_init=2), COUNTS):
        one, other = learn(estimator, rows, None, WEIGHTS, cuts=cuts), learn(estimator, rows, None, WEIGHTS)
        np.testing.assert_allclose(one.cluster_centers_, other.cluster_centers_, rtol=1e-9, atol=1e-9)
        assert (one.inertia_, one.n_iter_) == (pytest.approx(other.inertia_, rel=1e-9), other.n_iter_)


@pytest.mark.parametrize("seed", range(3))
def test_many_restarts_are_as_good_as_the_best_of_scikit_learn(learn, monkeypatch, seed):
    rows, _ = make_blobs(20_000, 5, centers=12, cluster_std=1.5, random_state=seed)
    monkeypatch.setattr(clustering, "SAMPLE_ROWS", 3000)
    model = learn(KMeans(12, n_init=8), rows, cuts=(7000,), seed=seed)
    best = KMeans(12, n_init=8, random_state=seed).fit(rows)
    assert model.inertia_ <= 1.01 * best.inertia_
    assert model.inertia_ == pytest.approx(-model.score(rows), rel=1e-9)


def test_random_starts_find_what_a_few_of_them_should(learn):
    model = learn(KMeans(3, init="random"), X, cuts=(900,))
    assert model.inertia_ <= 1.01 * KMeans(3, n_init=8, random_state=0).fit(X).inertia_


def test_a_few_rows_far_from_all_others_get_their_cluster(learn):
    rows, _ = make_blobs(200_000, 3, centers=4, random_state=0)
    rows[[5, 77_000, 150_000]] += 1000
    model = learn(KMeans(5), rows, cuts=(100_000,))
    assert np.bincount(model.predict(rows)).min() == 3


def test_heavy_rows_are_clustered_by_their_weights(learn):
    weights = np.where(np.arange(N) < 100, 1000.0, 1e-3)
    model = learn(KMeans(3, n_init=4), X, None, weights, cuts=(900,))
    best = KMeans(3, n_init=8, random_state=0).fit(X, sample_weight=weights)
    assert model.inertia_ <= 1.01 * best.inertia_


def test_digits_are_clustered_as_well_as_in_memory(data_dir):
    with gzip.open(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)[:2500].astype(np.float32) / 255
    digits = bigml.from_pandas(pd.DataFrame(images).rename(columns=str), part_rows=500)
    model = bigml.fit(KMeans(10, n_init=8), digits)
    best = KMeans(10, n_init=8, random_state=0).fit(images)
    assert model.inertia_ <= 1.01 * best.inertia_


def test_flights_are_clustered_as_well_as_in_memory(data_dir):
    columns = ["dep_delay", "arr_delay", "air_time", "distance"]
    flights = bigml.read_parquet(data_dir / "flights" / "sixteen_columns" / "pnw_2014.parquet").select(*columns).dropna(*columns)
    model = bigml.fit(make_pipeline(StandardScaler(), KMeans(8, n_init=8)), flights)
    rows = StandardScaler().fit_transform(flights.to_pandas())
    assert model[-1].inertia_ <= 1.01 * KMeans(8, n_init=8, random_state=0).fit(rows).inertia_


def test_all_restarts_share_their_scans(monkeypatch):
    monkeypatch.setattr(clustering, "SAMPLE_ROWS", 1000)
    counting = CountingSource(source())
    model = bigml.fit(KMeans(K, n_init=8), counting, cache=False)
    scans = len(counting.reads) // len(counting.parts)
    assert set(counting.times_read.values()) == {scans}
    assert model.n_iter_ + 3 <= scans <= 30  # a sample, a coreset, a scan for each move, and the inertia


def test_a_restart_that_has_come_to_rest_waits_for_the_others(learn):
    together = learn(KMeans(K, n_init=4, init="random", tol=0), X, cuts=(600,), seed=3)
    assert together.inertia_ == pytest.approx(clone(FROM).set_params(init=together.cluster_centers_).fit(X).inertia_, rel=1e-12)


def test_rows_are_read_once_when_they_are_kept():
    counting = CountingSource(source())
    kept, anew = bigml.fit(KMeans(K), counting, cache=True), bigml.fit(KMeans(K), source(), cache=False)
    assert set(counting.times_read.values()) == {1}
    assert (kept.cluster_centers_ == anew.cluster_centers_).all()


def test_clusters_end_a_pipeline():
    model = bigml.fit(make_pipeline(StandardScaler(), KMeans(K, random_state=1)), source())
    distances = bigml.predict(model, source(), method="transform").to_pandas()
    np.testing.assert_allclose(distances, model.transform(FRAME))
    assert distances.columns.tolist() == [f"kmeans{i}" for i in range(K)]


def test_the_seed_decides_and_the_estimators_own_before_it():
    def centres(estimator, seed):
        return bigml.fit(estimator, source(), seed=seed).cluster_centers_

    assert (centres(KMeans(K), 1) == centres(KMeans(K), 1)).all()
    assert (centres(KMeans(K), 1) != centres(KMeans(K), 2)).any()
    assert (centres(KMeans(K, random_state=5), 1) == centres(KMeans(K, random_state=5), 2)).all()


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_cluster_gives_the_bits_of_threads(client, dtype):
    rows = source(FRAME.astype(dtype).assign(w=WEIGHTS), 800)
    here, there = (bigml.fit(KMeans(K, n_init=3), rows, sample_weight="w", client=one) for one in (None, client))
    assert (here.cluster_centers_ == there.cluster_centers_).all()
    assert here.inertia_ == there.inertia_


@pytest.mark.parametrize(
    ("estimator", "frame", "error", "words"),
    [
        (KMeans(K), FRAME[: K - 1], DataError, "6 rows or more, as many as clusters, got 5"),
        (KMeans(K), FRAME[:0], DataError, "rows to learn from"),
        (KMeans(0), FRAME, FitError, "n_clusters=0"),
        (KMeans(2, init="best"), FRAME, FitError, "init"),
        (KMeans(2, n_init=0), FRAME, FitError, "n_init"),
        (KMeans(2, init=X[:3]), FRAME, FitError, r"init of shape \(2, 4\), got \(3, 4\)"),
        (KMeans(2, init=lambda X, k, random_state: X[:k]), FRAME, FitError, "got a function"),
    ],
    ids=["few", "none", "no-cluster", "init", "no-start", "shape", "function"],
)
def test_what_is_refused_is_named(estimator, frame, error, words):
    with pytest.raises(error, match=words):
        bigml.fit(estimator, source(frame))


def test_rows_are_drawn_in_proportion_to_their_weights():
    weights = np.repeat([0.0, 1.0, 3.0], 4000)
    drawn = Drawn(1000, seed=1)
    batches = [
        Batch(np.arange(i, i + 100), np.arange(i, i + 100.0)[:, None], None, weights[i : i + 100]) for i in range(0, 12000, 100)
    ]
    state = drawn.start()
    for batch in batches:
        state = drawn.update(state, batch)
    rows = drawn.finish(state).rows
    shares = np.bincount(rows // 4000, minlength=3) / 1000
    np.testing.assert_allclose(shares, [0, 0.27, 0.73], atol=0.05)
    assert len(np.unique(rows)) == 1000


def test_the_farthest_rows_are_found_in_any_order():
    centres = Centres(np.zeros((1, 1, 1)))
    batches = [Batch(np.arange(i, i + 10), np.arange(i, i + 10.0)[:, None]) for i in (0, 10, 20)]
    farthest = Farthest(centres, 3)
    states = [farthest.update(farthest.start(), batch) for batch in batches]
    one, other = (farthest.merge(farthest.merge(*pair), states[1]) for pair in (states[::2], states[::-2]))
    assert one.rows.tolist() == other.rows.tolist() == [29, 28, 27]


def test_mini_batches_learn_part_by_part():
    model = bigml.fit(MiniBatchKMeans(K, random_state=0, n_init=3), source(), epochs=5)
    assert -model.score(FRAME) <= 1.3 * bigml.fit(KMeans(K, n_init=4), source()).inertia_
