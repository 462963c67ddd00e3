"""Opened: the facts of a source that were found when it was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from bigml.part import Part


@dataclass(frozen=True, repr=False, eq=False)
class Opened:
    """The role of a source for classes that look at their storage once and keep what they found.

    Attributes:
        own_parts: The parts; none in a copy that tasks carry.
        unified: Names and types of the columns.
        sizes: Estimated decoded bytes a row, by column.
        key: The token of the content.
    """

    own_parts: tuple[Part, ...]
    unified: pa.Schema
    sizes: Mapping[str, float]
    key: str

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.own_parts

    @property
    def schema(self) -> pa.Schema:
        return self.unified

    @property
    def widths(self) -> Mapping[str, float]:
        return self.sizes

    @property
    def token(self) -> str:
        return self.key
