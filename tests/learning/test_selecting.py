"""Selection of columns and random features equal scikit-learn's own on the concatenation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import (
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    chi2,
    f_regression,
    mutual_info_classif,
)
from sklearn.kernel_approximation import AdditiveChi2Sampler, PolynomialCountSketch, RBFSampler, SkewedChi2Sampler
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

import bigml
from bigml.errors import BigmlError
from bigml.testing import CountingSource

NUMBERS = list("abcdef")


def rows(n: int = 900) -> pd.DataFrame:
    """Numbers of which some tell the kind, or the value; a category, too."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 6)), columns=NUMBERS)
    frame["k"] = rng.choice(list("xyz"), n)
    frame["kind"] = np.where(frame.a + 2 * frame.b > 0.5, "late", np.where(frame.c > 0, "fine", "early"))
    frame["value"] = 2 * frame.a + frame.e + rng.normal(size=n)
    return frame


SELECTIONS = [
    SelectKBest(k=3),
    SelectPercentile(percentile=40),
    SelectFpr(),
    SelectFdr(),
    SelectFwe(),
    GenericUnivariateSelect(mode="k_best", param=2),
]


@pytest.mark.parametrize("part_rows", [7, 250, 900])
@pytest.mark.parametrize("step", SELECTIONS, ids=lambda step: type(step).__name__)
def test_columns_are_selected_as_by_scikit_learn(step, part_rows):
    frame = rows()
    encoded = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(sparse_output=False), ["k"]))
    pipeline = make_pipeline(encoded, step, GaussianNB())
    source = bigml.from_pandas(frame.drop(columns="value"), part_rows=part_rows)
    found = bigml.fit(pipeline, source, target="kind")
    wanted = clone(pipeline).fit(frame[[*NUMBERS, "k"]], frame.kind)
    np.testing.assert_allclose(found[1].scores_, wanted[1].scores_, rtol=1e-9)
    np.testing.assert_allclose(found[1].pvalues_, wanted[1].pvalues_, rtol=1e-9, atol=1e-300)
    assert list(found[:-1].get_feature_names_out()) == list(wanted[:-1].get_feature_names_out())
    assert (found.predict(frame) == wanted.predict(frame[[*NUMBERS, "k"]])).all()


def test_counts_are_selected_by_chi_squared_of_sparse_rows():
    frame = rows()
    pipeline = make_pipeline(OneHotEncoder(), SelectKBest(chi2, k=2))
    found = bigml.fit(pipeline, bigml.from_pandas(frame[["k", "kind"]], part_rows=100), target="kind")
    wanted = pipeline.fit(frame[["k"]], frame.kind)
    np.testing.assert_allclose(found[1].scores_, wanted[1].scores_, rtol=1e-9)
    np.testing.assert_allclose(found[1].pvalues_, wanted[1].pvalues_, rtol=1e-9)


def test_columns_are_selected_for_a_regression():
    frame = rows().assign(constant=3.0)
    pipeline = make_pipeline(SelectKBest(f_regression, k=2), LinearRegression())
    source = CountingSource(bigml.from_pandas(frame.drop(columns=["k", "kind"]), part_rows=100))
    found = bigml.fit(pipeline, source, target="value")
    wanted = clone(pipeline).fit(frame[[*NUMBERS, "constant"]], frame.value)
    np.testing.assert_allclose(found[0].scores_, wanted[0].scores_, rtol=1e-9)
    np.testing.assert_allclose(found[0].pvalues_, wanted[0].pvalues_, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found[1].coef_, wanted[1].coef_, rtol=1e-9)
    assert list(found[0].get_feature_names_out()) == ["a", "e"]
    assert set(source.times_read.values()) <= {2, 3}, "the first rows, the selection, the model"


def test_a_selection_alone_takes_a_target():
    frame = rows()
    found = bigml.fit(SelectKBest(k=2), bigml.from_pandas(frame[[*NUMBERS, "kind"]], part_rows=100), target="kind")
    wanted = SelectKBest(k=2).fit(frame[NUMBERS], frame.kind)
    assert list(found.get_feature_names_out()) == list(wanted.get_feature_names_out())


@pytest.mark.parametrize(
    "step",
    [
        RBFSampler(n_components=9, random_state=1),
        SkewedChi2Sampler(n_components=9, random_state=1),
        PolynomialCountSketch(n_components=8, random_state=1),
        AdditiveChi2Sampler(),
        GaussianRandomProjection(3, random_state=1),
        SparseRandomProjection(3, random_state=1),
    ],
    ids=lambda step: type(step).__name__,
)
def test_random_features_are_scikit_learns(step):
    frame = rows()[NUMBERS]
    pipeline = make_pipeline(MinMaxScaler(), step)
    found = bigml.fit(pipeline, bigml.from_pandas(frame, part_rows=100))
    np.testing.assert_allclose(found.transform(frame), clone(pipeline).fit_transform(frame), rtol=1e-9, atol=1e-12)


def test_random_features_without_a_seed_of_their_own_follow_the_seed_of_the_fit():
    frame = rows()[NUMBERS]
    source = bigml.from_pandas(frame, part_rows=100)
    one, same, other = (bigml.fit(RBFSampler(), source, seed=seed).transform(frame) for seed in (1, 1, 2))
    assert (one == same).all()
    assert not (one == other).all()


def test_projections_choose_their_width_by_the_number_of_rows():
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2000)))
    wide.columns = [f"x{i}" for i in wide.columns]
    found = bigml.fit(GaussianRandomProjection(eps=0.5), bigml.from_pandas(wide, part_rows=20))
    assert found.n_components_ == GaussianRandomProjection(eps=0.5).fit(wide).n_components_
    assert found.n_components == "auto"


def test_components_may_stand_first():
    frame = rows()
    found = bigml.fit(
        make_pipeline(PCA(2), SGDClassifier()), bigml.from_pandas(frame[[*NUMBERS, "kind"]], part_rows=90), target="kind"
    )
    wanted = PCA(2).fit(frame[NUMBERS])
    np.testing.assert_allclose(np.abs(found[0].components_), np.abs(wanted.components_), atol=1e-9)
    assert list(found[0].feature_names_in_) == NUMBERS


@pytest.mark.parametrize(
    ("pipeline", "columns", "target", "told"),
    [
        (SelectKBest(k=2), NUMBERS, None, "target="),
        (make_pipeline(SelectKBest(k=2), GaussianNB()), ["k", "kind"], "kind", "`k`"),
        (make_pipeline(SelectKBest(k=2), LinearRegression()), [*NUMBERS, "value"], "value", "which has numbers"),
        (make_pipeline(SelectKBest(chi2, k=2), GaussianNB()), [*NUMBERS, "kind"], "kind", "no negative values"),
        (make_pipeline(SelectKBest(mutual_info_classif), GaussianNB()), [*NUMBERS, "kind"], "kind", "mutual_info_classif"),
        (make_pipeline(RBFSampler(gamma="scale"), GaussianNB()), [*NUMBERS, "kind"], "kind", "gamma"),
    ],
)
def test_what_cannot_be_selected_is_one_clear_error(pipeline, columns, target, told):
    with pytest.raises(BigmlError, match=told):
        bigml.fit(pipeline, bigml.from_pandas(rows()[columns], part_rows=100), target=target)
