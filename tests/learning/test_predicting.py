"""Predictions as a source, and streamed to Parquet."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import bigml
from bigml.errors import ColumnError, DataError, FitError, SchemaError

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"id": np.arange(300), "x": RNG.normal(size=300), "s": RNG.choice(list("abc"), 300)})
FRAME["late"] = FRAME["x"] > 0.2
FRAME["kind"] = FRAME["s"].str.upper()
FRAME["delay"] = 2 * FRAME["x"]
SOURCE = bigml.from_pandas(FRAME, part_rows=40)
ENCODED = make_column_transformer((OneHotEncoder(), ["s"]), (StandardScaler(), ["x"]))


def model(final: Any, target: str) -> Any:
    return make_pipeline(ENCODED, final).fit(FRAME[["x", "s"]], FRAME[target])


@pytest.mark.parametrize(
    ("fitted", "method", "names"),
    [
        (model(LogisticRegression(), "late"), "predict", ["prediction"]),
        (model(LogisticRegression(), "kind"), "predict", ["prediction"]),
        (model(LogisticRegression(), "kind"), "predict_proba", ["proba_A", "proba_B", "proba_C"]),
        (model(LogisticRegression(), "late"), "decision_function", ["decision"]),
        (model(LinearRegression(), "delay"), "predict", ["prediction"]),
        (model(KMeans(3, n_init=1), "delay"), "predict", ["prediction"]),
        (LinearRegression().fit(FRAME[["x"]], FRAME["delay"]), "predict", ["prediction"]),
        (ENCODED.fit(FRAME), "transform", list(ENCODED.fit(FRAME).get_feature_names_out())),
    ],
)
def test_predictions_equal_scikit_learns(fitted: Any, method: str, names: list[str]) -> None:
    predicted = bigml.predict(fitted, SOURCE, method=method, columns=["id"])
    assert predicted.columns == ("id", *names)
    assert predicted.n_rows == 300
    frame = predicted.to_pandas()
    expected = getattr(fitted, method)(FRAME[list(fitted.feature_names_in_)])
    np.testing.assert_array_equal(frame["id"], FRAME["id"])
    np.testing.assert_array_equal(frame[names].to_numpy().squeeze(), np.asarray(expected).squeeze())


FEATURES = ["id", "x"]
TWO_NUMBERS = LinearRegression().fit(FRAME[FEATURES], FRAME[["x", "delay"]])
TWO_WORDS = DecisionTreeClassifier().fit(FRAME[FEATURES], FRAME[["s", "kind"]])
TWO_LABELS = KNeighborsClassifier(3).fit(FRAME[FEATURES], np.c_[FRAME["late"], FRAME["x"] > 0].astype(int))


SCALED = make_pipeline(StandardScaler(), LinearRegression()).fit(FRAME[FEATURES], FRAME[["x", "delay"]])


@pytest.mark.parametrize("fitted", [TWO_NUMBERS, TWO_WORDS, TWO_LABELS, SCALED])
def test_every_output_of_a_model_is_a_column(fitted: Any) -> None:
    predicted = bigml.predict(fitted, SOURCE, columns=["id"])
    assert predicted.columns == ("id", "prediction_0", "prediction_1")
    table = predicted.to_pandas()[["prediction_0", "prediction_1"]].to_numpy()
    np.testing.assert_array_equal(table, fitted.predict(FRAME[FEATURES]))


def test_a_target_of_one_column_gives_one_prediction() -> None:
    fitted = LinearRegression().fit(FRAME[["x"]], FRAME[["delay"]])
    frame = bigml.predict(fitted, SOURCE).to_pandas()
    np.testing.assert_array_equal(frame["prediction"], fitted.predict(FRAME[["x"]]).ravel())


@pytest.mark.parametrize(
    "fitted", [LinearRegression(), make_pipeline(StandardScaler(), PCA(1), LinearRegression()), make_pipeline(PCA(1))]
)
def test_a_number_that_is_not_finite_is_named_with_column_row_and_part(fitted: Any) -> None:
    frame = FRAME.assign(x=FRAME["x"].where(FRAME["id"] != 123))
    fitted.fit(FRAME[FEATURES], FRAME["delay"])
    method = "predict" if hasattr(fitted, "predict") else "transform"
    with pytest.raises(DataError, match=r"got NaN - column `x`, row 123. Impute") as caught:
        bigml.predict(fitted, bigml.from_pandas(frame, part_rows=40), method=method).to_pandas()
    notes = pickle.loads(pickle.dumps(caught.value)).__notes__
    assert "while reading part 3 (rows 120 to 159)" in notes


def test_predictions_are_written_and_read_again(tmp_path: Path) -> None:
    fitted = model(LogisticRegression(), "late")
    manifest = bigml.predict(fitted, SOURCE, tmp_path / "predictions", method="predict_proba", columns="id")
    assert manifest.rows == 300
    frame = bigml.read_parquet(tmp_path / "predictions").to_pandas()
    np.testing.assert_array_equal(frame["proba_True"], fitted.predict_proba(FRAME)[:, 1])


WORDS = pd.DataFrame({"id": range(120), "text": [f"w{i % 7} w{i % 11} w{i}" for i in range(120)]})


def test_a_sparse_transform_is_written_as_columns_beside_the_identifiers(tmp_path: Path) -> None:
    fitted = make_pipeline(make_column_transformer((CountVectorizer(), "text")), TfidfTransformer()).fit(WORDS)
    expected = fitted.transform(WORDS)
    assert sparse.issparse(expected)
    source = bigml.from_pandas(WORDS, part_rows=50)
    bigml.predict(fitted, source, tmp_path / "words", method="transform", columns=["id"])
    frame = bigml.read_parquet(tmp_path / "words").to_pandas()
    assert list(frame) == ["id", *fitted.get_feature_names_out()]
    np.testing.assert_array_equal(frame["id"], WORDS["id"])
    np.testing.assert_array_equal(frame.drop(columns="id").to_numpy(), expected.toarray())


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_every_method_is_streamed_with_identifiers(method: str, tmp_path: Path) -> None:
    fitted = model(LogisticRegression(), "kind")
    manifest = bigml.predict(fitted, SOURCE.where("id >= 7"), tmp_path / "out", method=method, columns=["id"])
    assert manifest.rows == 293
    frame = bigml.read_parquet(tmp_path / "out").to_pandas()
    assert frame["id"].tolist() == list(range(7, 300))
    expected = np.asarray(getattr(fitted, method)(FRAME[7:]))
    np.testing.assert_array_equal(frame.drop(columns="id").to_numpy().squeeze(), expected)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (CountVectorizer(), r"at most 1,000 features to make columns of, got 1,5\d\d.*TruncatedSVD"),
        (HashingVectorizer(), r"at most 1,000 features.*1,048,576.*TruncatedSVD"),
    ],
)
def test_a_transform_too_wide_for_columns_is_refused_before_anything_is_written(step: Any, words: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [f"word{i}" for i in range(1500)]})
    fitted = make_column_transformer((step, "text")).fit(frame)
    with pytest.raises(FitError, match=words):
        bigml.predict(fitted, frame, tmp_path / "out", method="transform")
    assert not (tmp_path / "out").exists()


def test_a_refused_value_leaves_nothing_written(tmp_path: Path) -> None:
    bad = bigml.from_pandas(FRAME.assign(s=FRAME["s"].where(FRAME["id"] != 250, "new")), part_rows=40)
    with pytest.raises(DataError, match=r"categories that were there in fit, got 'new' - column `s`"):
        bigml.predict(model(LogisticRegression(), "late"), bad, tmp_path / "predictions")
    assert not (tmp_path / "predictions").exists()


def test_predictions_of_a_filtered_source_skip_what_is_gone() -> None:
    fitted = model(LogisticRegression(), "late")
    frame = bigml.predict(fitted, SOURCE.where("id > 100"), columns=["id"]).to_pandas()
    assert frame["id"].tolist() == list(range(101, 300))


def test_only_the_copied_columns_are_read_when_predictions_are_not_asked_for() -> None:
    predicted = bigml.predict(model(LogisticRegression(), "late"), SOURCE, columns=["id"])
    assert predicted.needs(["id"]) == ("id",)


def test_models_are_told_apart_by_their_tokens() -> None:
    first, second = (
        bigml.predict(model(final, "late"), SOURCE).token for final in (LogisticRegression(), LogisticRegression(C=9))
    )
    assert first != second
    assert first == bigml.predict(model(LogisticRegression(), "late"), SOURCE).token


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (SOURCE, {"method": "predict_proba"}, FitError, r"a method among predict, got `predict_proba` - of `LinearRegression`"),
        (SOURCE.drop("x"), {}, ColumnError, r"`x`.*a feature of the model"),
        (SOURCE, {"columns": ["idd"]}, ColumnError, "Did you mean `id`"),
        (SOURCE, {"model": TWO_WORDS, "method": "predict_proba"}, FitError, "one output for `predict_proba`, got one with 2"),
        (SOURCE.rename(id="prediction"), {"columns": ["prediction"]}, SchemaError, "`prediction` in both"),
    ],
)
def test_what_cannot_be_predicted_is_one_clear_error(source: Any, options: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        bigml.predict(**{"model": LinearRegression().fit(FRAME[["x"]], FRAME["delay"]), "source": source, **options})


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"ratio": frame["x"] / frame["delay"], "both": frame["x"] + frame["delay"]})


NUMBERS = FRAME[["x", "delay"]]


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (FunctionTransformer(ratios), ["ratio", "both"]),
        (FunctionTransformer(np.abs), ["x", "delay"]),
        (make_pipeline(StandardScaler(), FunctionTransformer(np.cumsum, kw_args={"axis": 1})),
         ["functiontransformer0", "functiontransformer1"]),
        (make_pipeline(StandardScaler(), FunctionTransformer(np.sum, kw_args={"axis": 1})), ["functiontransformer0"]),
        (make_column_transformer((FunctionTransformer(ratios), ["x", "delay"]), ("passthrough", ["x"])),
         ["columntransformer0", "columntransformer1", "columntransformer2"]),
    ],
)  # fmt: skip
def test_a_transformer_that_names_no_features_makes_columns_all_the_same(step: Any, names: list[str]) -> None:
    fitted = step.fit(NUMBERS)
    expected = np.asarray(fitted.transform(NUMBERS), dtype=np.float64).reshape(300, -1)
    made = bigml.predict(fitted, bigml.from_pandas(FRAME, part_rows=40).where("id >= 100"), method="transform", columns=["id"])
    assert made.columns == ("id", *names)
    np.testing.assert_array_equal(made.to_pandas()[names].to_numpy(), expected[100:])


def test_words_that_are_hashed_become_numbered_columns() -> None:
    fitted = HashingVectorizer(n_features=4)
    made = bigml.predict(fitted, WORDS[["text"]], method="transform").to_pandas()
    assert list(made) == [f"hashingvectorizer{i}" for i in range(4)]
    np.testing.assert_array_equal(made.to_numpy(), fitted.transform(WORDS["text"]).toarray())


def test_without_rows_and_names_there_are_no_columns_to_make() -> None:
    with pytest.raises(FitError, match=r"names its features.*`FunctionTransformer` and no rows"):
        bigml.predict(FunctionTransformer(ratios).fit(NUMBERS), NUMBERS.iloc[:0], method="transform")


def test_a_transformer_that_has_not_learned_is_refused() -> None:
    with pytest.raises(FitError, match=r"a fitted transformer.*not fitted yet"):
        bigml.predict(StandardScaler(), NUMBERS, method="transform")
