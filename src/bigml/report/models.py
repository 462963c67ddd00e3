"""Models on disk: skops files, which hold no code, with a list of the types that may be in them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bigml.errors import DataError, SourceError
from bigml.learning.trust import check_weights, loaded, untrusted
from bigml.sources.atomic import AtomicFile

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def save_model(model: BaseEstimator, path: str | Path) -> Path:
    """Write a fitted scikit-learn object as a skops file, atomically, and return its path.

    Raises:
        DataError: A weight of the model is NaN or infinite.
        WriteError: The disk did not take it; what stood there before still stands.

    >>> import tempfile
    >>> from sklearn.linear_model import LinearRegression
    >>> path = save_model(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), Path(tempfile.mkdtemp(), "line.skops"))
    >>> load_model(path).predict([[2.0]]).round(6).tolist()
    [5.0]
    """
    from skops.io import dumps

    check_weights(model)
    path = Path(path)
    with AtomicFile(path) as file:
        file.write(dumps(model))
    return path


def load_model(path: str | Path, *, trusted: Sequence[str] = ()) -> BaseEstimator:
    """Read a model that `save_model` or skops wrote; nothing in the file is run.

    Args:
        path: A skops file.
        trusted: Full names of further types that you trust in this file.

    Raises:
        SourceError: The file is not there or is no skops file.
        DataError: It holds a type that is not trusted, named in the message.
    """
    data = _read(Path(path))
    try:
        unknown = untrusted(data, trusted)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise SourceError("a skops model", got=f"{type(error).__name__}: {error}", where=str(path)) from None
    if unknown:
        raise DataError(
            "a model of types that are known to be safe",
            got=", ".join(f"`{name}`" for name in unknown),
            where=str(path),
            do="If you know who made the file, name these types in trusted=[...].",
        )
    return loaded(data, trusted)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError("a readable skops model", got=error.strerror or str(error), where=str(path)) from None
    if not zipfile.is_zipfile(path):
        raise SourceError("a skops model", got="a file of another kind", where=str(path), do="Save models by bigml.save_model.")
    return data
