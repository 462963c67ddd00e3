"""TargetEncoder equals scikit-learn's on new rows, and no row that others learn from is encoded by its own target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.preprocessing.target_means import fold_of

PLACES = ["s", "t", "i"]


def table(n: int, seed: int) -> pd.DataFrame:
    """Categories, some missing, one of numbers; targets of all kinds, the one of numbers far from zero."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "s": rng.choice(list("abcdef"), n, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05]),
        "t": rng.choice(["x", "y"], n),
        "i": rng.integers(0, 5, n),
        "flag": rng.random(n) < 0.4,
        "kind": rng.choice(["one", "three", "two"], n),
    })  # fmt: skip
    frame["y"] = 1e4 + rng.normal(size=n) + frame["i"]
    frame.loc[rng.random(n) < 0.1, "s"] = None
    frame.loc[:2, "kind"], frame.loc[:1, "flag"] = ["one", "two", "three"], [True, False]
    return frame


def check(step: TargetEncoder, frame: pd.DataFrame, target: str, part_rows: int) -> TargetEncoder:
    """Fitted by bigml, the encoder is scikit-learn's on the same rows, and encodes unknown categories alike."""
    source = bigml.from_pandas(frame[[*PLACES, target]], part_rows=part_rows)
    ours, theirs = bigml.fit(step, source, target=target), clone(step).fit(frame[PLACES], frame[target])
    assert type(ours) is TargetEncoder
    assert ours.target_type_ == theirs.target_type_
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.target_mean_, theirs.target_mean_, rtol=1e-12)
    for one, other in zip(ours.encodings_, theirs.encodings_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    other = pd.concat([frame[PLACES], pd.DataFrame({"s": ["new"], "t": [None], "i": [99]})])
    np.testing.assert_allclose(ours.transform(other), theirs.transform(other), rtol=1e-9)
    return ours


@pytest.mark.parametrize("target", ["flag", "kind", "y"])
@pytest.mark.parametrize(
    "step", [TargetEncoder(), TargetEncoder(smooth=0.0), TargetEncoder(smooth=25.5, cv=3), TargetEncoder(random_state=3)]
)
def test_an_encoder_equals_scikit_learn_on_all_rows(step: TargetEncoder, target: str) -> None:
    check(step, table(211, seed=2), target, 40)


def test_categories_may_be_given() -> None:
    known = [["b", "a", None], ["y", "x"], [0, 1, 2]]
    check(TargetEncoder(categories=known), table(150, seed=4), "y", 31)


@given(seed=st.integers(0, 1000), part_rows=st.integers(1, 60), target=st.sampled_from(["flag", "kind", "y"]))
@settings(max_examples=20, deadline=None)
def test_any_chunking_gives_the_encodings_of_all_rows(seed: int, part_rows: int, target: str) -> None:
    check(TargetEncoder(), table(60, seed), target, part_rows)


def by_hand(frame: pd.DataFrame, target: str, n_folds: int, seed: int) -> Any:
    """Rows encoded by scikit-learn's fit on the rows of the other folds."""
    fold = fold_of(np.arange(len(frame)), n_folds, int(np.random.default_rng(seed).integers(2**31)))
    encoded = np.empty((len(frame), len(PLACES)))
    for i in range(n_folds):
        rest = TargetEncoder().fit(frame.loc[fold != i, PLACES], frame.loc[fold != i, target])
        encoded[fold == i] = rest.transform(frame.loc[fold == i, PLACES])
    return encoded


@pytest.mark.parametrize("part_rows", [7, 100, 400])
def test_what_comes_behind_learns_from_rows_encoded_by_the_other_folds(part_rows: int) -> None:
    frame = table(400, seed=5)
    model = make_pipeline(TargetEncoder(cv=4, random_state=11), StandardScaler(), GaussianNB())
    fitted = bigml.fit(model, bigml.from_pandas(frame[[*PLACES, "flag"]], part_rows=part_rows), target="flag")
    encoded = by_hand(frame, "flag", 4, 11)
    scaler = StandardScaler().fit(encoded)
    np.testing.assert_allclose(fitted[1].mean_, scaler.mean_, rtol=1e-9)
    np.testing.assert_allclose(fitted[1].scale_, scaler.scale_, rtol=1e-9)
    expected = GaussianNB().fit(scaler.transform(encoded), frame["flag"])
    np.testing.assert_allclose(fitted[-1].theta_, expected.theta_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fitted[-1].var_, expected.var_, rtol=1e-9)
    whole = TargetEncoder().fit(frame[PLACES], frame["flag"])
    np.testing.assert_allclose(fitted[0].transform(frame[PLACES]), whole.transform(frame[PLACES]), rtol=1e-9)


@pytest.mark.parametrize("composed", [True, False])
def test_encoders_anywhere_in_a_composition_give_way_to_plain_ones(composed: bool) -> None:
    frame = table(200, seed=6)
    branch = make_pipeline(TargetEncoder(), StandardScaler())
    step = make_column_transformer((branch, ["s", "t"]), (SimpleImputer(), ["i"])) if composed else make_union(branch)
    columns = [*PLACES, "flag"] if composed else ["s", "t", "flag"]
    fitted = bigml.fit(make_pipeline(step, GaussianNB()), bigml.from_pandas(frame[columns], part_rows=30), target="flag")
    assert "CrossFitted" not in repr(fitted) + repr(vars(fitted[0]))
    predicted = bigml.predict(fitted, frame, method="predict_proba").to_pandas().to_numpy()
    np.testing.assert_allclose(predicted, fitted.predict_proba(frame[columns[:-1]]), rtol=1e-9)


@pytest.mark.parametrize("final", [SGDClassifier(loss="log_loss", average=True), LogisticRegression()])
def test_a_random_category_of_many_values_tells_nothing_of_a_random_target(final: Any) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": rng.integers(0, 4_000, 20_000), "late": rng.random(20_000) < 0.3})
    train, test = bigml.from_pandas(frame, part_rows=3_000).split(test=0.3, seed=1)
    fitted = bigml.fit(make_pipeline(TargetEncoder(), final), train, target="late", epochs=1)
    held_out = bigml.score(fitted, test, target="late", scoring=["roc_auc", "log_loss"])
    assert held_out["roc_auc"] == pytest.approx(0.5, abs=0.03)
    assert held_out["log_loss"] == pytest.approx(held_out.base_log_loss, rel=0.02)
    # With a look at its own target, this encoding tells the training rows apart and gets much weight.
    leaky = make_pipeline(TargetEncoder(), clone(final))
    rows = train.to_pandas()
    leaky[-1].fit(leaky[0].fit(rows[["id"]], rows["late"]).transform(rows[["id"]]), rows["late"])
    assert abs(fitted[-1].coef_[0, 0]) < 0.2 * abs(leaky[-1].coef_[0, 0])
    loss = bigml.score(fitted, train, target="late", scoring=["log_loss"])
    assert loss["log_loss"] == pytest.approx(loss.base_log_loss, rel=0.02)


@pytest.mark.parametrize(
    ("step", "target", "told"),
    [
        (TargetEncoder(), None, "target="),
        (TargetEncoder(target_type="binary"), "kind", "binary"),
        (TargetEncoder(target_type="multiclass"), "y", "multiclass"),
        (TargetEncoder(smooth=-1.0), "y", "smooth"),
        (TargetEncoder(cv=1), "y", "cv"),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), TargetEncoder()), "y", "in front of its branch"),
        (make_pipeline(FunctionTransformer(pd.DataFrame.fillna, kw_args={"value": 1}), TargetEncoder()), "y", "in front"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_reason(step: Any, target: str | None, told: str) -> None:
    frame = table(50, seed=7)[["t", *([target] if target else [])]]
    with pytest.raises(FitError, match=told):
        bigml.fit(step, bigml.from_pandas(frame, part_rows=20), target=target)


def test_a_missing_target_is_named_by_its_row() -> None:
    frame = table(50, seed=8)[["s", "y"]]
    frame.loc[33, "y"] = np.nan
    with pytest.raises(DataError, match="column `y`, row 33"):
        bigml.fit(make_pipeline(TargetEncoder(), SGDRegressor()), bigml.from_pandas(frame, part_rows=20), target="y")


def test_late_flights_are_foreseen_by_their_routes(data_dir: Path) -> None:
    flights = bigml.read_parquet(data_dir / "flights" / "nineteen_columns")
    known = flights.select("arr_delay", "distance", "hour", "carrier", "origin", "dest").dropna()
    routes = known.assign(late="arr_delay > 15", route=lambda frame: frame["origin"] + "-" + frame["dest"])
    train, test = routes.drop("arr_delay", "origin", "dest").split(test=0.25, seed=7)
    columns = make_column_transformer((TargetEncoder(), ["route", "carrier", "hour"]), ("passthrough", ["distance"]))
    model = make_pipeline(columns, StandardScaler(), SGDClassifier(loss="log_loss", average=True))
    scores = bigml.score(bigml.fit(model, train, target="late"), test, target="late", scoring=["roc_auc", "log_loss"])
    assert scores["roc_auc"] >= 0.65
    assert scores["log_loss"] < scores.base_log_loss - 0.02
