"""Which digit was written, told by a network that looks for shapes?

Reads handwritten digits (those that come with scikit-learn, enlarged, or the files of MNIST), trains two blocks of
convolution and pooling and a dense layer on them, and writes a report on how it learned, what its filters look for and
which digits it takes for which.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

import bigml
from bigml.errors import SourceError
from bigml.learning.scores.scoring import Scores
from bigml.report import network, plots
from bigml.report.page import Page

DIGITS = [str(digit) for digit in range(10)]
SIDE = 28


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="The folder of the four IDX files of MNIST; else 1,797 small digits, enlarged.")
    test: float = Field(0.25, gt=0, lt=1, description="Share of the small digits to hold out for the scores.")
    epochs: int = Field(6, gt=0, description="Passes over the digits; 3 are enough for MNIST.")
    batch_size: int = Field(50, gt=0, description="Digits of a step.")
    shards: int = Field(1, gt=0, description="How many learn side by side; take as many as there are workers.")
    filters: list[int] = Field([32, 64], description="Of the two convolutions.")
    dense: int = Field(1024, gt=0, description="Units of the dense layer.")
    rate: float = Field(0.001, gt=0, description="Learning rate of Adam at the beginning; it falls to nothing.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, count, learn, score, report."""
    train, test = digits(config, run.seed)
    questions = {"train": train.value_counts("target"), "test": test.value_counts("target")}
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))
    rows = {name: int(counts.sum()) for name, counts in answers.items()}

    how = {"n_rows": rows["train"], "folder": run.path, "seed": run.seed, "client": run.client}
    history = run.stage("model", learned, config, train, test, **how, checkpoint=True)
    model = keras.saving.load_model(run.path / "model.keras")

    scoring = ["accuracy", "log_loss"]
    scores = run.stage("scores", bigml.score, model, test, target="target", scoring=scoring, client=run.client)

    run.metrics(rows=rows, scores=dict(scores), base_log_loss=scores.base_log_loss, history=history, seconds=run.timings)
    page = report(config, model, history, scores, rows).card("time", f"{sum(run.timings.values()):.1f} s")
    page.record(run, *questions.values()).write(run.path / "report.html")


def digits(config: Config, seed: int) -> tuple[bigml.Source, bigml.Source]:
    """Digits to learn from and digits to judge by."""
    if config.data is not None:
        return idx(Path(config.data), "train"), idx(Path(config.data), "t10k")
    images, labels = load_digits(return_X_y=True)
    scale = SIDE / 8
    large = zoom(images.reshape(-1, 8, 8) * (255 / 16), (1, scale, scale), order=1).astype(np.uint8)
    frame = pd.DataFrame(large.reshape(len(large), -1), columns=[f"x{i}" for i in range(SIDE**2)])
    train, test = bigml.from_pandas(frame.assign(target=labels), part_rows=500).split(test=config.test, seed=seed)
    return train, test


def idx(folder: Path, name: str) -> bigml.Source:
    """Images and labels of one of the two sets of MNIST."""
    found = [sorted(folder.glob(f"{name}-{kind}*")) for kind in ("images", "labels")]
    if not all(found):
        raise SourceError(f"the files {name}-images-idx3-ubyte and {name}-labels-idx1-ubyte", got="none", where=f"in {folder}")
    images, labels = (paths[0] for paths in found)
    return bigml.read_idx(images, y=labels)


def learned(
    config: Config, train: bigml.Source, test: bigml.Source, *, n_rows: int, folder: Path, **how: Any
) -> dict[str, list[float]]:
    """What was told of each epoch; the model itself is in a file of the folder."""
    steps = max(1, config.epochs * n_rows // (config.batch_size * config.shards))
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.rate, steps))
    build = partial(bigml.models.cnn, filters=config.filters, dense=config.dense, optimizer=adam)
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "shards": config.shards}
    model, history = bigml.train(build, train, target="target", validation=test, **options, **how)
    model.save(folder / "model.keras")
    return dict(history.history)


def report(config: Config, model: Any, history: dict[str, list[float]], scores: Scores, rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("Digits by convolution", subtitle=config.data or f"{rows['train'] + rows['test']:,} small digits, enlarged")
    page.card("digits", rows["train"], "to learn from").card(
        "accuracy", scores["accuracy"], f"on {rows['test']:,} held-out digits"
    )
    page.card("log loss", scores["log_loss"], f"{scores.base_log_loss:.4f} by the base rate")
    page.card("parameters", model.count_params(), f"learned in {len(history['loss'])} epochs")

    page.section("How it learned", "Of the training digits some units are left out, so the loss on held-out ones may be less.")
    page.plot(network.curves(history), "Loss and accuracy by epoch", wide=True)
    page.plot(network.filters(model), "Filters of the first layer: ink speaks for them where warm, against where cool")
    page.table(network.layers(model), "Layers")

    page.section("Mistakes", "Most digits are on the diagonal and left out here: what is seen is which are taken for which.")
    truth = pd.DataFrame(scores.confusion_matrix, DIGITS, DIGITS)
    wrong = truth.where(~np.eye(10, dtype=bool), 0)
    page.plot(plots.heat(wrong, row_label="written", column_label="taken for"), "Digits taken for others", wide=True)
    right = pd.Series(np.diag(truth) / np.maximum(truth.sum(axis=1), 1), DIGITS, name="share")
    page.plot(plots.ranked(right, x_label="share that was told right"), "Digits, ranked")
    page.table(truth, "Written and taken for")
    return page.section("Numbers").table(rows, "Rows").table(dict(scores), "Scores")
