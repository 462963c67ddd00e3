"""LogisticRegression by scans reaches the minimum that scikit-learn reaches in memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.models import linear_fit, logistic
from bigml.testing import CountingSource

N = 4000
NAMES = [f"x{i}" for i in range(6)]


def rows(n_classes: int, n: int = N, seed: int = 0) -> pd.DataFrame:
    """Columns of different sizes, one of them far from 0, and classes that depend on them; weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) * [1, 10, 0.1, 1, 3, 1] + [0, 50, 0, 1, -2, 0]
    chances = ((X - X.mean(0)) / X.std(0)) @ rng.normal(size=(6, n_classes)) + rng.gumbel(size=(n, n_classes))
    return pd.DataFrame(X, columns=NAMES).assign(y=chances.argmax(1), w=rng.integers(0, 4, n) / 2)


FRAMES = {k: rows(k) for k in (2, 3)}


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows to start from, so that the others must be scanned."""
    monkeypatch.setattr(logistic, "SAMPLE_ROWS", 400)


def objective(model: Any, X: Any, y: Any, weights: Any = None) -> float:
    """scikit-learn's goal for a fitted model: C times the sum of losses, and the penalties."""
    eta = X @ model.coef_.T + model.intercept_
    eta = np.hstack([np.zeros_like(eta), eta]) if eta.shape[1] == 1 else eta
    losses = np.logaddexp.reduce(eta, axis=1) - eta[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    loss = float(losses @ (np.ones(len(y)) if weights is None else weights))
    if not np.isfinite(model.C):
        return loss
    squares, sizes = (model.coef_**2).sum(), np.abs(model.coef_).sum()
    return float(model.C * loss + (1 - model.l1_ratio) / 2 * squares + model.l1_ratio * sizes)


def exact(estimator: LogisticRegression, X: Any, y: Any, weights: Any = None) -> LogisticRegression:
    """scikit-learn's own fit, to the last digits, or as near as its solver comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(**estimator.get_params() | {"tol": 1e-10, "max_iter": 5000}).fit(X, y, weights)


def standard(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with standardised columns, on which scikit-learn's slower solvers converge."""
    return frame.assign(**{name: (frame[name] - frame[name].mean()) / frame[name].std() for name in NAMES})


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        LogisticRegression(C=1e-4),
        LogisticRegression(C=np.inf, solver="newton-cholesky"),
        LogisticRegression(fit_intercept=False),
        LogisticRegression(class_weight="balanced"),
        LogisticRegression(class_weight={0: 5, 1: 0.5}),
        LogisticRegression(l1_ratio=1.0, C=0.01, solver="saga"),
        LogisticRegression(l1_ratio=0.5, C=0.01, solver="saga"),
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_minimum_is_the_one_of_scikit_learn(n_classes: int, estimator: LogisticRegression, weighted: bool) -> None:
    frame = standard(FRAMES[n_classes]) if estimator.l1_ratio else FRAMES[n_classes]
    source = bigml.from_pandas(frame if weighted else frame.drop(columns="w"), part_rows=700)
    model = bigml.fit(estimator, source, target="y", sample_weight="w" if weighted else None)
    X, y, weights = frame[NAMES].to_numpy(), frame["y"].to_numpy(), frame["w"].to_numpy() if weighted else None
    expected = exact(estimator, X, y, weights)
    totals = np.ones(len(y)) if weights is None else weights
    if estimator.class_weight == "balanced":
        per_class = np.bincount(y, totals)
        totals = totals * (totals.sum() / n_classes / per_class)[y]
    elif estimator.class_weight:
        totals = totals * np.array([5, 0.5, 1])[y]
    assert objective(model, X, y, totals) <= objective(expected, X, y, totals) * (1 + 1e-7)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-4, atol=2e-3)
    assert 1 <= model.n_iter_[0] <= 7


def counted(estimator: Any, frame: pd.DataFrame, **options: Any) -> tuple[Any, float]:
    """The model, and how often each part was read."""
    source = CountingSource(bigml.from_pandas(frame, part_rows=500))
    model = bigml.fit(estimator, source, target="y", **options)
    return model, len(source.reads) / len(source.parts)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.usefixtures("small_sample")
def test_few_scans_suffice(n_classes: int) -> None:
    _, reads = counted(LogisticRegression(), FRAMES[n_classes].drop(columns="w"), classes=range(n_classes))
    assert reads <= 5


def test_few_rows_are_read_once() -> None:
    model, reads = counted(LogisticRegression(), FRAMES[2].drop(columns="w"), classes=[0, 1])
    expected = exact(LogisticRegression(), FRAMES[2][NAMES].to_numpy(), FRAMES[2]["y"])
    assert reads == 1
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("width", [3, 200])
@pytest.mark.parametrize("n_classes", [2, 8])
def test_one_hot_columns_stay_sparse_and_reach_the_same_minimum(
    width: int, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_fit, "LARGEST", 64)
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, width, size=(3000, 3))
    y = (kinds.sum(axis=1) * n_classes // (3 * width) + rng.integers(0, 2, 3000)) % n_classes
    frame = pd.DataFrame(kinds, columns=list("abc")).astype(str).assign(y=y)
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression(tol=1e-6))
    model = bigml.fit(pipeline, bigml.from_pandas(frame, part_rows=500), target="y")
    X = model[0].transform(frame[list("abc")])
    expected = exact(LogisticRegression(), X, y)
    assert objective(model[-1], X.toarray(), y) <= objective(expected, X.toarray(), y) * (1 + 1e-7)


