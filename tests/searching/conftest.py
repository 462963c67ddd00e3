"""Fixtures for searches: small tables in several parts, and the folds of a search as scikit-learn takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.chunk import Chunk
from bigml.learning.inquiry import conduct
from bigml.searching.folds import partitions


@pytest.fixture(scope="session")
def frame():
    """600 rows of five numbers and a category, with a target of two classes and one of numbers."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"x{i}": rng.normal(i, 1.0 + i, size=600) for i in range(5)})
    table["k"] = rng.choice(list("abc"), 600)
    score = table.x0 - 0.3 * table.x1 + 0.5 * (table.k == "a") + rng.normal(size=600)
    table["label"], table["value"] = (score > 0).astype(int), score
    return table


@pytest.fixture(scope="session")
def source(frame):
    """The same rows in seven parts."""
    return bigml.from_pandas(frame, part_rows=90)


@pytest.fixture(scope="session")
def folds_of():
    """A function that gives the folds of a search as pairs of row numbers, which scikit-learn takes as `cv`."""

    def folds(source, cv, target, *, classifier, seed=0):
        asked = partitions(cv, source, target=target, classifier=classifier, groups=None, seed=seed)
        (partition,) = conduct(asked, lambda reducer: source.reduce(reducer).compute(progress=False))
        cells = partition.dealer(Chunk.from_arrow(source.to_arrow()))
        return [tuple(np.flatnonzero(np.isin(cells, some)) for some in (one.train, one.test)) for one in partition.splits]

    return folds
