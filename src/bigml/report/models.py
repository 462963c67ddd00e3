"""Models on disk: skops files, which hold no code, with a list of the types that may be in them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigml.errors import DataError, SourceError
from bigml.sources.atomic import AtomicFile

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

TRUSTED = (
    "numpy.dtype",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
"""Beyond what skops trusts by itself: plain data holders inside scikit-learn's own pipelines."""
WEIGHTS = ("coef_", "intercept_", "coefs_", "intercepts_", "cluster_centers_", "components_")


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

    for step, name, weights in _weights(model):
        _check_finite(step, name, weights)
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
    from skops.io import get_untrusted_types, loads

    data = _read(Path(path))
    try:
        unknown = sorted(set(get_untrusted_types(data=data)) - {*TRUSTED, *trusted})
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise SourceError("a skops model", got=f"{type(error).__name__}: {error}", where=str(path)) from None
    if unknown:
        raise DataError(
            "a model of types that are known to be safe",
            got=", ".join(f"`{name}`" for name in unknown),
            where=str(path),
            do="If you know who made the file, name these types in trusted=[...].",
        )
    return loads(data, trusted=[*TRUSTED, *trusted])


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError("a readable skops model", got=error.strerror or str(error), where=str(path)) from None
    if not zipfile.is_zipfile(path):
        raise SourceError("a skops model", got="a file of another kind", where=str(path), do="Save models by bigml.save_model.")
    return data


def _weights(model: Any, step: str = "") -> Iterator[tuple[str, str, Any]]:
    """The learned weights of a model and of all models inside it, with the path of their step."""
    from sklearn.base import BaseEstimator

    attributes = vars(model) if isinstance(model, BaseEstimator) else {}
    step = step or type(model).__name__
    yield from ((step, name, attributes[name]) for name in WEIGHTS if name in attributes)
    for name, value in attributes.items():
        yield from _weights_in(value, f"{step}.{name}")


def _weights_in(value: Any, step: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _weights_in(item, f"{step}[{i}]")
    else:
        yield from _weights(value, step)


def _check_finite(step: str, name: str, weights: Any) -> None:
    import numpy as np

    for array in weights if isinstance(weights, list) else [weights]:
        bad = int(np.sum(~np.isfinite(np.asarray(array.todense() if hasattr(array, "todense") else array, dtype=float))))
        if bad:
            raise DataError(
                "a model with finite weights",
                got=f"{bad} that are NaN or infinite",
                where=f"{step}.{name}",
                do="Scale the features, or lower the learning rate.",
            )
