"""Which digit was written?

Reads handwritten digits (those that come with scikit-learn, or the files of MNIST), fits softmax regression on their
pixels to the minimum of its loss, and writes a report on which digits are taken for which.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import bigml
from bigml.errors import SourceError
from bigml.learning.scores.scoring import Scores
from bigml.report import plots
from bigml.report.page import Page

DIGITS = [str(digit) for digit in range(10)]


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(
        None, description="The folder of the four IDX files of MNIST, plain or .gz; else 1,797 small digits."
    )
    test: float = Field(0.25, gt=0, lt=1, description="Share of the small digits to hold out for the scores.")
    strength: float = Field(0.1, gt=0, description="C of the regression: greater for a weaker penalty.")
    steps: int = Field(500, gt=0, description="Steps to the minimum, at most; each takes a scan.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, count, learn, score, report."""
    train, test = digits(config, run.seed)
    questions = {"train": train.value_counts("target"), "test": test.value_counts("target")}
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))

    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression(C=config.strength, max_iter=config.steps))
    model = run.stage("model", bigml.fit, pipeline, train, target="target", seed=run.seed, client=run.client)
    bigml.save_model(model, run.path / "model.skops")

    scoring = ["accuracy", "log_loss"]
    scores = run.stage("scores", bigml.score, model, test, target="target", scoring=scoring, client=run.client)

    rows = {name: int(counts.sum()) for name, counts in answers.items()}
    steps = int(model[-1].n_iter_[0])
    run.metrics(rows=rows, steps=steps, scores=dict(scores), base_log_loss=scores.base_log_loss, seconds=run.timings)
    page = report(config, model[-1], scores, rows).card("time", f"{sum(run.timings.values()):.1f} s")
    page.record(run, *questions.values()).write(run.path / "report.html")


def digits(config: Config, seed: int) -> tuple[bigml.Source, bigml.Source]:
    """Digits to learn from and digits to judge by."""
    if config.data is None:
        frame = load_digits(as_frame=True).frame
        small = bigml.from_pandas(frame, part_rows=500)
        train, test = small.split(test=config.test, seed=seed)
        return train, test
    return idx(Path(config.data), "train"), idx(Path(config.data), "t10k")


def idx(folder: Path, name: str) -> bigml.Source:
    """Images and labels of one of the two sets of MNIST."""
    found = [sorted(folder.glob(f"{name}-{kind}*")) for kind in ("images", "labels")]
    if not all(found):
        raise SourceError(f"the files {name}-images-idx3-ubyte and {name}-labels-idx1-ubyte", got="none", where=f"in {folder}")
    images, labels = (paths[0] for paths in found)
    return bigml.read_idx(images, y=labels)


def report(config: Config, model: LogisticRegression, scores: Scores, rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("Digits by softmax", subtitle=config.data or f"{rows['train'] + rows['test']:,} small digits")
    page.card("digits", rows["train"], "to learn from").card(
        "accuracy", scores["accuracy"], f"on {rows['test']:,} held-out digits"
    )
    page.card("log loss", scores["log_loss"], f"{scores.base_log_loss:.4f} by the base rate")

    page.section("Mistakes", "Most digits are on the diagonal and left out here: what is seen is which are taken for which.")
    truth = pd.DataFrame(scores.confusion_matrix, DIGITS, DIGITS)
    wrong = truth.where(~np.eye(10, dtype=bool), 0)
    page.plot(plots.heat(wrong, row_label="written", column_label="taken for"), "Digits taken for others", wide=True)
    right = pd.Series(np.diag(truth) / np.maximum(truth.sum(axis=1), 1), DIGITS, name="share")
    page.plot(plots.ranked(right, x_label="share that was told right"), "Digits, ranked")

    page.section("The model", "A weight for each pixel and digit: where ink speaks for a digit, and where against it.")
    size = round(model.coef_.shape[1] ** 0.5)
    for digit in (0, 1):
        weights = pd.DataFrame(model.coef_[digit].reshape(size, size))
        page.plot(plots.heat(weights, row_label="from the top", column_label="from the left"), f"Weights of {digit}")
    page.section("Numbers").table(truth, "Written and taken for")
    return page.table(rows, "Rows").table(dict(scores), "Scores")
