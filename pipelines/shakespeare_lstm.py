"""What does a network write that has read a play?

Reads a text (or makes up a small play), trains a network that tells of each character the next one, and writes a report with
a text of its own.
"""

from __future__ import annotations

import gzip
import re
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

WORDS = {
    "name": "ROMEO, JULIET, OTHELLO, PORTIA, HAMLET, VIOLA",
    "call": "Alas, Good morrow, Farewell, Peace, Hark, Away",
    "how": "old, gentle, noble, weary, merry, proud, silent, false",
    "who": "king, queen, lady, lord, fool, soldier, ghost, maiden, merchant, brother",
    "does": "loves, fears, follows, forgets, betrays, commands, mourns",
    "where": "in the garden, by the castle, in the forest, by the sea, in Verona, by the tower",
}
WORD = re.compile("[A-Za-z']+")


class Config(BaseModel):
    """The options of this pipeline."""

    data: str | None = Field(None, description="A text file, plain or .gz; without it a small play is made up.")
    characters: int = Field(100_000, ge=5_000, description="Of the play that is made up.")
    test: float = Field(0.1, gt=0, lt=0.5, description="Share of the text, its end, to hold out.")
    length: int = Field(60, gt=0, description="Characters of a window.")
    units: list[int] = Field([128], description="Of each LSTM layer.")
    epochs: int = Field(6, gt=0, description="Passes over the text.")
    batch_size: int = Field(32, gt=0, description="Windows of a step.")
    shards: int = Field(1, gt=0, description="How many learn side by side; take as many as there are workers.")
    rate: float = Field(0.005, gt=0, description="Learning rate of Adam at the beginning; it falls to nothing.")
    written: int = Field(600, gt=0, description="Characters to write.")
    temperature: float = Field(0.7, gt=0, description="Below 1 rare characters become rarer.")


def main(config: Config, run: bigml.Run) -> None:
    """Read, count, learn, write, report."""
    alphabet = run.stage("text", kept, config, run.seed, run.path)
    train, test = (bigml.read_memmap(run.path / f"{name}.npy", columns=["code"]) for name in ("train", "test"))
    question = train.value_counts("code")
    counts = run.stage("statistics", question)

    how = {"folder": run.path, "seed": run.seed, "client": run.client}
    history = run.stage("model", learned, config, alphabet, train, test, **how, checkpoint=True)
    model = keras.saving.load_model(run.path / "model.keras")
    text = run.stage("written", written, config, model, alphabet, run.path, run.seed)

    rows = {name: len(np.load(run.path / f"{name}.npy", mmap_mode="r")) for name in ("train", "test")}
    shares = counts / counts.sum()
    scores = {"nats": history["val_loss"][-1], "nats_by_frequency": float(-(shares * np.log(shares)).sum())}
    scores["known_words"] = known_words(text, decoded(run.path / "train.npy", alphabet))
    run.metrics(rows=rows, scores=scores, history=history, written=text, seconds=run.timings)
    page = report(config, history, scores, rows, text=text)
    page.table(network.layers(model), "Layers")
    page.plot(plots.ranked(frequent(shares, alphabet), x_label="share"), "The most frequent characters")
    page.card("time", f"{sum(run.timings.values()):.1f} s").record(run, question).write(run.path / "report.html")


def kept(config: Config, seed: int, folder: Path) -> list[str]:
    """The alphabet; the text is in two files of the folder, as codes of its characters."""
    text = read(Path(config.data)) if config.data is not None else made_up(config.characters, seed)
    alphabet, codes = np.unique(np.array(list(text)), return_inverse=True)
    cut = round(len(codes) * (1 - config.test))
    for name, part in {"train": codes[:cut], "test": codes[cut:]}.items():
        np.save(folder / f"{name}.npy", part.astype(np.uint16))
    return [str(character) for character in alphabet]


def read(path: Path) -> str:
    """The text of a file."""
    if not path.is_file():
        raise SourceError("a text file", got="none", where=str(path))
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def made_up(n: int, seed: int) -> str:
    """A play in which everyone speaks of the others."""
    rng = np.random.default_rng(seed)
    words = {kind: some.split(", ") for kind, some in WORDS.items()}

    def speech() -> str:
        name, call, how, who, does, where = (str(rng.choice(some)) for some in words.values())
        ends = [f"{where}.", "and weeps.", "no more!", f"{where}, and the {rng.choice(words['who'])} knows it."]
        return f"{name}:\n{call}, the {how} {who} {does} the {rng.choice(words['who'])}\n{rng.choice(ends)}\n\n"

    text = ""
    while len(text) < n:
        text += speech()
    return text[:n]


def learned(
    config: Config, alphabet: list[str], train: bigml.Source, test: bigml.Source, *, folder: Path, **how: Any
) -> dict[str, list[float]]:
    """What was told of each epoch; the model itself is in a file of the folder."""
    n_windows = len(np.load(folder / "train.npy", mmap_mode="r")) // config.length
    steps = max(1, config.epochs * n_windows // (config.batch_size * config.shards))
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.rate, steps))
    build = partial(bigml.models.char_lstm, len(alphabet), config.length, units=config.units, optimizer=adam)
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "shards": config.shards}
    model, history = bigml.train(build, train, windows=config.length, validation=test, **options, **how)
    model.save(folder / "model.keras")
    return dict(history.history)


def written(config: Config, model: Any, alphabet: list[str], folder: Path, seed: int) -> str:
    """What the model writes behind the first lines that it learned from."""
    begin = decoded(folder / "train.npy", alphabet)[: config.length]
    prompt = begin[: begin.rfind("\n") + 1] or begin
    how = {"alphabet": alphabet, "temperature": config.temperature, "seed": seed}
    return str(bigml.models.generate(model, prompt, config.written, **how))


def decoded(path: Path, alphabet: list[str]) -> str:
    """The text of a file of codes."""
    return "".join(np.array(alphabet)[np.load(path)])


def known_words(text: str, learned_from: str) -> float:
    """The share of words, without the first and last, which may be cut, that are in what was learned from."""
    words, known = WORD.findall(text)[1:-1], set(WORD.findall(learned_from))
    return float(np.mean([word in known for word in words])) if words else 0.0


def frequent(shares: pd.Series, alphabet: list[str]) -> pd.Series:
    """The shares of the most frequent characters, by name."""
    first = shares.sort_values(ascending=False).head(12)
    return first.set_axis([{" ": "space", "\n": "line end"}.get(alphabet[code], alphabet[code]) for code in first.index])


def report(config: Config, history: dict[str, list[float]], scores: dict[str, float], rows: dict[str, int], *, text: str) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("A text by a network", subtitle=config.data or f"{rows['train'] + rows['test']:,} characters, made up")
    page.card("characters", rows["train"], "to learn from").card("nats", scores["nats"], "per held-out character")
    page.card("by frequency", scores["nats_by_frequency"], "nats where only how frequent characters are is known")
    page.card("words", f"{scores['known_words']:.0%}", "of those written were read before")
    page.section("What it writes", "Character by character, each drawn by the probabilities that the network tells.")
    page.text(text.strip("\n"), f"{config.written:,} characters at temperature {config.temperature:g}", wide=True)
    page.section("How it learned", "The loss is in nats per character.")
    return page.plot(network.curves(history), "Loss by epoch")
