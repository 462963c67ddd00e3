"""Cells: the role of a statistic kept for many groups at once, and the grouped rows that it learns from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import reduce
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.stats import kernels, summing
from bigml.stats.exact import Table, extremes, sum_coded, sum_spans
from bigml.stats.keys import Codes, Index, encoded, plain

S = TypeVar("S")
T = TypeVar("T", bound=tuple[Any, ...])


class Cell(Protocol[S]):
    """A statistic of one column for all groups at once; a state holds one entry per group, in the order of the groups.

    Attributes:
        column: The column that it reads.
    """

    @property
    def column(self) -> str: ...

    def empty(self) -> S:
        """The state of no groups."""
        ...

    def partial(self, rows: Rows) -> S:
        """The state of `rows.n_slots` groups, from these rows alone."""
        ...

    def arrange(self, state: S, index: Index) -> S:
        """The state whose group j is the group `index[j]` of this one, or one without rows where the index is -1."""
        ...

    def merge(self, left: S, right: S) -> S:
        """The state of both, group by group."""
        ...

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        """Upper estimate of the bytes of a state."""
        ...


@runtime_checkable
class Wide(Cell[S], Protocol[S]):
    """A cell whose states know something of all rows of the column, in whatever group."""

    def remainder(self, rows: Rows) -> S:
        """A state without groups that knows this of the rows."""
        ...


@runtime_checkable
class Absorbing(Cell[S], Protocol[S]):
    """A cell whose states, arrays with a row for each group, take in others without being made anew."""

    def absorb(self, whole: S, places: Index, part: S) -> None:
        """Merge a state into one of ours, whose groups at these places are those of the part; a place may come several times,
        then what is merged into it comes in that order."""
        ...


def united(cell: Cell[S], states: Sequence[S], places: Sequence[Index] | None, n_groups: int) -> S:
    """The states merged from left to right, of groups that have these places among n; None when all have the same groups.

    Of an `Absorbing` cell several groups of a state may have one place: they are merged too.
    """
    if places is None:
        return reduce(cell.merge, states)
    if not isinstance(cell, Absorbing):
        return reduce(cell.merge, [cell.arrange(state, _inverse(at, n_groups)) for state, at in zip(states, places, strict=True)])
    whole = cell.arrange(cell.empty(), np.full(n_groups, -1))
    for state, at in zip(states, places, strict=True):
        cell.absorb(whole, kernels.frozen(at), state)
    return whole


def absorbed(cell: Absorbing[T], left: T, right: T) -> T:
    """Two states of the same groups merged."""
    every = kernels.frozen(np.arange(len(left[0])))
    whole = cell.arrange(left, every)
    cell.absorb(whole, every, right)
    return whole


def _inverse(places: Index, n: int) -> Index:
    """For each of n places the position that has it, -1 where none does."""
    index = np.full(n, -1)
    index[places] = np.arange(len(places))
    return index


class Rows:
    """The rows of a chunk with their slots; each column is decoded once, however many cells and shared uses read it.

    Args:
        chunk: The rows.
        slots: int32 of shape (n_rows,), negative for rows to skip; None when all rows are one group.
        n_slots: Slots are below this.
        name: Stands for the slots: what is made of columns by slot is made once for all that have this name.
    """

    def __init__(self, chunk: Chunk, slots: Codes | None = None, n_slots: int = 1, *, name: Hashable = None) -> None:
        self.chunk, self.n_slots, self.whole = chunk.shared(), n_slots, slots is None
        self._slots, self._name = slots, name

    @property
    def slots(self) -> Codes:
        if self._slots is None:
            self._slots = kernels.frozen(np.zeros(self.chunk.n_rows, np.int32))
        return self._slots

    def arrow(self, name: str) -> pa.Array:
        """The column as an Arrow array; a dictionary of anything but strings or bytes is decoded."""
        array = self.chunk.arrow(name)
        is_numbers = pa.types.is_dictionary(array.type) and pa.types.is_primitive(array.type.value_type)
        return array.cast(array.type.value_type) if is_numbers else array

    def floats(self, name: str) -> NDArray[np.float64]:
        """The column as float64, nulls as NaN."""
        return self.chunk.once(("floats", name), lambda: kernels.frozen(self._floats(name)))

    def _floats(self, name: str) -> NDArray[np.float64]:
        column = self.chunk.coded(name)
        return self.chunk.floats(name) if column is None or column.is_text else summing.decoded(column)

    def spans(self, name: str) -> list[summing.Span]:
        """The column as float64, without a copy where it is stored so."""
        return self.chunk.once(("spans", name), lambda: self._spans(name))

    def _spans(self, name: str) -> list[summing.Span]:
        found = _spans(self.chunk.column(name)) if self.chunk.coded(name) is None else []
        return found or [summing.span_of(self.floats(name))]

    def exact(self, name: str) -> Table | None:
        """Sums by slot of a column all of whose numbers are whole and small; None of others, and where all rows are one group."""
        return None if self.whole else self.chunk.once(("exact", self._name, name), lambda: self._exact(name))

    def _exact(self, name: str) -> Table | None:
        column = self.chunk.coded(name)
        found = None if column is None else sum_coded(self.slots, column, self.n_slots)
        return sum_spans(self.slots, self.spans(name), self.n_slots) if found is None else found

    def sums(self, name: str) -> NDArray[np.float64]:
        """Table of shape (n_slots, 5) of the column as float64: see `summing.sum_floats`."""
        return self.chunk.once(("sums", self._name, name), lambda: self._sums(name))

    def _sums(self, name: str) -> NDArray[np.float64]:
        if self.whole:
            return summing.sum_column(self.spans(name))
        found = self.exact(name)
        if found is None:
            return summing.sum_floats(self.slots, self.spans(name), self.n_slots)
        return np.column_stack([found[:, :2], np.zeros(len(found)), *extremes(found, (np.inf, -np.inf))])

    def words(self, name: str) -> Index:
        """The column of integers, booleans or times as int64, nulls as 0."""
        return self.chunk.once(("words", name), lambda: kernels.frozen(_words(self.arrow(name))))

    def coded(self, name: str) -> tuple[Codes, pa.Array]:
        """The column as codes, -1 for missing, and the values that they number."""
        return encoded(self.chunk, name)

    def known_slots(self, name: str) -> Codes:
        """The slots, negative where the column is missing (null or NaN)."""
        missing = self._missing(name)
        return self.slots if missing is None else kernels.frozen(np.where(missing, np.int32(-1), self.slots))

    def _missing(self, name: str) -> NDArray[np.bool_] | None:
        if pa.types.is_floating(plain(self.chunk.kind(name))):
            return np.isnan(self.floats(name))
        array = self.arrow(name)
        if pa.types.is_dictionary(array.type):
            return self.coded(name)[0] < 0
        missing: NDArray[np.bool_] | None = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        return missing


def _spans(column: Any) -> list[summing.Span]:
    """Views of Arrow's float64; none where the column is anything else, or its bits do not begin with a byte."""
    arrays = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if not all(isinstance(array, pa.DoubleArray) and array.offset % 8 == 0 for array in arrays):
        return []
    return [_span(array) for array in arrays]


