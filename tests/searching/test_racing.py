"""Candidates that fall behind are dropped by their scores alone, and the best is found for a part of the cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ConfigError
from bigml.searching.racing import Bounds, Halving, Hyperband

RULES = [Halving(), Halving(eta=2, rungs=5), Hyperband(), Bounds(), Bounds(confidence=0.9, tolerance=0.0)]
MODEL = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", learning_rate="invscaling"))
GRID = {"sgdclassifier__alpha": [1e-5, 1e-3, 0.1], "sgdclassifier__eta0": [1e-3, 1e-2, 0.1]}


def tables(n_splits=3):
    """Scores of some candidates on each split."""
    scores = st.lists(st.floats(-10, 10) | st.just(np.nan), min_size=n_splits, max_size=n_splits).map(np.array)
    return st.dictionaries(st.integers(0, 200), scores, min_size=1, max_size=40)


def searched(rows, **how):
    """The search of all tests here."""
    about = {"target": "label", "grid": GRID, "cv": 3, "scoring": "neg_log_loss", "refit": False, "progress": False}
    return bigml.search(MODEL, rows, **{**about, **how})


@pytest.fixture(scope="module")
def rows():
    """3,200 rows of a logistic model in 32 parts."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3200, 4))
    label = (rng.random(3200) < 1 / (1 + np.exp(-X @ [2.0, -1.0, 0.5, 0.0]))).astype(int)
    return bigml.from_pandas(pd.DataFrame({**{f"x{i}": X[:, i] for i in range(4)}, "label": label}), part_rows=100)


@pytest.fixture(scope="module")
def exhaustive(rows):
    """All candidates trained to the end."""
    return searched(rows)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@given(scores=tables())
@settings(max_examples=15, deadline=None)
def test_someone_stays_and_failures_go_first(rule, scores):
    for at in rule.stops(sorted(scores), 54)[:-1]:
        staying = rule.staying(at, scores, 54)
        assert staying
        assert staying <= set(scores)
        met = ~np.isnan(list(scores.values())).all(axis=0)
        assert staying <= ({number for number, values in scores.items() if not np.isnan(values[met]).any()} or set(scores))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("n_windows", [1, 2, 5, 27, 100])
def test_stops_ascend_and_end_with_all_windows(rule, n_windows):
    stops = rule.stops(range(9), n_windows)
    assert list(stops) == sorted(set(stops))
    assert stops[0] >= 1
    assert stops[-1] == n_windows


def test_a_split_without_rows_yet_tells_nothing_of_anyone():
    scores = {i: np.array([i / 10, np.nan]) for i in range(6)}
    assert Halving().staying(1, scores, 27) == {4, 5}
    nothing = {i: np.array([np.nan, np.nan]) for i in range(6)}
    assert all(rule.staying(rule.stops(range(6), 54)[0], nothing, 54) == set(range(6)) for rule in RULES)


def test_halving_keeps_the_best_third_however_many_have_failed():
    scores = {i: np.array([float(i) if i > 3 else np.nan]) for i in range(9)}
    assert Halving().staying(2, scores, 54) == {6, 7, 8}


def test_bounds_are_those_of_students_t():
    rng = np.random.default_rng(1)
    scores = {i: rng.normal(-0.2 * i, 0.3, size=5) for i in range(8)}
    first = max(scores, key=lambda i: scores[i].mean())
    worse = {i for i in scores if i != first and ttest_1samp(scores[i] - scores[first], 0, alternative="less").pvalue < 0.05}
    assert 0 < len(worse) < 7
    assert Bounds(confidence=0.95, tolerance=0).staying(1, scores, 32) == set(scores) - worse


def test_on_one_split_bounds_drop_no_one_who_has_a_score():
    assert Bounds().staying(1, {i: np.array([float(i)]) for i in range(5)}, 32) == set(range(5))


def test_brackets_share_candidates_as_in_the_paper_and_grids_are_spread_over_them():
    brackets = np.array([Hyperband().bracket(number) for number in range(490)])
    np.testing.assert_allclose(np.bincount(brackets) / 10, [4, 6, 12, 27], atol=0.2)
    assert all(len(set(brackets[begin : begin + 24])) == 4 for begin in range(0, 480, 24))


@pytest.mark.parametrize("wrong", [lambda: Halving(eta=1), lambda: Hyperband(rungs=0), lambda: Bounds(confidence=1.0)])
def test_a_rule_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


@pytest.mark.parametrize("strategy", ["halving", "racing", "hyperband"])
def test_a_race_finds_the_best_for_a_part_of_the_cost_and_those_that_stay_have_the_scores_of_a_grid(strategy, rows, exhaustive):
    found = searched(rows, strategy=strategy)
    scores = exhaustive.cv_results_["mean_test_score"]
    assert found.best_score_ >= 1.001 * exhaustive.best_score_
    assert found.cost_.share < 0.6
    stayed = found.cv_results_["share"] == 1.0
    assert found.cv_results_["mean_test_score"][stayed].tolist() == scores[stayed].tolist()
    assert 0 < stayed.sum() < len(scores)
    # What each had is the share of the last stop that it was judged at.
    last = found.history_.groupby("candidate")["share"].max()
    assert found.cv_results_["share"][~stayed].tolist() == last[~stayed].tolist()


def test_the_number_of_threads_does_not_matter(rows, monkeypatch):
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("BIGML_THREADS", threads)
        found.append(searched(rows, strategy=Halving(eta=2)))
    one, other = found
    assert one.cv_results_.equals(other.cv_results_)
    assert one.history_.equals(other.history_)


def test_those_that_learn_by_whole_scans_take_no_part_and_the_result_says_so(rows):
    grid = {"sgdclassifier": [LogisticRegression(C=1.0), LogisticRegression(C=1e-5), SGDClassifier(loss="log_loss")]}
    found = searched(rows, grid=grid, strategy="halving")
    assert found.cv_results_["share"].tolist()[:2] == [1.0, 1.0]
    assert "LogisticRegression" in found.notes_[0]
