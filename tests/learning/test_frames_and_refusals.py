"""Steps between DataFrames, categories that no row has, and values that no estimator can learn from."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskLasso,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

import bigml
from bigml.errors import DataError, FitError

N = 300
NUMBERS = ["a", "b", "c"]
FILLED = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())


def table() -> pd.DataFrame:
    """Numbers, truth values, text, and a category that no row has."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=NUMBERS)
    frame["flag"], frame["s"] = rng.random(N) < 0.3, rng.choice(list("xyz"), N)
    frame["kind"] = pd.Categorical(rng.choice(["lo", "hi"], N), categories=["lo", "hi", "never"])
    frame["y"], frame["r"] = (frame["a"] + rng.normal(size=N) > 0).astype(int), 2 * frame["a"] - frame["b"]
    return frame


FRAME = table()


def source(*columns: str) -> Any:
    return bigml.from_pandas(FRAME[list(columns)], part_rows=40)


FINALS = [
    LogisticRegression(),
    LinearRegression(),
    GaussianNB(),
    KMeans(2, random_state=0),
    OneVsRestClassifier(LogisticRegression()),
]


@pytest.mark.parametrize("final", FINALS, ids=lambda one: type(one).__name__)
def test_models_behind_dataframes_have_the_names_of_their_features(final: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), final).set_output(transform="pandas")
    model = bigml.fit(pipeline, source(*NUMBERS, "y"), target="y")
    assert list(model[-1].feature_names_in_) == NUMBERS
    plain = bigml.fit(make_pipeline(StandardScaler(), clone(final)), source(*NUMBERS, "y"), target="y")
    np.testing.assert_array_equal(model.predict(FRAME[NUMBERS]), plain.predict(FRAME[NUMBERS]))


@pytest.mark.parametrize("step", [PCA(2), TruncatedSVD(2, algorithm="arpack"), KMeans(2, random_state=0)], ids=str)
@pytest.mark.parametrize("compose", [make_pipeline, lambda step: FeatureUnion([("one", step)])], ids=["pipeline", "union"])
def test_a_step_of_scans_learns_from_columns_as_they_are_read(step: Any, compose: Any) -> None:
    model = bigml.fit(make_pipeline(compose(step), StandardScaler(), LogisticRegression()), source(*NUMBERS, "y"), target="y")
    alone = bigml.fit(step, source(*NUMBERS))
    expected = StandardScaler().fit_transform(alone.transform(FRAME[NUMBERS]))
    np.testing.assert_allclose(model[:-1].transform(FRAME[NUMBERS]), expected, atol=1e-9)


def test_members_of_one_against_the_rest_know_the_names_too() -> None:
    model = bigml.fit(OneVsRestClassifier(LogisticRegression()), source(*NUMBERS, "s"), target="s")
    expected = OneVsRestClassifier(LogisticRegression()).fit(FRAME[NUMBERS], FRAME["s"])
    assert list(model.estimators_[0].feature_names_in_) == list(expected.estimators_[0].feature_names_in_)
    np.testing.assert_allclose(model.predict_proba(FRAME[NUMBERS]), expected.predict_proba(FRAME[NUMBERS]), atol=1e-3)


def test_a_chain_of_members_goes_on_from_named_ones() -> None:
    rows, estimator = source(*NUMBERS, "s"), OneVsRestClassifier(SGDClassifier(loss="log_loss"))
    model = bigml.fit(estimator, rows, target="s", epochs=2, validation=rows)
    again = bigml.fit(model, rows, target="s", warm_start=True)
    assert list(again.estimators_[0].feature_names_in_) == NUMBERS
    assert len(again.predict(FRAME[NUMBERS])) == N


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder(), FILLED])
def test_a_category_that_no_row_has_is_no_new_category(encoder: Any) -> None:
    step = make_column_transformer((StandardScaler(), ["a"]), (encoder, ["kind"]))
    model = bigml.fit(make_pipeline(step, SGDClassifier()), source("a", "kind", "y"), target="y")
    predicted = bigml.predict(model, source("a", "kind")).to_pandas()["prediction"]
    np.testing.assert_array_equal(predicted, model.predict(FRAME[["a", "kind"]]))


