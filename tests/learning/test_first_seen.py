"""What appears late: a class or a category of the last part alone, and a category that was never learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import bigml
from bigml.errors import DataError

N, PART = 200, 40
RNG = np.random.default_rng(0)
LAST = np.arange(N) >= N - PART
FRAME = pd.DataFrame({"x": RNG.normal(size=N), "s": np.where(LAST, "new", "old"), "y": RNG.integers(0, 2, N) + 2 * LAST})
SOURCE = bigml.from_pandas(FRAME, part_rows=PART)


def test_a_class_that_first_appears_in_the_last_part_is_learned_as_by_who_knew_it() -> None:
    model = bigml.fit(SGDClassifier(), SOURCE.select("x", "y"), target="y", shuffle=False)
    loop = SGDClassifier(random_state=0)
    for start in range(0, N, PART):
        rows = FRAME.iloc[start : start + PART]
        loop.partial_fit(rows[["x"]].to_numpy(), rows["y"].to_numpy(), classes=[0, 1, 2, 3])
    assert model.classes_.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(model.coef_, loop.coef_)


def test_a_category_that_first_appears_in_the_last_part_has_its_column() -> None:
    encoder = bigml.fit(OneHotEncoder(), SOURCE.select("s"))
    assert [list(names) for names in encoder.categories_] == [["new", "old"]]
    assert (encoder.transform(FRAME[["s"]]) != OneHotEncoder().fit_transform(FRAME[["s"]])).nnz == 0


@pytest.mark.parametrize("policy", ["error", "ignore"])
def test_a_category_that_was_never_learned_is_treated_as_the_encoder_says(policy: Any) -> None:
    learned = FRAME[~LAST]
    model = make_pipeline(OneHotEncoder(handle_unknown=policy), LogisticRegression()).fit(learned[["s"]], learned["y"])
    predicted = bigml.predict(model, SOURCE.select("s"))
    if policy == "ignore":
        np.testing.assert_array_equal(predicted.to_pandas()["prediction"], model.predict(FRAME[["s"]]))
        return
    with pytest.raises(DataError, match=r"got 'new' - column `s`.*handle_unknown=\"ignore\"") as caught:
        predicted.to_pandas()
    assert "while reading part 4 (rows 160 to 199)" in caught.value.__notes__
