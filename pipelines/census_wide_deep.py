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
from bigml.report import network, plots
from bigml.report.page import Page

NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
KINDS = ["workclass", "education", "marital_status", "occupation", "relationship", "native_country"]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race"]
COLUMNS += ["sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
CROSSES = [("education", "occupation"), ("marital_status", "occupation"), ("age", "education")]
INCOMES = ["<=50K", ">50K"]
WIDE: dict[str, Any] = {"wide": [*NUMBERS, *KINDS], "crosses": CROSSES}
MODELS = {"deep": {"deep": [*NUMBERS, *KINDS]}, "wide": WIDE, "wide_and_deep": {"deep": [*NUMBERS, *KINDS], **WIDE}}


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="The folder of adult.data and adult.test, plain or .gz; else people are made up.")
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
    question = train.describe([*NUMBERS, *KINDS])
    columns = run.stage("statistics", question)

    histories, scores, models = {}, {}, {}
    for name in MODELS if config.apart else ["wide_and_deep"]:
        how = {"folder": run.path, "seed": run.seed, "client": run.client}
        histories[name] = run.stage(name, learned, config, name, train, test, **how, checkpoint=True)
        models[name] = bigml.models.with_classes(keras.saving.load_model(run.path / f"{name}.keras"), INCOMES)
        options = {"target": "income", "scoring": ["accuracy", "roc_auc", "log_loss"], "client": run.client}
        scores[name] = run.stage(f"{name}_scores", bigml.score, models[name], test, **options)
    told = {name: dict(found) for name, found in scores.items()}
    run.metrics(rows=rows, scores=told, base_log_loss=scores[name].base_log_loss, histories=histories, seconds=run.timings)
    page = report(config, histories["wide_and_deep"], scores)
    page.table(network.layers(models["wide_and_deep"]), "Layers")
    page.section("Numbers").table(columns.T, "Columns", wide=True).table(rows, "Rows")
    page.card("time", f"{sum(run.timings.values()):.1f} s").record(run, question).write(run.path / "report.html")


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
    for file in sorted(Path(config.data).glob(f"adult.{name}*")):
        frame = pd.read_csv(file, names=COLUMNS, skipinitialspace=True, comment="|")
        return frame.assign(income=frame["income"].str.rstrip("."))
    raise SourceError(f"the file adult.{name} or adult.{name}.gz", got="none", where=f"in {config.data}")


def made_up(n: int, seed: int) -> pd.DataFrame:
    """People whose income goes with age, schooling and hours, and with whether their occupation suits their education."""
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, 6, n) for name in KINDS}
    kinds = {name: np.array([f"{name} {letter}" for letter in "abcdef"])[codes[name]] for name in KINDS}
    tops = {"age": 91, "education_num": 17, "capital_gain": 99_999, "capital_loss": 4_356, "hours_per_week": 100}
    frame = pd.DataFrame(kinds | {name: rng.integers(0, top, n) for name, top in tops.items()})
    suited = (codes["education"] + codes["occupation"]) % 3 == 0
    odds = frame["education_num"] / 4 - (frame["age"] - 50).abs() / 11 + frame["hours_per_week"] / 30 + 2 * suited - 4
    return frame.assign(income=np.where(rng.logistic(size=n) < odds, *reversed(INCOMES)))


def learned(config: Config, name: str, train: bigml.Source, test: bigml.Source, *, folder: Path, **how: Any) -> Any:
    """What was told of each epoch; the model itself is in a file of the folder."""
    scaled = {one: [keras.layers.Normalization(), keras.layers.Discretization(num_bins=20)] for one in NUMBERS}
    layers = bigml.models.adapted(train, scaled | {one: keras.layers.StringLookup() for one in KINDS}, client=how["client"])
    steps = max(1, config.epochs * sum(train.row_counts or [0]) // (config.batch_size * config.shards))
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.rate, steps))
    build = partial(bigml.models.wide_and_deep, train.schema, layers=layers, optimizer=adam, **MODELS[name])
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "shards": config.shards, "classes": INCOMES}
    model, history = bigml.train(build, train, target="income", validation=test, **options, **how)
    model.save(folder / f"{name}.keras")
    return dict(history.history)


def report(config: Config, history: dict[str, Any], scores: dict[str, Any]) -> Page:
    """The page that a person would rather look at than read."""
    both = scores["wide_and_deep"]
    page = Page("Census income, wide and deep", subtitle=config.data or f"{config.rows:,} people, made up")
    page.card("over 50,000", f"{both.base_rate:.1%}", "of the held-out people").card("ROC AUC", both["roc_auc"])
    page.card("accuracy", both["accuracy"]).card("log loss", both["log_loss"], f"{both.base_log_loss:.4f} by the base rate")

    page.section("Wide, deep, and both", "Crossed columns know by heart what embeddings and layers take for alike.")
    page.table(pd.DataFrame({name.replace("_", " "): dict(found) for name, found in scores.items()}).T, "On held-out people")
    page.plot(plots.roc(*both.roc_curve(), area=both["roc_auc"]), "ROC curve of both")
    return page.plot(network.curves(history), "Loss and accuracy by epoch", wide=True)
