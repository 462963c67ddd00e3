"""More data later: a warm start gives what a fit on all rows would have given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.memory import STATE


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, 900)
    X = rng.poisson(2.0 + y[:, None], (900, 4)).astype(float)
    return pd.DataFrame(X, columns=list("abcd")).assign(y=y, w=rng.random(900))


def halves(frame):
    return [bigml.from_pandas(frame.iloc[rows], part_rows=100) for rows in (slice(0, 350), slice(350, None))]


ATTRIBUTES = {
    GaussianNB: ["theta_", "var_", "class_prior_", "class_count_"],
    MultinomialNB: ["feature_log_prob_", "class_log_prior_", "feature_count_"],
    ComplementNB: ["feature_log_prob_", "feature_count_"],
    BernoulliNB: ["feature_log_prob_", "class_log_prior_"],
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
@pytest.mark.parametrize("weight", [None, "w"])
def test_a_model_of_one_scan_is_as_if_all_rows_had_been_there(frame, kind, weight):
    frame = frame if weight else frame.drop(columns="w")
    first, second = halves(frame)
    begun = bigml.fit(kind(), first, target="y", sample_weight=weight)
    more = bigml.fit(begun, second, target="y", sample_weight=weight, warm_start=True)
    whole = bigml.fit(kind(), bigml.from_pandas(frame), target="y", sample_weight=weight)
    for name in ATTRIBUTES[kind]:
        np.testing.assert_allclose(getattr(more, name), getattr(whole, name), rtol=1e-12)
    assert not np.array_equal(getattr(begun, ATTRIBUTES[kind][0]), getattr(more, ATTRIBUTES[kind][0]))


def test_least_squares_go_on_too(frame):
    first, second = halves(frame.drop(columns="w"))
    more = bigml.fit(bigml.fit(Ridge(), first, target="y"), second, target="y", warm_start=True)
    whole = Ridge().fit(frame[list("abcd")], frame["y"])
    np.testing.assert_allclose(more.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(more.intercept_, whole.intercept_, rtol=1e-9)


def test_components_go_on_too_and_a_third_time(frame):
    parts = [frame.iloc[rows][list("abcd")] for rows in (slice(0, 200), slice(200, 500), slice(500, None))]
    model = bigml.fit(PCA(2), bigml.from_pandas(parts[0]))
    for part in parts[1:]:
        model = bigml.fit(model, bigml.from_pandas(part), warm_start=True)
    whole = bigml.fit(PCA(2), bigml.from_pandas(frame[list("abcd")]))
    np.testing.assert_allclose(model.components_, whole.components_, rtol=1e-9)
    np.testing.assert_allclose(model.explained_variance_, whole.explained_variance_, rtol=1e-12)


@pytest.mark.parametrize("kind", [StandardScaler, MinMaxScaler, MaxAbsScaler])
def test_a_scaler_is_as_if_all_rows_had_been_there(frame, kind):
    first, second = halves(frame[list("abcd")])
    more = bigml.fit(bigml.fit(kind(), first), second, warm_start=True)
    whole = kind().fit(frame[list("abcd")])
    np.testing.assert_allclose(more.transform(frame[list("abcd")]), whole.transform(frame[list("abcd")]), rtol=1e-12, atol=1e-15)


def test_a_pipeline_keeps_its_preprocessing_and_goes_on_with_its_model(frame):
    first, second = halves(frame.drop(columns="w"))
    begun = bigml.fit(make_pipeline(StandardScaler(), GaussianNB()), first, target="y")
    more = bigml.fit(begun, second, target="y", warm_start=True)
    assert (more[0].mean_ == begun[0].mean_).all()
    plain = GaussianNB().fit(begun[:-1].transform(frame[list("abcd")]), frame["y"])
    np.testing.assert_allclose(more[-1].theta_, plain.theta_, rtol=1e-9, atol=1e-12)


def test_a_model_goes_on_after_it_was_saved_and_loaded(frame, tmp_path):
    first, second = halves(frame.drop(columns="w"))
    begun = bigml.fit(GaussianNB(), first, target="y")
    bigml.save(begun, tmp_path / "model")
    more = bigml.fit(bigml.load(tmp_path / "model"), second, target="y", warm_start=True)
    assert (more.theta_ == bigml.fit(begun, second, target="y", warm_start=True).theta_).all()


def test_a_class_that_the_model_does_not_know_is_refused(frame):
    first = bigml.from_pandas(frame[frame["y"] < 2].drop(columns="w"))
    begun = bigml.fit(GaussianNB(), first, target="y")
    with pytest.raises(DataError, match="the class 2"):
        bigml.fit(begun, bigml.from_pandas(frame.drop(columns="w")), target="y", warm_start=True)


def test_what_cannot_go_on_says_so(frame):
    source = bigml.from_pandas(frame[[*"abcd", "y"]])
    bare = GaussianNB().fit(frame[list("abcd")], frame["y"])
    with pytest.raises(FitError, match="that bigml fitted"):
        bigml.fit(bare, source, target="y", warm_start=True)
    with pytest.raises(FitError, match="a fitted estimator"):
        bigml.fit(SGDClassifier(), source, target="y", warm_start=True)
    for step in (OneHotEncoder(), RobustScaler()):
        with pytest.raises(FitError, match="a model or a scaler"):
            bigml.fit(bigml.fit(step, source.drop("y")), source.drop("y"), warm_start=True)


def test_a_state_too_large_is_not_kept(frame, monkeypatch):
    monkeypatch.setattr("bigml.learning.memory.MOST_NBYTES", 10)
    assert not hasattr(bigml.fit(GaussianNB(), bigml.from_pandas(frame[["a", "y"]]), target="y"), STATE)


@pytest.mark.filterwarnings("ignore:Columns are collinear")
def test_collinear_least_squares_go_on_by_orthogonal_transformations(frame, tmp_path):
    frame = frame.drop(columns="w").assign(kind=np.where(frame.a > 2, "many", "few"))
    encoded = make_column_transformer((OneHotEncoder(), ["kind", "b"]), (StandardScaler(), ["c", "d"]))
    first, second = halves(frame.drop(columns="a"))
    begun = bigml.fit(make_pipeline(encoded, LinearRegression()), bigml.from_pandas(frame.drop(columns="a")), target="y")
    bigml.save(bigml.fit(begun, first, target="y", warm_start=True), tmp_path / "model")
    more = bigml.fit(bigml.load(tmp_path / "model"), second, target="y", warm_start=True)[-1]
    twice = pd.concat([frame, frame], ignore_index=True).drop(columns="a")
    whole = bigml.fit(make_pipeline(encoded, LinearRegression()), bigml.from_pandas(twice), target="y")[-1]
    np.testing.assert_allclose(more.coef_, whole.coef_, rtol=1e-9, atol=1e-12)
    assert more.intercept_ == pytest.approx(whole.intercept_, rel=1e-9)


def test_products_alone_do_not_tell_what_more_rows_make_collinear(frame):
    frame = pd.DataFrame({"a": frame.a, "b": frame.a + 1e-2 * frame.b, "y": frame.y.astype(float)})
    begun = bigml.fit(LinearRegression(), bigml.from_pandas(frame), target="y")
    more = frame.assign(a=1e6 * frame.a, b=1e6 * frame.a)
    with pytest.raises(FitError, match="looks at its rows again"):
        bigml.fit(begun, bigml.from_pandas(more), target="y", warm_start=True)
