"""Which flights come late, and can it be told before they leave?

Reads flights (or makes them up), describes them, looks at delays by carrier, hour and route in the same scan, learns to
tell late arrivals from what is known before departure, and writes a report.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.learning.scores.scoring import Scores
from bigml.report import plots
from bigml.report.page import Page

NUMBERS = ["distance"]
KINDS = ["carrier", "origin", "dest", "month", "hour"]
DELAY = ["count", "mean", "p25", "p75"]
MINUTES, HALF = "minutes late on arrival", "half of all flights"


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="Parquet files to read, a glob in quotes; without it flights are generated.")
    rows: int = Field(1_000_000, gt=0, description="How many flights to generate.")
    late: float = Field(15, description="Minutes from which an arrival is late.")
    test: float = Field(0.2, gt=0, lt=1, description="Share of the flights to hold out for the scores.")
    epochs: int = Field(2, gt=0, description="Passes over the training rows.")


def main(config: Config, run: bigml.Run) -> None:
    """Describe, learn, score, report."""
    flights = bigml.read_parquet(config.data) if config.data else bigml.airline_like(config.rows, seed=run.seed)
    arrived = flights.dropna("arr_delay").assign(late=bigml.col("arr_delay") > config.late)
    train, test = arrived.select(*NUMBERS, *KINDS, "late").split(test=config.test, seed=run.seed)

    questions = {
        "columns": flights.describe(["dep_delay", "arr_delay", "air_time", *NUMBERS, "carrier", "origin", "dest"]),
        "carriers": flights.groupby("carrier").agg(arr_delay=DELAY),
        "hours": flights.groupby("hour").agg(arr_delay=DELAY),
        "routes": flights.groupby(["origin", "dest"]).agg(arr_delay=["count", "mean"]),
        "arrivals": arrived.histogram("arr_delay", bins=36, range=(-60, 120)),
        "train": train.value_counts("late"),
        "test": test.value_counts("late"),
    }
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))

    preprocessing = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), KINDS),
    )
    pipeline = make_pipeline(preprocessing, SGDClassifier(loss="log_loss", alpha=1e-4, average=True))
    options = {"target": "late", "epochs": config.epochs, "seed": run.seed, "client": run.client}
    model = run.stage("model", bigml.fit, pipeline, train, **options, checkpoint=True)
    bigml.save_model(model, run.path / "model.skops")

    scoring = ["accuracy", "roc_auc", "log_loss", "brier_score"]
    scores = run.stage("scores", bigml.score, model, test, target="late", scoring=scoring, client=run.client)

    rows = account(flights, answers)
    run.metrics(rows=rows, scores=dict(scores), base_log_loss=scores.base_log_loss, seconds=run.timings)
    page = report(config, answers, scores, rows).card("time", f"{sum(run.timings.values()):.1f} s")
    page.record(run, *questions.values()).write(run.path / "report.html")


def account(flights: bigml.Source, answers: dict[str, Any]) -> dict[str, int]:
    """Every row that came in, and what became of it."""
    read = flights.n_rows or 0
    used = {name: int(answers[name].sum()) for name in ("train", "test")}
    return {"in": read, **used, "without arrival": read - int(answers["columns"]["arr_delay"]["count"])}


def report(config: Config, answers: dict[str, Any], scores: Scores, rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    carriers, hours, routes = (answers[name]["arr_delay"].dropna() for name in ("carriers", "hours", "routes"))
    page = Page("Airline delays", subtitle=config.data or f"{rows['in']:,} generated flights")
    page.card("flights", rows["in"]).card("mean delay", answers["columns"]["arr_delay"]["mean"], "minutes on arrival")
    page.card("late", f"{scores.base_rate:.1%}", f"more than {config.late:g} minutes")
    page.card("ROC AUC", scores["roc_auc"], "on held-out flights")
    page.card("log loss", scores["log_loss"], f"{scores.base_log_loss:.4f} by the base rate")

    page.section("When", "Delays pile up over the day: an aircraft that comes late leaves late.")
    band = (hours["p25"], hours["p75"])
    page.plot(plots.line(hours["mean"], band=band, band_label=HALF, x_label="hour", y_label=MINUTES), "Delay by hour")
    counts, edges = answers["arrivals"]
    page.plot(plots.histogram(edges, counts, mark=config.late, mark_label="late", x_label=MINUTES), "All arrivals")

    page.section("Who and where", "A dot is a mean. It lies right of most flights, since the few late ones are very late.")
    spread = (carriers["p25"], carriers["p75"])
    page.plot(plots.ranked(carriers["mean"], spread=spread, spread_label=HALF, x_label=MINUTES), "Carriers, ranked")
    busy = routes.nlargest(400, "count")
    page.plot(plots.scatter(busy["count"], busy["mean"], x_label="flights", y_label=MINUTES), "The 400 busiest routes")
    origins, dests = (routes["count"].groupby(level=end).sum().nlargest(n).index for end, n in (("origin", 12), ("dest", 20)))
    grid = routes["mean"].unstack().reindex(index=origins, columns=dests)
    page.plot(plots.heat(grid, row_label="from", column_label="to"), "Mean delay by route", wide=True)

    page.section("The model", "Logistic regression on what is known before departure, judged on flights that it has not seen.")
    page.plot(plots.roc(*scores.roc_curve(), area=scores["roc_auc"]), "ROC curve")
    page.plot(plots.calibration(*scores.calibration()), "Calibration")

    page.section("Numbers").table(carriers.sort_values("mean", ascending=False), "Carriers")
    page.table(routes.sort_values("count", ascending=False), "Routes").table(answers["columns"].T, "Columns", wide=True)
    return page.table(rows, "Rows: in, and what became of them").table(dict(scores), "Scores")
