"""Card: what is known of a kept model beside the model itself: its inputs, the rows it learned from, its scores."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from bigml.errors import DataError, SourceError
from bigml.learning.design import branches_of, needed
from bigml.learning.keeping.distribution import Distribution, text

FORMAT, VERSION = "bigml model", 1
LIBRARIES = ("bigml", "numpy", "scikit-learn", "skops")


@dataclass(frozen=True)
class Card:
    """What the manifest beside a model says.

    Attributes:
        estimator: The full name of its type.
        inputs: The columns that it reads, with their Arrow types; None where no source was given.
        distributions: How their values were spread over the rows of training.
        classes: Of a classifier.
        n_rows: Rows of training.
        metrics: Scores by name; None for what is not finite.
        versions: Of Python and the libraries that wrote the model.
        file: The name of the file that holds the model.
        sha256: Of that file.
    """

    estimator: str
    inputs: Mapping[str, str | None]
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    classes: Sequence[Any] | None = None
    n_rows: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""

    @classmethod
    def of(cls, model: Any) -> Card:
        """What a fitted model tells of itself: its inputs by name, and the categories that its encoders know."""
        names = needed(model, [str(name) for name in getattr(model, "feature_names_in_", ())])
        known = {name: Distribution(0, 0, values=values) for name, values in categories(model).items()}
        kind = type(model)
        return cls(f"{kind.__module__}.{kind.__qualname__}", dict.fromkeys(names), known, _classes(model), versions=versions())

    def dump(self) -> bytes:
        """The manifest: JSON with a checksum of its own."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return (json.dumps({**content, "checksum": _checksum(content)}, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, where: str) -> Card:
        """The card in the bytes of a manifest.

        Raises:
            SourceError: It is none, is damaged, or is of another version.
        """
        try:
            content = json.loads(data)
            stated = content.pop("checksum")
            if (content.pop("format"), content.pop("version")) != (FORMAT, VERSION):
                raise ValueError("another format or version")
            if stated != _checksum({"format": FORMAT, "version": VERSION, **content}):
                raise ValueError("its checksum is wrong")
            spread = {name: _distribution(one) for name, one in content.pop("distributions").items()}
            return cls(**content, distributions=spread)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            do = "Restore it, or save the model again."
            raise SourceError("the manifest of a model that bigml saved", got=f"{error}", where=where, do=do) from error


def _distribution(content: Mapping[str, Any]) -> Distribution:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    return Distribution(**values)


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that a model depends on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}


def numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Scores as JSON has them.

    Raises:
        DataError: One is no number.
    """
    try:
        values = {str(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise DataError("scores by name, such as those of bigml.score", got=str(error), where="in metrics=") from None
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _classes(model: Any) -> list[Any] | None:
    found = getattr(model, "classes_", None)
    if found is None:
        return None
    return [_plain(one) for one in (found if isinstance(found, list) else np.asarray(found).tolist())]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    return value if isinstance(value, bool | int | float | str) else str(value)


def categories(model: Any) -> dict[str, tuple[str, ...]]:
    """The categories that a fitted model's encoders know, by raw column."""
    first = model
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    if isinstance(first, ColumnTransformer) and hasattr(first, "feature_names_in_"):
        branches = branches_of(first)
    else:
        branches = [(first, [str(name) for name in getattr(first, "feature_names_in_", ())])]
    return {name: known for branch, names in branches for name, known in _encoded(branch, names)}


def _encoded(branch: Any, names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The columns of one branch that go into its encoder as they are, or with missing values filled in."""
    steps = [step for _, step in branch.steps] if isinstance(branch, Pipeline) else [branch]
    *before, last = [step for step in steps if step is not None and not isinstance(step, str)] or [None]
    found = getattr(last, "categories_", [])
    if len(found) != len(names) or not all(isinstance(step, SimpleImputer) for step in before):
        return []
    return [(name, tuple(text(one) for one in known if not pd.isna(one))) for name, known in zip(names, found, strict=True)]
