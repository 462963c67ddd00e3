"""Map: one pure function over every part, values back in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from bigml.chunk import Chunk
from bigml.graph import execute
from bigml.graph.progress import ProgressLike, reporting
from bigml.graph.reader import Reader
from bigml.graph.scan import read
from bigml.graph.tree import Graph
from bigml.part import Part

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")


def map_parts(
    reader: Reader,
    function: Callable[[Part, Chunk], T],
    *,
    columns: Sequence[str],
    client: Client | None = None,
    progress: ProgressLike = None,
    title: str = "map",
) -> list[T]:
    """The values of `function(part, chunk)` for each part, in the order of the parts.

    The function must be picklable and safe to run twice: a part whose worker died is computed again. Only the values travel.
    Parts of one run (slices of one row group) are read by one task, so that the row group is decoded once.
    """
    if not reader.parts:
        return []
    graph = Graph()
    lean = reader.lean()
    keys = [graph.add("map", apply_run, lean, parts, tuple(columns), function) for parts in runs(reader.parts)]
    with reporting(progress, title) as bar:
        return [value for values in execute.run(graph, keys, client=client, progress=bar, counted=keys) for value in values]


def runs(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Neighbouring parts of one run together, every other part alone."""
    return [tuple(group) for _, group in groupby(parts, key=lambda part: (part.run, -1 if part.run >= 0 else part.index))]


def apply_run(reader: Reader, parts: Sequence[Part], columns: Sequence[str], function: Callable[[Part, Chunk], T]) -> list[T]:
    """The function's value for each part of a run: what a map task runs."""
    return [_applied(function, part, chunk) for part, chunk in zip(parts, read(reader, parts, columns), strict=True)]


def apply(reader: Reader, part: Part, columns: Sequence[str], function: Callable[[Part, Chunk], T]) -> T:
    """The function's value for one part."""
    return apply_run(reader, (part,), columns, function)[0]


def _applied(function: Callable[[Part, Chunk], T], part: Part, chunk: Chunk) -> T:
    try:
        return function(part, chunk)
    except Exception as error:
        error.add_note(f"in {part}")
        raise
