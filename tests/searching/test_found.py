"""What a search has found can be looked at, put on a page, stored in a run and logged, and comes back equal."""

from __future__ import annotations

import sys
import types
from contextlib import contextmanager
from dataclasses import fields
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.errors import ConfigError
from bigml.report import artefacts, plots
from bigml.report.page import Page
from bigml.searching.found import Cost, Found, results
from bigml.searching.plots import told

NUMBERS = [f"x{i}" for i in range(5)]
THREE = [
    {"alpha": a, "penalty": p, "eta0": e} for a in (1e-4, 1e-3, 1e-2) for p in ("l2", "l1", "elasticnet") for e in (0.1, 0.5)
]


def made(params, *, train=False, history=None, failed=()):
    """What a search of these parameters could have found."""
    rng = np.random.default_rng(0)
    scores = {name: rng.random((len(params), 4)) for name in ("roc_auc", "log_loss")}
    for number in failed:
        scores["log_loss"][number] = np.nan
    signs, shares = {"roc_auc": 1, "log_loss": -1}, np.ones((len(params), 4))
    frame = results(params, scores, scores if train else {}, signs, shares=shares, causes=[""] * len(params))
    best = int(np.nanargmin(scores["log_loss"].mean(axis=1)))
    return Found(frame, best, None, "log_loss", 4, False, Cost(len(params), 4 * len(params), 3, 10**6, 1.5), history_=history)


def words(svg):
    return {element.text for element in ElementTree.fromstring(svg).iter() if element.text and element.text.strip()}


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ([{"alpha": a} for a in (1.0, 0.1, 10.0)], {"0.1", "1", "10", "alpha", "best"}),
        ([{"clf__alpha": a, "clf__loss": h} for a in (0.1, 1.0) for h in ("hinge", "log_loss")], {"hinge", "log_loss", "alpha"}),
        (THREE, {"alpha", "penalty", "eta0", "elasticnet", "0.0001", "mean log_loss"}),
        ([{"clf": SGDClassifier()}, {"clf": GaussianNB()}], {"SGDClassifier", "GaussianNB"}),
        ([{"a__n": 1, "b__n": 2}, {"a__n": 2, "b__n": 1}], {"a__n", "b__n"}),
        ([{"alpha": 1.0}], {"mean log_loss"}),
        ([{"alpha": 1.0, "l1_ratio": 0.5}, {"alpha": 2.0}], {"None", "0.5"}),
    ],
    ids=["line", "heat", "parallel", "steps", "alike", "one", "absent"],
)
def test_the_plot_names_parameters_and_values(params, shown):
    found = made(params)
    page = found.add_to(Page("A search"))
    picture = page.sections[0].blocks[0].svg
    text = " | ".join(words(picture))
    assert [word for word in shown if word not in text] == []
    assert "var(--accent)" in picture
    assert isinstance(found.plot(), Figure)


def test_a_heat_map_tells_the_score_in_every_cell_and_colours_by_rank():
    found = made([{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)], failed=[2])
    axes = found.plot().axes[0]
    means = found.cv_results_["mean_test_log_loss"].dropna()
    assert sorted(text.get_text() for text in axes.texts) == sorted(f"{mean:.4g}" for mean in means)
    (outlined,) = [patch for patch in axes.patches if patch.get_linewidth() > 2]
    best = found.best_params_
    assert (outlined.get_x() + 0.47, outlined.get_y() + 0.45) == pytest.approx((best["b"] - 1, best["a"] - 1))


def test_boxes_hold_all_scores_of_a_value():
    found = made(THREE, train=True)
    figure = found.boxplot_parameters()
    assert [axes.get_xlabel() for axes in figure.axes] == ["alpha", "penalty", "eta0"]
    table = found.cv_results_
    columns = [f"split{i}_test_log_loss" for i in range(4)]
    wanted = [np.median(table.loc[table["param_alpha"] == alpha, columns]) for alpha in (1e-4, 1e-3, 1e-2)]
    lines = figure.axes[0].lines
    medians = [line.get_ydata()[0] for line in lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2]
    assert set(np.round(wanted, 12)) <= set(np.round(medians, 12))
    both = found.boxplot_parameters(display_train=True)
    assert [text.get_text() for text in both.axes[0].get_legend().get_texts()] == ["test", "train"]


def test_training_scores_that_are_not_there_are_not_drawn():
    with pytest.raises(ConfigError, match="train_scores=True"):
        made(THREE).boxplot_parameters(display_train=True)


def test_racing_curves_are_drawn_where_candidates_were_judged_on_the_way():
    rows = [
        {"candidate": c, "split": s, "share": f, "log_loss": 1 / (f + c)} for c in (1, 2) for s in (0, 1) for f in (0.25, 0.5)
    ]
    found = made([{"a": 3}, {"a": 2}, {"a": 1}, {"a": 4}], history=pd.DataFrame(rows))
    found.cv_results_["share"] = [0.5, 0.5, 1.0, 1.0]
    lines = found.plot().axes[0].lines
    # Candidates 2 and 3 were trained to the end; 0 and 3 were never judged on the way.
    assert [line.get_xdata().tolist() for line in lines] == [[0.25, 0.5], [0.25, 0.5, 1.0], [1.0]]
    assert found.plot("scores").axes[0].get_xlabel() == "a"
    assert len([block for block in found.add_to(Page("")).sections[0].blocks if block.svg]) == 3
    with pytest.raises(ConfigError, match="scores on the way"):
        made(THREE).plot("racing")
    with pytest.raises(ConfigError, match="a kind among"):
        made(THREE).plot("pie")


