"""Which settings tell late flights best, and how well will that do?

Reads flights (or makes them up), searches the settings of a linear model over five folds in a few scans, estimates what such
a search is worth by nested folds, tests the two best on flights that none has seen, and writes a report.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.learning.scores.scoring import Scores
from bigml.report import plots
from bigml.report.page import Page

NUMBERS = ["distance"]
KINDS = ["carrier", "origin", "dest", "month", "hour"]
SCORES = ["roc_auc", "log_loss"]


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="Parquet files to read, a glob in quotes; without it flights are generated.")
    rows: int = Field(100_000, gt=0, description="How many flights to generate.")
    late: float = Field(15, description="Minutes from which an arrival is late.")
    test: float = Field(0.2, gt=0, lt=1, description="Share of the flights that no search sees.")
    folds: int = Field(5, ge=3, description="Folds of the search.")
    alphas: int = Field(4, ge=2, description="Strengths of the penalty to try, from 1e-6 to 1e-1.")
    epochs: int = Field(1, gt=0, description="Passes over the rows.")


def main(config: Config, run: bigml.Run) -> None:
    """Search, estimate, compare, report."""
    flights = bigml.read_parquet(config.data) if config.data else bigml.airline_like(config.rows, seed=run.seed)
    late = flights.dropna("arr_delay").assign(late=bigml.col("arr_delay") > config.late).select(*NUMBERS, *KINDS, "late")
    train, test = late.split(test=config.test, seed=run.seed)

    pipeline, options = model(), {"target": "late", "seed": run.seed, "client": run.client}
    grid = {"clf__alpha": np.logspace(-6, -1, config.alphas).tolist(), "clf__penalty": ["l2", "l1", "elasticnet"]}
    wanted = {"grid": grid, "scoring": SCORES, "refit": "log_loss", "epochs": config.epochs, **options}
    found = run.stage("search", bigml.search, pipeline, train, cv=config.folds, **wanted)
    nested = run.stage("nested", bigml.nested_search, pipeline, train, inner_cv=config.folds - 1, outer_cv=config.folds, **wanted)

    first, second = (params for params in found.cv_results_.sort_values("rank_test_log_loss", kind="stable")["params"][:2])
    alone = wanted | {"grid": {name: [value] for name, value in second.items()}}
    other = run.stage("runner-up", bigml.search, pipeline, train, cv=bigml.HoldOut(0.1), **alone).best_estimator_
    duel = run.stage("compare", bigml.compare, found.best_estimator_, other, test, target="late", client=run.client)
    scores = run.stage("scores", bigml.score, found.best_estimator_, test, target="late", scoring=SCORES, client=run.client)
    bigml.save_model(found.best_estimator_, run.path / "model.skops")

    estimates = nested.estimates_["mean"].to_dict()
    run.metrics(
        best=dict(first), found=found.best_score_, nested=estimates, scores=dict(scores), pvalue=duel.pvalue,
        fits={"search": found.cost_.fits, "nested": nested.cost_.fits}, seconds=run.timings,
    )  # fmt: skip
    page = report(config, found, nested, scores).card("time", f"{sum(run.timings.values()):.1f} s")
    page.section("The two best", "McNemar's test on held-out flights: do they err on different ones, more than by chance?")
    page.table({"best": str(dict(first)), "runner-up": str(dict(second))}, "Settings")
    page.table({"statistic": duel.statistic, "p-value": duel.pvalue, "by": duel.by}, "McNemar's test")
    page.record(run).write(run.path / "report.html")


def model() -> Pipeline:
    """What is known before departure, scaled and encoded, and a logistic regression that learns flight by flight."""
    preprocessing = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), KINDS),
    )
    return Pipeline([("prep", preprocessing), ("clf", SGDClassifier(loss="log_loss", average=True))])


def report(config: Config, found: Any, nested: Any, scores: Scores) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("The search for late flights", subtitle=config.data or f"{config.rows:,} generated flights")
    page.card("candidates", found.cost_.candidates, f"on {found.n_splits_} folds: {found.cost_.fits} fits")
    page.card("scans", found.cost_.scans, "for all of them together")
    page.card("log loss", found.best_score_, "of the best, over the folds")
    page.card("nested", nested.estimate_, f"± {nested.standard_error_:.2g}: what such a search is worth")
    page.card("held out", scores["log_loss"], "log loss on flights that no search has seen")
    found.add_to(page)
    nested.add_to(page)
    spread = pd.DataFrame({"nested": nested.estimates_["mean"], "held out": pd.Series(dict(scores))})
    page.section("The best model", "Judged on held-out flights.").table(spread, "Estimates, and what came")
    page.plot(plots.roc(*scores.roc_curve(), area=scores["roc_auc"]), "ROC curve")
    return page.plot(plots.calibration(*scores.calibration()), "Calibration")
