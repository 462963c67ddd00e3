"""Steps in the middle of a pipeline that learn by `partial_fit` are trained part by part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import bigml
from bigml.errors import FitError
from bigml.testing import CountingSource

NUMBERS = list("abcde")


def rows() -> pd.DataFrame:
    """Numbers and whether one of them is positive."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(600, 5)), columns=NUMBERS)
    return frame.assign(y=frame.a > 0)


def test_components_are_learned_part_by_part_as_by_scikit_learn_in_the_same_order():
    frame = rows()
    pipeline = make_pipeline(StandardScaler(), IncrementalPCA(2), SGDClassifier())
    found = bigml.fit(pipeline, bigml.from_pandas(frame, part_rows=100), target="y", shuffle=False)
    scaled = StandardScaler().fit_transform(frame[NUMBERS])
    wanted = IncrementalPCA(2)
    for start in range(0, 600, 100):
        wanted.partial_fit(scaled[start : start + 100])
    np.testing.assert_allclose(found[1].components_, wanted.components_, rtol=1e-9)
    assert found[1].n_samples_seen_ == 600


def test_machines_and_clusters_feed_other_models_and_repeat_exactly():
    frame = rows()
    source = bigml.from_pandas(frame, part_rows=100)
    for step in (BernoulliRBM(n_components=4), MiniBatchKMeans(4, n_init=1)):
        pipeline = make_pipeline(MinMaxScaler(), step, LogisticRegression())
        one, other = (bigml.fit(pipeline, source, target="y", epochs=2, seed=3) for _ in range(2))
        assert (one[-1].coef_ == other[-1].coef_).all()
        assert one[1].random_state is None
        assert one.predict(frame[NUMBERS]).shape == (600,)


def test_branches_may_be_trained_beside_others_that_share_their_scans():
    frame = rows()
    branches = make_column_transformer(
        (make_pipeline(StandardScaler(), IncrementalPCA(2)), ["a", "b", "c"]),
        (make_pipeline(StandardScaler(), PCA(2)), ["c", "d", "e"]),
        (IncrementalPCA(1), ["d", "e"]),
    )
    source = CountingSource(bigml.from_pandas(frame, part_rows=100))
    found = bigml.fit(make_pipeline(branches, SGDClassifier()), source, target="y")
    pca = found[0].transformers_[1][1][-1]
    wanted = PCA(2).fit(StandardScaler().fit_transform(frame[["c", "d", "e"]]))
    np.testing.assert_allclose(pca.explained_variance_, wanted.explained_variance_, rtol=1e-9)
    assert set(source.times_read.values()) == {5}, "scalers, PCA, two chains, the model's chain"
    assert found[0].transform(frame[NUMBERS]).shape == (600, 5)


class Largest(TransformerMixin, BaseEstimator):
    """A step of a user's own: divides by the largest value so far."""

    def fit(self, X, y=None):
        return self.partial_fit(X)

    def partial_fit(self, X, y=None):
        self.largest_ = np.maximum(getattr(self, "largest_", 0.0), np.abs(X).max(axis=0))
        return self

    def transform(self, X):
        return X / self.largest_


def test_a_step_of_ones_own_is_trained():
    frame = rows()
    pipeline = make_pipeline(StandardScaler(), Largest(), LogisticRegression())
    found = bigml.fit(pipeline, bigml.from_pandas(frame, part_rows=100), target="y")
    wanted = np.abs(StandardScaler().fit_transform(frame[NUMBERS])).max(axis=0)
    np.testing.assert_allclose(found[1].largest_, wanted, rtol=1e-12)


def test_what_such_a_step_refuses_is_named():
    frame = rows().assign(k="x")
    with pytest.raises(FitError, match=r"`IncrementalPCA.partial_fit`.*'x'"):
        bigml.fit(make_pipeline(IncrementalPCA(2), SGDClassifier()), bigml.from_pandas(frame), target="y")


def test_its_epochs_are_scans_that_are_forecast():
    pipeline = make_pipeline(StandardScaler(), IncrementalPCA(2), SGDClassifier())
    told = bigml.explain_fit(pipeline, bigml.from_pandas(rows(), part_rows=100), target="y", epochs=3)
    assert told.preparing_scans == 1 + 3
