"""Generalised linear models by scans reach the minimum that scikit-learn reaches in memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import GammaRegressor, PoissonRegressor, TweedieRegressor
from sklearn.metrics import mean_tweedie_deviance

import bigml
from bigml.errors import DataError, FitError
from bigml.learning.models import generalised
from bigml.testing import CountingSource

N = 3000
NAMES = ["a", "b", "c"]


def rows(seed: int = 0) -> pd.DataFrame:
    """Counts, positive amounts, amounts that are often 0, and numbers around a plane, with weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 3)) * [1, 5, 0.2] + [0, 20, 0]
    mean = np.exp(((X - X.mean(0)) / X.std(0)) @ [0.4, -0.3, 0.2] + 0.5)
    frame = pd.DataFrame(X, columns=NAMES).assign(w=rng.integers(0, 3, N) / 2)
    frame["count"], frame["amount"] = rng.poisson(mean), rng.gamma(2.0, mean / 2)
    frame["often_0"] = frame["amount"] * (frame["count"] > 0)
    return frame.assign(number=X @ [1, 0.5, -2] + 3 + rng.normal(size=N), high=X @ [0.1, 1.0, 0] + rng.random(N))


FRAME = rows()
X = FRAME[NAMES].to_numpy()
MODELS = [
    (PoissonRegressor(), "count", 1),
    (PoissonRegressor(alpha=0), "count", 1),
    (PoissonRegressor(alpha=1e-3, fit_intercept=False), "count", 1),
    (GammaRegressor(alpha=0.1), "amount", 2),
    (TweedieRegressor(power=0), "number", 0),
    (TweedieRegressor(power=0, link="log", alpha=0.1), "amount", 0),
    (TweedieRegressor(power=1.5, alpha=0.1), "often_0", 1.5),
    (TweedieRegressor(power=3, alpha=0.1), "amount", 3),
    (TweedieRegressor(power=1, link="identity", alpha=0.1), "high", 1),
    (TweedieRegressor(power=2, link="identity", alpha=0.1), "high", 2),
]


def fitted(estimator: Any, target: str, weighted: bool = False, part_rows: int = 400, sample: int = 300) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generalised, "SAMPLE_ROWS", sample)
        source = bigml.from_pandas(FRAME[[*NAMES, target, "w"] if weighted else [*NAMES, target]], part_rows=part_rows)
        return bigml.fit(estimator, source, target=target, sample_weight="w" if weighted else None)


def exact(estimator: Any, target: str, weights: Any = None) -> Any:
    """scikit-learn's own fit, as near as its solver comes."""
    given = estimator.get_params() | {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 1000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return type(estimator)(**given).fit(X, FRAME[target], weights)


def objective(model: Any, target: str, power: float, weights: Any = None) -> float:
    deviance = mean_tweedie_deviance(FRAME[target], model.predict(X), power=power, sample_weight=weights)
    return 0.5 * deviance + 0.5 * model.alpha * float(model.coef_ @ model.coef_)


@pytest.mark.parametrize(("estimator", "target", "power"), MODELS, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("sample", [300, N], ids=["by scans", "in memory"])
def test_the_minimum_is_the_one_of_scikit_learn(estimator: Any, target: str, power: float, weighted: bool, sample: int) -> None:
    model = fitted(estimator, target, weighted, sample=sample)
    weights = FRAME["w"] if weighted else None
    expected = exact(estimator, target, weights)
    model.__dict__.pop("feature_names_in_")
    own, other = (objective(one, target, power, weights) for one in (model, expected))
    assert own <= other * (1 + 1e-8) + 1e-12
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-3, atol=1e-5)
    assert model.intercept_ == pytest.approx(expected.intercept_, rel=1e-3, abs=1e-3)
    assert isinstance(model.n_iter_, int)


def test_few_scans_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generalised, "SAMPLE_ROWS", 300)
    source = CountingSource(bigml.from_pandas(FRAME[[*NAMES, "count"]], part_rows=400))
    bigml.fit(PoissonRegressor(), source, target="count")
    assert len(source.reads) / len(source.parts) <= 5


@settings(max_examples=10, deadline=None)
@given(part_rows=st.integers(30, N), choice=st.sampled_from([0, 3, 6]))
def test_any_chunking_gives_the_same_model(part_rows: int, choice: int) -> None:
    estimator, target, _ = MODELS[choice]
    one, other = (fitted(estimator, target, part_rows=size) for size in (part_rows, N))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-9, atol=1e-9)
    assert one.intercept_ == pytest.approx(other.intercept_, rel=1e-9)


@pytest.mark.parametrize(
    ("estimator", "bad", "expected"),
    [
        (PoissonRegressor(), -1.0, "a target of 0 or more, got -1"),
        (GammaRegressor(), 0.0, "a positive target, got 0"),
        (TweedieRegressor(power=1.5), -0.5, "a target of 0 or more, got -0.5"),
    ],
)
def test_a_target_outside_of_the_domain_is_named(estimator: Any, bad: float, expected: str) -> None:
    y = FRAME["amount"].copy()
    y.iloc[1234] = bad
    with pytest.raises(DataError, match=rf"{expected} - the target, row 1,234"):
        bigml.fit(estimator, bigml.from_pandas(FRAME[NAMES].assign(y=y), part_rows=400), target="y")


@pytest.mark.parametrize("estimator", [TweedieRegressor(power="one"), PoissonRegressor(alpha=-1)], ids=str)
def test_what_scikit_learn_refuses_is_refused(estimator: Any) -> None:
    with pytest.raises(FitError, match="parameters that scikit-learn accepts"):
        fitted(estimator, "amount")


def test_a_mean_that_cannot_be_positive_is_refused() -> None:
    with pytest.raises(DataError, match="a finite loss without features"):
        fitted(TweedieRegressor(power=1, link="identity", fit_intercept=False), "high")


def test_too_few_steps_end_with_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = fitted(TweedieRegressor(power=3, max_iter=1, alpha=0), "amount")
    assert np.isfinite(model.coef_).all()


def test_a_target_without_noise_is_learned() -> None:
    frame = FRAME[NAMES].assign(y=X @ [1.0, 2.0, 3.0] + 4)
    model = bigml.fit(TweedieRegressor(power=0, alpha=0), bigml.from_pandas(frame, part_rows=400), target="y")
    np.testing.assert_allclose(model.coef_, [1, 2, 3], rtol=1e-9)
    assert model.intercept_ == pytest.approx(4, rel=1e-9)
