"""Cells: the role of a statistic kept for many groups at once, and the grouped rows that it learns from."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.stats import kernels
from bigml.stats.keys import Codes, Index, encode

S = TypeVar("S")


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


class Rows:
    """The rows of a chunk with their slots; each column is decoded once, however many cells read it.

    Args:
        chunk: The rows.
        slots: int32 of shape (n_rows,), negative for rows to skip; None when all rows are one group.
        n_slots: Slots are below this.
    """

    def __init__(self, chunk: Chunk, slots: Codes | None = None, n_slots: int = 1) -> None:
        self.chunk, self.n_slots, self.whole = chunk, n_slots, slots is None
        self._slots = slots
        self._known: dict[tuple[str, str], Any] = {}

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
        if ("floats", name) not in self._known:
            self._known["floats", name] = kernels.frozen(self.chunk.floats(name))
        values: NDArray[np.float64] = self._known["floats", name]
        return values

    def sums(self, name: str) -> NDArray[np.float64]:
        """Table of shape (n_slots, 5) of the column as float64: see `kernels.sum_floats`."""
        if ("sums", name) not in self._known:
            values = self.floats(name)
            table = kernels.sum_column(values) if self.whole else kernels.sum_floats(self.slots, values, self.n_slots)
            self._known["sums", name] = table
        sums: NDArray[np.float64] = self._known["sums", name]
        return sums

    def words(self, name: str) -> Index:
        """The column of integers, booleans or times as int64, nulls as 0."""
        if ("words", name) not in self._known:
            self._known["words", name] = kernels.frozen(_words(self.arrow(name)))
        words: Index = self._known["words", name]
        return words

    def coded(self, name: str) -> tuple[Codes, pa.Array]:
        """The column as codes, -1 for missing, and the values that they number."""
        if ("coded", name) not in self._known:
            self._known["coded", name] = encode(self.arrow(name))
        coded: tuple[Codes, pa.Array] = self._known["coded", name]
        return coded

    def known_slots(self, name: str) -> Codes:
        """The slots, negative where the column is missing (null or NaN)."""
        missing = self._missing(name)
        return self.slots if missing is None else kernels.frozen(np.where(missing, np.int32(-1), self.slots))

    def _missing(self, name: str) -> NDArray[np.bool_] | None:
        if pa.types.is_floating(self.chunk.kind(name)):
            return np.isnan(self.floats(name))
        array = self.arrow(name)
        if pa.types.is_dictionary(array.type):
            return self.coded(name)[0] < 0
        missing: NDArray[np.bool_] | None = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        return missing


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
    if not len(array):
        return np.full((len(index), *array.shape[1:]), fill, array.dtype)
    out = array[index]
    out[index < 0] = fill
    return out


def arranged_values(array: pa.Array, index: Index) -> pa.Array:
    """The Arrow array's values at the index, null where it is negative."""
    return array.take(pa.array(index, mask=index < 0))
