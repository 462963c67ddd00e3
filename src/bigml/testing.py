"""Testing: contracts as checks, and sources that count, for bigml's own tests and for yours."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial, reduce
from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.part import Part
from bigml.sources.expression import Expression
from bigml.sources.rows import Extent
from bigml.sources.schemas import plain
from bigml.sources.source import Source
from bigml.stats.reducer import Reducer

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


def check_reducer(reducer: Reducer[Any, Any], chunks: Iterable[Chunk], *, rtol: float = 1e-12, atol: float = 1e-12) -> Any:
    """Check the laws of a reducer on these chunks and return its result.

    `start()` is the identity of `merge`; `merge` is associative; empty chunks, halves and single rows in place of the
    chunks change nothing; `update` and `merge` leave their arguments as they were; reducer and states survive pickling.
    Results are compared, not states: floats to `rtol` and `atol`, everything else exactly.

    Args:
        reducer: What is checked.
        chunks: A few small chunks; columns that the reducer does not ask for are left out.
        rtol: Relative tolerance of floats.
        atol: Absolute tolerance of floats.

    Raises:
        AssertionError: A law is broken; the message names it.

    >>> from bigml.stats.counts import value_counts
    >>> table = pa.table({"carrier": ["AA", "UA", "AA"]})
    >>> check_reducer(value_counts("carrier", schema=table.schema), [Chunk.from_arrow(table)]).to_dict()
    {'AA': 2, 'UA': 1}
    """
    parts = [chunk.select(reducer.columns) for chunk in chunks]
    result = reducer.finish(_folded(reducer, parts))
    states = [reducer.update(reducer.start(), part) for part in parts]
    again = {
        "folding again": _folded(reducer, parts),
        "a tree of merges": _tree(reducer, states),
        "merging from the right": _from_the_right(reducer, states),
        "start() on the left of merge": reducer.merge(reducer.start(), _tree(reducer, states)),
        "start() on the right of merge": reducer.merge(_tree(reducer, states), reducer.start()),
        "pickling": _tree(pickle.loads(pickle.dumps(reducer)), [pickle.loads(pickle.dumps(state)) for state in states]),
    }
    again |= {name: _folded(reducer, [piece for part in parts for piece in cut(part)]) for name, cut in CUTS.items()}
    for law, state in again.items():
        if not same(reducer.finish(state), result, rtol=rtol, atol=atol):
            raise AssertionError(f"{law} changes the result of {reducer!r}")
    _check_purity(reducer, parts, states)
    return result


def _folded(reducer: Reducer[Any, Any], chunks: Iterable[Chunk]) -> Any:
    return reduce(reducer.update, chunks, reducer.start())


def _tree(reducer: Reducer[Any, Any], states: Sequence[Any]) -> Any:
    if len(states) < 2:
        return states[0] if states else reducer.start()
    middle = len(states) // 2
    return reducer.merge(_tree(reducer, states[:middle]), _tree(reducer, states[middle:]))


def _from_the_right(reducer: Reducer[Any, Any], states: Sequence[Any]) -> Any:
    return reduce(lambda later, earlier: reducer.merge(earlier, later), states[::-1], reducer.start())


def _cut(chunk: Chunk, *places: int) -> list[Chunk]:
    stops = [0, *(min(place, chunk.n_rows) for place in places), chunk.n_rows]
    return [chunk.slice(start, stop) for start, stop in pairwise(stops)]


CUTS: dict[str, Callable[[Chunk], list[Chunk]]] = {
    "an empty chunk before and after": lambda chunk: _cut(chunk, 0, chunk.n_rows),
    "halving each chunk": lambda chunk: _cut(chunk, chunk.n_rows // 2),
    "a chunk of one row": lambda chunk: _cut(chunk, 1, 2),
}


def _check_purity(reducer: Reducer[Any, Any], parts: Sequence[Chunk], states: Sequence[Any]) -> None:
    before = [pickle.dumps(state) for state in states]
    for part, left, right in zip(parts, states, [*states[1:], *states[:1]], strict=True):
        first, second = (reducer.finish(reducer.update(left, part)) for _ in range(2))
        if not same(first, second, rtol=0, atol=0):
            raise AssertionError(f"update called twice gives two results: {reducer!r}")
        reducer.merge(left, right)
        reducer.finish(left)
    for state, pickled in zip(states, before, strict=True):
        if not same(state, pickle.loads(pickled), rtol=0, atol=0):
            raise AssertionError(f"a method changed its argument: {reducer!r}")


def same(left: Any, right: Any, *, rtol: float = 1e-12, atol: float = 1e-12) -> bool:
    """Whether two results are equal: floats to the tolerances, NaN equal to NaN, everything else exactly.

    Arrays, pandas objects, mappings, sequences and dataclasses are compared by their contents.

    >>> import numpy as np
    >>> same({"mean": np.array([1.0, np.nan])}, {"mean": np.array([1.0 + 1e-15, np.nan])})
    True
    """
    near = partial(same, rtol=rtol, atol=atol)
    if type(left) is not type(right):
        return isinstance(left, float | int) and isinstance(right, float | int) and near(float(left), float(right))
    if hasattr(left, "iloc"):
        return _same_pandas(left, right, rtol, atol)
    if isinstance(left, np.ndarray) and left.dtype == right.dtype and left.dtype.kind in "fc":
        return left.shape == right.shape and bool(np.allclose(left, right, rtol=rtol, atol=atol, equal_nan=True))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and bool(np.array_equal(left, right))
    if isinstance(left, pa.Array | pa.Table):
        return bool(left.equals(right)) or str(left.to_pylist()) == str(right.to_pylist())
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(near(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(near, left, right))
    if isinstance(left, float | np.floating):
        return bool(np.isclose(left, right, rtol=rtol, atol=atol, equal_nan=True))
    if is_dataclass(left):
        return all(near(getattr(left, field.name), getattr(right, field.name)) for field in fields(left))
    return bool(left == right)


def _same_pandas(left: Any, right: Any, rtol: float, atol: float) -> bool:
    import pandas as pd

    compare: Any = pd.testing.assert_frame_equal if isinstance(left, pd.DataFrame) else pd.testing.assert_series_equal
    try:
        compare(left, right, rtol=rtol, atol=atol)
    except AssertionError:
        return False
    return True
