"""Reader: what a scan needs to know of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.part import Part
from bigml.stats.reducer import Reducer, reads_codes

MANY_ROWS = 1 << 20
"""Rows of a scan from which columns are read as codes."""
MOST_ROWS = 1 << 21
"""Rows of parts that are read as one, at most: more save no time that could be measured."""
LEAST_PARTS = 16
"""Parts that are left to be read side by side."""


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
    """A reader that can be read in ways that save work: columns as codes, several parts at once."""

    def coded(self) -> Reader:
        """The same reader, whose chunks may hold columns as codes."""
        ...

    def joined(self, left: Part, right: Part) -> Part | None:
        """Two parts, the second of which follows the first, as one; None where they cannot be read at once."""
        ...


def gaining(root: Reader, reducers: Iterable[Reducer[Any, Any]], n_rows: int) -> Encoded | None:
    """The root where reading it as codes, and several parts at once, is worth it: rows are many, and reducers are quick.

    Of few rows no time would be saved, and none is spent on compiling the loops that read codes.
    """
    return root if n_rows >= MANY_ROWS and isinstance(root, Encoded) and any(map(reads_codes, reducers)) else None


def decoding_least(root: Reader, reducers: Iterable[Reducer[Any, Any]], n_rows: int) -> Reader:
    """The root, whose chunks may hold columns as codes where that is worth it."""
    found = gaining(root, reducers, n_rows)
    return root if found is None else found.coded()


def joined(root: Encoded, parts: Sequence[Part], share: float, alike: Callable[[Part, Part], bool]) -> tuple[Part, ...]:
    """Neighbours among the parts as one, as long as they are small: each costs about a millisecond beside its rows.

    A part holds no more bytes of what is read, as codes, than the largest holds of all columns, at most `MOST_ROWS`, and no more
    than leave `LEAST_PARTS`.

    Args:
        share: Bytes of the columns that are read, of those of all columns.
        alike: Whether two parts may be one.
    """
    most_rows = min(MOST_ROWS, sum(part.n_rows for part in parts) // LEAST_PARTS)
    most_bytes = max(part.nbytes for part in parts) / max(share, 1e-9)

    def fit(left: Part, right: Part) -> bool:
        follow, n_rows, nbytes = left.offset + left.n_rows == right.offset, left.n_rows + right.n_rows, left.nbytes + right.nbytes
        return follow and n_rows <= most_rows and nbytes <= most_bytes and alike(left, right)

    out = [parts[0]]
    for part in parts[1:]:
        one = root.joined(out[-1], part) if fit(out[-1], part) else None
        out[-1:] = [out[-1], part] if one is None else [one]
    return tuple(out)
