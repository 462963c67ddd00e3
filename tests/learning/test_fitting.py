"""The chain: scikit-learn's own partial_fit loop, in a seeded order, with clear refusals."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import ColumnError, DataError, FitError, SourceError
from bigml.learning.batch import Batch
from bigml.learning.chains.checkpoint import described
from bigml.learning.chains.incremental import Step
from bigml.learning.design import Design

N = 600


def table(seed: int = 0) -> pd.DataFrame:
    """Two numbers, a string, and targets that depend on them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(5, 2, N), "z": rng.exponential(size=N), "s": rng.choice(list("abc"), N)})
    frame["late"] = (frame["x"] + (frame["s"] == "a") + rng.normal(size=N) > 5.5).astype(int)
    frame["delay"] = 3 * frame["x"] - frame["z"] + rng.normal(size=N)
    frame["word"] = np.where(frame["late"] == 1, "late", "on time")
    return frame


FRAME = table()
SOURCE = bigml.from_pandas(FRAME, part_rows=70)
MIXED = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), ["x", "z"]), (OneHotEncoder(), ["s"]))


def plain_loop(estimator: Any, frame: pd.DataFrame, target: str, epochs: int, seed: int, part_rows: int = 70) -> Any:
    """The loop that anyone would write with scikit-learn, in the documented order."""
    model = clone(estimator)
    if model.random_state is None:
        model.set_params(random_state=seed)
    parts = [frame.iloc[start : start + part_rows] for start in range(0, len(frame), part_rows)]
    more = {"classes": np.unique(frame[target])} if hasattr(model, "decision_function") else {}
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(parts))
        for number in range(0, len(parts), 4):
            window = [parts[i] for i in order[number : number + 4]]
            n, random = len(window), np.random.default_rng([seed, epoch, number // 4, 1])
            shifts = random.integers(n, size=n)
            strips = [[part.iloc[len(part) * k // n : len(part) * (k + 1) // n] for k in range(n)] for part in window]
            mixed = [pd.concat([strips[i][(j + shifts[i]) % n] for i in range(n)]) for j in range(n)]
            for rows in mixed:
                chosen = rows if model.shuffle else rows.iloc[random.permutation(len(rows))]
                model.partial_fit(chosen[["x", "z"]].to_numpy(), chosen[target].to_numpy(), **more)
    return model


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (SGDClassifier(loss="log_loss", average=True), "late"),
        (Perceptron(), "late"),
        (SGDRegressor(), "delay"),
        (SGDRegressor(shuffle=False), "delay"),
        (SGDClassifier(), "word"),
    ],
)
def test_coefficients_equal_the_plain_loop_bit_by_bit(estimator: Any, target: str) -> None:
    source = SOURCE.select("x", "z", target)
    model = bigml.fit(estimator, source, target=target, epochs=2, seed=5)
    expected = plain_loop(estimator, FRAME, target, epochs=2, seed=5)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(model.intercept_, expected.intercept_)
    assert model.random_state == estimator.random_state
    assert list(model.feature_names_in_) == ["x", "z"]


def test_the_result_is_a_pipeline_like_the_callers_own() -> None:
    given = make_pipeline(MIXED, SGDClassifier(loss="log_loss"))
    model = bigml.fit(given, SOURCE.drop("delay", "word"), target="late", epochs=3)
    assert [name for name, _ in model.steps] == [name for name, _ in given.steps]
    assert list(model.feature_names_in_) == ["x", "z", "s"]
    assert model.score(FRAME, FRAME["late"]) > 0.65
    assert not hasattr(given[-1], "coef_")
    np.testing.assert_allclose(model[:-1].transform(FRAME), clone(MIXED).fit_transform(FRAME), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part_rows", [70, 600])
def test_the_seed_decides_and_nothing_else(part_rows: int) -> None:
    source = bigml.from_pandas(FRAME[["x", "z", "late"]], part_rows=part_rows)
    first, again, other = (bigml.fit(SGDClassifier(), source, target="late", seed=seed).coef_ for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_without_shuffling_rows_are_learned_in_their_order() -> None:
    model = bigml.fit(SGDRegressor(shuffle=False), SOURCE.select("x", "z", "delay"), target="delay", shuffle=False)
    expected = SGDRegressor(shuffle=False)
    for start in range(0, N, 70):
        rows = FRAME.iloc[start : start + 70]
        expected.partial_fit(rows[["x", "z"]].to_numpy(), rows["delay"].to_numpy())
    np.testing.assert_array_equal(model.coef_, expected.coef_)


class Mean(BaseEstimator):
    """An estimator of one's own: counts what it has seen."""

    def partial_fit(self, X: Any, y: Any = None) -> Mean:
        self.rows_ = getattr(self, "rows_", 0) + len(X)
        self.sum_ = getattr(self, "sum_", 0.0) + float(y.sum())
        return self


class Shy(ClassifierMixin, BaseEstimator):
    """A classifier that only fits all at once."""

    def fit(self, X: Any, y: Any) -> Shy:
        return self


def test_estimators_of_many_kinds_learn() -> None:
    numbers = SOURCE.select("x", "z", "late", "delay")
    mlp = bigml.fit(make_pipeline(StandardScaler(), MLPClassifier((8,))), numbers.drop("delay"), target="late", epochs=20)
    assert mlp.score(FRAME[["x", "z"]], FRAME["late"]) > 0.75
    regressor = bigml.fit(
        make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,))), numbers.drop("late"), target="delay", epochs=2
    )
    assert regressor.predict(FRAME[["x", "z"]]).shape == (N,)
    clusters = bigml.fit(MiniBatchKMeans(3, n_init=1), numbers.select("x", "z"))
    assert clusters.cluster_centers_.shape == (3, 2)
    bayes = bigml.fit(make_pipeline(make_column_transformer((OneHotEncoder(), ["s"])), MultinomialNB()), SOURCE, target="late")
    assert bayes[-1].class_count_.sum() == N
    own = bigml.fit(Mean(), numbers, target="delay", epochs=2)
    assert own.rows_ == 2 * N
    assert own.sum_ == pytest.approx(2 * FRAME["delay"].sum())


def test_filtered_parts_and_empty_ones_are_learned_from() -> None:
    source = bigml.from_pandas(FRAME.sort_values("x")[["x", "late", "delay"]], part_rows=50).where("x > 5").drop("late")
    model = bigml.fit(Mean(), source, target="delay")
    assert model.rows_ == (FRAME["x"] > 5).sum()


def test_a_step_that_runs_twice_counts_once() -> None:
    step, batch = Step(("x",)), Batch(np.arange(3), np.ones((3, 1)), np.ones(3))
    before = step(Mean(), batch)
    once, twice = step(before, batch), step(before, batch)
    assert before.rows_ == 3
    assert once.rows_ == twice.rows_ == 6


def test_progress_counts_the_parts_of_all_epochs() -> None:
    told: list[tuple[int, int]] = []
    bigml.fit(SGDRegressor(), SOURCE.select("x", "delay"), target="delay", epochs=2, progress=lambda *done: told.append(done))
    assert told[-1] == (18, 18)
    assert told == sorted(told)


BLOCKED = """
import sys, pickle, pandas as pd, skops.io
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "bigml":
            raise ImportError("bigml is blocked")
sys.meta_path.insert(0, Blocker())
folder = sys.argv[1]
frame = pd.read_pickle(folder + "/frame")
for model in (pickle.load(open(folder + "/model.pickle", "rb")), skops.io.load(folder + "/model.skops", trusted=["numpy.dtype"])):
    pd.DataFrame(model.predict_proba(frame)).to_csv(sys.stdout, float_format="%.17g")
assert "bigml" not in sys.modules
"""


def test_the_model_predicts_where_bigml_cannot_be_imported(tmp_path: Path) -> None:
    model = bigml.fit(make_pipeline(MIXED, SGDClassifier(loss="log_loss")), SOURCE.drop("delay", "word"), target="late")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    skops.io.dump(model, tmp_path / "model.skops")
    own = skops.io.dumps(clone(model).fit(FRAME.drop(columns="late"), FRAME["late"]))
    assert skops.io.get_untrusted_types(file=tmp_path / "model.skops") == skops.io.get_untrusted_types(data=own)
    FRAME.to_pickle(tmp_path / "frame")
    command = [sys.executable, "-c", BLOCKED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    expected = io.StringIO()
    pd.DataFrame(model.predict_proba(FRAME)).to_csv(expected, float_format="%.17g")
    assert done.stdout == 2 * expected.getvalue()


BAD = FRAME.drop(columns=["s", "word"]).copy()
BAD.loc[333, "z"] = np.nan
HOLED = FRAME[["x", "late"]].astype({"late": "float64"})
HOLED.loc[77, "late"] = np.nan
INFINITE = FRAME[["x", "delay"]].copy()
INFINITE.loc[10, "delay"] = np.inf


@pytest.mark.parametrize(
    ("estimator", "frame", "options", "error", "words"),
    [
        (SGDClassifier(), FRAME[["x", "late"]].assign(late=1), {"target": "late"}, DataError, r"two classes or more.*only \[1\]"),
        (SGDClassifier(), BAD, {"target": "late"}, DataError, r"NaN.*column `z`, row 333, part 4 \(rows 280 to 349"),
        (make_pipeline(StandardScaler(), SGDClassifier()), BAD, {"target": "late"}, DataError, r"NaN.*column `z`, row 333"),
        (SGDClassifier(), HOLED, {"target": "late"}, DataError, r"target in every row.*column `late`, row 77, part 1"),
        (SGDClassifier(), HOLED, {"target": "late", "classes": [0, 1]}, DataError, r"column `late`, row 77, part 1"),
        (SGDRegressor(), INFINITE, {"target": "delay"}, DataError, r"infinity.*column `delay`, row 10, part 0"),
        (SGDClassifier(), FRAME[["x", "late"]], {"target": "lat"}, ColumnError, r"`lat`.*Did you mean `late`"),
        (
            SGDClassifier(),
            FRAME[["x", "late"]],
            {"target": "late", "classes": [0, 2]},
            DataError,
            r"classes \[0, 2\].*class .*1.*part",
        ),
        (SGDClassifier(), FRAME[["x"]], {}, FitError, r"target="),
        (SGDClassifier(), FRAME[["x", "s", "late"]], {"target": "late"}, bigml.BigmlError, r"numeric column.*`s`"),
        (
            RandomForestClassifier(),
            FRAME[["x", "late"]],
            {"target": "late"},
            FitError,
            r"`RandomForestClassifier`.*source.sample",
        ),
        (make_pipeline(StandardScaler(), Shy()), FRAME[["x", "late"]], {"target": "late"}, FitError, "`Shy`"),
        (LinearRegression, FRAME[["x", "late"]], {"target": "late"}, FitError, "an instance"),
        (SGDClassifier(), FRAME[["x", "delay"]], {"target": "delay"}, bigml.BigmlError, "."),
        (MiniBatchKMeans(500), FRAME[["x"]], {}, FitError, r"`MiniBatchKMeans.partial_fit` accepts.*part"),
        (SGDRegressor(), FRAME[["x", "delay"]], {"target": "delay", "epochs": 0}, FitError, "epochs=0"),
    ],
)
def test_bad_input_is_one_clear_error(
    estimator: Any, frame: pd.DataFrame, options: dict[str, Any], error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        bigml.fit(estimator, bigml.from_pandas(frame, part_rows=70), **options)


class Diverging(Mean):
    """Its weight becomes infinite."""

    def partial_fit(self, X: Any, y: Any = None) -> Diverging:
        self.coef_ = np.array([np.inf])
        return self


def test_a_model_that_diverged_is_not_returned() -> None:
    with pytest.raises(DataError, match="finite weights"):
        bigml.fit(Diverging(), SOURCE.select("x", "delay"), target="delay")


@pytest.mark.parametrize("part_rows", [600, 20])
def test_gathered_encodings_equal_the_plain_transform(part_rows: int) -> None:
    frame = FRAME.assign(n=np.arange(N) % 5, e=pd.Series(np.where(np.arange(N) % 7, "e", None)))
    encoders = make_column_transformer(
        (OneHotEncoder(drop="first", handle_unknown="ignore", min_frequency=10), ["s", "n"]),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["e", "s"]),
        (StandardScaler(), ["x"]),
        ("passthrough", ["z"]),
    )
    source = bigml.from_pandas(frame, part_rows=part_rows)
    for threshold in (0.0, 1.0):
        fitted = bigml.fit(encoders.set_params(sparse_threshold=threshold), source)
        for chunk in source.iter_chunks():
            ours, theirs = Design(tuple(frame.columns), fitted).matrix(chunk), fitted.transform(chunk.to_pandas())
            assert type(ours) is type(theirs)
            difference = np.abs(ours - theirs)
            assert difference.max() == 0


def test_descriptions_tell_estimators_apart_and_nothing_else() -> None:
    assert described(SGDClassifier(alpha=0.1)) == described(SGDClassifier(alpha=0.1))
    assert described(SGDClassifier(alpha=0.1)) != described(SGDClassifier(alpha=0.2))
    assert described(make_pipeline(MIXED)) != described(make_pipeline(StandardScaler()))
    assert "0x" not in repr(described({"f": described, "of": [np.arange(3)]}))


def test_no_rows_to_learn_from_is_refused() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    with pytest.raises(DataError, match="rows to learn from, got none"):
        bigml.fit(SGDRegressor(), source.where("x > 100"), target="y")


MOMENT = pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(N), "h")
TIMES = pa.table({
    "x": FRAME["x"],
    "late": FRAME["late"],
    "stamp": pa.array(MOMENT),
    "day": pa.array(MOMENT).cast(pa.date32()),
    "clock": pa.array(np.arange(N), pa.time64("us")),
    "took": pa.array(np.arange(N), pa.duration("s")),
    "list": pa.array([[1.0]] * N),
    "struct": pa.array([{"a": 1}] * N),
})  # fmt: skip
PASSING = make_pipeline(make_column_transformer((StandardScaler(), ["x"]), remainder="passthrough"), SGDClassifier())


SCALER, IMPUTER = StandardScaler(), SimpleImputer(strategy="median")


@pytest.mark.parametrize("name", TIMES.column_names[2:])
@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (SGDClassifier(), "late"),
        (SCALER, None),
        (IMPUTER, None),
        (make_pipeline(SCALER, SGDClassifier()), "late"),
        (PASSING, "late"),
    ],
    ids=["final", "scaled", "imputed", "scaled before", "passed on"],
)
def test_times_and_nested_columns_are_not_learned_as_numbers(estimator: Any, target: str | None, name: str) -> None:
    words = rf"columns of numbers or categories, got .* - column `{name}`\. Make numbers of it, .*source\.drop\(\"{name}\"\)"
    with pytest.raises(FitError, match=words):
        bigml.fit(estimator, bigml.from_arrow(TIMES).select("x", name, "late"), target=target)


