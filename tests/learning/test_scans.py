"""Models that learn by scans: how questions are asked, shared and answered, and how encoded rows are kept."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning import cache
from bigml.learning.batch import Batch
from bigml.learning.blocks import mapped, written
from bigml.learning.cache import Cached, Keep
from bigml.learning.inquiry import conduct, together
from bigml.learning.solving import n_scans, solve
from bigml.learning.sums import Sums
from bigml.testing import CountingSource

N_ROWS, PART_ROWS = 1000, 100


class Centre(BaseEstimator):
    """The weighted mean of X, looked at three times."""


class Total:
    def __call__(self, batch):
        weights = np.ones(batch.n_rows) if batch.weights is None else batch.weights
        X = batch.X.toarray() if sparse.issparse(batch.X) else batch.X
        return {"weight": weights.sum(), "sum": weights @ X}


@solve.register
def _(estimator: Centre, problem):
    del problem
    for _ in range(3):
        found = yield Sums(Total())
    estimator.mean_ = found["sum"] / found["weight"]
    return estimator


@n_scans.register
def _(estimator: Centre) -> int:
    del estimator
    return 3


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N_ROWS)
    x = rng.normal(size=N_ROWS) + y
    return pd.DataFrame({"x": x, "k": rng.choice(list("abc"), N_ROWS), "y": y, "w": rng.random(N_ROWS)})


@pytest.fixture
def counting(frame):
    return CountingSource(bigml.from_pandas(frame, part_rows=PART_ROWS))


def asks(name, times):
    heard = []
    for i in range(times):
        heard.append((yield f"{name}{i}"))
    return heard


def test_inquiries_that_ask_at_the_same_time_share_a_scan():
    scans = []

    def answer(asked):
        scans.append(asked.reducers)
        return tuple(question.upper() for question in asked.reducers)

    learned = conduct(together([asks("a", 2), asks("b", 0), asks("c", 3)]), answer)
    assert scans == [("a0", "c0"), ("a1", "c1"), ("c2",)]
    assert learned == [["A0", "A1"], [], ["C0", "C1", "C2"]]


def test_rows_are_read_once_for_many_scans_when_they_are_kept(counting, frame):
    model = bigml.fit(Centre(), counting.select("x", "w"), sample_weight="w", cache=True)
    assert len(counting.reads) == N_ROWS // PART_ROWS
    assert model.mean_[0] == pytest.approx(np.average(frame["x"], weights=frame["w"]), rel=1e-12)


def test_rows_are_read_in_every_scan_when_they_are_not_kept(counting, frame):
    model = bigml.fit(Centre(), counting.select("x"), cache=False)
    assert len(counting.reads) == 3 * N_ROWS // PART_ROWS
    assert model.mean_[0] == pytest.approx(frame["x"].mean(), rel=1e-12)


def test_a_cache_in_a_directory_serves_the_next_fit(counting, tmp_path):
    first = bigml.fit(Centre(), counting.select("x"), cache=tmp_path)
    reads = len(counting.reads)
    second = bigml.fit(Centre(), counting.select("x"), cache=tmp_path)
    assert len(counting.reads) == reads
    assert first.mean_ == second.mean_


def test_a_cache_is_removed_at_the_end(counting, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bigml.fit(Centre(), counting.select("x"), cache=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_kept_is_removed_by_the_next(counting, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{cache.PREFIX}999999999-x").mkdir()
    bigml.fit(Centre(), counting.select("x"), cache=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_only_the_reading(counting, frame, monkeypatch):
    monkeypatch.setattr(cache, "ROOM", 1 << 60)
    model = bigml.fit(Centre(), counting.select("x"), cache=True)
    assert len(counting.reads) == 3 * N_ROWS // PART_ROWS
    assert model.mean_[0] == pytest.approx(frame["x"].mean(), rel=1e-12)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
@pytest.mark.parametrize("cluster", [False, True])
def test_epochs_from_kept_rows_have_the_same_bits(frame, client, cluster):
    source = bigml.from_pandas(frame.drop(columns="w"), part_rows=PART_ROWS).where("x > -1.2")
    prep = make_pipeline(OneHotEncoder(handle_unknown="ignore"), SGDClassifier(loss="log_loss"))
    kept = bigml.fit(prep, source, target="y", epochs=3, cache=True, client=client if cluster else None)
    anew = bigml.fit(prep, source, target="y", epochs=3, cache=False)
    assert (kept[-1].coef_ == anew[-1].coef_).all()


def test_epochs_read_kept_rows(counting):
    bigml.fit(make_pipeline(StandardScaler(), SGDRegressor()), counting.select("x", "y"), target="y", epochs=4, cache=True)
    assert len(counting.reads) == 2 * N_ROWS // PART_ROWS  # the survey, and the encoding


def test_classes_with_names_come_back_from_kept_rows(frame):
    source = bigml.from_pandas(frame.assign(y=frame["y"].map({0: "early", 1: "late"})), part_rows=PART_ROWS).select("x", "y")
    model = bigml.fit(SGDClassifier(), source, target="y", epochs=2, cache=True)
    assert model.classes_.tolist() == ["early", "late"]
    assert (model.coef_ == bigml.fit(SGDClassifier(), source, target="y", epochs=2, cache=False).coef_).all()


def test_weights_of_two_count_as_rows_twice(frame):
    ones = bigml.from_pandas(frame[["x", "y"]].assign(w=2.0), part_rows=PART_ROWS)
    weighted = bigml.fit(SGDClassifier(), ones, target="y", sample_weight="w")
    plain = SGDClassifier(random_state=0)
    assert weighted.n_features_in_ == 1  # the weight is no feature
    assert (weighted.coef_ != bigml.fit(plain, ones.select("x", "y"), target="y").coef_).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(frame, bad):
    weights = frame["w"].copy()
    weights[437] = bad
    with pytest.raises(DataError, match=r"finite weights of 0 or more.*column `w`, row 437"):
        bigml.fit(Centre(), bigml.from_pandas(frame[["x"]].assign(w=weights), part_rows=PART_ROWS), sample_weight="w")


def test_weights_for_an_estimator_that_takes_none_are_refused(frame):
    source = bigml.from_pandas(frame[["x", "w"]])
    with pytest.raises(FitError, match="takes sample weights"):
        bigml.fit(IncrementalPCA(1), source, sample_weight="w")


def test_a_number_that_is_not_finite_is_named_before_a_model_sees_it(frame):
    x = frame["x"].copy()
    x[437] = np.nan
    with pytest.raises(DataError, match="column `x`, row 437"):
        bigml.fit(Centre(), bigml.from_pandas(frame.assign(x=x)[["x"]], part_rows=PART_ROWS))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_a_block_comes_back_as_it_was(tmp_path, make):
    X = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    batch = Batch(np.array([4, 9, 11]), make(X), np.array([0, 1, 0]), np.array([0.5, 1.0, 2.0]))
    back = mapped(str(tmp_path), written(str(tmp_path), batch, None))
    assert (back.X.toarray() if sparse.issparse(back.X) else back.X).tolist() == X.tolist()
    assert back.rows.tolist() == [4, 9, 11]
    assert back.y.tolist() == [0, 1, 0]
    assert back.weights.tolist() == [0.5, 1.0, 2.0]


def test_kept_blocks_are_in_the_order_of_rows_however_they_were_merged(tmp_path):
    keep = Keep(str(tmp_path))
    batches = [Batch(np.arange(i, i + 2), np.full((2, 1), float(i))) for i in (0, 2, 4)]
    one, two, three = (keep.update(keep.start(), batch) for batch in batches)
    blocks = keep.finish(keep.merge(three, keep.merge(one, two)))
    assert [block.first for block in blocks] == [0, 2, 4]
    assert Cached(str(tmp_path), blocks).n_rows == 6
