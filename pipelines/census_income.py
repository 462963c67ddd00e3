"""Who earns more than 50,000 dollars a year?

Reads the census extract of 1994 (or makes people up), looks at how income goes with age and occupation, fits a logistic
regression on numbers and kinds, missing values included, and writes a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import SourceError
from bigml.learning.scores.scoring import Scores
from bigml.report import plots
from bigml.report.page import Page

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
KINDS = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
COLUMNS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
SHARE = "share over 50,000 dollars"


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(
        None, description="The folder of adult.data and adult.test, plain or .gz; without it, people are made up."
    )
    rows: int = Field(20_000, ge=100, description="How many people to make up.")
    strength: float = Field(1.0, gt=0, description="C of the logistic regression: greater for a weaker penalty.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, describe, learn, score, report."""
    rows = run.stage("people", kept, config, run.seed, run.path)
    train, test = (bigml.read_parquet(run.path / name).assign(high=bigml.col("income") == ">50K") for name in ("train", "test"))
    questions = {
        "ages": train.groupby("age").agg(high=["count", "mean"]),
        "occupations": train.groupby("occupation").agg(high=["count", "mean"]),
        "columns": train.describe([*NUMBERS, *KINDS]),
    }
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))

    preprocessing = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), KINDS),
    )
    pipeline = make_pipeline(preprocessing, LogisticRegression(C=config.strength))
    options = {"target": "high", "seed": run.seed, "client": run.client}
    model = run.stage("model", bigml.fit, pipeline, train.select(*NUMBERS, *KINDS, "high"), **options)
    bigml.save_model(model, run.path / "model.skops")

    scoring = ["accuracy", "roc_auc", "log_loss", "brier_score"]
    scores = run.stage("scores", bigml.score, model, test, target="high", scoring=scoring, client=run.client)

    run.metrics(rows=rows, scores=dict(scores), base_log_loss=scores.base_log_loss, seconds=run.timings)
    page = report(config, answers, scores, rows).card("time", f"{sum(run.timings.values()):.1f} s")
    page.record(run, *questions.values()).write(run.path / "report.html")


def kept(config: Config, seed: int, folder: Path) -> dict[str, int]:
    """People to learn from and people to judge by as Parquet files, and how many there are of both."""
    frames = {"train": people(config, "data", seed), "test": people(config, "test", seed + 1)}
    for name, frame in frames.items():
        bigml.from_pandas(frame).write_parquet(folder / name, progress=False)
    return {name: len(frame) for name, frame in frames.items()}


def people(config: Config, name: str, seed: int) -> pd.DataFrame:
    """One of the two files, whose labels may end in a full stop and whose first line may be a remark; or made-up people."""
    if config.data is None:
        return made_up(config.rows, seed)
    found = sorted(Path(config.data).glob(f"adult.{name}*"))
    if not found:
        raise SourceError(f"the file adult.{name} or adult.{name}.gz", got="none", where=f"in {config.data}")
    frame = pd.read_csv(found[0], names=COLUMNS, skipinitialspace=True, na_values="?", comment="|")
    return frame.assign(income=frame["income"].str.rstrip("."))


def made_up(n: int, seed: int) -> pd.DataFrame:
    """People whose income goes with age, schooling, hours and sex, a few of their occupations unknown."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.choice([f"{name} {letter}" for letter in "abcdef"], n) for name in KINDS})
    frame["occupation"] = frame["occupation"].where(rng.random(n) > 0.05, None)
    frame["age"], frame["education_num"] = rng.integers(17, 91, n), rng.integers(1, 17, n)
    frame["hours_per_week"], frame["fnlwgt"] = rng.integers(1, 100, n), rng.integers(12_000, 1_500_000, n)
    frame["capital_gain"], frame["capital_loss"] = (
        np.where(rng.random(n) < 0.1, rng.integers(0, top, n), 0) for top in (99_999, 4_356)
    )
    odds = frame["education_num"] / 3 + frame["age"] / 25 + frame["hours_per_week"] / 40 + (frame["sex"] == "sex a") - 8
    return frame.assign(income=np.where(rng.logistic(size=n) < odds, ">50K", "<=50K"))


def report(config: Config, answers: dict[str, Any], scores: Scores, rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    ages, occupations = (answers[name]["high"] for name in ("ages", "occupations"))
    page = Page("Census income", subtitle=config.data or f"{rows['train']:,} people, made up")
    page.card("people", rows["train"]).card("over 50,000", f"{scores.base_rate:.1%}", "of the held-out people")
    page.card("accuracy", scores["accuracy"], "on held-out people").card("ROC AUC", scores["roc_auc"])
    page.card("log loss", scores["log_loss"], f"{scores.base_log_loss:.4f} by the base rate")
    page.section("Income", "It rises with age until fifty or so, and with what one does.")
    page.plot(plots.line(ages["mean"], x_label="age", y_label=SHARE), "Income by age")
    page.plot(plots.ranked(occupations["mean"], x_label=SHARE), "Income by occupation")
    page.section("The model", "Logistic regression at the minimum of its loss, judged on people that it has not seen.")
    page.plot(plots.roc(*scores.roc_curve(), area=scores["roc_auc"]), "ROC curve")
    page.plot(plots.calibration(*scores.calibration()), "Calibration")
    page.section("Numbers").table(occupations.sort_values("mean", ascending=False), "Occupations")
    page.table(answers["columns"].T, "Columns", wide=True)
    return page.table(rows, "Rows").table(dict(scores), "Scores")
