"""What a search will do is told before it does it, without reading."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ConfigError
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
    assert "25 fits" in str(told)
    assert "<table>" in told._repr_html_()


@pytest.mark.parametrize(("cv", "splits"), [(3, 3), (bigml.HoldOut(0.2), 1), (bigml.FoldColumn("x1"), None)], ids=str)
def test_splits_are_told_where_they_are_known(source, cv, splits):
    told = bigml.explain_search(Ridge(), source.select("x0", "x1", "value"), target="value", grid={"alpha": [1.0]}, cv=cv)
    assert told.splits == splits


def test_scans_that_are_told_are_those_that_are_made(source):
    rows, grid = source.select(*NUMBERS, "value"), {"alpha": np.logspace(-2, 2, 5)}
    told = bigml.explain_search(Ridge(), rows, target="value", grid=grid)
    counting = CountingSource(rows)
    bigml.search(Ridge(), counting, target="value", grid=grid, refit=False, progress=False)
    # Folds of a regressor take a scan that counts rows, which is not part of the price.
    assert told.source_scans == 1
    assert len(counting.reads) <= 2 * len(source.parts)


def test_a_grid_that_cannot_be_is_refused(source):
    with pytest.raises(ConfigError, match="Did you mean `alpha`"):
        bigml.explain_search(Ridge(), source, target="value", grid={"alpah": [1]})
