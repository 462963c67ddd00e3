"""Two models compared: the tests as their formulas say, from one scan or from splits by hash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from dealt import splits_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml import FoldColumn
from bigml.errors import ColumnError, DataError, FitError
from bigml.searching.comparison import five_by_two_f, five_by_two_t, mcnemar, paired_z, wilcoxon
from bigml.searching.pairing import Agreement, Contestant, SquaredErrors
from bigml.testing import CountingSource, check_reducer

RNG = np.random.default_rng(11)
N = 900
X = RNG.normal(size=(N, 3))
FRAME = pd.DataFrame(X, columns=["p", "q", "r"]).assign(
    late=np.where(X[:, 0] + X[:, 1] ** 2 + RNG.normal(size=N) > 1, "yes", "no"),
    cost=X[:, 0] + RNG.normal(size=N),
    fold=np.arange(N) % 6,
)
FEATURES = ["p", "q", "r"]
LATE = bigml.from_pandas(FRAME[[*FEATURES, "late"]], part_rows=170)
COST = bigml.from_pandas(FRAME[[*FEATURES, "cost"]], part_rows=170)


class Told:
    """A classifier that says what a column says."""

    def __init__(self, column: int) -> None:
        self.column = column
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = 2

    def __sklearn_tags__(self) -> Any:
        return DummyClassifier().__sklearn_tags__()

    def fit(self, X: Any, y: Any) -> Told:
        return self

    def predict(self, X: Any) -> Any:
        return np.asarray(X)[:, self.column].astype(int)


def test_the_classic_table_of_nine_labels() -> None:
    truth = [1, 1, 1, 1, 1, 0, 0, 0, 0]
    frame = pd.DataFrame({"a": [1, 1, 1, 0, 0, 0, 0, 0, 1], "b": [0, 0, 1, 1, 1, 0, 0, 0, 1], "y": truth})
    found = bigml.compare(Told(0), Told(1), frame, target="y")
    assert found.table is not None
    assert found.table.to_numpy().tolist() == [[4, 2], [2, 1]]
    assert (found.statistic, found.pvalue, found.by, found.n_rows) == (0.25, 1.0, "exact binomial test", 9)
    assert found.scores.to_numpy().tolist() == [[6 / 9, 6 / 9]]
    said = (
        "On 9 rows a (Told) has accuracy 0.666667, b (Told) 0.666667: they do not differ significantly at the 5 % level "
        "(mcnemar, statistic 0.25, exact binomial test, p = 1)."
    )
    assert repr(found) == said
    assert found._repr_html_().startswith(f"<div><p>{said}</p><table")


@given(st.integers(0, 80), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_exact_for_few_disagreements_and_chi_squared_for_many(b: int, c: int) -> None:
    found = mcnemar(b, c)
    if b + c == 0:
        assert (found.statistic, found.pvalue) == (0.0, 1.0)
        return
    assert found.statistic == pytest.approx((abs(b - c) - 1) ** 2 / (b + c))
    exact = min(1.0, 2 * sum(stats.binom.pmf(i, b + c, 0.5) for i in range(min(b, c) + 1)))
    wanted = exact if b + c < 25 else stats.chi2.sf((abs(b - c) - 1) ** 2 / (b + c), df=1)
    assert found.pvalue == pytest.approx(wanted)


def test_mcnemar_counts_the_rows_of_both_models_in_one_scan() -> None:
    a, b = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME[FEATURES], FRAME["late"]), GaussianNB()
    b.fit(FRAME[FEATURES].to_numpy(), FRAME["late"])
    source = CountingSource(LATE)
    found = bigml.compare(a, b, source, target="late")
    assert source.times_read == dict.fromkeys(range(6), 1)
    right_a, right_b = a.predict(FRAME[FEATURES]) == FRAME["late"], b.predict(X) == FRAME["late"]
    wanted = pd.crosstab(~right_a, ~right_b).to_numpy()
    assert found.table is not None
    np.testing.assert_array_equal(found.table.to_numpy(), wanted)
    assert found.statistic == pytest.approx((abs(wanted[0, 1] - wanted[1, 0]) - 1) ** 2 / (wanted[0, 1] + wanted[1, 0]))
    assert found.by == "chi-squared with continuity correction"
    assert found.names == ("LogisticRegression", "GaussianNB")
    assert "they differ at the 5 % level" in repr(found)


def test_regressors_are_compared_by_their_squared_errors_in_one_scan() -> None:
    a, b = (model.fit(X, FRAME["cost"]) for model in (LinearRegression(), DummyRegressor()))
    source = CountingSource(COST)
    found = bigml.compare(a, b, source, target="cost")
    assert source.times_read == dict.fromkeys(range(6), 1)
    one, other = ((model.predict(X) - FRAME["cost"]) ** 2 for model in (a, b))
    z = (one - other).mean() / ((one - other).std(ddof=1) / np.sqrt(N))
    assert found.statistic == pytest.approx(z)
    assert found.pvalue == pytest.approx(2 * stats.norm.sf(abs(z)))
    np.testing.assert_allclose(found.scores.to_numpy(), [[one.mean(), other.mean()]])


def test_what_is_gathered_keeps_the_laws_of_reducers() -> None:
    classifiers = [model.fit(X, FRAME["late"]) for model in (LogisticRegression(), GaussianNB())]
    regressors = [model.fit(X, FRAME["cost"]) for model in (LinearRegression(), Ridge(alpha=50.0))]
    chunks = list(LATE.iter_chunks())
    counts = check_reducer(Agreement(*(Contestant.of(model, LATE.schema, "late") for model in classifiers)), chunks)
    assert counts.sum() == N
    moments = check_reducer(
        SquaredErrors(*(Contestant.of(model, COST.schema, "cost") for model in regressors)), list(COST.iter_chunks()), rtol=1e-10
    )
    assert moments.n == N


@pytest.mark.parametrize("method", ["5x2cv_t", "5x2cv_f"])
@pytest.mark.parametrize("classifier", [True, False])
def test_five_times_two_folds_by_hand(method: str, classifier: bool) -> None:
    target, source = ("late", LATE) if classifier else ("cost", COST)
    a, b = (LogisticRegression(C=1e-3), GaussianNB()) if classifier else (LinearRegression(), Ridge(alpha=300.0))
    found = bigml.compare(a, b, source, target=target, method=method, seed=4)
    splitter = RepeatedStratifiedKFold if classifier else RepeatedKFold
    splits = splits_of(splitter(n_splits=2, n_repeats=5), source, target=target, classifier=classifier, seed=4)
    wanted = [[_score(model, train, test, target) for model in (a, b)] for train, test in splits]
    np.testing.assert_allclose(found.scores.to_numpy(), wanted, rtol=1e-6)
    p = np.diff(found.scores.to_numpy()[:, ::-1])[:, 0].reshape(5, 2)
    variances = [(one - (one + two) / 2) ** 2 + (two - (one + two) / 2) ** 2 for one, two in p]
    t, f = p[0, 0] / np.sqrt(sum(variances) / 5), (p**2).sum() / (2 * sum(variances))
    assert found.statistic == pytest.approx(t if method == "5x2cv_t" else f)
    assert found.pvalue == pytest.approx(2 * stats.t.sf(abs(t), df=5) if method == "5x2cv_t" else stats.f.sf(f, 10, 5))
    assert found.n_rows == N


def _score(model: Any, train: Any, test: Any, target: str) -> float:
    y = FRAME[target].to_numpy()
    fitted = model.fit(X[train], y[train])
    if target == "late":
        return float(fitted.score(X[test], y[test]))
    return -float(((fitted.predict(X[test]) - y[test]) ** 2).mean())


def test_wilcoxon_over_given_folds_whose_column_is_no_feature() -> None:
    source = bigml.from_pandas(FRAME[[*FEATURES, "fold", "cost"]], part_rows=400)
    told: list[tuple[int, int]] = []
    about: dict[str, Any] = {"target": "cost", "method": "wilcoxon", "cv": FoldColumn("fold"), "scoring": "r2"}
    found = bigml.compare(LinearRegression(), Ridge(alpha=300.0), source, **about, progress=lambda *done: told.append(done))
    y, fold = FRAME["cost"].to_numpy(), FRAME["fold"].to_numpy()
    wanted = [
        [
            model.fit(X[fold != i], y[fold != i]).score(X[fold == i], y[fold == i])
            for model in (LinearRegression(), Ridge(alpha=300.0))
        ]
        for i in range(6)
    ]
    np.testing.assert_allclose(found.scores.to_numpy(), wanted, rtol=1e-9)
    differences = np.subtract(*np.array(wanted).T)
    assert (found.statistic, found.pvalue) == pytest.approx(tuple(stats.wilcoxon(differences)))
    assert told == [(i, 6) for i in range(1, 7)]


def test_tests_without_any_spread_or_difference_have_an_answer() -> None:
    none, same = np.zeros(10), np.full(10, 0.5)
    assert [test(none)[:2] for test in (five_by_two_t, five_by_two_f, wilcoxon)] == [(0.0, 1.0)] * 3
    assert [test(same)[:2] for test in (five_by_two_t, five_by_two_f)] == [(np.inf, 0.0)] * 2
    assert five_by_two_t(-same)[:2] == (-np.inf, 0.0)
    assert paired_z(1, 0.0, 0.0)[:2] == (0.0, 1.0)


def test_two_equal_models_do_not_differ() -> None:
    found = bigml.compare(GaussianNB(), GaussianNB(), LATE, target="late", method="wilcoxon", cv=3)
    assert (found.statistic, found.pvalue, len(found.scores)) == (0.0, 1.0, 3)


def test_what_does_not_fit_is_refused() -> None:
    fitted = GaussianNB().fit(X, FRAME["late"])
    with pytest.raises(FitError, match="two classifiers or two regressors, got one of each"):
        bigml.compare(fitted, LinearRegression(), LATE, target="late")
    with pytest.raises(FitError, match=r"a fitted model, got `GaussianNB` - in compare. Use bigml\.fit, or method="):
        bigml.compare(fitted, GaussianNB(), LATE, target="late")
    with pytest.raises(FitError, match="a method among mcnemar, paired_z, 5x2cv_t, 5x2cv_f, wilcoxon, got `t`"):
        bigml.compare(fitted, fitted, LATE, target="late", method="t")
    with pytest.raises(FitError, match=r"other models for `mcnemar`, got regressors - in compare. Use paired_z\."):
        bigml.compare(LinearRegression(), LinearRegression(), COST, target="cost", method="mcnemar")
    with pytest.raises(FitError, match="no cv= for `mcnemar`, got 5"):
        bigml.compare(fitted, fitted, LATE, target="late", cv=5)
    with pytest.raises(FitError, match="no cv= for `5x2cv_t`, got 5"):
        bigml.compare(fitted, fitted, LATE, target="late", method="5x2cv_t", cv=5)
    with pytest.raises(ColumnError, match="Did you mean `late`"):
        bigml.compare(fitted, fitted, LATE, target="lat")
    with pytest.raises(DataError, match="rows to compare on, got none"):
        bigml.compare(fitted, fitted, LATE.where("p > 99"), target="late")
