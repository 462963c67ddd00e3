"""A search equals scikit-learn's on the same folds, and reads the rows once for all candidates and folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import ColumnError, ConfigError, FitError
from bigml.testing import CountingSource

NUMBERS = [f"x{i}" for i in range(5)]


def prepared(final):
    """A pipeline that scales numbers and encodes the category."""
    return Pipeline(
        [("prep", make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(drop="first"), ["k"]))), ("clf", final)]
    )


def both(estimator, grid, source, frame, folds_of, *, target, scoring, classifier):
    """The tables of scikit-learn's search and of bigml's over the same folds, candidates in the same order."""
    folds = folds_of(source, 4, target, classifier=classifier)
    known = GridSearchCV(estimator, grid, cv=folds, scoring=scoring).fit(frame.drop(columns=["label", "value"]), frame[target])
    rows = source.drop("value" if target == "label" else "label")
    found = bigml.search(estimator, rows, target=target, grid=grid, cv=4, scoring=scoring, progress=False)
    return known, found


@pytest.mark.parametrize(
    ("final", "grid"),
    [
        (Ridge(), {"clf__alpha": np.logspace(-3, 3, 7)}),
        (Lasso(tol=1e-10), {"clf__alpha": [1e-3, 1e-2, 0.1]}),
        (ElasticNet(tol=1e-10), {"clf__alpha": [1e-2, 0.1], "clf__l1_ratio": [0.2, 0.8]}),
        (LinearRegression(), {"clf__fit_intercept": [True, False]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_least_squares_equal_scikit_learns_grid_search(final, grid, source, frame, folds_of):
    about = {"target": "value", "scoring": "r2", "classifier": False}
    known, found = both(prepared(final), grid, source, frame, folds_of, **about)
    for i in range(4):
        got, wanted = found.cv_results_[f"split{i}_test_score"], known.cv_results_[f"split{i}_test_score"]
        np.testing.assert_allclose(got, wanted, rtol=1e-8)
    assert found.best_params_ == known.best_params_
    np.testing.assert_allclose(found.best_estimator_[-1].coef_, known.best_estimator_[-1].coef_, rtol=1e-6, atol=1e-9)


def test_a_grid_over_whole_steps_and_over_preprocessing_equals_scikit_learns(source, frame, folds_of):
    grid = [
        {"clf": [GaussianNB(), LogisticRegression()], "prep__standardscaler__with_mean": [True, False]},
        {"clf__C": [0.01, 1.0]},
    ]
    about = {"target": "label", "scoring": "neg_log_loss", "classifier": True}
    known, found = both(prepared(LogisticRegression()), grid, source, frame, folds_of, **about)
    wanted = [known.cv_results_["mean_test_score"][i] for i in range(6)]
    # The last candidate is the second again, but for the parameters' names: it is done once.
    assert len(found.cv_results_) == 5
    assert found.duplicates_ == ({"clf__C": 1.0},)
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], wanted[:5], rtol=1e-4)


def test_each_part_is_read_once_to_prepare_and_once_to_encode_however_many_candidates_and_folds(source):
    counting = CountingSource(source.select(*NUMBERS, "k", "label"))
    grid = {"clf__alpha": np.logspace(-4, 0, 4), "clf": [SGDClassifier(), MLPClassifier((4,), max_iter=1)]}
    grid = [{"clf": [SGDClassifier(alpha=a) for a in grid["clf__alpha"]]}, {"clf": [MLPClassifier((3,)), GaussianNB()]}]
    found = bigml.search(prepared(GaussianNB()), counting, target="label", grid=grid, cv=3, epochs=3, refit=False, progress=False)
    # Folds: two scans of the target; one for preprocessing and classes of all 18 trials; one to encode for all epochs.
    assert len(counting.reads) == 4 * len(source.parts)
    assert found.cost_.scans == 4


def test_a_candidate_that_fails_is_a_result_with_its_cause(source):
    grid = {"clf__C": [-1.0, 1.0]}
    rows = source.drop("value")
    found = bigml.search(prepared(LogisticRegression()), rows, target="label", grid=grid, cv=3, progress=False)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert "C" in found.cv_results_["failed"][0]
    assert found.best_params_ == {"clf__C": 1.0}


def test_a_score_for_failures_does_not_put_them_before_the_best(source):
    rows, grid = source.drop("value"), {"clf__C": [-1.0, 1.0]}
    about = {"target": "label", "grid": grid, "cv": 3, "scoring": "neg_log_loss", "progress": False}
    found = bigml.search(prepared(LogisticRegression()), rows, error_score=0, **about)
    assert found.cv_results_["mean_test_score"][0] == 0.0 > found.best_score_
    assert found.cv_results_["rank_test_score"].tolist() == [2, 1]
    assert found.ranked()["param_clf__C"].tolist() == [1.0, -1.0]


def test_what_was_found_is_told_in_plain_numbers(source):
    found = bigml.search(
        Ridge(), source.select("x0", "value"), target="value", grid={"alpha": np.logspace(0, 1, 2)}, progress=False
    )
    assert f"{{'alpha': {float(found.best_params_['alpha'])}}}" in repr(found)


def test_a_score_that_is_nan_is_told_with_its_split():
    frame = pd.DataFrame({"x": np.arange(30.0), "fold": np.repeat([0, 1, 2], 10), "late": np.arange(30) % 2})
    frame.loc[10:19, "late"] = 0  # of one class there is no ranking
    about = {"target": "late", "grid": {"C": [0.1, 1.0]}, "cv": bigml.FoldColumn("fold"), "progress": False}
    with pytest.raises(FitError, match="got NaN as roc_auc on split 1"):
        bigml.search(LogisticRegression(), frame, scoring="roc_auc", **about)
    found = bigml.search(LogisticRegression(), frame, scoring=["roc_auc", "accuracy"], refit="accuracy", **about)
    assert found.cv_results_["failed"].tolist() == ["", ""]


def test_a_search_in_which_all_fail_tells_the_first_cause(source):
    with pytest.raises(FitError, match="a candidate with a score"):
        bigml.search(LogisticRegression(), source.select("x0", "label"), target="label", grid={"C": [-1.0]}, progress=False)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"grid": {}}, ConfigError, "at least one parameter"),
        ({"grid": []}, ConfigError, "a mapping of parameters"),
        ({"grid": {"alhpa": [1]}}, ConfigError, "Did you mean `alpha`"),
        ({"grid": {"alpha": []}}, ConfigError, "at least one value for `alpha`"),
        ({"grid": {"alpha": 1.0}}, ConfigError, r'Write "alpha": \[1.0\]'),
        ({"grid": {"alpha": [1.0]}, "scoring": ["r2", "max_error"]}, ConfigError, "the name of the score that decides"),
        ({"grid": {"alpha": [1.0]}, "scoring": "r3"}, FitError, "a score among"),
        ({"grid": {"alpha": [1.0]}, "target": "nothing"}, ColumnError, "nothing"),
        ({"grid": {"alpha": [1.0]}, "strategy": "gird"}, ConfigError, "a strategy"),
        ({"grid": {"alpha": [1.0]}, "scoring": max}, ConfigError, "the name of a score"),
        ({"grid": {"alpha": [1.0]}, "scoring": [max]}, ConfigError, "the name of a score"),
        ({"grid": {"alpha": [1.0]}, "error_score": "raise"}, ConfigError, "a number, such as nan, got 'raise'"),
        ({"grid": {"alpha": [1.0]}, "epochs": 0}, ConfigError, "1 or more, got 0 - in epochs="),
        ({"grid": {"alpha": [1.0]}, "n_iter": 0, "strategy": "random"}, ConfigError, "1 or more, got 0 - in n_iter="),
        ({"grid": {"alpha": [1.0]}, "sample_weight": "w"}, ColumnError, "sample_weight="),
        ({"grid": {"alpha": [1.0]}, "target": "k"}, FitError, "`k`"),
    ],
    ids=str,
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_read(options, error, told, source):
    with pytest.raises(error, match=told):
        bigml.search(Ridge(), source.select("x0", "value", "k"), **{"target": "value", **options})


def test_threads_and_chunks_do_not_matter(source, frame):
    grid = {"mlpclassifier__alpha": [1e-4, 1e-1]}
    model = make_pipeline(StandardScaler(), MLPClassifier((3,)))
    one, other = (
        bigml.search(model, rows.select(*NUMBERS, "label"), target="label", grid=grid, cv=3, progress=False)
        for rows in (source, bigml.from_pandas(frame, part_rows=90))
    )
    assert one.cv_results_.equals(other.cv_results_)


def test_the_first_of_several_scores_decides_where_nothing_is_fitted_again(source):
    rows, grid = source.select(*NUMBERS, "value"), {"alpha": [0.1, 1e4]}
    found = bigml.search(Ridge(), rows, target="value", grid=grid, scoring=["r2", "max_error"], refit=False, progress=False)
    assert found.best_estimator_ is None
    assert found.best_params_ == {"alpha": 0.1}
    assert found.scorer_ == "r2"
