"""Map: one pure function over every part, values back in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

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
    """
    if not reader.parts:
        return []
    graph = Graph()
    lean = reader.lean()
    keys = [graph.add("map", apply, lean, part, tuple(columns), function) for part in reader.parts]
    with reporting(progress, title) as bar:
        return execute.run(graph, keys, client=client, progress=bar, counted=keys)


def apply(reader: Reader, part: Part, columns: Sequence[str], function: Callable[[Part, Chunk], T]) -> T:
    """The function's value for one part: what a map task runs."""
    chunk = next(read(reader, (part,), columns))
    try:
        return function(part, chunk)
    except Exception as error:
        error.add_note(f"in {part}")
        raise
