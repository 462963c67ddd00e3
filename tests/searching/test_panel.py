"""A panel learns what scikit-learn's stochastic gradient descent learns, many at a time."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge, SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from bigml.errors import ConfigError, DataError
from bigml.learning.batch import Batch
from bigml.searching.panel import Panel, suits

ALPHAS = np.logspace(-7, -1, 4)
PENALTIES = ("l2", "l1", "elasticnet")


def generated(n: int = 40_000, width: int = 12) -> tuple[Any, NDArray[Any]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, width)) @ (rng.normal(size=(width, width)) / 4 + np.eye(width))
    return X, (rng.random(n) < 1 / (1 + np.exp(0.5 - X @ np.linspace(-0.5, 0.5, width)))).astype(np.int64)


def census(home: Path) -> tuple[Any, NDArray[Any]]:
    frame = pd.read_csv(home / "adult" / "adult.data.gz", header=None, skipinitialspace=True)
    return frame[[0, 2, 4, 10, 11, 12]].to_numpy(float), (frame[14] == ">50K").to_numpy().astype(np.int64)


def flights(home: Path) -> tuple[Any, NDArray[Any]]:
    names = ["arr_delay", "month", "day", "sched_dep_time", "distance", "hour", "air_time"]
    frame = pd.read_parquet(home / "flights" / "nineteen_columns" / "nyc_2014.parquet", columns=names).dropna().astype(float)
    return frame[names[1:]].to_numpy(), (frame["arr_delay"] > 15).to_numpy().astype(np.int64)


def batch(X: Any, y: NDArray[Any], weights: NDArray[Any] | None = None) -> Batch:
    return Batch(np.arange(len(y)), X, y, weights)


def grid(loss: str = "log_loss", **more: Any) -> list[Any]:
    return [SGDClassifier(loss=loss, alpha=a, penalty=p, random_state=0, **more) for a in ALPHAS for p in PENALTIES]


def panel_of(models: Sequence[Any], X: Any, classes: Any = (0, 1), n_cells: int = 1, **more: Any) -> Panel:
    labels = None if classes is None else np.asarray(classes)
    return Panel.of(models, np.ones((len(models), n_cells), bool), X.shape[1], labels, seed=0, **more)


def trained(panel: Panel, X: Any, y: NDArray[Any], *, epochs: int = 1, parts: int = 4) -> Panel:
    edges = np.linspace(0, len(y), parts + 1).astype(int).tolist()
    for epoch in range(epochs):
        for part, (start, stop) in enumerate(pairwise(edges)):
            panel = panel.step([batch(X[start:stop], y[start:stop])], epoch=epoch, part=part)
    return panel


def held_out(X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any], Any, NDArray[Any]]:
    """Scaled rows to learn from, and a fifth of them to test on."""
    order = np.random.default_rng(1).permutation(len(y))
    X, y, n = X[order], y[order], len(y) * 4 // 5
    X = StandardScaler().fit(X[:n]).transform(X)
    return X[:n], y[:n], X[n:], y[n:]


def losses(loss: str, scores: NDArray[Any], y: NDArray[Any]) -> float:
    """Mean loss as scikit-learn defines it; of several classes, of each against all others."""
    truth = np.where(y[:, None] == np.arange(scores.shape[1]), 1, -1) if scores.ndim == 2 else np.where(y == 1, 1, -1)
    margin = scores * truth
    of: dict[str, Callable[[], Any]] = {
        "log_loss": lambda: np.logaddexp(0, -margin),
        "hinge": lambda: np.maximum(1 - margin, 0),
        "squared_hinge": lambda: np.maximum(1 - margin, 0) ** 2,
        "modified_huber": lambda: np.where(margin < -1, -4 * margin, np.maximum(1 - margin, 0) ** 2),
    }
    return float(of[loss]().mean())


def regret(loss: str, error: NDArray[Any]) -> NDArray[np.float64]:
    """Mean losses of regressions, of absolute errors, with an epsilon of 0.1."""
    beyond = np.maximum(error - 0.1, 0)
    of = {
        "squared_error": error**2 / 2,
        "huber": np.where(beyond > 0, 0.1 * (error - 0.05), error**2 / 2),
        "epsilon_insensitive": beyond,
        "squared_epsilon_insensitive": beyond**2,
    }
    return np.asarray(of[loss].mean(axis=0))


def loop(model: Any, X: Any, y: NDArray[Any], *, epochs: int = 1, parts: int = 4) -> Any:
    """scikit-learn's own epochs over parts."""
    model = clone(model)
    more = {"classes": np.unique(y)} if isinstance(model, SGDClassifier) else {}
    for _ in range(epochs):
        for start, stop in pairwise(np.linspace(0, len(y), parts + 1).astype(int).tolist()):
            model.partial_fit(X[start:stop], y[start:stop], **more)
    return model


