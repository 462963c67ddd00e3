"""Averaged weights are the mean of the weights on the way, with an absolute penalty too."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from bigml.learning.batch import Batch
from bigml.searching.panel import Panel

N = 600
CLASSES = np.array([0, 1])


@pytest.fixture(scope="module")
def rows():
    """Three features, of which the first alone tells the class."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    return X, (X[:, 0] + rng.normal(size=N) > 0).astype(np.int64)


def constant(**more):
    return SGDClassifier(loss="log_loss", alpha=0.05, l1_ratio=0.5, learning_rate="constant", eta0=0.05, **more)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet", "l1"])
def test_averages_are_near_the_mean_of_scikit_learns_weights_after_each_row(penalty, rows):
    X, y = rows
    # Its weights after i rows are those of a model that has seen no more: so the mean does not rest on its own averaging.
    models = [constant(penalty=penalty, shuffle=False).partial_fit(X[:i], y[:i], classes=CLASSES) for i in range(1, N + 1)]
    mean = np.mean([model.coef_[0] for model in models], axis=0)
    given = [constant(penalty=penalty, average=True)]
    panel = Panel.of(given, np.ones((1, 1), bool), 3, CLASSES, seed=0)
    (found,) = panel.step([Batch(np.arange(N), X, y)], epoch=0, part=0).estimators()
    # Another order of rows, and mini-batches: near, and not equal.
    np.testing.assert_allclose(found.coef_[0], mean, atol=0.12)
    models[-1].coef_, models[-1].intercept_ = mean[None], np.mean([model.intercept_ for model in models], axis=0)
    assert log_loss(y, found.predict_proba(X)) < 1.02 * log_loss(y, models[-1].predict_proba(X))
