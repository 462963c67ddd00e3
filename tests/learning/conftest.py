"""Fixtures for models that learn by scans."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

from bigml.learning import catalogue
from bigml.learning.batch import Batch
from bigml.learning.inquiry import conduct
from bigml.learning.solving import Problem, solve

assert catalogue.MODULES, "importing it registers the models"


@pytest.fixture(scope="session")
def learn():
    """A function that fits an estimator on rows cut into chunks at some places, each chunk folded alone, then all merged."""

    def learned(estimator, X, y=None, weights=None, *, cuts=(), seed=0):
        classes, codes = (None, None) if y is None else np.unique(y, return_inverse=True)
        edges = [0, *sorted(cuts), X.shape[0]]
        batches = [
            Batch(np.arange(a, b), X[a:b], *(None if column is None else column[a:b] for column in (codes, weights)))
            for a, b in pairwise(edges)
        ]

        def answer(asked):
            states = [asked.update(asked.start(), batch) if batch.n_rows else asked.start() for batch in batches]
            return asked.finish(reduce(asked.merge, states))

        return conduct(solve(clone(estimator), Problem(classes, seed)), answer)

    return learned
