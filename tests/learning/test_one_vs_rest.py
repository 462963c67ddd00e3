"""One against the rest: as many binary models as classes, from the scans of one; equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import conduct
from bigml.learning.models.one_vs_rest import AgainstRest, changed
from bigml.learning.solving import is_solved, n_scans
from bigml.learning.sums import Sums
from bigml.testing import CountingSource

N = 1500
NAMES = ["a", "b", "c"]


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=NAMES)
    frame["k"] = rng.choice(list("xyz"), N)
    noisy = frame.a - frame.b / 2 + rng.normal(size=N) / 2
    frame["level"] = np.array(["high", "low", "mid", "top"])[np.digitize(noisy, [-1, 0, 1])]
    return frame.assign(late=np.where(noisy > 0, "late", "on time"), w=rng.random(N))


FRAME = table()


def source(*columns: str) -> bigml.Source:
    return bigml.from_pandas(FRAME, part_rows=170).select(*columns)


@pytest.mark.parametrize("inner", [GaussianNB(), BernoulliNB(alpha=0.5), LogisticRegression(C=0.3, tol=1e-8)])
@pytest.mark.parametrize("target", ["level", "late"])
def test_models_equal_those_of_scikit_learn(inner, target):
    estimator = OneVsRestClassifier(inner)
    fitted = bigml.fit(estimator, source(*NAMES, target), target=target)
    expected = clone(estimator).fit(FRAME[NAMES].to_numpy(), FRAME[target])
    assert vars(fitted).keys() - {"feature_names_in_", "bigml_state_"} == vars(expected).keys()
    assert len(fitted.estimators_) == len(expected.estimators_)
    rows, X = FRAME[NAMES], FRAME[NAMES].to_numpy()
    np.testing.assert_allclose(fitted.predict_proba(rows), expected.predict_proba(X), rtol=2e-4, atol=1e-5)
    assert np.mean(fitted.predict(rows) == expected.predict(X)) > 0.999
    np.testing.assert_array_equal(fitted.classes_, expected.classes_)
    for one, other in zip(fitted.estimators_, expected.estimators_, strict=True):
        np.testing.assert_array_equal(one.classes_, other.classes_)


def test_a_pipeline_with_weights_equals_models_of_each_class():
    prep = make_column_transformer((StandardScaler(), NAMES), (OneHotEncoder(), ["k"]))
    fitted = bigml.fit(
        make_pipeline(prep, OneVsRestClassifier(LogisticRegression(tol=1e-8))),
        source(*NAMES, "k", "level", "w"),
        target="level",
        sample_weight="w",
    )
    X = fitted[0].transform(FRAME)
    for label, one in zip(fitted[-1].classes_, fitted[-1].estimators_, strict=True):
        alone = LogisticRegression(tol=1e-8).fit(X, FRAME.level == label, sample_weight=FRAME.w)
        np.testing.assert_allclose(one.coef_, alone.coef_, rtol=1e-3, atol=1e-4)


def test_all_classes_learn_in_the_scans_of_one():
    rows = CountingSource(source(*NAMES, "level"))
    bigml.fit(OneVsRestClassifier(GaussianNB()), rows, target="level")
    assert set(rows.times_read.values()) == {2}, "one scan for the classes, one for the models"
    assert n_scans(OneVsRestClassifier(LogisticRegression())) == n_scans(LogisticRegression())


@pytest.mark.parametrize("target", ["level", "late"])
def test_an_estimator_with_partial_fit_learns_as_a_chain(target):
    estimator = OneVsRestClassifier(SGDClassifier(loss="log_loss"))
    assert not is_solved(estimator)
    fitted, again = (
        bigml.fit(estimator, source(*NAMES, target), target=target, epochs=2, seed=3, shuffle=False) for _ in range(2)
    )
    expected = OneVsRestClassifier(SGDClassifier(loss="log_loss", random_state=3))
    parts = [FRAME.iloc[start : start + 170] for start in range(0, N, 170)]
    for rows in 2 * parts:
        expected.partial_fit(rows[NAMES].to_numpy(), rows[target], np.unique(FRAME[target]))
    for one, other, same in zip(fitted.estimators_, expected.estimators_, again.estimators_, strict=True):
        np.testing.assert_array_equal(one.coef_, other.coef_)
        np.testing.assert_array_equal(one.coef_, same.coef_)
    assert fitted.estimator.random_state is None
    np.testing.assert_array_equal(fitted.predict(FRAME[NAMES]), expected.predict(FRAME[NAMES].to_numpy()))


def test_questions_are_changed_and_answers_are_not():
    def asks():
        first = yield 1
        second = yield first
        return second

    assert conduct(changed(asks(), lambda asked: asked * 10), lambda asked: asked + 1) == 111


def test_a_batch_is_not_changed_by_the_class_that_looks_at_it():
    class Ones:
        def __call__(self, batch):
            return {"ones": batch.y.sum(), "kind": np.array(batch.y.dtype.kind == "f", int)}

    batch = Batch(np.arange(4), np.zeros((4, 1)), np.array([0, 2, 1, 2]))
    reducer = AgainstRest(Sums(Ones()), 2, np.float64)
    state = reducer.update(reducer.start(), batch)
    assert reducer.finish(reducer.merge(state, reducer.start())) == {"ones": 2.0, "kind": 1}
    assert batch.y.tolist() == [0, 2, 1, 2]
    assert reducer.forecast_nbytes(4) > 0


def test_what_learns_neither_by_scans_nor_by_parts_is_refused():
    with pytest.raises(FitError, match=r"learns by scans or with `partial_fit`, got `OneVsRestClassifier`"):
        bigml.fit(OneVsRestClassifier(KNeighborsClassifier()), source(*NAMES, "level"), target="level")
    with pytest.raises(DataError, match="two classes or more"):
        bigml.fit(OneVsRestClassifier(GaussianNB()), source(*NAMES, "level").where("level == 'mid'"), target="level")