def excess(models: Sequence[Any], rows: tuple[Any, NDArray[Any]], *, epochs: int = 1) -> NDArray[np.float64]:
    """By how much the panel's loss on rows held out is above scikit-learn's, relative to it."""
    X, y, X_test, y_test = held_out(*rows)
    scores = trained(panel_of(models, X, np.unique(y)), X, y, epochs=epochs).decisions(X_test)
    own = [losses(model.loss, scores[:, i], y_test) for i, model in enumerate(models)]
    theirs = [losses(m.loss, loop(m, X, y, epochs=epochs).decision_function(X_test), y_test) for m in models]
    return np.array(own) / theirs - 1


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "modified_huber"])
def test_loss_on_rows_held_out_is_that_of_scikit_learn_or_less(loss: str) -> None:
    assert excess(grid(loss), generated(), epochs=1).max() <= 0.005


@pytest.mark.parametrize("epochs", [1, 3])
def test_census_is_learned_as_by_scikit_learn(data_dir: Path, epochs: int) -> None:
    assert excess(grid(), census(data_dir), epochs=epochs).max() <= 0.005


def test_late_flights_are_learned_as_by_scikit_learn(data_dir: Path) -> None:
    assert excess([*grid()[::2], *grid("hinge")[::2]], flights(data_dir), epochs=1).max() <= 0.005


@pytest.mark.parametrize("epochs", [1, 3])
def test_digits_are_learned_as_by_scikit_learn(epochs: int) -> None:
    assert excess(grid(), load_digits(return_X_y=True), epochs=epochs).max() <= 0.005


@pytest.mark.parametrize("rate", ["constant", "invscaling"])
def test_other_schedules_learn_as_in_scikit_learn(rate: str) -> None:
    assert excess(grid(learning_rate=rate, eta0=0.01), generated(), epochs=1).max() <= 0.005


@pytest.mark.parametrize("average", [True, 10_000])
def test_averaged_weights_predict_as_in_scikit_learn(average: Any) -> None:
    assert excess(grid(average=average)[6:], generated(), epochs=1).max() <= 0.005


@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_regressions_come_as_close_as_scikit_learn(loss: str) -> None:
    X, _ = generated()
    y = X @ np.linspace(-1, 1, X.shape[1]) + 3 + np.random.default_rng(2).normal(size=len(X))
    X, y, X_test, y_test = held_out(X, y)
    # The last steps are noise of about 1 % of the loss, for the panel as for scikit-learn: orders of the rows are averaged.
    seeds, chosen = range(16), [(alpha, penalty) for alpha in (1e-5, 0.1) for penalty in ("l2", "l1")]
    models = [[SGDRegressor(loss=loss, alpha=a, penalty=p, random_state=seed) for a, p in chosen] for seed in seeds]
    panels = [replace(panel_of(models[seed], X, None), seed=seed) for seed in seeds]
    predicted = [trained(panel, X, y).decisions(X_test) for panel in panels]
    theirs = [np.column_stack([loop(model, X, y).predict(X_test) for model in models[seed]]) for seed in seeds]
    own, other = (np.mean([regret(loss, np.abs(v - y_test[:, None])) for v in values], axis=0) for values in (predicted, theirs))
    assert (own / other).max() <= 1.005


def test_least_squares_ends_at_the_ridge_regression() -> None:
    X, _ = generated(4_000)
    y = X @ np.linspace(-1, 1, X.shape[1]) + 3
    model = SGDRegressor(alpha=0.1, learning_rate="constant", eta0=1e-4)
    fitted = trained(panel_of([model], X, None), X, y, epochs=40).estimators()[0]
    ridge = Ridge(alpha=0.1 * len(X)).fit(X, y)
    np.testing.assert_allclose(fitted.coef_, ridge.coef_, atol=0.01)
    np.testing.assert_allclose(fitted.intercept_, ridge.intercept_, atol=0.01)


def test_absolute_penalty_leaves_the_weights_of_noise_at_zero() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 10))
    y = (X[:, 0] - X[:, 1] + rng.normal(size=len(X)) > 0).astype(np.int64)
    model = trained(panel_of([SGDClassifier(loss="log_loss", penalty="l1", alpha=0.01)], X), X, y).estimators()[0]
    assert np.flatnonzero(model.coef_[0]).tolist() == [0, 1]