@pytest.mark.usefixtures("small_sample")
def test_many_coefficients_with_l1_reach_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_fit, "LARGEST", 8)
    frame = standard(FRAMES[3]).drop(columns="w")
    estimator = LogisticRegression(l1_ratio=0.8, C=0.02, solver="saga", tol=1e-6)
    model = bigml.fit(estimator, bigml.from_pandas(frame, part_rows=500), target="y")
    X, y = frame[NAMES].to_numpy(), frame["y"].to_numpy()
    expected = exact(estimator, X, y)
    assert objective(model, X, y) <= objective(expected, X, y) * (1 + 1e-7)
    assert ((model.coef_ == 0) == (expected.coef_ == 0)).all()


def test_the_intercept_counts_as_liblinear_counts_it() -> None:
    estimator = LogisticRegression(solver="liblinear", C=0.01, intercept_scaling=2.0)
    frame = standard(FRAMES[2]).drop(columns="w")
    model = bigml.fit(estimator, bigml.from_pandas(frame, part_rows=500), target="y")
    expected = exact(estimator, frame[NAMES].to_numpy(), frame["y"])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-4)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-4)


PLAIN = FRAMES[3].drop(columns="w")


@settings(max_examples=12, deadline=None)
@given(part_rows=st.integers(40, N), l1_ratio=st.sampled_from([0.0, 0.5]))
def test_any_chunking_gives_the_same_model(part_rows: int, l1_ratio: float) -> None:
    estimator = LogisticRegression(C=0.1, l1_ratio=l1_ratio, solver="saga")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logistic, "SAMPLE_ROWS", 400)
        one, other = (bigml.fit(estimator, bigml.from_pandas(PLAIN, part_rows=size), target="y") for size in (part_rows, N))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.intercept_, other.intercept_, rtol=1e-9, atol=1e-9)
    assert one.n_iter_ == other.n_iter_


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads() -> None:
    frame = rows(3, 40_000, seed=1).drop(columns="w")
    source = bigml.from_pandas(frame, part_rows=6000)
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        there = bigml.fit(LogisticRegression(), source, target="y", client=client)
    here = bigml.fit(LogisticRegression(), source, target="y")
    assert (there.coef_ == here.coef_).all()
    assert (there.intercept_ == here.intercept_).all()


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_both_widths_are_learned_in_double_precision(dtype: Any) -> None:
    frame = FRAMES[2].drop(columns="w").astype(dict.fromkeys(NAMES, dtype))
    model = bigml.fit(LogisticRegression(tol=1e-8), bigml.from_pandas(frame, part_rows=500), target="y")
    expected = exact(LogisticRegression(), frame[NAMES].to_numpy(np.float64), frame["y"])
    assert model.coef_.dtype == np.float64
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)


@pytest.mark.parametrize("sample", [200, 10_000])
def test_classes_that_features_tell_apart_end_with_a_warning(sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "SAMPLE_ROWS", sample)
    x = np.arange(600.0)
    frame = pd.DataFrame({"x": x, "y": x > 300})
    with pytest.warns(ConvergenceWarning, match="without a penalty"):
        model = bigml.fit(LogisticRegression(C=np.inf), bigml.from_pandas(frame, part_rows=100), target="y")
    assert (model.predict(frame[["x"]]) == frame["y"]).all()


@pytest.mark.usefixtures("small_sample")
def test_too_few_steps_end_with_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = bigml.fit(LogisticRegression(max_iter=1), bigml.from_pandas(PLAIN, part_rows=500), target="y")
    assert model.n_iter_.tolist() == [1]


