"""Who earns more than 50,000 dollars a year, told by what is known by heart and by what is alike?

Reads the census extract of 1994 (or makes people up), trains a linear model of crossed columns, a deep one of embeddings, and
both together on the raw columns, and writes a report on what each is worth.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

import bigml
from bigml.errors import SourceError
from bigml.learning.scores.scoring import Scores
from bigml.report import network, plots
from bigml.report.page import Page

NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
KINDS = ["workclass", "education", "marital_status", "occupation", "relationship", "native_country"]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
COLUMNS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
CROSSES = [("education", "occupation"), ("marital_status", "occupation"), ("age", "education")]
INCOMES = ["<=50K", ">50K"]
WIDE: dict[str, Any] = {"wide": [*NUMBERS, *KINDS], "crosses": CROSSES}
DEEP: dict[str, Any] = {"deep": [*NUMBERS, *KINDS]}
MODELS = {"wide_and_deep": WIDE | DEEP, "wide": WIDE, "deep": DEEP}
SCORES = ["accuracy", "roc_auc", "log_loss"]


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(
        None, description="The folder of adult.data and adult.test, plain or .gz; without it, people are made up."
    )
    rows: int = Field(20_000, ge=100, description="How many people to make up.")
    epochs: int = Field(3, gt=0, description="Passes over the people.")
    batch_size: int = Field(128, gt=0, description="People of a step.")
    shards: int = Field(1, gt=0, description="How many learn side by side; take as many as there are workers.")
    apart: bool = Field(True, description="Whether to train each of the two parts by itself, too.")
    rate: float = Field(0.001, gt=0, description="Learning rate of Adam at the beginning; it falls to nothing.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, describe, learn, score, report."""
    rows = run.stage("people", kept, config, run.seed, run.path)
    train, test = (bigml.read_parquet(run.path / name) for name in ("train", "test"))
    questions: dict[str, bigml.Plan[Any]] = {
        "incomes": train.value_counts("income"),
        "columns": train.describe([*NUMBERS, *KINDS]),
    }
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))

    histories, scores = {}, {}
    for name in MODELS if config.apart else ["wide_and_deep"]:
        how = {"n_rows": rows["train"], "folder": run.path, "seed": run.seed, "client": run.client}
        histories[name] = run.stage(name, learned, config, name, train, test, **how, checkpoint=True)
        options = {"target": "income", "scoring": SCORES, "client": run.client}
        scores[name] = run.stage(f"{name}_scores", bigml.score, loaded(run.path, name), test, **options)

    base = scores["wide_and_deep"].base_log_loss
    told = {name: dict(found) for name, found in scores.items()}
    run.metrics(rows=rows, scores=told, base_log_loss=base, histories=histories, seconds=run.timings)
    page = report(config, loaded(run.path, "wide_and_deep"), histories["wide_and_deep"], scores, rows)
    page.section("Numbers").table(answers["columns"].T, "Columns", wide=True).table(rows, "Rows")
    page.card("time", f"{sum(run.timings.values()):.1f} s").record(run, *questions.values()).write(run.path / "report.html")


def kept(config: Config, seed: int, folder: Path) -> dict[str, int]:
    """People to learn from and people to judge by as Parquet files, and how many there are of both."""
    frames = {"train": people(config, "data", seed), "test": people(config, "test", seed + 1)}
    for name, frame in frames.items():
        bigml.from_pandas(frame[[*NUMBERS, *KINDS, "income"]]).write_parquet(folder / name, progress=False)
    return {name: len(frame) for name, frame in frames.items()}


def people(config: Config, name: str, seed: int) -> pd.DataFrame:
    """One of the two files, whose labels may end in a full stop and whose first line may be a remark; or made-up people."""
    if config.data is None:
        return made_up(config.rows, seed)
    found = sorted(Path(config.data).glob(f"adult.{name}*"))
    if not found:
        raise SourceError(f"the file adult.{name} or adult.{name}.gz", got="none", where=f"in {config.data}")
    frame = pd.read_csv(found[0], names=COLUMNS, skipinitialspace=True, comment="|")
    return frame.assign(income=frame["income"].str.rstrip("."))


def made_up(n: int, seed: int) -> pd.DataFrame:
    """People whose income goes with age, schooling and hours, and with whether their occupation suits their education."""
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, 6, n) for name in KINDS}
    frame = pd.DataFrame({name: np.array([f"{name} {letter}" for letter in "abcdef"])[codes[name]] for name in KINDS})
    frame["age"], frame["education_num"] = rng.integers(17, 91, n), rng.integers(1, 17, n)
    frame["capital_gain"], frame["capital_loss"] = (
        np.where(rng.random(n) < 0.1, rng.integers(0, top, n), 0) for top in (99_999, 4_356)
    )
    frame["hours_per_week"] = rng.integers(1, 100, n)
    suited = (codes["education"] + codes["occupation"]) % 3 == 0
    settled = 1 - (frame["age"] - 50).abs() / 33
    odds = frame["education_num"] / 4 + 3 * settled + frame["hours_per_week"] / 30 + 2 * suited - 7
    return frame.assign(income=np.where(rng.logistic(size=n) < odds, *reversed(INCOMES)))


def learned(
    config: Config, name: str, train: bigml.Source, test: bigml.Source, *, n_rows: int, folder: Path, **how: Any
) -> dict[str, list[float]]:
    """What was told of each epoch; the model itself is in a file of the folder."""
    numbers = {one: [keras.layers.Normalization(), keras.layers.Discretization(num_bins=20)] for one in NUMBERS}
    kinds = {one: keras.layers.StringLookup() for one in KINDS}
    layers = bigml.models.adapted(train, numbers | kinds, client=how["client"])
    steps = max(1, config.epochs * n_rows // (config.batch_size * config.shards))
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.rate, steps))
    build = partial(bigml.models.wide_and_deep, train.schema, layers=layers, optimizer=adam, **MODELS[name])
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "shards": config.shards, "classes": INCOMES}
    model, history = bigml.train(build, train, target="income", validation=test, **options, **how)
    model.save(folder / f"{name}.keras")
    return dict(history.history)


def loaded(folder: Path, name: str) -> Any:
    """A model that was learned, with the names of its classes, which its file does not keep."""
    return bigml.models.with_classes(keras.saving.load_model(folder / f"{name}.keras"), INCOMES)


def report(config: Config, model: Any, history: dict[str, Any], scores: dict[str, Scores], rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    both = scores["wide_and_deep"]
    page = Page("Census income, wide and deep", subtitle=config.data or f"{rows['train']:,} people, made up")
    page.card("people", rows["train"]).card("over 50,000", f"{both.base_rate:.1%}", "of the held-out people")
    page.card("accuracy", both["accuracy"], "on held-out people").card("ROC AUC", both["roc_auc"])
    page.card("log loss", both["log_loss"], f"{both.base_log_loss:.4f} by the base rate")

    page.section("Wide, deep, and both", "Crossed columns know by heart what embeddings and layers take for alike.")
    page.table(pd.DataFrame({name.replace("_", " "): dict(found) for name, found in scores.items()}).T, "On held-out people")
    page.plot(plots.roc(*both.roc_curve(), area=both["roc_auc"]), "ROC curve of both")
    page.section("How it learned", "Both parts together.")
    page.plot(network.curves(history), "Loss and accuracy by epoch", wide=True)
    page.plot(plots.calibration(*both.calibration()), "Calibration")
    return page.table(network.layers(model), "Layers")
