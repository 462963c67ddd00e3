"""Heats: all candidates race on the first split, and only the best of them are tried on the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import bigml
from bigml.errors import ConfigError
from bigml.searching.racing import Heats

MODEL = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", learning_rate="invscaling"))
GRID = {"sgdclassifier__alpha": [1e-5, 1e-3, 0.1], "sgdclassifier__eta0": [1e-3, 1e-2, 0.1]}
SPLITS = [f"split{i}_test_score" for i in range(3)]


def searched(rows, model=MODEL, **how):
    about = {"target": "label", "grid": GRID, "cv": 3, "scoring": "neg_log_loss", "refit": False, "progress": False}
    return bigml.search(model, rows, **{**about, **how})


@pytest.fixture(scope="module")
def rows():
    """3,200 rows of a logistic model in 32 parts."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3200, 4))
    label = (rng.random(3200) < 1 / (1 + np.exp(-X @ [2.0, -1.0, 0.5, 0.0]))).astype(int)
    return bigml.from_pandas(pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "label": label}), part_rows=100)


@pytest.fixture(scope="module")
def exhaustive(rows):
    return searched(rows).cv_results_


def test_the_best_on_the_first_split_have_the_scores_of_a_grid_and_the_others_have_that_split_alone(rows, exhaustive):
    found = searched(rows, strategy=Heats(finalists=2, rule=None))
    first = exhaustive[SPLITS[0]]
    final = (first >= first.nlargest(2).iloc[-1]).to_numpy()
    table = found.cv_results_
    pd.testing.assert_frame_equal(table.loc[final, SPLITS], exhaustive.loc[final, SPLITS])
    assert table[SPLITS[0]].tolist() == first.tolist()
    assert table.loc[~final, SPLITS[1:]].isna().to_numpy().all()
    assert table["mean_test_score"][~final].tolist() == first[~final].tolist()
    assert table["share"].tolist() == np.where(final, 1.0, 1 / 3).tolist()
    # Nine on one split and two on two more.
    assert (found.cost_.fits, found.cost_.share) == (13, pytest.approx(13 / 27))
    assert set(table["rank_test_score"][final]) == {1, 2}
    assert not table["failed"].any()
    assert found.notes_ == ("2 of 9 went on to all splits from a race on the first",)


def test_by_its_name_it_is_a_race_on_the_way_too_and_finds_the_best(rows, exhaustive):
    found = searched(rows, strategy="heats", refit=True)
    assert found.best_score_ == exhaustive["mean_test_score"].max()
    assert set(found.history_["split"]) == {0}
    # Nine to the half, five from there, and four of those on two splits more.
    assert found.cost_.share == pytest.approx((9 * 0.5 + 5 * 0.5 + 4 * 2) / 27)
    assert found.best_estimator_.predict_proba(pd.DataFrame(np.zeros((1, 4)), columns=["x0", "x1", "x2", "x3"])).shape == (1, 2)
    assert found.plot().axes
    assert found.plot("scores").axes
    assert found.boxplot_parameters().axes


def test_where_there_are_no_more_than_finalists_all_are_tried_on_all_splits(rows, exhaustive):
    found = searched(rows, strategy=Heats(finalists=9))
    assert found.cv_results_["share"].eq(1.0).all()
    assert found.cv_results_[SPLITS].equals(exhaustive[SPLITS])


def test_what_learns_by_shared_scans_has_all_splits_at_once(rows):
    steps = [LogisticRegression(), GaussianNB(), *(SGDClassifier(loss="log_loss", alpha=10.0**-i) for i in range(4))]
    found = searched(rows, grid={"sgdclassifier": steps}, strategy=Heats(finalists=1, rule=None))
    assert found.cv_results_["share"].round(3).tolist()[:2] == [1.0, 1.0]
    assert (found.cv_results_["share"][2:] == 1.0).sum() == 1


def test_a_candidate_that_fails_on_the_first_split_goes_no_further(rows):
    grid = {**GRID, "sgdclassifier__learning_rate": ["invscaling", "nonsense"]}
    found = searched(rows, grid=grid, strategy=Heats(finalists=3))
    wrong = np.array([params["sgdclassifier__learning_rate"] == "nonsense" for params in found.cv_results_["params"]])
    assert found.cv_results_["failed"][wrong].str.contains("learning_rate").all()
    assert (found.cv_results_["share"][~wrong] == 1.0).sum() == 3


def test_models_in_memory_are_tried_in_heats_too(rows):
    grid = {"max_depth": [1, 2, 3, 4, 5, 6], "min_samples_leaf": [1, 20]}
    found = searched(rows, DecisionTreeClassifier(random_state=0), grid=grid, sample=3200, strategy=Heats(finalists=3))
    assert found.cost_.fits == 12 + 3 * 2
    assert found.cv_results_["share"].eq(1.0).sum() == 3


def test_heats_go_on_from_their_journal(rows, tmp_path):
    strategy = Heats(finalists=2)
    whole = searched(rows, strategy=strategy, journal=tmp_path)
    again = searched(rows, strategy=strategy, journal=tmp_path)
    assert again.cost_.fits == 0
    assert again.cv_results_.equals(whole.cv_results_)
    lines = (tmp_path / "search.jsonl").read_text().splitlines(keepends=True)
    for kept in range(1, len(lines), 7):
        (tmp_path / "search.jsonl").write_text("".join(lines[:kept]))
        assert searched(rows, strategy=strategy, journal=tmp_path).cv_results_.equals(whole.cv_results_)
    with pytest.raises(ConfigError, match="journal of this search"):
        searched(rows, strategy=Heats(finalists=3), journal=tmp_path)


def test_no_finalist_is_refused():
    with pytest.raises(ConfigError, match="finalists"):
        Heats(finalists=0)
