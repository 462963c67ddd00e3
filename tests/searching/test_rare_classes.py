"""A class that the rows of some split lack: the models are those that scikit-learn fits on these rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml

SCORES = ("accuracy", "f1_macro", "balanced_accuracy")


@pytest.fixture(scope="module")
def rows():
    """300 rows in three folds; the class "b" is in the first alone, between the others in the order of classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("wxyz")).assign(fold=np.arange(300) % 3)
    label = np.where(frame.w + 0.5 * rng.normal(size=300) > 0, "c", "a")
    return frame.assign(label=np.where((frame.fold == 0) & (rng.random(300) < 0.3), "b", label))


def found(estimator, grid, rows, **more):
    source = bigml.from_pandas(rows, part_rows=70)
    how = {"cv": bigml.FoldColumn("fold"), "scoring": SCORES, "refit": False, "progress": False} | more
    return bigml.search(estimator, source, target="label", grid=grid, **how)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (LogisticRegression(tol=1e-8), {"C": [0.01, 1.0]}),
        (LogisticRegression(tol=1e-8, class_weight="balanced"), {"C": [0.01, 1.0]}),
        (GaussianNB(), {"var_smoothing": [1e-9, 0.1]}),
        (LinearDiscriminantAnalysis(), {"tol": [1e-4]}),
        (
            make_pipeline(StandardScaler(), SelectKBest(f_classif), LogisticRegression(tol=1e-8)),
            {"selectkbest__k": [1, 2], "logisticregression__C": [0.1]},
        ),
    ],
    ids=["logistic", "balanced", "bayes", "discriminant", "selected"],
)
def test_solved_classifiers_equal_scikit_learns_where_a_split_lacks_a_class(estimator, grid, rows):
    search = GridSearchCV(estimator, grid, cv=PredefinedSplit(rows.fold), scoring=SCORES, refit=False)
    known = search.fit(rows[list("wxyz")], rows.label).cv_results_
    table = found(estimator, grid, rows).cv_results_
    for name in (f"split{i}_test_{score}" for i in range(3) for score in SCORES):
        np.testing.assert_allclose(table[name], known[name], atol=1e-12, err_msg=name)


def test_an_unseen_class_has_probability_zero_and_a_finite_loss(rows):
    table = found(LogisticRegression(), {"C": [1.0]}, rows, scoring="neg_log_loss").cv_results_
    test = rows[rows.fold == 0]
    model = LogisticRegression(tol=1e-8).fit(rows.loc[rows.fold > 0, list("wxyz")], rows.label[rows.fold > 0])
    told = np.zeros((len(test), 3))
    told[:, [0, 2]] = model.predict_proba(test[list("wxyz")])
    right = told[np.arange(len(test)), test.label.map({"a": 0, "b": 1, "c": 2})]
    wanted = np.log(np.maximum(right, np.finfo(float).eps)).mean()
    np.testing.assert_allclose(table["split0_test_score"], wanted, rtol=1e-4)


def test_chains_are_told_of_all_classes(rows):
    grid = {"alpha": [1e-2]}
    table = found(SGDClassifier(loss="log_loss"), grid, rows, scoring="neg_log_loss").cv_results_
    assert -4 < table["mean_test_score"][0] < -0.3
    both = found(SGDClassifier(loss="log_loss"), grid, rows, scoring="accuracy", refit=True)
    assert both.best_estimator_.classes_.tolist() == ["a", "b", "c"]


def test_a_split_of_one_class_is_a_failure_with_its_cause(rows):
    some = rows[rows.label != "b"]
    some = some.assign(fold=((some.label == "c") & (some.fold > 0)).astype(int))  # fold 1 holds "c" alone
    grids = [{"logisticregression__C": [1.0]}, {"logisticregression": [GaussianNB()]}]
    table = found(make_pipeline(LogisticRegression()), grids, some).cv_results_
    assert "class" in table["failed"][0]
    assert table["failed"][1] == ""
    assert table["split0_test_accuracy"][1] == (some.label[some.fold == 0] == "c").mean()


def test_a_class_that_is_named_and_in_no_row_stays_one(rows):
    search = found(LogisticRegression(), {"C": [1.0]}, rows, classes=["a", "b", "c", "d"], scoring="accuracy", refit=True)
    assert search.best_estimator_.classes_.tolist() == ["a", "b", "c", "d"]
