"""Trust: which models may be kept and loaded: those of known types, with finite weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bigml.errors import DataError

TRUSTED = (
    "numpy.dtype",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
)
"""Beyond what skops trusts by itself: plain data holders inside scikit-learn's own estimators; they run nothing."""
WEIGHTS = ("coef_", "intercept_", "coefs_", "intercepts_", "cluster_centers_", "components_")
"""Public attributes that must be finite for a model to be kept."""


def untrusted(data: bytes, more: Iterable[str] = ()) -> list[str]:
    """The types in a skops file, by full name, that are neither known to be safe nor named in `more`."""
    from skops.io import get_untrusted_types

    return sorted({*get_untrusted_types(data=data)} - {*TRUSTED, *more})


def loaded(data: bytes, more: Iterable[str] = ()) -> Any:
    """The object in a skops file whose types were found to be trusted."""
    from skops.io import loads

    return loads(data, trusted=[*TRUSTED, *more])


def check_weights(model: Any) -> None:
    """Refuse a model that has diverged, wherever in it the weights are.

    Raises:
        DataError: A weight is NaN or infinite; the step that it belongs to is named.
    """
    for where, block in _weights(model, type(model).__name__):
        dense = block.toarray() if hasattr(block, "toarray") else block
        bad = int(np.sum(~np.isfinite(np.asarray(dense, dtype=np.float64))))
        if bad:
            do = "Scale the features, lower the learning rate or regularise more."
            raise DataError("a model with finite weights", got=f"{bad} that are NaN or infinite", where=where, do=do)


def _weights(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The blocks of learned weights of a model and of all models inside it, each with its place."""
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _weights(item, f"{where}[{i}]")
    elif hasattr(value, "get_params") and not isinstance(value, type):
        for name in WEIGHTS:
            yield from _blocks(getattr(value, name, None), f"{where}.{name}")
        for name, item in vars(value).items():
            yield from _weights(item, f"{where}.{name}")


def _blocks(weights: Any, where: str) -> list[tuple[str, Any]]:
    return [(where, block) for block in (weights if isinstance(weights, list) else [weights]) if block is not None]