def test_perceptrons_tell_as_many_rows_as_those_of_scikit_learn() -> None:
    X, y, X_test, y_test = held_out(*generated())
    models = grid("perceptron")[:6]
    told = ((trained(panel_of(models, X), X, y).decisions(X_test) > 0) == y_test[:, None]).mean()
    assert told >= np.mean([loop(model, X, y).score(X_test, y_test) for model in models]) - 0.005


def test_weights_do_not_depend_on_neighbours_to_the_last_bit() -> None:
    X, y = generated(6_000, 20)
    models = [*grid(), *grid("hinge", average=True), *(SGDClassifier(loss="log_loss", alpha=a) for a in np.logspace(-7, -1, 90))]
    whole = trained(panel_of(models, X), X, y)
    scores = whole.decisions(X[:100])
    for members in ([0], [3, 40], list(range(20, 90)), list(range(5, len(models)))):
        alone = trained(panel_of([models[i] for i in members], X), X, y)
        np.testing.assert_array_equal(alone.decisions(X[:100]), scores[:, members])


def test_dropped_members_do_not_change_the_others() -> None:
    X, y = generated(6_000)
    start = trained(panel_of(grid(), X), X, y)
    kept = np.array([7, 2])
    assert np.array_equal(trained(start.only(kept), X, y).decisions(X), trained(start, X, y).decisions(X, kept))


def test_members_learn_from_their_cells_alone() -> None:
    X, y = generated(6_000)
    trains = ~np.eye(3, dtype=bool)
    models = [SGDClassifier(loss="log_loss")] * 3
    hand = [batch(X[i::3], y[i::3]) for i in range(3)]
    panel = Panel.of(models, trains, X.shape[1], np.array([0, 1]), seed=0)
    other = [hand[0], hand[1], batch(hand[2].X[::-1] * 3, hand[2].y[::-1])]  # type: ignore[index]
    first, second = (panel.step(rows, epoch=0, part=0).decisions(X) for rows in (hand, other))
    assert np.array_equal(first[:, 2], second[:, 2])
    assert not np.array_equal(first[:, 0], second[:, 0])
    assert panel.step(hand, epoch=0, part=0).rows.tolist() == [4_000] * 3


def test_a_cell_without_rows_teaches_nothing() -> None:
    X, y = generated(1_000)
    panel = Panel.of(grid(), np.ones((12, 2), bool), X.shape[1], np.array([0, 1]), seed=0)
    after = panel.step([batch(np.empty((0, 0)), y[:0]), batch(np.empty((0, 0)), y[:0])], epoch=0, part=0)
    assert not after.weights.any()


def test_a_step_repeats_and_leaves_the_panel_as_it_was() -> None:
    X, y = generated(3_000)
    panel = panel_of(grid(average=True), X)
    first, second = (panel.step([batch(X, y)], epoch=0, part=0) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert not panel.weights.any()


def test_threads_find_what_one_finds() -> None:
    X, y = generated(20_000)
    panels = [panel_of(grid(loss), X) for loss in ("log_loss", "hinge")]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda panel: trained(panel, X, y).weights, panels))
    assert all(np.array_equal(one, trained(panel, X, y).weights) for one, panel in zip(together, panels, strict=True))


def test_sparse_rows_are_learned_from_like_dense_ones() -> None:
    X, y = generated(5_000)
    X[np.abs(X) < 1] = 0
    dense, spread = (trained(panel_of(grid(), X), rows, y).decisions(X) for rows in (X, sparse.csr_matrix(X)))
    steady = [i for i, model in enumerate(grid()) if model.alpha >= 1e-5]
    np.testing.assert_allclose(spread[:, steady].std(axis=0), dense[:, steady].std(axis=0), rtol=0.2)
    assert ((spread > 0) == (dense > 0)).mean() > 0.97


def test_weights_of_rows_count_as_those_of_their_classes() -> None:
    X, y = generated(20_000)
    weighted = panel_of(grid(), X).step([batch(X, y, np.full(len(y), 3.0))], epoch=0, part=0)
    classes = panel_of(grid(class_weight={0: 3.0, 1: 3.0}), X).step([batch(X, y)], epoch=0, part=0)
    np.testing.assert_allclose(weighted.decisions(X), classes.decisions(X), rtol=1e-3, atol=1e-3)


