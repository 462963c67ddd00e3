"""Which messages are spam?

Reads messages (or makes them up), looks at how they differ in length, learns to tell spam by its words and pairs of words,
hashed so that no vocabulary is needed, and writes a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

import bigml
from bigml.learning.scores.scoring import Scores
from bigml.report import plots
from bigml.report.page import Page

WORDS = {
    "both": "i you to the a it is and me my on for that in no so ok at we of now call just do are if be go get im but not",
    "ham": "home later love day lor da good time sorry going today dinner thing sleep work tonight wait miss bus meet see",
    "spam": "free prize claim win txt mobile cash reply urgent nokia stop tone awarded guaranteed ringtone vouchers 150p",
}


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="A file of lines: ham or spam, TAB, message; without it messages are made up.")
    rows: int = Field(5_000, ge=100, description="How many messages to make up.")
    test: float = Field(0.2, gt=0, lt=1, description="Share of the messages to hold out for the scores.")
    epochs: int = Field(20, gt=0, description="Passes over the training messages.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, describe, learn, score, report."""
    folder = run.path / "messages"
    rows = run.stage("messages", ingest, config, run.seed, folder)
    messages = bigml.read_parquet(folder).assign(spam=bigml.col("label") == "spam", length=lengths)
    train, test = messages.select("text", "spam").split(test=config.test, seed=run.seed)

    questions = {
        "labels": messages.groupby("label").agg(length=["count", "mean", "p25", "p75"]),
        "lengths": messages.histogram("length", bins=40, range=(0, 200)),
        "train": train.value_counts("spam"),
        "test": test.value_counts("spam"),
    }
    answers = dict(zip(questions, run.stage("statistics", bigml.compute, *questions.values(), client=run.client), strict=True))

    words = HashingVectorizer(n_features=2**18, ngram_range=(1, 2), alternate_sign=False)
    pipeline = make_pipeline(words, SGDClassifier(loss="log_loss", alpha=1e-5))
    options = {"target": "spam", "epochs": config.epochs, "seed": run.seed, "client": run.client}
    model = run.stage("model", bigml.fit, pipeline, train, **options, checkpoint=True)
    bigml.save_model(model, run.path / "model.skops")

    scoring = ["f1", "precision", "recall", "accuracy", "roc_auc", "log_loss"]
    scores = run.stage("scores", bigml.score, model, test, target="spam", scoring=scoring, client=run.client)

    rows |= {name: int(answers[name].sum()) for name in ("train", "test")}
    run.metrics(rows=rows, scores=dict(scores), base_log_loss=scores.base_log_loss, seconds=run.timings)
    page = report(config, answers, scores, rows).card("time", f"{sum(run.timings.values()):.1f} s")
    page.record(run, *questions.values()).write(run.path / "report.html")


def ingest(config: Config, seed: int, folder: Path) -> dict[str, int]:
    """Messages as Parquet files, and how many came in; quotes are part of a message, and so is the word NA."""
    if config.data is None:
        bigml.from_pandas(made_up(config.rows, seed)).write_parquet(folder, progress=False)
        return {"in": config.rows, "rejected": 0}
    dialect: dict[str, Any] = {"delimiter": "\t", "quote": None, "header": ["label", "text"], "na_values": []}
    found = bigml.ingest(config.data, folder, types={"label": "string", "text": "string"}, progress=False, **dialect)
    return {"in": found.rows_in, "rejected": found.rows_rejected}


def made_up(n: int, seed: int) -> pd.DataFrame:
    """Messages with the words of both kinds, more of them with those of their own."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(n) < 0.13, "spam", "ham")
    return pd.DataFrame({"label": labels, "text": [message(label, rng) for label in labels]})


def message(label: str, rng: np.random.Generator) -> str:
    """Up to forty words, a few of them of the other kind."""
    size = rng.integers(10, 40) if label == "spam" else rng.integers(2, 30)
    lists = [WORDS[kind].split() for kind in ("both", label, "ham" if label == "spam" else "spam")]
    chosen = np.searchsorted([0.7, 0.96], rng.random(size))
    return " ".join(lists[i][int(place * len(lists[i]))] for i, place in zip(chosen, rng.random(size), strict=True))


def lengths(frame: pd.DataFrame) -> Any:
    """Characters of each message."""
    return frame["text"].str.len().astype("int64")


def report(config: Config, answers: dict[str, Any], scores: Scores, rows: dict[str, int]) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("Spam filter", subtitle=config.data or f"{rows['in']:,} messages, made up")
    page.card("messages", rows["in"]).card("spam", f"{scores.base_rate:.1%}", "of the held-out messages")
    page.card("F1 of spam", scores["f1"], "on held-out messages").card("ROC AUC", scores["roc_auc"])
    page.card("log loss", scores["log_loss"], f"{scores.base_log_loss:.4f} by the base rate")

    page.section("Messages", "Spam has much to say and pays by the message, so it comes close to the limit.")
    counts, edges = answers["lengths"]
    page.plot(plots.histogram(edges, counts, x_label="characters"), "Length of all messages")
    page.table(answers["labels"]["length"], "Characters by label")

    page.section("The model", "Logistic regression on hashed words and pairs of words, judged on messages that it has not seen.")
    page.plot(plots.roc(*scores.roc_curve(), area=scores["roc_auc"]), "ROC curve")
    page.plot(plots.calibration(*scores.calibration()), "Calibration")
    truth = pd.DataFrame(scores.confusion_matrix, ["ham", "spam"], ["taken for ham", "taken for spam"])
    return page.table(truth, "What became of them").table(rows, "Rows: in, and what became of them").table(dict(scores), "Scores")
