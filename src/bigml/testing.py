"""Testing: contracts as checks, and sources that count, for bigml's own tests and for yours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.part import Part
from bigml.sources.expression import Expression
from bigml.sources.rows import Extent
from bigml.sources.schemas import plain
from bigml.sources.source import Source

Read = tuple[int, tuple[str, ...]]
"""Index of a part and the columns that were read of it."""


def check_source(source: Source) -> None:
    """Check that a source keeps the contract of sources; reads all of it several times, so use a small one.

    Raises:
        AssertionError: A law is broken; the message says which, and by which part.

    >>> import bigml
    >>> check_source(bigml.from_arrow(pa.table({"x": [1, 2, 3], "s": ["a", None, "b"]}), part_rows=2))
    """
    _check_parts(source)
    whole = list(source.scan(source.parts, source.columns))
    _equal("chunks", len(whole), len(source.parts))
    for part, chunk in zip(source.parts, whole, strict=True):
        _check_chunk(source, part, chunk)
        _same_rows(f"{part} read alone", source.read(part), chunk)
    _check_columns(source, whole)
    _check_copies(source, whole)
    _equal("lines in repr", len(repr(source).splitlines()) > len(source.columns[:1]), True)
    _equal("a div in HTML", source._repr_html_().startswith("<div>"), True)


def _check_parts(source: Source) -> None:
    """Parts are in order, do not overlap, and lie within the extent; without filters they tile it."""
    index, row = -1, 0
    for part in source.parts:
        _equal(f"{part} after part {index}", part.index > index, True)
        _equal(f"{part} at row {row} or later", part.offset >= row, True)
        _equal(f"rows in {part}", part.n_rows > 0, True)
        index, row = part.index, part.offset + part.n_rows
    _equal("parts within the extent", index < source.extent.parts and row <= source.extent.rows, True)
    if source.counts_known:
        _equal("rows in all parts", sum(part.n_rows for part in source.parts), source.n_rows)


def _check_chunk(source: Source, part: Part, chunk: Chunk) -> None:
    _equal(f"columns of {part}", chunk.names, source.columns)
    numbers = chunk.row_numbers
    inside = len(numbers) == 0 or (numbers[0] >= part.offset and numbers[-1] < part.offset + part.n_rows)
    _equal(f"row numbers within {part}", inside and bool((numbers[1:] > numbers[:-1]).all()), True)
    if source.counts_known:
        _equal(f"rows of {part}", chunk.n_rows, part.n_rows)
    for field in source.schema:
        column = chunk.arrow(field.name)
        _equal(f"length of `{field.name}` in {part}", len(column), chunk.n_rows)
        _equal(f"type of `{field.name}` in {part}", plain(column.type), plain(field.type))


def _check_columns(source: Source, whole: Sequence[Chunk]) -> None:
    """One column alone, two the other way round, and none at all."""
    orders = [source.columns[:1], source.columns[::-1][:2], ()]
    for columns in orders:
        for part, chunk, full in zip(source.parts, source.scan(source.parts, columns), whole, strict=True):
            _equal(f"columns of {part}", chunk.names, columns)
            _same_rows(f"{part} with columns {columns}", chunk, full.select(columns))


def _check_copies(source: Source, whole: Sequence[Chunk]) -> None:
    """A pickled copy, and the lean source that tasks carry, read the same rows."""
    import cloudpickle

    copy = cloudpickle.loads(cloudpickle.dumps(source))
    _equal("token of a copy", copy.token, source.token)
    lean = cloudpickle.loads(cloudpickle.dumps(source.lean()))
    for made in (copy, lean):
        for part, chunk, full in zip(source.parts, made.scan(source.parts, source.columns), whole, strict=True):
            _same_rows(f"{part} from a copy", chunk, full)


def _same_rows(what: str, got: Chunk, wanted: Chunk) -> None:
    _equal(f"row numbers of {what}", got.row_numbers.tolist(), wanted.row_numbers.tolist())
    for name in wanted.names:
        one, other = got.arrow(name), wanted.arrow(name)
        _equal(f"`{name}` of {what}", _decoded(one).equals(_decoded(other)) or _both_nan(one, other), True)


def _decoded(array: pa.Array) -> Any:
    return array.cast(plain(array.type)) if plain(array.type) != array.type else array


def _both_nan(one: pa.Array, other: pa.Array) -> bool:
    return pa.types.is_floating(one.type) and str(one.to_pylist()) == str(other.to_pylist())


def _equal(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"Expected {what}: {wanted!r}, got {got!r}.")


class CountingSource(Source):
    """A source that writes down every part that is read of it, on any thread of this process.

    >>> import bigml
    >>> source = CountingSource(bigml.from_arrow(pa.table({"x": [1, 2, 3]}), part_rows=2))
    >>> source.where("x > 1").count(), source.times_read
    (2, {0: 1, 1: 1})
    """

    def __init__(self, source: Source, reads: list[Read] | None = None, key: str = "") -> None:
        self.source = source
        self.reads: list[Read] = [] if reads is None else reads
        self.key = key or uuid4().hex

    @property
    def times_read(self) -> dict[int, int]:
        """How often each part was read, by its index."""
        return dict(sorted(Counter(index for index, _ in self.reads).items()))

    @property
    def columns_read(self) -> set[str]:
        """Every column that was read of some part."""
        return {name for _, columns in self.reads for name in columns}

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.source.parts

    @property
    def schema(self) -> pa.Schema:
        return self.source.schema

    @property
    def token(self) -> str:
        return f"{self.key}-{self.source.token}"

    @property
    def widths(self) -> Mapping[str, float]:
        return self.source.widths

    @property
    def extent(self) -> Extent:
        return self.source.extent

    @property
    def counts_known(self) -> bool:
        return self.source.counts_known

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        for part, chunk in zip(parts, self.source.scan(parts, columns), strict=True):
            self.reads.append((part.index, tuple(columns)))
            yield chunk

    def pruned(self, condition: Expression) -> CountingSource:
        return CountingSource(self.source.pruned(condition), self.reads, self.key)

    def lean(self) -> CountingSource:
        return CountingSource(self.source.lean(), self.reads, self.key)
