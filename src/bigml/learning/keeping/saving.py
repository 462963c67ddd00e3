"""Saving: a model in a directory of its own, with a manifest of what it expects; no file in it can run code."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from bigml.errors import DataError, SourceError, WriteError
from bigml.graph.plan import Plan
from bigml.graph.progress import ProgressLike
from bigml.learning.fitted import Fitted
from bigml.learning.keeping.card import Card, categories, numbers, versions
from bigml.learning.keeping.distribution import Presence, sketch
from bigml.learning.keeping.skops_file import dumped, parsed
from bigml.learning.network import is_network
from bigml.learning.preprocessing.documents import documents
from bigml.sources.atomic import TEMPORARY, AtomicFile, flush_directory
from bigml.sources.claim import Claim, made
from bigml.sources.manifest import MARKER
from bigml.sources.memory import as_source
from bigml.sources.rows import NumberOfRows
from bigml.sources.schemas import plain
from bigml.sources.source import Source
from bigml.stats.reducer import Product

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

MANIFEST = "manifest.json"
OURS = re.compile(rf"model-[0-9a-f]{{12}}\.skops|{re.escape(TEMPORARY)}(model-|manifest\.json-).+")
LOADED: WeakKeyDictionary[Any, Card] = WeakKeyDictionary()
"""The cards of models that were saved or loaded here and are still in use, so that `check` knows them by the model alone."""


def save(
    model: Any,
    path: str | Path,
    *,
    source: Source | pd.DataFrame | pa.Table | None = None,
    metrics: Mapping[str, float] | None = None,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Path:
    """Keep a fitted model in a directory: a skops file, and manifest.json, which tells what it expects.

    The manifest holds the versions of Python, scikit-learn, numpy, skops and bigml, the columns that the model reads, its
    classes and its metrics. With a source it also holds their types, the number of rows and how the values of each column
    are spread, all from one scan; `check` compares other rows with that.

    Args:
        model: A fitted scikit-learn object, from `bigml.fit` or not.
        path: A new or empty directory, or one with a saved model, which stands until the new one is whole.
        source: The rows of training; a table in memory, such as a pandas DataFrame, will do. Without it a model that was
            loaded keeps what its manifest told of them.
        metrics: Scores by name, such as the result of `score`.
        client: A `distributed.Client` for the scan; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        The directory.

    Raises:
        DataError: A weight of the model is NaN or infinite, the model holds what skops cannot store, or a metric is no number.
        ColumnError: The source lacks a column that the model reads.
        WriteError: The directory holds other files, somebody else writes to it, or the disk did not take it: what stood
            there before still stands.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import LinearRegression
    >>> frame = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 3.0]})
    >>> model = LinearRegression().fit(frame[["x"]], frame["y"])
    >>> path = bigml.save(model, "line", source=frame, metrics={"r2": 1.0})
    >>> bigml.load(path).predict(pd.DataFrame({"x": [2.0]})).round(6).tolist()
    [5.0]
    """
    if is_network(model):
        do = 'Save it by model.save("model.keras"), and what is before it in a Pipeline by bigml.save.'
        raise DataError("a scikit-learn object", got="a Keras model", where="in save", do=do)
    directory, data = Path(path), dumped(model)
    card = replace(card_of(model), metrics=numbers(metrics or {}), versions=versions())
    if source is not None:
        card = _described(card, model, as_source(source), client, progress)
    sha256 = hashlib.sha256(data).hexdigest()
    card = replace(card, file=f"model-{sha256[:12]}.skops", sha256=sha256)
    with _claimed(directory):
        for name, content in ((card.file, data), (MANIFEST, card.dump())):
            with AtomicFile(directory / name) as file:
                file.write(content)
        flush_directory(directory)
    _remember(model, card)
    return directory


def load(path: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """The model that `save` kept: a plain scikit-learn object. Nothing in the files is run.

    Warns when another version of scikit-learn saved it.

    Args:
        path: The directory.
        trusted: Full names of further types that you trust in this model, such as a class of your own.

    Raises:
        SourceError: There is no model, or a file is not the one that was saved; the file is named.
        DataError: The model holds a type that is not trusted, named in the message.
    """
    directory = Path(path)
    card, data = _read(directory)
    model = parsed(data, str(directory / card.file), trusted)
    _check_version(card, directory)
    _remember(model, card)
    return model


def card_at(directory: Path) -> Card:
    """What the manifest of a saved model says.

    Raises:
        SourceError: There is none, or it is damaged.
    """
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        do = "Save models by bigml.save; a single skops file is read by bigml.load_model."
        raise SourceError("a directory with a saved model", got=error.strerror or str(error), where=f"{path}", do=do) from None
    return Card.parse(data, f"{path}")


def card_of(model: Any) -> Card:
    """What is known of a model in memory: all of its manifest when it was saved or loaded here, else what it tells itself."""
    try:
        known = LOADED.get(model)
    except TypeError:
        known = None
    return known if known is not None else Card.of(model)


def _remember(model: Any, card: Card) -> None:
    with suppress(TypeError):  # an object of one's own that cannot be a key
        LOADED[model] = card


def _described(card: Card, model: Any, source: Source, client: Client | None, progress: ProgressLike) -> Card:
    """The card with what one scan tells of the model's inputs."""
    names = Fitted.of(model, source.schema).design.names
    kinds = {name: source.schema.field(name).type for name in names}
    encoded, texts = categories(model), documents(model, names)
    sketches = [Presence(name) if name in texts else sketch(name, kind, name in encoded) for name, kind in kinds.items()]
    asked: Plan[Any] = Plan(source, Product((NumberOfRows(), *sketches)), "inputs")
    n_rows, *found = asked.compute(client, progress=progress)
    inputs = {name: str(plain(kind)) for name, kind in kinds.items()}
    return replace(card, inputs=inputs, n_rows=n_rows, distributions=dict(zip(names, found, strict=True)))


