"""Concat: several sources, one after the other, as one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import SchemaError
from bigml.part import Part
from bigml.sources.expression import Expression
from bigml.sources.operations import Operation
from bigml.sources.rows import Extent
from bigml.sources.schemas import cast_chunk, unify
from bigml.sources.source import Source


@dataclass(frozen=True)
class Member:
    """A part of one of the concatenated sources."""

    source: int
    part: Part

    def __str__(self) -> str:
        return f"source {self.source}, {self.part}"


@dataclass(frozen=True, repr=False, eq=False)
class ConcatSource(Source):
    """Rows of the first source, then of the second, and so on, under one unified schema.

    Rows are numbered through all sources by the rows in storage, filtered or not.
    """

    sources: tuple[Source, ...]
    unified: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        return self.unified

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        out: list[Part] = []
        first = Extent(0, 0)
        for i, source in enumerate(self.sources):
            for part in source.parts:
                index, offset = first.parts + part.index, first.rows + part.offset
                run = first.parts + part.run if part.run >= 0 else -1
                out.append(Part(index, offset, part.n_rows, part.nbytes, Member(i, part), run))
            first = Extent(first.parts + source.extent.parts, first.rows + source.extent.rows)
        return tuple(out)

    @property
    def extent(self) -> Extent:
        extents = [source.extent for source in self.sources]
        return Extent(sum(extent.parts for extent in extents), sum(extent.rows for extent in extents))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for source in self.sources for note in source.notes)

    def pruned(self, condition: Expression) -> ConcatSource:
        return replace(self, sources=tuple(self._pruned(source, condition) for source in self.sources))

    def _pruned(self, source: Source, condition: Expression) -> Source:
        """The source pruned, unless a column of the condition is cast on its way here: then the condition means another."""
        names = [name for name in condition.columns if name in self.schema.names]
        same = all(source.schema.field(name).type == self.schema.field(name).type for name in names)
        return source.pruned(condition) if same else source

    @cached_property
    def token(self) -> str:
        text = " ".join([str(self.schema), *(source.token for source in self.sources)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def widths(self) -> Mapping[str, float]:
        return {
            name: max(sum(source.root.widths.get(own, 8.0) for own in source.needs([name])) for source in self.sources)
            for name in self.schema.names
        }

    @property
    def counts_known(self) -> bool:
        return all(source.counts_known for source in self.sources)

    @cached_property
    def row_counts(self) -> tuple[int, ...] | None:
        counts = [source.row_counts for source in self.sources]
        known = [own for own in counts if own is not None]
        return tuple(n for own in known for n in own) if len(known) == len(counts) else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation for source in self.sources for operation in source.operations)

    @property
    def members(self) -> tuple[Source, ...]:
        return tuple(member for source in self.sources for member in source.members)

    def only(self, names: Collection[str]) -> ConcatSource:
        kept = (source.only(names) for source in self.sources if not source.known_as.isdisjoint(names))
        return replace(self, sources=tuple(kept))

    @property
    def known_as(self) -> frozenset[str]:
        return frozenset().union(*(source.known_as for source in self.sources))

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for number, members in groupby(parts, key=lambda part: part.ref.source):
            run = list(members)
            chunks = self.sources[number].scan([part.ref.part for part in run], columns)
            for part, chunk in zip(run, chunks, strict=True):
                yield cast_chunk(chunk.shifted(part.offset - part.ref.part.offset), wanted)

    def coded(self) -> ConcatSource:
        return replace(self, sources=tuple(source.coded() for source in self.sources))

    def lean(self) -> ConcatSource:
        return replace(self, sources=tuple(source.lean() for source in self.sources))


def concat(*sources: Source | Iterable[Source], columns: str = "same") -> ConcatSource:
    """One source of the rows of all, in order; safe differences of types are unified.

    Args:
        sources: At least one; lists of sources may stand among them.
        columns: "same" refuses sources whose sets of columns differ; "common" keeps the columns that all have.

    Raises:
        SchemaError: The sources' columns do not fit together; the error names the source, the column and both types.

    >>> import bigml, pandas as pd
    >>> one = bigml.from_pandas(pd.DataFrame({"x": [1], "y": [1]}))
    >>> two = bigml.from_pandas(pd.DataFrame({"x": [2.5]}))
    >>> bigml.concat(one, two, columns="common").to_pandas()["x"].tolist()
    [1.0, 2.5]
    """
    members = list(_flat(sources))
    if not members:
        raise SchemaError("at least one source", got="none", where="in concat")
    if columns not in ("same", "common"):
        raise SchemaError('columns="same" or columns="common"', got=f"{columns!r}", where="in concat")
    if columns == "common":
        shared = [name for name in members[0].columns if all(name in source.columns for source in members[1:])]
        members = [source.select(shared) for source in members]
    schema = unify([(f"source {i}", source.schema) for i, source in enumerate(members)])
    return ConcatSource(tuple(members), schema)


def _flat(sources: Iterable[Source | Iterable[Source]]) -> Iterator[Source]:
    for item in sources:
        if isinstance(item, Source):
            yield item
        elif isinstance(item, Iterable) and not isinstance(item, str | Mapping):
            yield from _flat(item)
        else:
            do = "Make it a source first: bigml.read_parquet(), from_pandas(), from_arrow()."
            raise SchemaError("sources", got=f"`{type(item).__name__}`", where="in concat", do=do)
