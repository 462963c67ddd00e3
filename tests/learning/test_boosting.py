"""Boosted trees: XGBoost fed part by part equals XGBoost on the table in memory."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRanker, XGBRegressor, XGBRFClassifier

import bigml
from bigml.errors import BudgetError, DataError, FitError, SchemaError
from bigml.graph.budget import Place
from bigml.learning.batch import Batch
from bigml.learning.models import boosting, feeding
from bigml.testing import CountingSource

N = 3000
NUMBERS = ["a", "b", "c", "d"]
SMALL = {"n_estimators": 12, "max_depth": 4, "n_jobs": 1, "random_state": 0}


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=NUMBERS)
    signal = frame.a + frame.b / 2 + rng.normal(size=n) / 2
    frame["k"] = rng.choice(list("pqrs"), n)
    frame.loc[::5, "c"] = np.nan
    return frame.assign(
        late=(signal + (frame.k == "p") > 0) * 1, level=np.digitize(signal, [-1, 1]), delay=signal, w=rng.random(n)
    )


FRAME, TEST = table(), table(1000, seed=1)


def source(*columns: str, frame: pd.DataFrame = FRAME, part_rows: int = 450) -> bigml.Source:
    return bigml.from_pandas(frame, part_rows=part_rows).select(*columns)


@pytest.fixture(autouse=True)
def many_pages(monkeypatch):
    """A batch for every two parts, so that small tables have several pages."""
    monkeypatch.setattr(feeding.Batches.__init__, "__defaults__", (10_000,))


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (XGBClassifier(**SMALL), "late"),
        (XGBClassifier(**SMALL), "level"),
        (XGBClassifier(**SMALL, objective="multi:softmax"), "level"),
        (XGBClassifier(**SMALL, subsample=0.6, colsample_bytree=0.5), "late"),
        (XGBRegressor(**SMALL, max_bin=64), "delay"),
        (XGBRegressor(**SMALL, objective="reg:absoluteerror"), "delay"),
        (XGBRFClassifier(**SMALL), "late"),
        (XGBRegressor(**SMALL, booster="dart", rate_drop=0.2), "delay"),
    ],
)
@pytest.mark.parametrize("weight", [None, "w"])
def test_trees_equal_those_grown_in_memory(estimator, target, weight):
    rows = source(*NUMBERS, target, *([weight] if weight else []))
    fitted = bigml.fit(estimator, rows, target=target, sample_weight=weight)
    expected = clone(estimator).fit(FRAME[NUMBERS], FRAME[target], sample_weight=FRAME[weight] if weight else None)
    assert type(fitted) is type(estimator)
    assert vars(fitted).keys() == vars(expected).keys()
    assert fitted.get_booster().trees_to_dataframe().equals(expected.get_booster().trees_to_dataframe())
    np.testing.assert_array_equal(fitted.predict(TEST[NUMBERS]), expected.predict(TEST[NUMBERS]))
    np.testing.assert_array_equal(fitted.feature_names_in_, NUMBERS)
    assert str(fitted.get_params()) == str(expected.get_params())


def test_early_stopping_judges_rounds_on_rows_held_out():
    estimator = XGBClassifier(**SMALL | {"n_estimators": 200, "learning_rate": 1.0}, eval_metric=["error", "logloss"])
    rows, held_out = source(*NUMBERS, "late"), source(*NUMBERS, "late", frame=TEST)
    fitted = bigml.fit(estimator, rows, target="late", validation=held_out, patience=3)
    expected = clone(estimator).set_params(early_stopping_rounds=3)
    expected.fit(FRAME[NUMBERS], FRAME.late, eval_set=[(TEST[NUMBERS], TEST.late)], verbose=False)
    assert fitted.best_iteration == expected.best_iteration < 190
    assert fitted.evals_result() == expected.evals_result()
    np.testing.assert_array_equal(fitted.predict_proba(TEST[NUMBERS]), expected.predict_proba(TEST[NUMBERS]))
    of_estimator = bigml.fit(clone(estimator).set_params(early_stopping_rounds=3), rows, target="late", validation=held_out)
    assert of_estimator.best_score == expected.best_score


def test_rounds_are_judged_by_the_weights_of_rows_held_out():
    estimator = XGBClassifier(**SMALL)
    rows, held_out = source(*NUMBERS, "late", "w"), source(*NUMBERS, "late", "w", frame=TEST)
    fitted = bigml.fit(estimator, rows, target="late", sample_weight="w", validation=held_out)
    expected = clone(estimator)
    judging = {"eval_set": [(TEST[NUMBERS], TEST.late)], "sample_weight_eval_set": [TEST.w], "verbose": False}
    expected.fit(FRAME[NUMBERS], FRAME.late, sample_weight=FRAME.w, **judging)
    assert fitted.evals_result() == expected.evals_result()


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("cache", [True, False])
def test_a_pipeline_learns_its_preprocessing_and_then_boosts_encoded_rows(sparse, cache):
    encoder = OneHotEncoder(sparse_output=sparse)
    prep = make_column_transformer((StandardScaler(), NUMBERS), (encoder, ["k"]), sparse_threshold=1.0 if sparse else 0)
    pipeline = make_pipeline(prep, XGBClassifier(**SMALL))
    fitted = bigml.fit(pipeline, source(*NUMBERS, "k", "late"), target="late", cache=cache)
    expected = clone(pipeline).fit(FRAME, FRAME.late)
    found, wanted = (model.predict_proba(TEST) for model in (fitted, expected))
    # Scaled numbers may differ from scikit-learn's in the last digit of float64, so that one may round to another float32.
    assert np.mean(np.abs(found - wanted).max(axis=1) > 1e-6) < 0.01
    assert log_loss(TEST.late, found) == pytest.approx(log_loss(TEST.late, wanted), rel=1e-3)
    np.testing.assert_array_equal(
        bigml.predict(fitted, source(*NUMBERS, "k", frame=TEST)).to_pandas().prediction, fitted.predict(TEST)
    )


def test_categories_are_split_on_as_sets_when_the_estimator_says_so():
    prep = make_column_transformer((OrdinalEncoder(), ["k"]), ("passthrough", ["a"]))
    estimator = XGBClassifier(**SMALL, enable_categorical=True, feature_types=["c", "q"], max_cat_to_onehot=1)
    pipeline = make_pipeline(prep, estimator)
    fitted = bigml.fit(pipeline, source("k", "a", "late"), target="late")
    expected = clone(pipeline).fit(FRAME[["k", "a"]], FRAME.late)
    np.testing.assert_array_equal(fitted.predict_proba(TEST), expected.predict_proba(TEST))
    assert fitted[-1].get_params()["feature_types"] == ["c", "q"]


def test_a_filter_gives_the_trees_of_the_rows_that_it_keeps():
    rows = source(*NUMBERS, "delay").where("a > 0")
    fitted = bigml.fit(XGBRegressor(**SMALL), rows, target="delay")
    expected = XGBRegressor(**SMALL).fit(FRAME[FRAME.a > 0][NUMBERS], FRAME[FRAME.a > 0].delay)
    np.testing.assert_array_equal(fitted.predict(TEST[NUMBERS]), expected.predict(TEST[NUMBERS]))


def test_more_trees_are_boosted_from_a_fitted_model():
    rows, estimator = source(*NUMBERS, "level"), XGBClassifier(**SMALL)
    first = bigml.fit(estimator, rows, target="level")
    more = bigml.fit(first, rows, target="level", warm_start=True)
    X, y = FRAME[NUMBERS], FRAME.level
    expected = clone(estimator).fit(X, y, xgb_model=clone(estimator).fit(X, y))
    assert (first.get_booster().num_boosted_rounds(), more.get_booster().num_boosted_rounds()) == (12, 24)
    np.testing.assert_array_equal(more.predict_proba(TEST[NUMBERS]), expected.predict_proba(TEST[NUMBERS]))


def test_the_seed_stands_in_for_a_missing_random_state():
    estimator = XGBRegressor(**SMALL | {"random_state": None}, subsample=0.5)
    one, same, other = (bigml.fit(estimator, source(*NUMBERS, "delay"), target="delay", seed=seed) for seed in (1, 1, 2))
    assert one.random_state is None
    np.testing.assert_array_equal(one.predict(TEST[NUMBERS]), same.predict(TEST[NUMBERS]))
    assert not np.array_equal(one.predict(TEST[NUMBERS]), other.predict(TEST[NUMBERS]))


def test_the_model_predicts_where_bigml_is_not_installed(tmp_path):
    model = bigml.fit(XGBClassifier(**SMALL), source(*NUMBERS, "late"), target="late")
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    TEST[NUMBERS].to_pickle(tmp_path / "frame")
    program = (
        "import sys, pickle, pandas; sys.modules['bigml'] = None; model = pickle.load(open(sys.argv[1] + '/model', 'rb')); "
        "pandas.DataFrame(model.predict_proba(pandas.read_pickle(sys.argv[1] + '/frame'))).to_csv(sys.stdout, index=False)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True)
    np.testing.assert_allclose(pd.read_csv(io.StringIO(done.stdout)), model.predict_proba(TEST[NUMBERS]), rtol=1e-6)


def test_pages_and_kept_rows_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bigml.fit(XGBClassifier(**SMALL), source(*NUMBERS, "late"), target="late", cache=True)
    infinite = FRAME[[*NUMBERS, "late"]].copy()
    infinite.loc[1234, "b"] = np.inf
    with pytest.raises(DataError, match=r"got infinity - column `b`, row 1,234"):
        bigml.fit(XGBClassifier(**SMALL), bigml.from_pandas(infinite, part_rows=450), target="late")
    assert list(tmp_path.iterdir()) == []


def test_kept_rows_are_decoded_once():
    rows = CountingSource(source(*NUMBERS, "delay"))
    bigml.fit(XGBRegressor(**SMALL), rows, target="delay", cache=True)
    assert set(rows.times_read.values()) == {1}


def test_small_batches_are_joined_and_large_ones_left_alone():
    batches = [Batch(np.arange(i, i + 2), np.full((2, 3), i, np.float32), np.arange(2), np.ones(2)) for i in range(0, 10, 2)]
    one = feeding.joined(batches)
    assert one.X.shape == (10, 3)
    np.testing.assert_array_equal(one.rows, np.arange(10))
    assert feeding.joined(batches[:1]) is batches[0]


@pytest.mark.parametrize(
    ("estimator", "target", "options", "error", "message"),
    [
        (
            XGBClassifier(**SMALL),
            "k",
            {},
            DataError,
            r"classes 0, 1, ... as `XGBClassifier` takes them, got \['p', 'q', 'r', 's'\]",
        ),
        (XGBRanker(**SMALL), "late", {}, FitError, "Expected XGBClassifier or XGBRegressor, got `XGBRanker`"),
        (XGBRegressor(**SMALL, tree_method="exact"), "delay", {}, FitError, "got tree_method='exact'"),
        (XGBRegressor(**SMALL, booster="gblinear"), "delay", {}, FitError, "got booster='gblinear'"),
        (XGBRegressor(**SMALL, eval_metric=max), "delay", {}, FitError, "got eval_metric=<function>"),
        (XGBRegressor(**SMALL, early_stopping_rounds=2), "delay", {}, FitError, "validation=, rows that are held out"),
        (XGBRegressor(**SMALL), "delay", {"averaging": 2}, FitError, "a linear estimator for averaging="),
        (XGBRegressor(n_jobs=1, max_depth=-3), "delay", {}, FitError, "that XGBoost accepts, got .*max_depth"),
    ],
)
def test_what_cannot_be_boosted_is_refused(estimator, target, options, error, message):
    with pytest.raises(error, match=message):
        bigml.fit(estimator, source(*NUMBERS, target), target=target, **options)


def test_one_class_no_rows_and_strings_are_refused():
    with pytest.raises(DataError, match="two classes or more, got only"):
        bigml.fit(XGBClassifier(**SMALL), source(*NUMBERS, "late").where("late == 1"), target="late")
    with pytest.raises(DataError, match="rows to learn from, got none"):
        bigml.fit(XGBRegressor(**SMALL), source(*NUMBERS, "delay").where("delay > 1000"), target="delay")
    with pytest.raises(SchemaError, match=r"a numeric column, got .* - column `k`"):
        bigml.fit(XGBRegressor(**SMALL), source(*NUMBERS, "k", "delay"), target="delay")


def test_progress_is_told_by_rounds():
    told = []
    bigml.fit(
        XGBRegressor(**SMALL), source(*NUMBERS, "delay"), target="delay", progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
@pytest.mark.parametrize("sparse", [True, False])
def test_a_cluster_boosts_trees_as_good_as_those_grown_in_memory(client, sparse):
    prep = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["k"]), sparse_threshold=1.0 if sparse else 0)
    pipeline = make_pipeline(prep, XGBClassifier(**SMALL))
    rows = source(*NUMBERS, "k", "late", "w").where("a > -2")
    weights = TEST.w if sparse else None
    held_out = source(*NUMBERS, "k", "late", *(["w"] if sparse else []), frame=TEST)
    fitted = bigml.fit(pipeline, rows, target="late", sample_weight="w", validation=held_out, client=client)
    kept = FRAME[FRAME.a > -2]
    expected = clone(pipeline).fit(kept, kept.late, xgbclassifier__sample_weight=kept.w)
    found, wanted = (log_loss(TEST.late, model.predict_proba(TEST)) for model in (fitted, expected))
    assert found == pytest.approx(wanted, rel=0.03)
    judged = log_loss(TEST.late, fitted.predict_proba(TEST), sample_weight=weights)
    assert fitted[-1].evals_result()["validation_0"]["logloss"][-1] == pytest.approx(judged, rel=1e-4)


@pytest.mark.cluster
def test_a_cluster_whose_workers_cannot_hold_the_rows_is_told_so(client, monkeypatch):
    monkeypatch.setattr(boosting, "Place", type("Small", (), {"of": staticmethod(lambda client: Place("cluster", 2, 1, 10_000))}))
    with pytest.raises(BudgetError, match=r"fit in 9.8 KiB for each of 2 workers, got a forecast of .*KiB"):
        bigml.fit(XGBRegressor(**SMALL), source(*NUMBERS, "delay"), target="delay", client=client)
    monkeypatch.setattr(boosting, "has_xgboost", lambda: False)
    with pytest.raises(FitError, match=r"workers with XGBoost, got some without .*pip install"):
        bigml.fit(XGBRegressor(**SMALL), source(*NUMBERS, "delay"), target="delay", client=client)


def test_estimators_of_others_are_not_taken_for_xgboost():
    assert not boosting.is_boosted(StandardScaler())
    assert boosting.is_boosted(xgboost.XGBRFRegressor())


def census(path: Path, skip: int = 0) -> pd.DataFrame:
    frame = pd.read_csv(path, header=None, skiprows=skip, skipinitialspace=True, na_values="?")
    frame.columns = [f"c{i}" for i in range(frame.shape[1])]
    return frame.assign(rich=frame.pop("c14").str.startswith(">50K") * 1)


def test_census_incomes_are_foreseen_as_in_memory(data_dir):
    train, test = census(data_dir / "adult" / "adult.data.gz"), census(data_dir / "adult" / "adult.test.gz", skip=1)
    words = [name for name in train.columns if not pd.api.types.is_numeric_dtype(train[name])]
    prep = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder="passthrough")
    pipeline = make_pipeline(prep, XGBClassifier(n_estimators=60, max_depth=5, n_jobs=1))
    fitted = bigml.fit(pipeline, bigml.from_pandas(train, part_rows=5000), target="rich")
    expected = clone(pipeline).fit(train.drop(columns="rich"), train.rich)
    found, wanted = (log_loss(test.rich, model.predict_proba(test)) for model in (fitted, expected))
    assert found == pytest.approx(wanted, abs=1e-3)
    assert bigml.score(fitted, bigml.from_pandas(test), target="rich", scoring="accuracy") > 0.868


def test_a_kept_model_is_loaded_by_who_names_its_types(tmp_path):
    model = bigml.fit(XGBClassifier(**SMALL), source(*NUMBERS, "late"), target="late")
    bigml.save(model, tmp_path / "trees")
    with pytest.raises(DataError, match=r"`xgboost.core.Booster`.*trusted="):
        bigml.load(tmp_path / "trees")
    again = bigml.load(tmp_path / "trees", trusted=["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"])
    np.testing.assert_array_equal(again.predict_proba(TEST[NUMBERS]), model.predict_proba(TEST[NUMBERS]))