def test_figures_by_themselves_have_colours_that_any_viewer_knows():
    lines = made(THREE).plot().axes[0].lines
    assert {line.get_color() for line in lines} <= set(plots.LIGHT.values())


def test_a_page_tells_what_the_search_took_and_escapes_what_it_was_given():
    found = made([{"a": "<b>"}, {"a": "c"}])
    html = found.add_to(Page("A search")).html()
    assert "<b>" not in html
    for text in ("Best parameters", "What it took", "bytes read", "share of all training", "Candidates, the best first"):
        assert text in html


@pytest.mark.parametrize(("value", "text"), [(1e-7, "1e-07"), (3, "3"), (True, "True"), ("l2", "l2"), (Ridge(), "Ridge")])
def test_values_are_told_briefly(value, text):
    assert told(value) == text


def as_text(value):
    """Parameters and models as text, which can be compared."""
    if isinstance(value, tuple):
        return repr([as_text(item) for item in value])
    if isinstance(value, dict):
        return repr({name: as_text(item) for name, item in value.items()})
    # Numbers of numpy come back as Python's, which are equal.
    return repr(value) if hasattr(value, "get_params") else value.item() if isinstance(value, np.generic) else value


def same(one, other):
    """Whether two results hold the same, frames and models included."""
    if isinstance(one, pd.DataFrame):
        return one.map(as_text).equals(other.map(as_text)) and (one.dtypes == other.dtypes).all()
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return repr(as_text(one)) == repr(as_text(other))


def test_a_found_search_comes_back_equal_from_a_run(source, tmp_path):
    model = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    grid = [{"clf": [LogisticRegression(), GaussianNB()]}, {"clf__C": np.array([0.1, 1.0]), "scale__with_mean": [True]}]
    rows = source.select(*NUMBERS, "label")
    found = bigml.search(model, rows, target="label", grid=grid, cv=3, progress=False)
    artefacts.save(found, tmp_path / "found")
    again = artefacts.load(tmp_path / "found")
    assert same(found, again)
    assert found.duplicates_
    shown = rows.to_pandas()[NUMBERS]
    assert np.array_equal(*(one.best_estimator_.predict_proba(shown) for one in (found, again)))
    assert repr(again) == repr(found)


def test_a_nested_search_comes_back_equal_from_a_run(source, tmp_path):
    rows = source.select(*NUMBERS, "value")
    about = {"target": "value", "grid": {"alpha": [0.1, 10.0]}, "outer_cv": 3, "inner_cv": 2, "progress": False}
    nested = bigml.nested_search(Ridge(), rows, **about)
    artefacts.save(nested, tmp_path / "nested")
    assert same(nested, artefacts.load(tmp_path / "nested"))
    html = nested.add_to(Page("Nested")).html()
    assert "Outer folds that chose a setting" in html
    assert "alpha=" in html


@pytest.fixture
def mlflow(monkeypatch):
    """A stand-in that notes what is logged, by the names of the open runs."""
    log, names = [], []

    @contextmanager
    def start_run(*, run_name, nested=False):
        assert nested == bool(names)
        names.append(run_name)
        yield
        names.pop()

    def noting(what):
        return lambda *given: log.append((what, tuple(names), given))

    module = types.ModuleType("mlflow")
    module.start_run = start_run
    for name in ("log_params", "log_metrics", "log_text", "log_figure"):
        setattr(module, name, noting(name))
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return log


def test_mlflow_gets_a_run_with_one_below_it_for_each_candidate(mlflow):
    found = made([{"a": 1}, {"a": 2}, {"a": 3}], failed=[1])
    found.log_mlflow("late")
    params = {runs: given[0] for what, runs, given in mlflow if what == "log_params"}
    assert params.pop(("late",)) == {"a": told(found.best_params_["a"])}
    assert params == {("late", f"candidate {i}"): {"a": f"{i + 1}"} for i in range(3)}
    metrics = {runs: given[0] for what, runs, given in mlflow if what == "log_metrics"}
    assert metrics["late",]["best_log_loss"] == found.best_score_
    assert metrics["late",]["fits"] == 12
    assert metrics["late", "candidate 0"]["mean_test_roc_auc"] == found.cv_results_["mean_test_roc_auc"][0]
    assert "mean_test_log_loss" not in metrics["late", "candidate 1"]
    files = [given[1] for what, _, given in mlflow if what in ("log_text", "log_figure")]
    assert files == ["cv_results.csv", "candidates.png", "parameters.png"]


def test_a_missing_mlflow_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install bigml\[mlflow\]"):
        made(THREE).log_mlflow()
