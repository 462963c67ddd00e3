"""Reader: what a scan needs to know of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.part import Part
from bigml.stats.reducer import Reducer, reads_codes

MANY_ROWS = 1 << 20
"""Rows of a scan from which columns are read as codes."""


class Reader(Protocol):
    """An ordered tuple of parts, a schema, and a way to read them.

    A view (where, assign, split, ...) reads through its `root`, the source that owns the storage: a scan reads each part
    of a root once and lets every view make its own chunk of it, so plans over different views share the reading.

    Attributes:
        parts: The parts to read, in order; a view may hold fewer than its root.
        schema: Names and Arrow types of the columns.
        token: A key of the content: equal tokens mean equal rows.
        root: The source that owns the storage; itself when it is no view.
        widths: Estimated decoded bytes a row, by column of the root.
    """

    @property
    def parts(self) -> tuple[Part, ...]: ...

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def token(self) -> str: ...

    @property
    def root(self) -> Reader: ...

    @property
    def widths(self) -> Mapping[str, float]: ...

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The root's columns from which these columns can be made."""
        ...

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        """One chunk for each part, in order, holding at most one part's rows at a time."""
        ...

    def view(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        """These columns, made from a chunk of the root."""
        ...

    def lean(self) -> Reader:
        """The same reader without its parts: what a task carries."""
        ...


@runtime_checkable
class Encoded(Reader, Protocol):
    """A reader that knows columns as codes, in which it holds them."""

    def coded(self) -> Reader:
        """The same reader, whose chunks may hold columns as codes."""
        ...


def decoding_least(root: Reader, reducers: Iterable[Reducer[Any, Any]], n_rows: int) -> Reader:
    """The root, whose chunks may hold columns as codes where one of the reducers gains by that and rows are many.

    Of few rows no time would be saved, and none is spent on compiling the loops that read codes.
    """
    if n_rows < MANY_ROWS or not isinstance(root, Encoded) or not any(map(reads_codes, reducers)):
        return root
    return root.coded()