def test_a_time_is_no_target_of_a_regressor() -> None:
    with pytest.raises(FitError, match="column `stamp`"):
        bigml.fit(SGDRegressor(), bigml.from_arrow(TIMES).select("x", "stamp"), target="stamp")


def test_the_advice_for_times_works() -> None:
    source = bigml.from_arrow(TIMES).select("x", "stamp", "day", "took", "late")
    source = source.assign(month=lambda frame: frame["stamp"].dt.month).drop("stamp")
    source = source.assign(date=bigml.col("day").cast("int32"), seconds=bigml.col("took").cast("int64")).drop("day", "took")
    scaler = bigml.fit(StandardScaler(), source)
    expected = StandardScaler().fit(pd.DataFrame({"month": MOMENT.month, "seconds": np.arange(N)}))
    np.testing.assert_allclose(scaler.mean_[[2, 4]], expected.mean_)


def test_times_are_categories_to_an_encoder_and_dropped_ones_do_no_harm() -> None:
    encoder = make_column_transformer((OneHotEncoder(), ["day"]), (StandardScaler(), ["x"]))
    model = bigml.fit(make_pipeline(encoder, SGDClassifier()), bigml.from_arrow(TIMES, part_rows=70), target="late")
    assert model[-1].coef_.shape == (1, N // 24 + 1)


def test_a_table_in_memory_is_a_source() -> None:
    frame = FRAME[["x", "z", "late"]]
    expected = bigml.fit(SGDClassifier(), bigml.from_pandas(frame), target="late")
    for data in (frame, pa.Table.from_pandas(frame)):
        model = bigml.fit(SGDClassifier(), data, target="late")
        np.testing.assert_array_equal(model.coef_, expected.coef_)
        assert bigml.score(model, data, target="late") == model.score(frame[["x", "z"]], frame["late"])
        assert bigml.predict(model, data).to_pandas()["prediction"].tolist() == model.predict(frame[["x", "z"]]).tolist()


@pytest.mark.parametrize("data", [FRAME.to_numpy(), FRAME["x"], "late.parquet", None])
def test_what_is_no_table_is_one_clear_error(data: Any) -> None:
    model = SGDRegressor().fit(FRAME[["x"]], FRAME["delay"])
    words = rf"a source, or a table such as a pandas DataFrame, got `{type(data).__name__}`.*bigml\.from_pandas\(frame\)"
    for work in (bigml.fit, bigml.score):
        with pytest.raises(SourceError, match=words):
            work(model, data, target="delay")
    with pytest.raises(SourceError, match=words):
        bigml.predict(model, data)
