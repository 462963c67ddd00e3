"""Question: a statistic by its public name and arguments, from which its reducer can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from bigml.stats import catalogue
from bigml.stats.reducer import Reducer

AGGREGATES = {"rank": "bigml.stats.standing", "share": "bigml.stats.standing", "weighted": "bigml.stats.weighted"}
"""Functions that make aggregations with arguments, as `bigml` has them, and where they are."""
MARK = "(aggregation)"
"""The key of a JSON object that stands for such an aggregation."""


@dataclass(frozen=True)
class Question:
    """What is asked of columns.

    Attributes:
        name: Of a reducer in `bigml.stats.catalogue`.
        arguments: All but the schema.
    """

    name: str
    arguments: Mapping[str, Any] = field(hash=False)

    def reducer(self, schema: pa.Schema) -> Reducer[Any, Any]:
        """The reducer for columns of these types.

        Raises:
            ValueError: There is no reducer of that name.
        """
        if self.name not in catalogue.__all__:
            raise ValueError(f"no statistic is called `{self.name}`")
        reducer: Reducer[Any, Any] = getattr(catalogue, self.name)(**self.arguments, schema=schema)
        return reducer

    def written(self) -> str:
        """The arguments as JSON.

        Raises:
            TypeError: One cannot be written down, such as a reducer.
        """
        return json.dumps(dict(self.arguments), default=_plain)

    @classmethod
    def read(cls, name: str, arguments: str) -> Question:
        """The question from its name and its written arguments."""
        return cls(name, json.loads(arguments, object_hook=_made))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    kind = type(value).__name__.lower()
    if AGGREGATES.get(kind) != type(value).__module__:
        raise TypeError(f"`{type(value).__name__}` among the arguments")
    return {MARK: kind, **{field.name: getattr(value, field.name) for field in fields(value)}}


def _made(found: dict[str, Any]) -> Any:
    if MARK not in found:
        return found
    kind = found.pop(MARK)
    return getattr(import_module(AGGREGATES[kind]), kind)(**found)
