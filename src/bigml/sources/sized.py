"""Sized: what bridges, choices and representations need of a source, beyond reading it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from bigml.chunk import Chunk
from bigml.graph.reader import Reader
from bigml.sources.operations import Operation


class Sized(Reader, Protocol):
    """A reader that tells its columns and its size.

    Attributes:
        columns: Names of the columns.
        n_rows: Rows; None when a filter makes them unknown.
        stored_rows: Rows before any filter.
        nbytes: Estimated decoded bytes, before any filter.
        counts_known: Whether no filter is in the way.
        row_counts: Rows of each part; None when a filter makes them unknown.
        operations: What is done to the rows on the way from the storage, first things first.
        notes: Lines that its representation adds.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def n_rows(self) -> int | None: ...

    @property
    def stored_rows(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def counts_known(self) -> bool: ...

    @property
    def row_counts(self) -> tuple[int, ...] | None: ...

    @property
    def operations(self) -> tuple[Operation, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def known(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The names, each checked to be a column."""
        ...

    def iter_chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
        """The chunks, in order."""
        ...
