"""A witness holds no more cells than tell something, and makes what a step leaves behind only when that is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.learning.preprocessing.summary import Spread, Summary
from bigml.learning.preprocessing.witness import Witness


class Watched:
    """A step that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def transform(self, X: Any) -> Any:
        self.asked += 1
        return X


def witness() -> Witness:
    """A column of forty categories beside one of numbers of which the extremes are known, and that some are missing."""
    categories = Summary(pa.array([f"{i}" for i in range(40)]), np.arange(1, 41))
    numbers = Summary(pa.array([-1.0, 7.0]), np.zeros(2, np.int64), missing=3, spread=Spread(817, 2.0, 5.0))
    return Witness.of([("kind", categories), ("number", numbers)], 820)


def test_what_a_step_leaves_behind_is_made_once_and_only_when_it_is_looked_at() -> None:
    step, before = Watched(), witness()
    behind = before.after(step, before.columns)
    assert (behind.width, step.asked) == (2, 0)
    assert behind.data is behind.data
    assert step.asked == 1


def test_chosen_columns_keep_the_cells_that_tell_something_of_them() -> None:
    numbers = witness().select(["number"])
    np.testing.assert_array_equal(numbers.cells(0), [-1.0, 7.0, np.nan])
    assert numbers.missing(0) == 3
    assert witness().select(["kind", "number"]).data.shape == (40, 2)


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.55, 0.9])
def test_all_rows_decide_whether_a_composition_is_sparse(drop: str | None, threshold: float) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=400), "s": rng.choice(list("ab"), 400), "t": rng.choice(list("abcd"), 400)})
    branches = [("x", StandardScaler(), ["x"]), ("kinds", OneHotEncoder(drop=drop), ["s", "t"])]
    expected = ColumnTransformer(branches, sparse_threshold=threshold).fit(frame)
    found = bigml.fit(ColumnTransformer(branches, sparse_threshold=threshold), frame, progress=False)
    assert found.sparse_output_ == expected.sparse_output_
    np.testing.assert_array_equal(found.transform(frame).shape, expected.transform(frame).shape)
