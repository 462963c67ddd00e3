"""Extremes: the first, last, smallest and largest value of any column whose values can be compared, for many groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.stats import kernels, summing
from bigml.stats.cells import Rows, arranged, arranged_values
from bigml.stats.keys import Index

FAR = np.iinfo(np.int64).max


class Found(NamedTuple):
    """Of each group: the number of the row that was found, and its value; null where there is none."""

    rows: Index
    values: pa.Array


@dataclass(frozen=True)
class Edge:
    """The first or last known value of each group, by row number: neither chunking nor merge order can change it.

    Args:
        column: The column.
        kind: Its plain Arrow type.
        last: Whether the last value is wanted.
    """

    column: str
    kind: pa.DataType
    last: bool = False

    def empty(self) -> Found:
        return Found(np.empty(0, np.int64), pa.array([], type=self.kind))

    def partial(self, rows: Rows) -> Found:
        numbers = kernels.frozen(rows.chunk.row_numbers)
        positions = kernels.edge_positions(rows.known_slots(self.column), numbers, rows.n_slots, self.last)
        values = arranged_values(rows.arrow(self.column), positions).cast(self.kind)
        return Found(arranged(numbers, positions, self._nowhere), values)

    def arrange(self, state: Found, index: Index) -> Found:
        return Found(arranged(state.rows, index, self._nowhere), arranged_values(state.values, index))

    def merge(self, left: Found, right: Found) -> Found:
        earlier = left.rows >= right.rows if self.last else left.rows <= right.rows
        place = np.arange(len(earlier)) + np.where(earlier, 0, len(earlier))
        rows = np.where(earlier, left.rows, right.rows)
        return Found(rows, pa.concat_arrays([left.values, right.values]).take(pa.array(place)))

    @property
    def _nowhere(self) -> int:
        return -1 if self.last else FAR

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 40 * n_groups

    def value(self, state: Found) -> pa.Array:
        return state.values


class Range(NamedTuple):
    """Of each group: the smallest and largest value; null where there is none."""

    low: pa.Array
    high: pa.Array


@dataclass(frozen=True)
class Extremes:
    """The smallest and largest value of each group of a column of strings, bytes, decimals or unsigned 64-bit integers.

    Args:
        column: The column.
        kind: Its plain Arrow type.
    """

    column: str
    kind: pa.DataType

    def empty(self) -> Range:
        return Range(pa.array([], type=self.kind), pa.array([], type=self.kind))

    def partial(self, rows: Rows) -> Range:
        codes, values = rows.coded(self.column)
        order = pc.array_sort_indices(values).to_numpy()
        rank = np.zeros(len(order) + 1, np.int64)
        rank[order] = np.arange(len(order))
        slots = np.where(codes < 0, np.int32(-1), rows.slots)
        table = summing.sum_ints(kernels.frozen(slots), kernels.frozen(rank[codes]), rows.n_slots)
        values = values.take(pa.array(order)).cast(self.kind)
        low, high = (np.where(table[:, 0] > 0, table[:, i], -1) for i in (2, 3))
        return Range(arranged_values(values, low), arranged_values(values, high))

    def arrange(self, state: Range, index: Index) -> Range:
        return Range(arranged_values(state.low, index), arranged_values(state.high, index))

    def merge(self, left: Range, right: Range) -> Range:
        return Range(_lesser(left.low, right.low, 0), _lesser(left.high, right.high, 1))

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 80 * n_groups

    def min(self, state: Range) -> pa.Array:
        return state.low

    def max(self, state: Range) -> pa.Array:
        return state.high


def _lesser(left: pa.Array, right: pa.Array, larger: int) -> pa.Array:
    return pc.max_element_wise(left, right) if larger else pc.min_element_wise(left, right)


@dataclass(frozen=True)
class Known:
    """The rows of each group that have a value, of a column of any type."""

    column: str

    def empty(self) -> Index:
        return np.empty(0, np.int64)

    def partial(self, rows: Rows) -> Index:
        counts: Index = kernels.count_rows(rows.known_slots(self.column), rows.n_slots)[0]
        return counts

    def arrange(self, state: Index, index: Index) -> Index:
        return arranged(state, index, 0)

    def merge(self, left: Index, right: Index) -> Index:
        return left + right

    def absorb(self, whole: Index, places: Index, part: Index) -> None:
        np.add.at(whole, places, part)

    def forecast_nbytes(self, n_rows: int, n_groups: int) -> int:
        return 8 * n_groups

    def count(self, state: Index) -> Index:
        return state
