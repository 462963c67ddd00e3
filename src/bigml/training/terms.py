"""Terms: what is refused before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import ColumnError, ConfigError, FitError
from bigml.learning.batch import Encoder
from bigml.sources.source import Source


def check(source: Source, target: str | None, weight: str | None, momentum: float, numbers: Mapping[str, int]) -> None:
    """Refuse columns that are not there and numbers out of range.

    Raises:
        ColumnError: A column is not there.
        ConfigError: A number is out of range.
    """
    for name, column in (("target=", target), ("sample_weight=", weight)):
        if column is not None and column not in source.columns:
            raise ColumnError.missing(column, source.columns, where=f"in {name}")
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"`{name}` of 1 or more", got=f"{value}", where="in train")
    if not 0 <= momentum < 1:
        raise ConfigError("`momentum` from 0 to below 1", got=f"{momentum}", where="in train")


def weights_of(class_weight: Mapping[Any, float] | None, encoder: Encoder) -> NDArray[np.float32] | None:
    """By code of a class what its rows count; None where all count alike.

    Raises:
        FitError: There are no classes, or one that is weighed is none of them.
    """
    if not class_weight:
        return None
    classes = encoder.target.classes.tolist() if encoder.target is not None and encoder.target.classes is not None else []
    unknown = [one for one in class_weight if one not in classes]
    if unknown:
        raise FitError(f"weights of the classes {classes}", got=f"one of {unknown[0]!r}", where="in class_weight=")
    return np.array([class_weight.get(one, 1.0) for one in classes], np.float32)
