"""What does a network write that has read a play?

Reads a text (or makes up a small play), trains a network that tells of each character the next one, and writes a report with
a text of its own.
"""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pydantic import BaseModel, Field

import bigml
from bigml.errors import SourceError
from bigml.report import network
from bigml.report.page import Page

NAMES = ["ROMEO", "JULIET", "OTHELLO", "PORTIA", "HAMLET", "VIOLA"]
WHO = ["king", "queen", "lady", "lord", "fool", "soldier", "ghost", "maiden", "merchant", "brother"]
HOW = ["old", "gentle", "noble", "weary", "merry", "proud", "silent", "false"]
DOES = ["loves", "fears", "follows", "forgets", "betrays", "commands", "mourns"]
WHERE = ["in the garden.", "by the castle.", "in the forest.", "by the sea.", "in Verona.", "and weeps.", "no more!"]


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
    read = "".join(np.array(alphabet)[np.load(run.path / "train.npy")])
    prompt = read[: read.find("\n") + 1] or read[:1]
    how = {"alphabet": alphabet, "temperature": config.temperature, "seed": run.seed}
    text = run.stage("written", bigml.models.generate, model, prompt, config.written, **how)

    shares, words = counts / counts.sum(), text.split()[:-1]
    scores = {"nats": history["val_loss"][-1], "nats_by_frequency": float(-(shares * np.log(shares)).sum())}
    scores["known_words"] = len([word for word in words if word in set(read.split())]) / max(len(words), 1)
    run.metrics(characters=len(read), scores=scores, history=history, written=text, seconds=run.timings)
    page = report(config, history, scores, len(read), text).table(network.layers(model), "Layers")
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
    rng, text = np.random.default_rng(seed), ""
    while len(text) < n:
        name, how, who, does, whom, where = (str(rng.choice(some)) for some in (NAMES, HOW, WHO, DOES, WHO, WHERE))
        text += f"{name}:\nAlas, the {how} {who} {does} the {whom}\n{where}\n\n"
    return text[:n]


def learned(config: Config, alphabet: list[str], train: bigml.Source, test: bigml.Source, folder: Path, **how: Any) -> Any:
    """What was told of each epoch; the model itself is in a file of the folder."""
    n_windows = len(np.load(folder / "train.npy", mmap_mode="r")) // config.length
    steps = max(1, config.epochs * n_windows // (config.batch_size * config.shards))
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.rate, steps))
    build = partial(bigml.models.char_lstm, len(alphabet), config.length, units=config.units, optimizer=adam)
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "shards": config.shards}
    model, history = bigml.train(build, train, windows=config.length, validation=test, **options, **how)
    model.save(folder / "model.keras")
    return dict(history.history)


def report(config: Config, history: dict[str, list[float]], scores: dict[str, float], n: int, text: str) -> Page:
    """The page that a person would rather look at than read."""
    page = Page("A text by a network", subtitle=config.data or f"{config.characters:,} characters, made up")
    page.card("characters", n, "to learn from").card("nats", scores["nats"], "per held-out character")
    page.card("by frequency", scores["nats_by_frequency"], "nats where only how frequent characters are is known")
    page.card("words", f"{scores['known_words']:.0%}", "of those written were read before")
    page.section("What it writes", "Character by character, each drawn by the probabilities that the network tells.")
    page.text(text.strip("\n"), f"{config.written:,} characters at temperature {config.temperature:g}", wide=True)
    page.section("How it learned", "The loss is in nats per character.")
    return page.plot(network.curves(history), "Loss by epoch")
