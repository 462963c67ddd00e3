"""Skops files: models on disk without code, with a list of the types that may be in them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bigml.errors import DataError, SourceError
from bigml.learning.keeping.trust import check_weights, loaded, untrusted
from bigml.sources.atomic import AtomicFile


def save_model(model: Any, path: str | Path) -> Path:
    """Write a fitted scikit-learn object as one skops file, atomically, and return its path; `bigml.save` keeps more.

    Raises:
        DataError: A weight of the model is NaN or infinite, or the model holds what cannot be stored.
        WriteError: The disk did not take it; what stood there before still stands.

    >>> from sklearn.linear_model import LinearRegression
    >>> path = save_model(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), "line.skops")
    >>> load_model(path).predict([[2.0]]).round(6).tolist()
    [5.0]
    """
    data, path = dumped(model), Path(path)
    with AtomicFile(path) as file:
        file.write(data)
    return path


def load_model(path: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """Read a model that `save_model` or skops wrote; nothing in the file is run.

    Args:
        path: A skops file.
        trusted: Full names of further types that you trust in this file.

    Raises:
        SourceError: The file is not there or is no skops file.
        DataError: It holds a type that is not trusted, named in the message.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SourceError("a readable skops model", got=error.strerror or str(error), where=str(path)) from None
    return parsed(data, str(path), trusted)


def dumped(model: Any) -> bytes:
    """The bytes of a skops file of the model.

    Raises:
        DataError: A weight of the model is NaN or infinite, or the model holds what cannot be stored.
    """
    from skops.io import dumps

    check_weights(model)
    try:
        data: bytes = dumps(model)
    except TypeError as error:
        raise DataError("a model that skops can store", got=str(error), where=f"`{type(model).__name__}`") from error
    return data


def parsed(data: bytes, where: str, trusted: Iterable[str] = ()) -> Any:
    """The model in the bytes of a skops file.

    Raises:
        SourceError: It is no skops file.
        DataError: It holds a type that is not trusted, named in the message.
    """
    trusted = tuple(trusted)
    try:
        unknown = untrusted(data, trusted)
    except zipfile.BadZipFile:
        do = "Save models by bigml.save or bigml.save_model."
        raise SourceError("a skops model", got="a file of another kind", where=where, do=do) from None
    except (KeyError, ValueError, TypeError) as error:
        raise SourceError("a skops model", got=f"{type(error).__name__}: {error}", where=where) from None
    if unknown:
        raise DataError(
            "a model of types that are known to be safe",
            got=", ".join(f"`{name}`" for name in unknown),
            where=where,
            do="If you know who made the file, name these types in trusted=[...].",
        )
    return loaded(data, trusted)
