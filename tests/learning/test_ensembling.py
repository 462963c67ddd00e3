"""Ensembles: members fitted by scikit-learn itself on the rows that were dealt to them, combined to a plain estimator."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge, RidgeClassifier
from sklearn.metrics import log_loss, r2_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted
from xgboost import XGBClassifier

import bigml
from bigml.errors import BudgetError, ColumnError, DataError, FitError
from bigml.graph.budget import Place
from bigml.learning.ensembles import ensembling
from bigml.learning.ensembles.dealing import Deal, poisson
from bigml.learning.ensembles.ensembling import Forecast, seeded
from bigml.testing import CountingSource

N = 2000
NUMBERS = ["a", "b", "c"]


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=NUMBERS)
    frame["k"] = rng.choice(list("pqr"), n)
    signal = frame.a - frame.b / 2 + (frame.k == "p") + rng.normal(size=n) / 2
    words = np.array(["early", "late", "on time"])[np.digitize(signal, [-0.5, 0.5])]
    return frame.assign(word=words, late=signal > 0, delay=signal, w=rng.integers(0, 3, n) * 1.0)


FRAME, TEST = table(), table(700, seed=1)


def source(*columns: str, part_rows: int = 230) -> bigml.Source:
    return bigml.from_pandas(FRAME, part_rows=part_rows).select(*columns)


def block(deal: Deal, member: int) -> pd.DataFrame:
    return FRAME.loc[np.repeat(np.arange(N), deal.times(np.arange(N), member))]


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("estimator", [GaussianNB(), Perceptron(), LogisticRegression(), KNeighborsClassifier()])
def test_members_are_fitted_on_their_rows_and_vote(estimator, bootstrap):
    model = bigml.ensemble(estimator, source(*NUMBERS, "word"), 4, target="word", bootstrap=bootstrap, seed=5)
    deal = Deal(1.0 if bootstrap else 0.25, bootstrap, 5)
    rows = [block(deal, member) for member in range(4)]
    own = [(f"member_{i}", seeded(clone(estimator), 5, i)) for i in range(4)]
    expected = VotingClassifier(own, voting="soft" if hasattr(estimator, "predict_proba") else "hard")
    expected.fit(FRAME[NUMBERS], FRAME.word)
    expected.estimators_ = [one.fit(rows[i][NUMBERS], expected.le_.transform(rows[i].word)) for i, (_, one) in enumerate(own)]
    expected.named_estimators_.update(zip(expected.named_estimators_, expected.estimators_, strict=True))
    assert vars(model).keys() == vars(expected).keys()
    assert str(model.get_params()) == str(expected.get_params())
    np.testing.assert_array_equal(model.predict(TEST[NUMBERS]), expected.predict(TEST[NUMBERS]))
    np.testing.assert_allclose(model.transform(TEST[NUMBERS]), expected.transform(TEST[NUMBERS]))
    assert model.named_estimators_.member_2 is model.estimators_[2]
    check_is_fitted(model)


def test_regressors_are_averaged():
    model = bigml.ensemble(Ridge(), source(*NUMBERS, "delay"), 3, target="delay")
    rows = [block(Deal(1 / 3), member) for member in range(3)]
    parts = [Ridge().fit(one[NUMBERS], one.delay).predict(TEST[NUMBERS]) for one in rows]
    assert type(model) is VotingRegressor
    np.testing.assert_allclose(model.predict(TEST[NUMBERS]), np.mean(parts, axis=0))
    assert r2_score(TEST.delay, model.predict(TEST[NUMBERS])) > 0.5


def test_pipelines_learn_in_their_own_blocks_and_take_weights():
    prep = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), ["k"]))
    pipeline = make_pipeline(prep, LogisticRegression())
    model = bigml.ensemble(pipeline, source(*NUMBERS, "k", "late", "w"), 2, target="late", sample_weight="w")
    for member, one in enumerate(model.estimators_):
        rows = block(Deal(1 / 2), member)
        expected = clone(pipeline).fit(rows[[*NUMBERS, "k"]], rows.late, logisticregression__sample_weight=rows.w)
        np.testing.assert_allclose(one.predict_proba(TEST), expected.predict_proba(TEST), rtol=1e-9)
    predicted = bigml.predict(model, bigml.from_pandas(TEST, part_rows=99)).to_pandas()
    np.testing.assert_array_equal(predicted.prediction, model.predict(TEST))
    assert bigml.score(model, bigml.from_pandas(TEST), target="late", scoring="accuracy") > 0.8


@pytest.mark.parametrize("inner", [HistGradientBoostingClassifier(max_iter=5), XGBClassifier(n_estimators=5, n_jobs=1)])
def test_boosted_trees_vote_too(inner):
    model = bigml.ensemble(inner, source(*NUMBERS, "word"), 2, target="word")
    assert np.mean(model.predict(TEST[NUMBERS]) == TEST.word) > 0.5
    assert model.classes_.tolist() == ["early", "late", "on time"]


FORESTS = [
    (RandomForestClassifier(n_estimators=11, max_depth=6), "word"),
    (ExtraTreesClassifier(n_estimators=11, max_depth=6, random_state=3), "late"),
    (RandomForestRegressor(n_estimators=11, max_depth=6), "delay"),
    (ExtraTreesRegressor(n_estimators=11, max_depth=6, bootstrap=True), "delay"),
]


@pytest.mark.parametrize(("estimator", "target"), FORESTS)
def test_a_forest_is_made_of_trees_grown_on_blocks(estimator, target):
    model = bigml.ensemble(estimator, source(*NUMBERS, target), 4, target=target)
    alone = clone(estimator).fit(FRAME[NUMBERS], FRAME[target])
    assert type(model) is type(estimator)
    assert model.get_params() == estimator.get_params()
    assert vars(model).keys() == vars(alone).keys()
    assert len(model.estimators_) == 11
    assert len({tree.random_state for tree in model.estimators_}) == 11
    sizes = [tree.tree_.weighted_n_node_samples[0] for tree in model.estimators_]
    assert sizes == [len(block(Deal(1 / 4), member)) for member, trees in enumerate([3, 3, 3, 2]) for _ in range(trees)]
    found, wanted = (one.score(TEST[NUMBERS], TEST[target]) for one in (model, alone))
    assert found > wanted - 0.07
    np.testing.assert_array_equal(
        bigml.predict(model, bigml.from_pandas(TEST)).to_pandas().prediction, model.predict(TEST[NUMBERS])
    )


def rare() -> pd.DataFrame:
    """A class that one row has, the last one."""
    words = FRAME.word.to_numpy(dtype=object, copy=True)
    words[-1] = "never"
    return FRAME[NUMBERS].assign(word=words)


def test_trees_of_blocks_without_a_class_know_it_and_never_say_it():
    rows = bigml.from_pandas(rare(), part_rows=230)
    model = bigml.ensemble(RandomForestClassifier(12, max_depth=4, bootstrap=False), rows, 6, target="word")
    proba = model.predict_proba(TEST[NUMBERS])
    assert proba.shape == (700, 4)
    home = [member for member in range(6) if Deal(1 / 6).times(np.array([N - 1]), member)]
    for i, tree in enumerate(model.estimators_):
        says = tree.predict_proba(FRAME[NUMBERS].to_numpy())[:, model.classes_.tolist().index("never")]
        assert (says.max() > 0) == (i // 2 in home)


@pytest.mark.parametrize("estimator", [GaussianNB(var_smoothing=0.1), DecisionTreeClassifier(max_depth=3), RidgeClassifier()])
def test_a_block_without_a_class_is_given_one_row_of_it(estimator):
    model = bigml.ensemble(estimator, bigml.from_pandas(rare(), part_rows=230), 6, target="word")
    assert [one.classes_.tolist() for one in model.estimators_] == [[0, 1, 2, 3]] * 6
    assert set(model.predict(TEST[NUMBERS])) <= set(model.classes_)


class Refusing(ClassifierMixin, BaseEstimator):
    """Counts how many classes it is given."""

    def fit(self, X, y):
        self.n_classes_ = len(np.unique(y))
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


def test_an_estimator_of_ones_own_will_do_and_is_not_changed():
    given = Refusing().fit(FRAME[NUMBERS], FRAME.word)
    given.n_classes_ = "as it was"
    model = bigml.ensemble(given, source(*NUMBERS, "word"), 2, target="word")
    assert [one.n_classes_ for one in model.estimators_] == [3, 3]
    assert (given.n_classes_, model.voting) == ("as it was", "hard")
    assert set(model.predict(TEST[NUMBERS])) == {"early"}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**40), st.integers(0, 2**62))
def test_disjoint_blocks_hold_every_row_once(n_members, seed, first):
    rows = np.arange(first, first + 500)
    times = sum(Deal(1 / n_members, seed=seed).times(rows, member) for member in range(n_members))
    np.testing.assert_array_equal(times, 1)


def test_bootstrapped_blocks_are_poisson_draws_that_differ():
    draws = [Deal(1.0, bootstrap=True).times(np.arange(40_000), member) for member in range(2)]
    shares = np.bincount(draws[0], minlength=8)[:4] / 40_000
    np.testing.assert_allclose(shares, [0.3679, 0.3679, 0.1839, 0.0613], atol=0.01)
    assert abs(np.corrcoef(*draws)[0, 1]) < 0.02
    assert poisson(3.0)[-1] == pytest.approx(1, abs=1e-15)


def test_blocks_do_not_follow_a_split_with_the_same_seed():
    train, _ = bigml.from_pandas(FRAME, part_rows=230).select(*NUMBERS, "word").split(test=0.5, seed=0)
    model = bigml.ensemble(RandomForestClassifier(4, bootstrap=False), train, 4, target="word", seed=0)
    sizes = np.array([tree.tree_.weighted_n_node_samples[0] for tree in model.estimators_])
    assert sizes.sum() == train.count()
    assert sizes.min() > 0.7 * sizes.mean()


@pytest.mark.parametrize("bootstrap", [False, True])
def test_blocks_have_about_as_many_rows_as_wanted(bootstrap):
    model = bigml.ensemble(RandomForestClassifier(3), source(*NUMBERS, "word"), 3, target="word", rows=300, bootstrap=bootstrap)
    sizes = [tree.tree_.weighted_n_node_samples[0] for tree in model.estimators_]
    np.testing.assert_allclose(sizes, 300, atol=70)


def test_one_scan_deals_all_blocks_and_little_memory_takes_more_scans(monkeypatch):
    rows = CountingSource(source(*NUMBERS, "word"))
    whole = bigml.ensemble(GaussianNB(), rows, 6, target="word")
    assert set(rows.times_read.values()) == {2}, "one scan for the classes, one for the blocks"
    again = CountingSource(source(*NUMBERS, "word"))
    monkeypatch.setattr(Forecast, "at_once", lambda self, n: 2)
    told = []
    waves = bigml.ensemble(GaussianNB(), again, 6, target="word", progress=lambda done, total: told.append((done, total)))
    assert set(again.times_read.values()) == {4}
    assert told == sorted(told)
    assert told[-1] == (600, 600)
    np.testing.assert_array_equal(whole.predict_proba(TEST[NUMBERS]), waves.predict_proba(TEST[NUMBERS]))


def test_what_would_not_fit_is_refused_with_numbers_before_it_is_read(monkeypatch):
    rows = CountingSource(source(*NUMBERS, "delay"))
    monkeypatch.setattr(ensembling.Place, "of", lambda client: Place("threads", 1, 2, 120_000))
    with pytest.raises(BudgetError, match=r"fitted in 117.2 KiB, got a forecast peak of .* KiB for a block of 1,000 rows"):
        bigml.ensemble(Ridge(), rows, 2, target="delay")
    assert rows.times_read == {}
    assert bigml.ensemble(Ridge(), rows, 2, rows=50, target="delay").estimators_


def test_the_forecast_counts_blocks_on_each_worker():
    place = Place("cluster", 2, 1, 100)
    assert Forecast(10, 10.0, 5.0, place).peak(1) == 35
    assert Forecast(10, 10.0, 5.0, place).peak(2) == 35
    assert Forecast(10, 10.0, 5.0, place).at_once(100) == 14


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
def test_a_cluster_fits_the_members_of_threads(client):
    rows = source(*NUMBERS, "word", "w")
    for estimator in LogisticRegression(), RandomForestClassifier(6, max_depth=4):
        here, there = (
            bigml.ensemble(estimator, rows, 3, target="word", sample_weight="w", bootstrap=True, client=one)
            for one in (None, client)
        )
        np.testing.assert_array_equal(here.predict_proba(TEST[NUMBERS]), there.predict_proba(TEST[NUMBERS]))


def test_the_model_predicts_where_bigml_is_not_installed(tmp_path):
    model = bigml.ensemble(DecisionTreeClassifier(max_depth=4), source(*NUMBERS, "word"), 3, target="word")
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    TEST[NUMBERS].to_pickle(tmp_path / "frame")
    program = (
        "import sys, pickle, pandas; sys.modules['bigml'] = None; model = pickle.load(open(sys.argv[1] + '/model', 'rb')); "
        "pandas.DataFrame(model.predict_proba(pandas.read_pickle(sys.argv[1] + '/frame'))).to_csv(sys.stdout, index=False)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True)
    np.testing.assert_allclose(pd.read_csv(io.StringIO(done.stdout)), model.predict_proba(TEST[NUMBERS]), rtol=1e-12)


def test_a_model_is_kept_and_loaded(tmp_path):
    model = bigml.ensemble(LogisticRegression(), source(*NUMBERS, "word"), 2, target="word")
    loaded = bigml.load_model(bigml.save_model(model, tmp_path / "model.skops"))
    np.testing.assert_array_equal(loaded.predict(TEST[NUMBERS]), model.predict(TEST[NUMBERS]))
    assert list(loaded.named_estimators_) == ["member_0", "member_1"]


def test_more_members_are_not_worse_than_one_on_a_block():
    alone = LogisticRegression().fit(block(Deal(1 / 8), 0)[NUMBERS], block(Deal(1 / 8), 0).word)
    model = bigml.ensemble(LogisticRegression(), source(*NUMBERS, "word"), 8, target="word")
    found, wanted = (log_loss(TEST.word, one.predict_proba(TEST[NUMBERS])) for one in (model, alone))
    assert found < wanted


HOLED = FRAME[["a", "delay"]].copy()
HOLED.loc[321, "a"] = np.nan


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bigml.ensemble(Ridge(), source("a", "delay"), 0, target="delay"), FitError, "one member or more.*n_members=0"),
        (lambda: bigml.ensemble(Ridge(), source("a", "delay"), rows=0, target="delay"), FitError, "got rows=0"),
        (lambda: bigml.ensemble(KMeans(), source("a", "delay"), target="delay"), FitError, "a classifier or a regressor"),
        (lambda: bigml.ensemble(Ridge, source("a", "delay"), target="delay"), FitError, "an instance"),
        (lambda: bigml.ensemble(Ridge(), source("a", "delay"), target="dely"), ColumnError, "Did you mean `delay`"),
        (
            lambda: bigml.ensemble(Ridge(), source("a", "word"), target="word"),
            FitError,
            "a target of numbers, got .*string - column `word`",
        ),
        (
            lambda: bigml.ensemble(GaussianNB(), source("a", "word").where("word == 'late'"), target="word"),
            DataError,
            "two classes or more, got only",
        ),
        (lambda: bigml.ensemble(Ridge(), source("a", "delay").head(3), target="delay"), DataError, "a row for each of 8 members"),
        (lambda: bigml.ensemble(Ridge(), source("a", "delay"), rows=900, target="delay"), DataError, "set bootstrap=True"),
        (
            lambda: bigml.ensemble(Ridge(), bigml.from_pandas(HOLED), 2, target="delay"),
            DataError,
            "got NaN - column `a`, row 321",
        ),
        (lambda: bigml.ensemble(Ridge(), source("k", "delay"), 2, target="delay"), FitError, r"a block that `Ridge.fit` accepts"),
        (
            lambda: bigml.ensemble(KNeighborsRegressor(), source("a", "delay", "w"), target="delay", sample_weight="w"),
            FitError,
            "takes sample weights, got `KNeighborsRegressor`",
        ),
        (
            lambda: bigml.ensemble(RandomForestRegressor(3), source("a", "delay"), target="delay"),
            FitError,
            "a tree for each of 8",
        ),
        (
            lambda: bigml.ensemble(RandomForestRegressor(oob_score=True), source("a", "delay"), target="delay"),
            FitError,
            "oob_score=False",
        ),
        (lambda: bigml.ensemble(Ridge(), source("a", "delay").head(12), 10, target="delay"), DataError, "none for member"),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
