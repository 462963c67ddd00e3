"""A search has one bar: what is told of it does not go back, and names what is being done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import bigml
from bigml.graph.progress import Bar
from bigml.searching.meter import Meter

LINEAR = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
ALPHAS = {"sgdclassifier__alpha": [1e-5, 1e-4, 1e-3, 1e-2]}


class Recorder(Bar):
    """A bar that keeps what it is told."""

    def __init__(self):
        super().__init__("search", show=False)
        self.told, self.titles = [], []

    def __call__(self, done, total):
        self.told.append((done, total))

    def entitle(self, title):
        self.titles.append(title)


def shares(told):
    return np.array([done / total for done, total in told])


@pytest.mark.parametrize(
    ("estimator", "grid", "more"),
    [
        (LINEAR, ALPHAS, {"epochs": 3}),
        (LINEAR, ALPHAS, {"epochs": 4, "strategy": "halving"}),
        (LINEAR, ALPHAS, {"epochs": 2, "strategy": "racing", "refit": False}),
        (LogisticRegression(), {"C": [0.1, 1.0]}, {}),
        (make_pipeline(LogisticRegression()), {"logisticregression": [GaussianNB(), LogisticRegression()]}, {}),
        (DecisionTreeClassifier(), {"max_depth": [1, 2]}, {"sample": 400}),
    ],
    ids=["epochs", "halving", "racing", "scans", "mixed", "sample"],
)
def test_one_bar_never_goes_back_and_ends_at_the_end(estimator, grid, more, source):
    told = []
    rows = source.drop("value", "k")
    bigml.search(estimator, rows, target="label", grid=grid, progress=lambda *one: told.append(one), **more)
    assert (np.diff([done for done, _ in told]) >= 0).all()
    assert (np.diff(shares(told)) >= -1e-12).all()
    assert told[-1][0] == told[-1][1] > 0
    assert len({done for done, _ in told}) > 3


def test_trials_that_are_recorded_early_are_on_the_bar_too(source, tmp_path):
    told = []
    about = {"grid": {"alpha": np.logspace(-5, 0, 6)}, "journal": tmp_path, "refit": False}
    rows = source.drop("value", "k")
    bigml.search(MLPClassifier((2,)), rows, target="label", progress=lambda *one: told.append(one), **about)
    after = [one for one in told if one[1] == told[-1][1]]
    assert (np.diff([done for done, _ in told]) >= 0).all()
    assert (np.diff(shares(after)) >= 0).all()
    assert shares(told)[-1] == 1


def test_nested_searches_have_one_bar(source):
    told = []
    about = {"grid": {"alpha": [0.1, 1.0]}, "inner_cv": 2, "outer_cv": 3}
    rows = source.drop("label", "k")
    bigml.nested_search(Ridge(), rows, target="value", progress=lambda *one: told.append(one), **about)
    assert (np.diff(shares(told)) >= -1e-12).all()
    assert told[-1][0] == told[-1][1]


def test_the_title_tells_the_phase():
    bar = Recorder()
    meter = Meter(bar, refits=True)
    meter.plan([("prepare", 1), ("encode", 1), ("train", 2), ("judge", 1)])
    for title in ("prepare", "train", "race", "train", "judge"):
        meter(title)(1, 1)
    meter.plan([("prepare", 1), ("train", 2)], last=True)
    meter("train")(1, 2)
    assert bar.titles == [*(f"search: {title}" for title in ("prepare", "train", "race", "train", "judge")), "refit: train"]
    assert bar.told[-1] == (500, 600)


def test_a_phase_goes_on_where_it_was_left():
    bar = Recorder()
    meter = Meter(bar)
    meter.plan([("train", 4), ("judge", 1)])
    meter("train")(1, 4)
    meter("race")(3, 3)
    assert bar.told[-1] == (100, 500)
    meter("train")(2, 4)
    assert bar.told[-1] == (200, 500)
    meter("judge")  # all were dropped: the rest of the training does not come
    assert bar.told[-1] == (200, 300)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["prepare", "encode", "train", "judge", "race"]), st.floats(0, 1)), max_size=12))
def test_whatever_comes_within_a_plan_the_share_does_not_fall(steps):
    bar = Recorder()
    meter = Meter(bar)
    meter.plan([("prepare", 1), ("encode", 1), ("train", 3), ("judge", 1)])
    for title, share in steps:
        tell = meter(title)
        tell(0, 1000)
        tell(int(share * 1000), 1000)
    meter.end()
    # Each is told in whole hundredths of a scan.
    assert (np.diff(shares(bar.told)) >= -0.01).all()
    assert shares(bar.told)[-1] == 1