def test_rows_without_weight_teach_nothing_but_the_time() -> None:
    X, y = generated(20_000)
    weights = np.where(np.arange(len(y)) % 2, 2.0, 0.0)
    other = X.copy()
    other[::2] *= -5
    first, second = (panel_of(grid(), X).step([batch(rows, y, weights)], epoch=0, part=0).decisions(X) for rows in (X, other))
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 4.0}, "balanced"])
def test_weights_of_classes_move_the_predicted_share(weights: Any) -> None:
    X, y, X_test, _ = held_out(*generated())
    models = [SGDClassifier(loss="log_loss", alpha=0.01, class_weight=w, random_state=0) for w in (None, weights)]
    panel = trained(panel_of(models, X, class_counts=np.tile(np.bincount(y), (2, 1))), X, y)
    given = {0: len(y) / 2 / np.sum(y == 0), 1: len(y) / 2 / np.sum(y == 1)} if weights == "balanced" else weights
    theirs = loop(models[0].set_params(class_weight=given), X, y).predict(X_test).mean()
    assert abs((panel.decisions(X_test)[:, 1] > 0).mean() - theirs) < 0.02


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_estimators_are_those_of_scikit_learn(labels: list[str]) -> None:
    X, y = generated(2_000)
    y = y if len(labels) == 2 else np.digitize(X[:, 0], [-1, 1])
    model = SGDClassifier(loss="log_loss", average=True, class_weight={labels[0]: 2.0})
    panel = trained(panel_of([model, SGDClassifier(fit_intercept=False)], X, labels), X, y, epochs=2)
    first, second = pickle.loads(pickle.dumps(panel)).estimators()
    np.testing.assert_allclose(first.decision_function(X), panel.decisions(X)[:, 0], atol=1e-9)
    assert first.classes_.tolist() == labels
    assert (first.t_, first.n_iter_, first.n_features_in_) == (4_001, 2, 12)
    assert first.get_params() == model.get_params()
    assert not second.intercept_.any()
    assert first.predict_proba(X).shape == (2_000, len(labels))
    assert set(first.partial_fit(X, np.array(labels)[y]).predict(X)) <= set(labels)


def test_a_regressor_is_one_of_scikit_learn() -> None:
    X, _ = generated(2_000)
    panel = trained(panel_of([SGDRegressor()], X, None), X, X[:, 0])
    model = panel.estimators()[0]
    np.testing.assert_allclose(model.predict(X), panel.decisions(X)[:, 0])
    assert (model.coef_.shape, model.intercept_.shape) == ((12,), (1,))


def test_a_member_that_diverges_is_marked_and_others_go_on() -> None:
    X, y = generated(2_000)
    fine = SGDRegressor(alpha=0.01)
    wild = SGDRegressor(
        loss="epsilon_insensitive", learning_rate="constant", eta0=1e300, fit_intercept=True, alpha=1e300, penalty="l1"
    )
    start = panel_of([fine, wild], X, None)
    broken = start.step([batch(X, y * 1.0)], epoch=0, part=0)
    spoiled = Panel(**{**vars(broken), "weights": np.where(broken.columns.member == 1, np.nan, broken.weights)})
    after = spoiled.step([batch(X, y * 1.0)], epoch=1, part=0)
    assert after.failed.tolist() == [False, True]
    assert np.isfinite(after.decisions(X)[:, 0]).all()


@given(st.floats(1e-3, 1e6), st.floats(-1e4, 1e4), st.sampled_from(["log_loss", "hinge", "squared_hinge", "modified_huber"]))
@settings(max_examples=25, deadline=None)
def test_no_scale_of_the_features_makes_a_member_diverge(scale: float, shift: float, loss: str) -> None:
    X, y = generated(1_000, 4)
    panel = trained(panel_of(grid(loss), X), (X * scale + shift).astype(np.float32), y, epochs=2)
    assert not panel.failed.any()


@pytest.mark.parametrize(
    "model",
    [
        SGDClassifier(learning_rate="adaptive", eta0=0.1),
        SGDClassifier(early_stopping=True),
        SGDClassifier(alpha=0.0),
        SGDClassifier(loss="unknown"),
        SGDClassifier(penalty="elasticnet", l1_ratio=None),
        Ridge(),
        type("Own", (SGDClassifier,), {})(),
    ],
)
def test_what_a_panel_does_not_train_is_told_before(model: Any) -> None:
    assert not suits(model)


def test_all_losses_penalties_and_schedules_suit() -> None:
    assert all(
        suits(model) for model in [*grid(), SGDRegressor(), SGDClassifier(penalty=None), SGDClassifier(class_weight="balanced")]
    )


def test_balanced_weights_need_counts_and_classes_are_two_or_more() -> None:
    with pytest.raises(ConfigError, match="rows of each class"):
        panel_of([SGDClassifier(class_weight="balanced")], np.zeros((1, 2)))
    with pytest.raises(DataError, match="two classes"):
        panel_of([SGDClassifier()], np.zeros((1, 2)), [0])


def test_nothing_is_warned_of() -> None:
    X, y = generated(1_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(trained(panel_of(grid(), X), X * 1e20, y).estimators()) == len(grid())