def _read(directory: Path) -> tuple[Card, bytes]:
    """The card and the bytes of the model, read again when the model was replaced between the two."""
    card = card_at(directory)
    while True:
        path = directory / Path(card.file).name
        try:
            data = path.read_bytes()
            break
        except OSError as error:
            newer = card_at(directory)
            if newer.file == card.file:
                got = error.strerror or str(error)
                raise SourceError("the file of the model", got=got, where=f"{path}", do="Save the model again.") from None
            card = newer
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        do = "The file was damaged after it was written: save the model again."
        expected = f"a file with the SHA-256 {card.sha256[:12]}..., as its manifest says"
        raise SourceError(expected, got=f"{found[:12]}...", where=f"{path}", do=do)
    return card, data


def _check_version(card: Card, directory: Path) -> None:
    saved, here = card.versions.get("scikit-learn"), versions()["scikit-learn"]
    if saved != here:
        text = f"the model in {directory} was saved with scikit-learn {saved}, this is {here}: compare its predictions"
        warnings.warn(text, stacklevel=3)


@contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """The directory, kept to this writer; whatever happens, at the end it holds what its manifest names and nothing half-done."""
    with made(directory):
        claim = Claim(directory)
        try:
            _check_ours(directory)
            yield
        finally:
            _sweep(directory)
            claim.release()


def _check_ours(directory: Path) -> None:
    names = os.listdir(directory)
    foreign = sorted(name for name in names if name not in (MANIFEST, MARKER) and not OURS.fullmatch(name))
    if foreign:
        got, do = f"other files ({', '.join(foreign[:3])}{', ...' if len(foreign) > 3 else ''})", "Choose another directory."
        raise WriteError("an empty directory or a saved model", got=got, where=f"{directory}", do=do)
    if MANIFEST in names:
        card_at(directory)


def _sweep(directory: Path) -> None:
    """Remove files of ours that the manifest does not name; all stay where it cannot be read."""
    try:
        kept = card_at(directory).file if (directory / MANIFEST).exists() else None
    except SourceError:
        return
    for name in os.listdir(directory):
        if OURS.fullmatch(name) and name != kept:
            (directory / name).unlink(missing_ok=True)
