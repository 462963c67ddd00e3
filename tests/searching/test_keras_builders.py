"""A builder of Keras models is searched as whole trainings, in Keras's own wrapper for scikit-learn."""

from __future__ import annotations

import pytest
from builders import small

import bigml

wrappers = pytest.importorskip("keras.wrappers")


def test_each_candidate_and_split_is_a_training_of_its_own(source):
    # One quick epoch: clones of Keras's wrapper lose its `fit_kwargs`.
    model = wrappers.SKLearnClassifier(small)
    rows = source.select("x0", "x1", "label")
    grid = {"model_kwargs": [{"width": 1, "rate": 0.1}, {"width": 8, "rate": 0.1}]}
    found = bigml.search(model, rows, target="label", grid=grid, cv=3, sample=500, progress=False)
    assert found.cost_.fits == 6
    assert found.cv_results_["failed"].tolist() == ["", ""]
    assert found.best_score_ > 0.6