def test_selectors_see_truth_values_and_integers_for_what_they_are() -> None:
    step = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="float")),
        (OneHotEncoder(), make_column_selector(dtype_include=["object", "str"])),
    )  # fmt: skip
    columns = ["a", "flag", "s", "y"]
    fitted, expected = bigml.fit(step, source(*columns)), clone(step).fit(FRAME[columns])
    assert [chosen for *_, chosen in fitted.transformers_[:2]] == [chosen for *_, chosen in expected.transformers_[:2]]
    np.testing.assert_allclose(fitted.transform(FRAME[columns]), expected.transform(FRAME[columns]), atol=1e-9)


PASSED = make_column_transformer((StandardScaler(), ["a"]), remainder="passthrough")
TEXT = "features that are numbers, got '[xyz]' - column `remainder__s`, row"
REFUSED = {
    "text behind preprocessing": (make_pipeline(PASSED, LogisticRegression()), ["a", "s"], "y", DataError, TEXT),
    "text for a chain": (make_pipeline(PASSED, SGDClassifier()), ["a", "s"], "y", DataError, TEXT),
    "a target of text": (LinearRegression(), NUMBERS, "s", FitError, "a target of numbers, got .*string - column `s`"),
    "a target of text for a chain": (SGDRegressor(), NUMBERS, "s", FitError, "a target of numbers, got .*string - column `s`"),
    "measured classes": (LogisticRegression(), NUMBERS, "r", DataError, "classes: .* - column `r`"),
    "measured classes for a chain": (SGDClassifier(), NUMBERS, "r", DataError, "classes: .* - column `r`"),
    "no features": (LinearRegression(), [], "r", FitError, "columns to learn from, got none"),
    "all dropped": (make_pipeline(make_column_transformer(("drop", ["a"])), LinearRegression()), ["a"], "r", FitError, "none"),
    "a step with a target": (make_pipeline(LinearDiscriminantAnalysis(), GaussianNB()), NUMBERS, "y", FitError, "can be learned"),
    "penalties by folds": (LogisticRegressionCV(), NUMBERS, "y", FitError, "learns by scans .* got `LogisticRegressionCV`"),
    "many targets": (MultiTaskLasso(), NUMBERS, "r", FitError, "learns by scans .* got `MultiTaskLasso`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_one_clear_error(name: str) -> None:
    estimator, columns, target, kind, said = REFUSED[name]
    with pytest.raises(kind, match=said):
        bigml.fit(estimator, source(*columns, target), target=target)


def test_measured_classes_are_refused_when_they_are_given_too() -> None:
    with pytest.raises(DataError, match=re.escape("got 0.5 - in classes=")):
        bigml.fit(SGDClassifier(), source(*NUMBERS, "y"), target="y", classes=[0.5, 1.5])


def test_clusters_of_rows_without_weight_are_refused() -> None:
    with pytest.raises(DataError, match="weights of 0 alone - in KMeans"):
        bigml.fit(KMeans(2), bigml.from_pandas(FRAME[NUMBERS].assign(w=0.0)), sample_weight="w")


def test_a_regressor_is_not_scored_on_text() -> None:
    model = LinearRegression().fit(FRAME[NUMBERS], FRAME["r"])
    with pytest.raises(FitError, match=r"a target of numbers, got .*string - column `s`"):
        bigml.score(model, source(*NUMBERS, "s"), target="s")


def test_text_that_a_transformer_makes_is_refused_by_its_place() -> None:
    fitted = bigml.fit(SimpleImputer(strategy="most_frequent"), source("s"))
    with pytest.raises(DataError, match=r"features that are numbers, got '[xyz]' - column `s`, row"):
        bigml.predict(fitted, source("s"), method="transform").to_pandas()


def test_a_function_of_nothing_passes_numbers_on() -> None:
    model = bigml.fit(make_pipeline(FunctionTransformer(), LinearRegression()), source(*NUMBERS, "r"), target="r")
    np.testing.assert_allclose(model.predict(FRAME[NUMBERS]), FRAME["r"], atol=1e-9)


def test_patience_without_rows_to_judge_by_is_refused() -> None:
    with pytest.raises(FitError, match="validation=, rows that are held out, for patience="):
        bigml.fit(SGDClassifier(), source(*NUMBERS, "y"), target="y", patience=2)


def test_weights_for_preprocessing_alone_are_refused() -> None:
    with pytest.raises(FitError, match="a model for sample_weight=, got preprocessing"):
        bigml.fit(StandardScaler(), source("a", "b"), sample_weight="b")
