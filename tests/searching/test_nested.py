"""Nested search: choices are made within outer folds, equal fits are done once, and the estimate holds on rows never seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dealt import asked
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, RepeatedKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.chunk import Chunk
from bigml.errors import ConfigError, FitError
from bigml.learning.inquiry import conduct
from bigml.searching.nest import nested_folds
from bigml.testing import CountingSource

NUMBERS = [f"x{i}" for i in range(5)]
ALPHAS = np.logspace(-2, 4, 4)


def nest_of(source, outer, inner, target, *, classifier=False, groups=None):
    """The nest, and the cell of each row."""
    deal = nested_folds(outer, inner, source, target=target, classifier=classifier, groups=groups, seed=0)
    found = conduct(deal, lambda reducer: source.reduce(reducer).compute(progress=False))
    return found, found.partition.dealer(Chunk.from_arrow(source.to_arrow()))


def held(cells, wanted):
    return np.flatnonzero(np.isin(cells, wanted))


@pytest.mark.parametrize("inner", [3, None, 2], ids=str)
def test_a_nested_search_equals_the_loops_of_scikit_learn(inner, source, frame):
    model, rows = make_pipeline(StandardScaler(), Ridge()), source.select(*NUMBERS, "value")
    about = {"target": "value", "grid": {"ridge__alpha": ALPHAS}, "progress": False}
    nested = bigml.nested_search(model, rows, inner_cv=inner, outer_cv=4, **about)
    nest, cells = nest_of(source, 4, inner, "value")
    X, y = frame[NUMBERS], frame["value"]

    def scored(alpha, split):
        train, test = held(cells, split.train), held(cells, split.test)
        fitted = clone(model).set_params(ridge__alpha=alpha).fit(X.iloc[train], y[train])
        return r2_score(y[test], fitted.predict(X.iloc[test]))

    for i, numbers in enumerate(nest.inner):
        means = [np.mean([scored(alpha, nest.partition.splits[j]) for j in numbers]) for alpha in ALPHAS]
        best = ALPHAS[int(np.argmax(means))]
        assert nested.outer_scores_.loc[i, "params"] == {"ridge__alpha": best}
        assert nested.outer_scores_.loc[i, "inner_score"] == pytest.approx(max(means), rel=1e-9)
        assert nested.outer_scores_.loc[i, "r2"] == pytest.approx(scored(best, nest.partition.splits[i]), rel=1e-9)
    assert nested.estimate_ == pytest.approx(nested.outer_scores_["r2"].mean())
    assert nested.standard_error_ == pytest.approx(nested.outer_scores_["r2"].sem())
    assert nested.wins_.sum() == 4


def test_outer_folds_and_the_model_are_those_of_a_plain_search(source):
    model, rows = make_pipeline(StandardScaler(), LogisticRegression()), source.select(*NUMBERS, "label")
    about = {"target": "label", "grid": {"logisticregression__C": [0.01, 1.0]}, "scoring": ["roc_auc", "log_loss"]}
    about |= {"refit": "log_loss", "progress": False}
    nested = bigml.nested_search(model, rows, inner_cv=3, outer_cv=4, **about)
    found = bigml.search(model, rows, cv=4, **about)
    pd.testing.assert_frame_equal(nested.search_.cv_results_, found.cv_results_)
    assert nested.best_params_ == found.best_params_
    assert np.array_equal(nested.best_estimator_[-1].coef_, found.best_estimator_[-1].coef_)
    assert list(nested.estimates_.index) == ["roc_auc", "log_loss"]
    assert nested.estimate_ == nested.estimates_.loc["log_loss", "mean"] > 0


def test_what_learns_from_the_same_rows_is_trained_once(source):
    model = make_pipeline(StandardScaler(), SGDClassifier(random_state=0))
    rows, alphas = source.select(*NUMBERS, "label"), [1e-4, 1e-3, 1e-2]
    about = {"target": "label", "grid": {"sgdclassifier__alpha": alphas}, "refit": False, "progress": False}
    shared = bigml.nested_search(model, rows, inner_cv=3, outer_cv=4, **about)
    # Without the folds {i, j}: 4 * 3 / 2 fits; without the fold i: 4. Done one by one it would be 4 * 3 + 4.
    assert shared.cost_.fits == 3 * (4 * 3 // 2 + 4) == 30
    other = bigml.nested_search(model, rows, inner_cv=2, outer_cv=4, **about)
    # Two inner folds that are no outer folds: 4 * 2 inner fits and 4 outer ones.
    assert other.cost_.fits == 3 * (4 * 2 + 4) == 36


def test_all_of_it_takes_the_scans_of_one_plain_search(source):
    model = make_pipeline(StandardScaler(), SGDClassifier(random_state=0))
    about = {"target": "label", "grid": {"sgdclassifier__alpha": [1e-4, 1e-2]}, "refit": False, "progress": False}
    counting = CountingSource(source.select(*NUMBERS, "label"))
    nested = bigml.nested_search(model, counting, inner_cv=2, outer_cv=3, **about)
    # Folds: two scans of the target; one for the statistics of all splits; one to encode.
    assert len(counting.reads) == 4 * len(source.parts)
    assert nested.cost_.scans == 4


@pytest.mark.parametrize("cv", [(5, 3), (3, 4), (StratifiedKFold(4), 2)], ids=str)
def test_inner_folds_have_their_share_of_every_class_to_two_rows(cv, source, frame):
    nest, cells = nest_of(source, *cv, "label", classifier=True)
    for i, numbers in enumerate(nest.inner):
        splits = [nest.partition.splits[j] for j in numbers]
        counts = [np.bincount(frame["label"][held(cells, split.test)], minlength=2) for split in splits]
        assert np.ptp(counts, axis=0).max() <= 2
        learned = held(cells, nest.partition.splits[i].train)
        assert sorted(np.concatenate([held(cells, split.test) for split in splits])) == learned.tolist()


@pytest.mark.parametrize(
    "cv", [(3, 3), (KFold(3), StratifiedKFold(2)), (bigml.HoldOut(0.3), 3), (4, bigml.HoldOut(0.2))], ids=str
)
def test_nothing_of_an_outer_fold_is_seen_by_its_inner_folds(cv, source):
    nest, cells = nest_of(source, *cv, "label", classifier=True)
    for i, numbers in enumerate(nest.inner):
        outside = set(held(cells, nest.partition.splits[i].test))
        for split in (nest.partition.splits[j] for j in numbers):
            train, test = set(held(cells, split.train)), set(held(cells, split.test))
            assert train
            assert test
            assert not train & test
            assert not (train | test) & outside


def test_groups_stay_together_in_inner_folds_too(frame):
    rows = bigml.from_pandas(frame.assign(group=np.arange(600) // 20), part_rows=70)
    nest, cells = nest_of(rows, bigml.GroupFolds("group", 4), 2, "value")
    for split in nest.partition.splits:
        assert not set(held(cells, split.train) // 20) & set(held(cells, split.test) // 20)


def test_inner_splits_in_time_are_the_earlier_outer_ones(frame):
    rows = bigml.from_pandas(frame.assign(day=np.arange(600)), part_rows=70)
    with pytest.raises(ConfigError, match="folds in no order"):
        nest_of(rows, bigml.TimeFolds("day", 4), 2, "value")
    about = {"target": "value", "grid": {"alpha": [0.1, 10.0]}, "progress": False}
    nested = bigml.nested_search(
        Ridge(), rows.select("x0", "day", "value"), outer_cv=bigml.TimeFolds("day", 4), inner_cv=None, **about
    )
    # Nothing comes before the first split. An inner model of a later one is an earlier outer model.
    assert nested.outer_scores_.index.tolist() == [1, 2, 3]
    assert nested.cost_.fits == 2 * 4


def test_a_killed_nested_search_goes_on_from_its_journal(source, tmp_path):
    about = {"target": "value", "grid": {"alpha": [0.1, 10.0]}, "inner_cv": 2, "outer_cv": 3, "journal": tmp_path}
    rows = source.select(*NUMBERS, "value")
    first = bigml.nested_search(Ridge(), rows, **about, progress=False)
    lines = (tmp_path / "search.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "search.jsonl").write_text("".join(lines[:4]))
    again = bigml.nested_search(Ridge(), rows, **about, progress=False)
    pd.testing.assert_frame_equal(first.outer_scores_, again.outer_scores_)
    # With one fold fewer inside than outside: 3 * 2 / 2 + 3 fits a candidate; three results were kept.
    assert first.cost_.fits == 12
    assert again.cost_.fits < 12


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"strategy": "refine"}, ConfigError, "a strategy among grid, random"),
        ({"inner_cv": RepeatedKFold(n_splits=2, n_repeats=2)}, ConfigError, "dealt once"),
        ({"outer_cv": 2, "inner_cv": None}, ConfigError, "outer folds that divide"),
        ({"inner_cv": 1}, ConfigError, "two folds or more"),
        ({"grid": {"alpha": [-1.0]}}, FitError, "a candidate with a score"),
    ],
    ids=str,
)
def test_a_nested_search_that_cannot_be_is_refused(options, error, told, source):
    with pytest.raises(error, match=told):
        bigml.nested_search(Ridge(), source.select("x0", "value"), **{"target": "value", "grid": {"alpha": [1.0]}, **options})


def test_a_nested_result_tells_itself(source):
    nested = bigml.nested_search(
        Ridge(), source.select("x0", "value"), target="value", grid={"alpha": [1.0, 10.0]}, outer_cv=3, inner_cv=2, progress=False
    )
    assert repr(nested).startswith("Nested(r2 ")
    assert "3 outer folds" in repr(nested)
    assert "<table" in nested._repr_html_()


def test_partitions_for_nests_deal_each_row_once(source):
    (plain,) = asked(4, source)
    nest, cells = nest_of(source, 4, 2, "value")
    outer = plain.dealer(Chunk.from_arrow(source.to_arrow()))
    assert nest.partition.n_cells == 8
    assert np.array_equal(cells // 2, outer)


def adult(folder, name):
    """One file of the census extract."""
    names = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"]
    names += ["race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
    (path,) = folder.glob(f"adult.{name}*")
    frame = pd.read_csv(path, names=names, skipinitialspace=True, na_values="?", comment="|")
    return frame.assign(high=frame.pop("income").str.startswith(">50K"))


def test_the_estimate_on_census_rows_holds_on_the_test_file(data_dir):
    train, test = (adult(data_dir / "adult", name) for name in ("data", "test"))
    numbers = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
    kinds = ["workclass", "marital_status", "occupation", "relationship", "sex"]
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    model = make_pipeline(make_column_transformer((StandardScaler(), numbers), (filled, kinds)), LogisticRegression())
    about = {"target": "high", "scoring": ["accuracy", "roc_auc", "log_loss"], "progress": False}
    grid = {"logisticregression__C": [1e-4, 1e-2, 1.0]}
    rows = train[[*numbers, *kinds, "high"]]
    nested = bigml.nested_search(model, rows, grid=grid, inner_cv=4, outer_cv=5, refit="log_loss", **about)
    scores = bigml.score(nested.best_estimator_, test, **about)
    for name, row in nested.estimates_.iterrows():
        assert abs(scores[name] - row["mean"]) < 2 * row["standard_error"], name
    assert nested.cost_.fits == 3 * (5 * 4 // 2 + 5)
