"""What a search will do is told before it does it, without reading."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ConfigError
from bigml.searching import explaining, hands
from bigml.searching.moving import Moves
from bigml.testing import CountingSource

NUMBERS = [f"x{i}" for i in range(5)]


def test_candidates_splits_and_learners_are_told_without_reading(source):
    counting = CountingSource(source.select(*NUMBERS, "label"))
    finals = [SGDClassifier(), SGDClassifier(alpha=1.0), SGDClassifier(), MLPClassifier(), LogisticRegression()]
    grid = {"clf": [*finals, RandomForestClassifier()]}
    told = bigml.explain_search(
        Pipeline([("s", StandardScaler()), ("clf", SGDClassifier())]), counting, target="label", grid=grid
    )
    assert counting.reads == []
    assert (told.candidates, told.duplicates, told.splits, told.preparations) == (5, 1, 5, 5)
    assert dict(told.learners) == {
        "one matrix of weights": 2,
        "partial_fit, one by one": 1,
        "whole scans, shared": 1,
        "a sample in memory": 1,
    }
    assert "RandomForestClassifier" in told.failures[0]
    assert "25 fits" in repr(told)
    assert "<table>" in told._repr_html_()


@pytest.mark.parametrize(("cv", "splits"), [(3, 3), (bigml.HoldOut(0.2), 1), (bigml.FoldColumn("x1"), None)], ids=str)
def test_splits_are_told_where_they_are_known(source, cv, splits):
    told = bigml.explain_search(Ridge(), source.select("x0", "x1", "value"), target="value", grid={"alpha": [1.0]}, cv=cv)
    assert told.splits == splits


SCALED = Pipeline([("s", StandardScaler()), ("clf", SGDClassifier())])


@pytest.mark.parametrize(
    ("estimator", "target", "grid", "more"),
    [
        (Ridge(), "value", {"alpha": [0.1, 1.0]}, {}),
        (Ridge(), "value", {"alpha": [0.1, 1.0]}, {"refit": False}),
        (Ridge(), "value", {"alpha": [0.1]}, {"cv": bigml.TimeFolds("x1", 3)}),
        (LogisticRegression(), "label", {"C": [0.1, 1.0]}, {"cv": bigml.HoldOut(0.2, by="x0")}),
        (SCALED, "label", {"clf__alpha": [1e-3, 1e-2]}, {"epochs": 3}),
        (SCALED, "label", {"clf__alpha": [1e-3, 1e-2]}, {"cv": bigml.GroupFolds("x0", 3)}),
        (MLPClassifier((2,)), "label", {"alpha": [1e-3]}, {"cv": KFold(3)}),
    ],
    ids=["ridge", "bare", "time", "logistic", "epochs", "groups", "network"],
)
@pytest.mark.parametrize("shared", [True, False])
def test_scans_that_are_told_are_those_that_are_made(estimator, target, grid, more, shared, source, monkeypatch):
    for module in (hands, explaining):
        monkeypatch.setattr(module, "local", lambda client: shared)
    counting = CountingSource(source.select(*NUMBERS, target))
    told = bigml.explain_search(estimator, counting, target=target, grid=grid, **more)
    assert counting.reads == []
    cost = bigml.search(estimator, counting, target=target, grid=grid, progress=False, **more).cost_
    if isinstance(estimator, LogisticRegression) and not shared:
        assert told.source_scans >= cost.scans  # it may converge in fewer scans
    else:
        assert told.source_scans == cost.scans
    assert len(counting.reads) == cost.scans * len(source.parts) == cost.decodes
    assert cost.nbytes == cost.scans * counting.nbytes
    assert cost.told["parts decoded"] == cost.decodes


def test_rows_or_learners_are_moved_whichever_is_fewer_bytes():
    few = Moves.of(4, rows=1_000_000, learners=80, epochs=2, windows=10, shared=False)
    # Every row goes to three other workers in each epoch; three of four times a window is on another worker than a learner.
    assert (few.rows, few.learners, few.which) == (6_000_000, 600, "learners")
    many = Moves.of(4, rows=1_000, learners=8_000_000, epochs=2, windows=10, shared=False)
    assert (many.rows, many.learners, many.which) == (6_000, 60_000_000, "rows")
    assert "5.9 KiB of rows to the learners, which is less than 57.2 MiB of learners to the rows" in str(many)
    assert Moves.of(4, rows=10**9, learners=80, epochs=1, windows=10, shared=True).which == "nothing"
    assert Moves.of(1, rows=10**9, learners=80, epochs=1, windows=10, shared=False).which == "nothing"


def test_both_figures_are_told(source, monkeypatch):
    monkeypatch.setattr(explaining, "local", lambda client: False)
    monkeypatch.setattr(explaining, "_n_workers", lambda client: 3)
    about = {"target": "label", "grid": {"clf__alpha": [1e-3, 1e-2]}, "cv": 4}
    moves = bigml.explain_search(SCALED, source.select(*NUMBERS, "label"), epochs=2, **about).moves
    # 600 rows of five numbers and a target, encoded for four splits, to two other workers in two epochs.
    assert moves.rows == 600 * 48 * 4 * 2 * 2
    # 8 learners of a row's size go through 8 windows of two parts, two of three times to another worker.
    assert moves.learners == 8 * 48 * 8 * 2 // 3
    networks = {"clf": [MLPClassifier((100, 100), alpha=alpha) for alpha in np.logspace(-5, 0, 20)]}
    told = bigml.explain_search(SCALED, source.select(*NUMBERS, "label"), **about | {"grid": networks})
    assert told.moves.which == "rows"
    assert "of learners to the rows" in str(told)
    assert told.to_dict()["moves"]["workers"] == 3


def test_a_grid_that_cannot_be_is_refused(source):
    with pytest.raises(ConfigError, match="Did you mean `alpha`"):
        bigml.explain_search(Ridge(), source, target="value", grid={"alpah": [1]})