def _span(array: pa.DoubleArray) -> summing.Span:
    validity, data = array.buffers()
    values = np.frombuffer(data, np.float64, len(array), 8 * array.offset) if len(array) else np.empty(0)
    if not array.null_count:
        return summing.span_of(values)
    return summing.Span(kernels.frozen(values), kernels.frozen(np.frombuffer(validity, np.uint8, offset=array.offset // 8)))


def _words(array: pa.Array) -> Index:
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    elif pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif pa.types.is_uint64(kind):
        array = array.view(pa.int64())
    array = array.cast(pa.int64())
    words: Index = (array.fill_null(0) if array.null_count else array).to_numpy(zero_copy_only=False)
    return words


def arranged(array: NDArray[Any], index: Index, fill: Any) -> NDArray[Any]:
    """`array[index]`, and `fill` where the index is negative."""
    if not len(array) and not fill:
        return np.zeros((len(index), *array.shape[1:]), array.dtype)
    if not len(array):
        return np.full((len(index), *array.shape[1:]), fill, array.dtype)
    out = array[index]
    out[index < 0] = fill
    return out


def arranged_values(array: pa.Array, index: Index) -> pa.Array:
    """The Arrow array's values at the index, null where it is negative."""
    return array.take(pa.array(index, mask=index < 0))
