"""Strategies of several rounds come nearer to the best, and repeat exactly."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

import bigml
from bigml.errors import ConfigError
from bigml.searching.asking import Optuna
from bigml.searching.refining import Refine
from bigml.searching.ways import way_of


def played(strategy, score):
    """The rounds that a strategy asks for, told the scores of a function."""
    rounds, asked = [], next(strategy)
    while True:
        rounds.append(asked)
        try:
            asked = strategy.send(np.array([score(**one) for one in asked]))
        except StopIteration:
            return rounds


def bowl(alpha, power=5, kind="a"):
    """A score that is best for alpha = 0.003, power = 5, kind = b."""
    return -((np.log10(alpha) - np.log10(0.003)) ** 2) - (power - 5) ** 2 - (kind != "b")


def test_refining_comes_nearer_on_a_logarithmic_scale_round_by_round():
    rounds = played(Refine(rounds=6, tolerance=0)({"alpha": [1e-6, 1e-4, 1e-2, 1.0], "kind": ["a", "b"]}, 0, 0), bowl)
    assert len(rounds[0]) == 8
    assert sorted(one["alpha"] for one in rounds[1]) == pytest.approx([1e-3, 1e-1])
    assert {one["kind"] for some in rounds[1:] for one in some} == {"b"}
    best = [max(bowl(**one) for one in some) for some in rounds]
    assert len(rounds) == 6
    assert max(best) > -(0.1**2) > best[0]


def test_refining_keeps_integers_and_stays_within_the_range():
    rounds = played(Refine(rounds=9, tolerance=0)({"alpha": [0.001], "power": stats.randint(1, 12)}, 0, 0), bowl)
    powers = [one["power"] for some in rounds for one in some]
    assert all(isinstance(power, int) and 1 <= power <= 11 for power in powers)
    assert len(powers) == len(set(powers))
    assert 5 in powers


@pytest.mark.parametrize("score", [lambda **params: 1.0, lambda **params: np.nan], ids=["nothing is gained", "all fail"])
def test_refining_ends_where_there_is_nothing_to_gain(score):
    assert len(played(Refine(rounds=9)({"alpha": stats.loguniform(1e-4, 1)}, 0, 0), score)) <= 2


def test_a_distribution_without_ends_is_refused_for_refining():
    with pytest.raises(ConfigError, match="a distribution with ends"):
        next(Refine()({"alpha": stats.norm()}, 0, 0))


def test_optuna_asks_in_batches_repeats_exactly_and_finds_more_than_it_began_with():
    space = {"alpha": stats.loguniform(1e-6, 1), "power": stats.randint(1, 12), "kind": ["a", "b"]}
    one, other = (played(Optuna()(space, 60, 3), bowl) for _ in range(2))
    assert one == other
    assert [len(some) for some in one] == [8] * 7 + [4]
    assert all(1e-6 <= p["alpha"] <= 1 and 1 <= p["power"] <= 11 and p["kind"] in "ab" for some in one for p in some)
    means = [np.mean([bowl(**p) for p in some]) for some in one]
    assert max(means[4:]) > means[0]


def test_optuna_takes_several_grids_any_values_other_distributions_and_failures():
    grids = [{"model": [Ridge(), None]}, {"alpha": stats.beta(2, 2), "n": stats.poisson(3)}]
    rounds = played(Optuna(sampler="random", batch=5)(grids, 20, 0), lambda **params: np.nan if "model" in params else 1.0)
    asked = [one for some in rounds for one in some]
    assert {tuple(one) for one in asked} == {("model",), ("alpha", "n")}
    assert all(0 < one["alpha"] < 1 and isinstance(one["n"], int) for one in asked if "n" in one)


def test_optuna_says_nothing_of_its_own_study(capfd):
    optuna = pytest.importorskip("optuna")
    before = optuna.logging.get_verbosity()
    next(Optuna()({"alpha": [1.0, 2.0]}, 4, 0))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


def test_without_optuna_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"bigml\[optuna\]"):
        next(way_of("optuna").rounds({"alpha": [1.0]}, 10, 0))


@pytest.mark.parametrize(
    "wrong", [lambda: Optuna(batch=0), lambda: Refine(rounds=0), lambda: next(Optuna("ga")({"a": [1]}, 1, 0))]
)
def test_a_strategy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


@pytest.mark.parametrize("strategy", ["refine", "optuna"])
def test_a_search_in_rounds_is_no_worse_than_its_first_grid_and_repeats(strategy, source):
    rows, values = source.select("x0", "x1", "value"), [1.0, 1e2, 1e4, 1e6]
    about = {"target": "value", "cv": 3, "scoring": "neg_mean_squared_error", "progress": False}
    coarse = bigml.search(Ridge(), rows, grid={"alpha": values}, **about)
    grid = {"alpha": values if strategy == "refine" else stats.loguniform(1.0, 1e6)}
    one, other = (bigml.search(Ridge(), rows, grid=grid, strategy=strategy, n_iter=20, **about) for _ in range(2))
    assert one.best_score_ >= coarse.best_score_ * 1.0001
    assert one.cv_results_.equals(other.cv_results_)
    assert len(one.cv_results_) > len(coarse.cv_results_)