def hard(case: str) -> pd.DataFrame:
    """Rows of which a sample tells little, or that are badly scaled."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(12_000, 6))
    eta = X @ np.linspace(-1, 1, 6) - (5 if case == "a rare class" else 0)
    if case == "scales":
        X = (X + 10 * rng.normal(size=6)) * 10.0 ** np.arange(-1.5, 1.5, 0.5)
    elif case == "heavy tails":
        X = np.exp(1.5 * X)
    elif case == "nearly collinear":
        X[:, 3:] = X[:, :3] + 1e-5 * X[:, 3:]
    elif case == "nearly separable":
        eta = 30 * eta
    return pd.DataFrame(X, columns=NAMES).assign(y=(rng.random(len(X)) < 1 / (1 + np.exp(-eta))).astype(int))


@pytest.mark.parametrize("case", ["scales", "heavy tails", "a rare class", "nearly collinear", "nearly separable"])
@pytest.mark.parametrize("C", [1.0, 1e4])
def test_hard_rows_reach_the_minimum_in_few_scans(case: str, C: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "SAMPLE_ROWS", 2000)
    frame = hard(case)
    model, reads = counted(LogisticRegression(C=C), frame, classes=[0, 1])
    X, y = frame[NAMES].to_numpy(), frame["y"].to_numpy()
    expected = exact(LogisticRegression(C=C, solver="newton-cholesky"), X, y)
    assert objective(model, X, y) <= objective(expected, X, y) * (1 + 1e-7)
    assert reads <= 10


@pytest.mark.parametrize(("factor", "are"), [(1.0, True), (1.2, True), (1.3, False), (0.7, False)])
def test_second_derivatives_are_alike_when_no_direction_tells_them_apart(factor: float, are: bool) -> None:
    root = np.random.default_rng(0).normal(size=(4, 4))
    assert linear_fit.alike(root @ np.diag([1, 1, 1, factor]) @ root.T, root @ root.T) is are


def test_nothing_is_like_second_derivatives_that_vanish() -> None:
    assert not linear_fit.alike(np.eye(2), np.zeros((2, 2)))


@pytest.mark.usefixtures("small_sample")
def test_collinear_columns_change_no_prediction() -> None:
    frame = FRAMES[2].drop(columns="w")
    doubled = frame.assign(again=frame["x0"] * 2, one=1.0)
    plain, more = (
        bigml.fit(LogisticRegression(C=np.inf), bigml.from_pandas(rows, part_rows=500), target="y") for rows in (frame, doubled)
    )
    chances = more.predict_proba(doubled.drop(columns="y"))
    np.testing.assert_allclose(chances, plain.predict_proba(frame[NAMES]), atol=1e-6)


@pytest.mark.usefixtures("small_sample")
def test_a_class_that_the_sample_misses_is_learned() -> None:
    frame = FRAMES[2].drop(columns="w").assign(y=np.where(np.arange(N) < 3, "rare", FRAMES[2]["y"].astype(str)))
    model = bigml.fit(LogisticRegression(), bigml.from_pandas(frame, part_rows=500), target="y")
    X = frame[NAMES].to_numpy()
    expected = exact(LogisticRegression(), X, frame["y"])
    assert model.classes_.tolist() == ["0", "1", "rare"]
    assert objective(model, X, frame["y"]) <= objective(expected, X, frame["y"]) * (1 + 1e-7)


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(C=-1.0), LogisticRegression(l1_ratio=1.0), LogisticRegression(class_weight={7: 1.0})],
    ids=str,
)
def test_what_scikit_learn_refuses_is_refused(estimator: LogisticRegression) -> None:
    with pytest.raises(FitError, match="parameters that scikit-learn accepts"):
        bigml.fit(estimator, bigml.from_pandas(PLAIN), target="y")


def test_rows_without_weight_are_refused() -> None:
    with pytest.raises(DataError, match="a weight above 0"):
        bigml.fit(LogisticRegression(), bigml.from_pandas(FRAMES[2].assign(w=0.0)), target="y", sample_weight="w")


NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
CENSUS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
CENSUS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
KINDS = [name for name in CENSUS if name not in [*NUMBERS, "income"]]


def census(path: Any, skip: int = 0) -> pd.DataFrame:
    frame = pd.read_csv(path, names=CENSUS, skipinitialspace=True, na_values="?", skiprows=skip)
    return frame.assign(income=frame["income"].str.rstrip("."))


def test_census_reaches_the_loss_of_scikit_learn_in_memory(data_dir: Any) -> None:
    train, test = census(data_dir / "adult" / "adult.data.gz"), census(data_dir / "adult" / "adult.test.gz", skip=1)
    preprocessing = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), KINDS),
    )
    pipeline = make_pipeline(preprocessing, LogisticRegression(max_iter=1000))
    source = CountingSource(bigml.from_pandas(train, part_rows=4000))
    model = bigml.fit(pipeline, source, target="income")
    expected = make_pipeline(preprocessing, LogisticRegression(max_iter=10_000, tol=1e-8)).fit(
        train.drop(columns="income"), train["income"]
    )
    own, other = (log_loss(train["income"], one.predict_proba(train)) for one in (model, expected))
    assert own == pytest.approx(other, rel=1e-6)
    assert len(source.reads) / len(source.parts) <= 8
    chances = model.predict_proba(test)[:, 1]
    assert (model.predict(test) == test["income"]).mean() >= 0.850
    assert roc_auc_score(test["income"] == ">50K", chances) >= 0.903


def test_digits_are_told_apart_as_well_as_by_scikit_learn(data_dir: Any) -> None:
    images, labels = (data_dir / "mnist" / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    rows = bigml.read_idx(images, y=labels).head(2500).to_pandas()
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression(C=0.02))
    model = bigml.fit(pipeline, bigml.from_pandas(rows, part_rows=500), target="target")
    X, y = model[0].transform(rows.drop(columns="target")), rows["target"]
    expected = exact(LogisticRegression(C=0.02), X, y)
    assert objective(model[-1], X, y) <= objective(expected, X, y) * (1 + 1e-6)
    assert (model[-1].predict(X) == expected.predict(X)).mean() >= 0.999
