"""Scores from one scan equal scikit-learn's on the concatenation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, SGDClassifier
from sklearn.metrics import (
    average_precision_score,
    class_likelihood_ratios,
    confusion_matrix,
    get_scorer,
    get_scorer_names,
    log_loss,
    max_error,
    mean_pinball_loss,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import bigml
from bigml.errors import ColumnError, DataError, FitError
from bigml.learning import tally
from bigml.learning.scores.ranking import Ranking

AVERAGED = [f"{name}_{how}" for name in ("precision", "recall", "f1", "jaccard") for how in ("macro", "micro", "weighted")]
EITHER = ["accuracy", "balanced_accuracy", "matthews_corrcoef", *AVERAGED, "neg_log_loss", "neg_brier_score", "d2_log_loss_score"]
EITHER += ["d2_brier_score", "roc_auc_ovr", "roc_auc_ovr_weighted", "average_precision"]
BINARY = [*EITHER, "precision", "recall", "f1", "jaccard", "roc_auc", "positive_likelihood_ratio"]
BINARY += ["neg_negative_likelihood_ratio"]
MULTI = [*EITHER, "top_k_accuracy"]
UNWEIGHTED = {"neg_max_error", "positive_likelihood_ratio", "neg_negative_likelihood_ratio"}
REGRESSION = ["r2", "explained_variance", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error"]
REGRESSION += ["neg_mean_absolute_percentage_error"]
POSITIVE = [
    "neg_mean_squared_log_error",
    "neg_root_mean_squared_log_error",
    "neg_mean_poisson_deviance",
    "neg_mean_gamma_deviance",
]


def known(names: list[str]) -> list[str]:
    """The scores that this version of scikit-learn has."""
    return [name for name in names if name in get_scorer_names()]


def table(n: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n).round(1), "z": rng.normal(size=n), "s": rng.choice(list("abc"), n)})
    frame["late"] = (frame["x"] + rng.normal(size=n) > 0.3).astype(int)
    frame["word"] = frame["late"].map({0: "no", 1: "yes"})
    frame["kind"] = rng.integers(0, 3, n) * (frame["x"] > 0)
    frame["weight"] = rng.choice([0.0, 0.5, 1.0, 2.75], n)
    frame["delay"] = frame["x"] - 2 * frame["z"] + rng.normal(size=n)
    return frame


FRAME = table()
FRAME["rate"] = np.exp(FRAME["delay"] / 3)
SOURCE = bigml.from_pandas(FRAME, part_rows=99)
X = ["x", "z"]


@pytest.mark.parametrize(
    ("model", "target", "names"),
    [
        (LogisticRegression(), "late", BINARY),
        (make_pipeline(StandardScaler(), LogisticRegression()), "kind", MULTI),
        (HistGradientBoostingClassifier(max_iter=5), "late", BINARY),
        (DecisionTreeClassifier(max_depth=3), "kind", MULTI),
        (LogisticRegression(), "word", ["accuracy", "roc_auc", "neg_log_loss"]),
        (LinearRegression(), "delay", [*REGRESSION, "neg_max_error"]),
        (PoissonRegressor(), "rate", [*REGRESSION, *POSITIVE]),
    ],
)
@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("part_rows", [7, 500])
def test_scores_equal_scikit_learns_scorers(
    model: Any, target: str, names: list[str], weight: str | None, part_rows: int
) -> None:
    fitted, names = model.fit(FRAME[X], FRAME[target]), known([name for name in names if not (weight and name in UNWEIGHTED)])
    source = bigml.from_pandas(FRAME, part_rows=part_rows)
    scores = bigml.score(fitted, source, target=target, scoring=names, sample_weight=weight)
    given = {"sample_weight": FRAME[weight]} if weight else {}
    expected = {name: get_scorer(name)(fitted, FRAME[X], FRAME[target], **given) for name in names}
    assert dict(scores) == pytest.approx(expected, rel=1e-11)
    assert scores.n_rows == len(FRAME)
    assert set(scores.errors.values()) == {0.0}


def test_scores_that_are_no_scorers_equal_scikit_learns_functions() -> None:
    fitted = LinearRegression().fit(FRAME[X], FRAME["delay"])
    names = ["neg_mean_pinball_loss", "mean_pinball_loss", "max_error"]
    scores = bigml.score(fitted, SOURCE, target="delay", scoring=names, sample_weight="weight")
    truth, predicted = FRAME["delay"], fitted.predict(FRAME[X])
    pinball = mean_pinball_loss(truth, predicted, sample_weight=FRAME["weight"], alpha=0.5)
    assert dict(scores) == pytest.approx(
        {names[0]: -pinball, names[1]: pinball, names[2]: max_error(truth, predicted)}, rel=1e-12
    )


def test_likelihood_ratios_are_weighted() -> None:
    fitted = LogisticRegression().fit(FRAME[X], FRAME["late"])
    names = ["positive_likelihood_ratio", "negative_likelihood_ratio"]
    scores = bigml.score(fitted, SOURCE, target="late", scoring=names, sample_weight="weight")
    expected = class_likelihood_ratios(FRAME["late"], fitted.predict(FRAME[X]), sample_weight=FRAME["weight"])
    assert list(scores.values()) == pytest.approx(expected, rel=1e-12)


def test_all_scores_come_from_one_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    scan = type(SOURCE).scan

    def spied(self: Any, parts: Any, columns: Any) -> Any:
        read.extend(part.index for part in parts)
        return scan(self, parts, columns)

    monkeypatch.setattr(type(SOURCE), "scan", spied)
    bigml.score(LogisticRegression().fit(FRAME[X], FRAME["late"]), SOURCE, target="late", scoring=known(BINARY))
    assert sorted(read) == [part.index for part in SOURCE.parts]


def test_weights_of_whole_numbers_are_repeated_rows() -> None:
    times = np.random.default_rng(1).integers(0, 4, len(FRAME))
    fitted = LogisticRegression().fit(FRAME[X], FRAME["kind"])
    weighted = bigml.score(fitted, FRAME.assign(n=times), target="kind", scoring=known(MULTI), sample_weight="n")
    repeated = bigml.score(fitted, FRAME.loc[FRAME.index.repeat(times)], target="kind", scoring=known(MULTI))
    assert dict(weighted) == pytest.approx(dict(repeated), rel=1e-12)
    np.testing.assert_array_equal(weighted.confusion_matrix, repeated.confusion_matrix)


def test_a_mean_far_from_zero_does_not_spoil_the_spread() -> None:
    frame = FRAME.assign(delay=FRAME["delay"] + 1e7)
    fitted = LinearRegression().fit(frame[X], frame["delay"])
    ours = bigml.score(fitted, bigml.from_pandas(frame, part_rows=7), target="delay", scoring=["r2", "explained_variance"])
    expected = [get_scorer(name)(fitted, frame[X], frame["delay"]) for name in ours]
    assert list(ours.values()) == pytest.approx(expected, rel=1e-9)


def test_a_class_that_is_in_no_row_is_left_out_of_the_mean_as_in_scikit_learn() -> None:
    fitted = DummyClassifier(strategy="constant", constant=1).fit(FRAME[X], FRAME["kind"])
    frame = FRAME[FRAME["kind"] != 2]
    names = ["f1_macro", "precision_macro", "recall_weighted", "jaccard_macro", "matthews_corrcoef", "balanced_accuracy"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of classes without predictions
        expected = {name: get_scorer(name)(fitted, frame[X], frame["kind"]) for name in names}
    assert dict(bigml.score(fitted, frame, target="kind", scoring=names)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "text"),
    [(-1.0, "finite weights of 0 or more, got -1 - column `weight`, row 9"), (np.nan, "missing value - column `weight`, row 9")],
)
def test_weights_that_are_none_are_refused_with_their_row(weights: float, text: str) -> None:
    frame = FRAME.assign(weight=FRAME["weight"].where(FRAME.index != 9, weights))
    with pytest.raises(DataError, match=text):
        bigml.score(LOGISTIC, frame, target="late", sample_weight="weight")


@pytest.mark.parametrize(
    ("name", "do"),
    [
        ("neg_median_absolute_error", "neg_mean_absolute_error"),
        ("d2_absolute_error_score", "sample"),
        ("roc_auc_ovo", "roc_auc_ovr"),
    ],
)
def test_a_score_that_needs_all_rows_at_once_is_refused_with_the_way_out(name: str, do: str) -> None:
    with pytest.raises(FitError, match=rf"follows from sums over rows, got `{name}`.*{do}"):
        bigml.score(LINEAR, FRAME, target="delay", scoring=name)


@pytest.mark.parametrize("name", POSITIVE)
def test_a_target_outside_of_the_domain_of_a_score_is_one_clear_error(name: str) -> None:
    with pytest.raises(DataError, match=r"targets and predictions .* as (the target|a prediction) - in scoring="):
        bigml.score(LINEAR, FRAME.assign(delay=FRAME["delay"] - 5), target="delay", scoring=name)


def test_a_pipeline_with_encoders_is_scored_through_them() -> None:
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["s"]), (StandardScaler(), X)), SGDClassifier(loss="log_loss")
    )
    model.fit(FRAME, FRAME["late"])
    ours = bigml.score(model, bigml.from_pandas(FRAME, part_rows=60), target="late", scoring=["roc_auc", "log_loss"])
    chances = model.predict_proba(FRAME)
    assert ours["roc_auc"] == pytest.approx(roc_auc_score(FRAME["late"], chances[:, 1]), rel=1e-12)
    assert ours["log_loss"] == pytest.approx(log_loss(FRAME["late"], chances), rel=1e-12)


def test_one_name_gives_a_number() -> None:
    model = LogisticRegression().fit(FRAME[X], FRAME["late"])
    assert bigml.score(model, bigml.from_pandas(FRAME), target="late", scoring="accuracy") == model.score(FRAME[X], FRAME["late"])


@pytest.mark.parametrize("known", ["late", "flag", "share", "word"])
@pytest.mark.parametrize("truth", ["late", "flag", "share", "word", "category"])
def test_classes_are_compared_by_value_whatever_their_types(known: str, truth: str) -> None:
    frame = FRAME.assign(flag=FRAME["late"] == 1, share=FRAME["late"].astype(float), category=FRAME["word"].astype("category"))
    model = LogisticRegression().fit(frame[X], frame[known].to_numpy().astype(frame[known].dtype if known != "word" else "U3"))
    score = lambda: bigml.score(model, bigml.from_pandas(frame, part_rows=99), target=truth)  # noqa: E731
    if (known == "word") == (truth in ("word", "category")):
        assert score() == model.score(frame[X], frame[known].to_numpy().astype(model.classes_.dtype))
    else:
        with pytest.raises(
            DataError, match=rf"Expected the classes .* got the class .* - column `{truth}`, row \d+ .*Repair or drop"
        ):
            score()


def test_a_class_that_begins_like_a_known_one_is_unknown() -> None:
    model = LogisticRegression().fit(FRAME[X], FRAME["word"].to_numpy().astype("U3"))
    frame = FRAME.assign(word=FRAME["word"].where(FRAME.index != 7, "yesterday"))
    with pytest.raises(DataError, match=r"the class 'yesterday' - column `word`, row 7"):
        bigml.score(model, bigml.from_pandas(frame, part_rows=99), target="word")


def test_the_default_score_is_that_of_scikit_learn() -> None:
    source = bigml.from_pandas(FRAME, part_rows=99)
    for model, target in ((LogisticRegression(), "late"), (LinearRegression(), "delay")):
        fitted = model.fit(FRAME[X], FRAME[target])
        assert bigml.score(fitted, source, target=target) == pytest.approx(fitted.score(FRAME[X], FRAME[target]), rel=1e-12)


def test_predictions_of_one_column_are_scored_as_a_vector() -> None:
    model = LinearRegression().fit(FRAME[X], FRAME[["delay"]])
    expected = model.score(FRAME[X], FRAME[["delay"]])
    assert bigml.score(model, bigml.from_pandas(FRAME), target="delay") == pytest.approx(expected, rel=1e-12)


def test_curves_come_with_the_scores() -> None:
    model = LogisticRegression().fit(FRAME[X], FRAME["late"])
    scores = bigml.score(model, bigml.from_pandas(FRAME, part_rows=99), target="late", scoring=["log_loss"])
    curve, bins = scores.roc_curve(50), scores.calibration(5)
    assert len(curve.fpr) <= 50
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    area = np.trapezoid(curve.tpr, curve.fpr)
    assert area == pytest.approx(roc_auc_score(FRAME["late"], model.predict_proba(FRAME[X])[:, 1]), abs=0.01)
    chances = model.predict_proba(FRAME[X])[:, 1]
    first = chances < 0.2
    assert bins.rows[0] == first.sum()
    assert bins.predicted[0] == pytest.approx(chances[first].mean())
    assert bins.observed[0] == pytest.approx(FRAME["late"][first].mean())
    assert bins.rows.sum() == len(FRAME)
    assert scores.base_rate == FRAME["late"].mean()
    np.testing.assert_array_equal(scores.confusion_matrix, confusion_matrix(FRAME["late"], model.predict(FRAME[X])))
    prior = DummyClassifier().fit(FRAME[X], FRAME["late"]).predict_proba(FRAME[X])
    assert scores.base_log_loss == pytest.approx(log_loss(FRAME["late"], prior))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40), st.integers(0, 40))
@settings(max_examples=80, deadline=None)
def test_ranking_treats_ties_as_scikit_learn_does(rows: list[tuple[int, bool]], cut: int) -> None:
    scores, truth = np.array([score / 7 for score, _ in rows]), np.array([is_true for _, is_true in rows])
    if truth.all() or not truth.any():
        truth[0] = not truth[0]
    ranking = Ranking.of(scores[:cut], truth[:cut]).merge(Ranking.of(scores[cut:], truth[cut:]))
    assert ranking.roc_auc() == (pytest.approx(roc_auc_score(truth, scores), abs=1e-12), 0.0)
    assert ranking.average_precision() == (pytest.approx(average_precision_score(truth, scores), abs=1e-12), 0.0)


def test_very_many_scores_keep_within_the_stated_error() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(12 * tally.MOST_EXACT) < 0.3
    scores = rng.normal(size=len(truth)) + truth
    ranking = Ranking.of(scores, truth)
    (auc, auc_error), (precision, precision_error) = ranking.roc_auc(), ranking.average_precision()
    assert 0 < auc_error < 1e-4
    assert 0 < precision_error < 1e-2
    assert abs(auc - roc_auc_score(truth, scores)) <= auc_error
    assert abs(precision - average_precision_score(truth, scores)) <= precision_error


def test_very_many_weighted_scores_of_several_classes_keep_within_the_stated_error() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=60_000), "z": rng.normal(size=60_000), "weight": rng.random(60_000)})
    frame["kind"] = np.digitize(frame["x"] + rng.normal(size=60_000), [-0.5, 0.5])
    fitted = LogisticRegression().fit(frame[X], frame["kind"])
    names = ["roc_auc_ovr", "roc_auc_ovr_weighted", "average_precision"]
    source = bigml.from_pandas(frame, part_rows=7_000)
    scores = bigml.score(fitted, source, target="kind", scoring=names, sample_weight="weight")
    for name in names:
        expected = get_scorer(name)(fitted, frame[X], frame["kind"], sample_weight=frame["weight"])
        assert 0 < scores.errors[name] < 2e-3
        assert abs(scores[name] - expected) <= scores.errors[name]


LOGISTIC = LogisticRegression().fit(FRAME[X], FRAME["late"])
THREE = LogisticRegression().fit(FRAME[X], FRAME["kind"])
HINGE = SGDClassifier().fit(FRAME[X], FRAME["late"])
LINEAR = LinearRegression().fit(FRAME[X], FRAME["delay"])
SCALED = make_pipeline(StandardScaler(), PCA(), LinearRegression()).fit(FRAME[X], FRAME["delay"])
HOLED = FRAME.assign(z=FRAME["z"].where(FRAME.index != 123))


@pytest.mark.parametrize(
    ("model", "frame", "target", "scoring", "error", "words"),
    [
        (LOGISTIC, FRAME, "lat", "accuracy", ColumnError, "Did you mean `late`"),
        (LOGISTIC, FRAME.drop(columns="z"), "late", "accuracy", ColumnError, "`z`"),
        (LOGISTIC, FRAME, "late", "accurracy", FitError, r"a score among accuracy.*`accurracy`"),
        (LOGISTIC, FRAME, "late", "neg_accuracy", FitError, "`neg_accuracy`"),
        (LOGISTIC, FRAME, "late", "r2", FitError, "a score for a classifier"),
        (LINEAR, FRAME, "delay", "accuracy", FitError, "a score for a regressor"),
        (THREE, FRAME, "kind", "roc_auc", FitError, "two classes, got 3"),
        (HINGE, FRAME, "late", "log_loss", FitError, r"predict_proba.*SGDClassifier"),
        (LOGISTIC, FRAME.assign(late=FRAME["late"].where(FRAME.index != 9)), "late", "accuracy", DataError, "`late`, row 9"),
        (
            LOGISTIC,
            FRAME.assign(late=FRAME["late"] + 5 * (FRAME.index == 9)),
            "late",
            "accuracy",
            DataError,
            r"class .*[56].*row 9",
        ),
        (THREE, FRAME, "kind", "f1", FitError, "two classes, got 3.*Use f1_macro"),
        (LOGISTIC, FRAME[:0], "late", "accuracy", DataError, "rows to score"),
        (LINEAR, HOLED, "delay", "r2", DataError, r"finite features, got NaN - column `z`, row 123.*Impute.*\n?.*in part 1 "),
        (SCALED, HOLED, "delay", "r2", DataError, r"finite features, got NaN - column `z`, row 123"),
        (LinearRegression().fit(FRAME[X], FRAME[["delay", "x"]]), FRAME, "delay", "r2", FitError, "one output, got one with 2"),
        (
            DecisionTreeClassifier().fit(FRAME[X], FRAME[["late", "kind"]]),
            FRAME,
            "late",
            None,
            FitError,
            "one output, got one with 2",
        ),
    ],
)
def test_what_cannot_be_scored_is_one_clear_error(
    model: Any, frame: pd.DataFrame, target: str, scoring: str | None, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        bigml.score(model, bigml.from_pandas(frame, part_rows=100), target=target, scoring=scoring)


def test_curves_that_were_not_gathered_are_refused() -> None:
    scores = bigml.score(THREE, bigml.from_pandas(FRAME), target="kind", scoring=["accuracy"])
    with pytest.raises(DataError, match="ranks"):
        scores.roc_curve()
