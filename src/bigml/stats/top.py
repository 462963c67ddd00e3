"""Top: the rows of each group that come first by the values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.cells import Rows
from bigml.stats.groupby import Grouped, check_keys
from bigml.stats.hashing import partitioned
from bigml.stats.kernels import frozen
from bigml.stats.keys import Codes, Grouping, Index, plain
from bigml.stats.order import ordered
from bigml.stats.reducer import FORECAST_GROUPS

if TYPE_CHECKING:
    import pandas as pd

SHORT = 64
"""Up to so many rows a group are kept in order while rows come in; more are found by sorting."""


class Best(NamedTuple):
    """The rows that come first in each group, their numbers, and the nulls of each column in any row."""

    table: pa.Table
    rows: Index
    nulls: Index


class Standing(NamedTuple):
    """What orders rows: those that have no value come last, then keys ascend, then row numbers."""

    missing: NDArray[np.bool_]
    keys: Index
    rows: Index


@njit(nogil=True, cache=True)
def _before(i: int, j: int, missing: Any, keys: Any, rows: Any) -> bool:
    if missing[i] != missing[j]:
        return bool(missing[j])
    return bool(keys[i] < keys[j] or (keys[i] == keys[j] and rows[i] < rows[j]))


@njit(nogil=True, cache=True)
def _insert(slots: Any, missing: Any, keys: Any, rows: Any, table: Any) -> None:
    """Fill row s of the table with the positions of the first rows of slot s, in order; -1 where there are no more."""
    n = table.shape[1]
    for i in range(slots.size):
        if slots[i] < 0:
            continue
        best, j = table[slots[i]], n
        while j > 0 and (best[j - 1] < 0 or _before(i, best[j - 1], missing, keys, rows)):
            j -= 1
            if j + 1 < n:
                best[j + 1] = best[j]
        if j < n:
            best[j] = i


def _first(slots: Codes, n_slots: int, standing: Standing, n: int) -> Index:
    """The positions of the first n rows of each slot."""
    if n > SHORT or n_slots * n > max(1024, 4 * len(slots)):
        return _first_by_sorting(slots, standing, n)
    table = np.full((n_slots, n), -1)
    _insert(*map(frozen, (slots, *standing)), table)
    return table[table >= 0]


def _first_by_sorting(slots: Codes, standing: Standing, n: int) -> Index:
    order = np.lexsort((standing.rows, standing.keys, standing.missing, slots))
    order = order[np.searchsorted(slots[order], 0) :]
    starts = np.searchsorted(slots[order], slots[order])
    return order[np.arange(len(order)) - starts < n]


def _standing(rows: Rows, column: str, ascending: bool) -> Standing:
    keys = _keys(rows, column)
    return Standing(rows.known_slots(column) < 0, keys if ascending else ~keys, rows.chunk.row_numbers)


def _keys(rows: Rows, column: str) -> Index:
    """Integers that sort as the values do."""
    kind = plain(rows.arrow(column).type)
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return ordered(rows.floats(column))
    if pa.types.is_uint64(kind):
        return rows.words(column) ^ np.iinfo(np.int64).min
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        return rows.words(column)
    codes, values = rows.coded(column)
    ranks = np.zeros(len(values) + 1, np.int64)
    ranks[pc.array_sort_indices(values).to_numpy()] = np.arange(len(values))
    return ranks[codes]


@dataclass(frozen=True)
class TopRows:
    """The first n rows of each group by a column; `top_rows` makes one.

    Memory: a state holds n rows of each group.
    """

    by: tuple[str, ...]
    n: int
    column: str
    schema: pa.Schema
    ascending: bool = False
    dropna: bool = True
    sort: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def start(self) -> Best:
        fields = [pa.field(field.name, plain(field.type)) for field in self.schema]
        return Best(pa.schema(fields).empty_table(), np.zeros(0, np.int64), np.zeros(len(fields), np.int64))

    def update(self, state: Best, chunk: Chunk) -> Best:
        return self.merge(state, self._best(chunk, self.remainder(chunk).nulls)) if chunk.n_rows else state

    def merge(self, left: Best, right: Best) -> Best:
        return self.merge_all([left, right])

    def merge_all(self, states: Sequence[Best]) -> Best:
        nulls = np.sum([state.nulls for state in states], axis=0)
        known = [state for state in states if state.table.num_rows]
        if len(known) < 2:
            return (known or states)[0]._replace(nulls=nulls)
        table = pa.concat_tables([state.table for state in known]).combine_chunks()
        return self._best(_chunk(table, np.concatenate([state.rows for state in known])), nulls)

    def _best(self, chunk: Chunk, nulls: Index) -> Best:
        grouping = self._grouping(chunk)
        rows = Rows(chunk, grouping.slots, grouping.n_slots)
        at = np.sort(_first(grouping.slots, grouping.n_slots, _standing(rows, self.column, self.ascending), self.n))
        best = chunk.take(at)
        return Best(best.to_arrow().combine_chunks().cast(self.start().table.schema), best.row_numbers, nulls)

    def _grouping(self, chunk: Chunk) -> Grouping:
        return Grouping.of(chunk, self.by, [self.schema.field(name).type for name in self.by], self.dropna)

    def finish(self, state: Best) -> pd.DataFrame:
        chunk = _chunk(state.table, state.rows)
        frame = chunk.take(self._order(chunk)).to_pandas()
        for name, nulls in zip(self.columns, state.nulls, strict=True):
            # As in the whole frame, where a column with nulls has no integers and no booleans.
            if nulls and frame[name].dtype.kind in "iub":
                frame[name] = frame[name].astype("object" if frame[name].dtype.kind == "b" else "float64")
        return frame

    def _order(self, chunk: Chunk) -> Index:
        if not self.sort or not chunk.n_rows:
            return np.argsort(chunk.row_numbers)
        grouping = self._grouping(chunk)
        place = np.zeros(grouping.n_slots, np.int64)
        place[grouping.index] = np.arange(len(grouping.index))
        missing, keys, rows = _standing(Rows(chunk), self.column, self.ascending)
        return np.lexsort((rows, keys, missing, place[grouping.slots]))

    def forecast_nbytes(self, n_rows: int, n_groups: int = FORECAST_GROUPS) -> int:
        """Upper estimate of the bytes of one state of so many groups."""
        width = sum(field.type.bit_width // 8 + 1 if pa.types.is_primitive(field.type) else 32 for field in self.schema)
        return (width + 8) * min(n_rows, n_groups * self.n)

    def partitioned(self, chunk: Chunk, n: int) -> tuple[Chunk, Index]:
        """The rows by the hash of their keys, and where each of n partitions begins and ends."""
        return partitioned(chunk, self.by, n, self.dropna)

    def remainder(self, chunk: Chunk) -> Best:
        """A state without rows that knows how many nulls the chunk has."""
        return self.start()._replace(nulls=np.array([chunk.nulls(name) for name in self.columns], np.int64))

    def keys_only(self) -> Grouped:
        """The same groups, of which nothing is asked but their sizes."""
        return Grouped(self.by, (), self.schema, (), self.dropna)

    def n_groups(self, state: Best) -> int:
        return self._grouping(_chunk(state.table, state.rows)).keys.n_groups

    def piece(self, state: Best) -> Best:
        """The rows of some of the groups."""
        return state

    def joined(self, pieces: Sequence[Best]) -> pd.DataFrame:
        """The result from the rows of disjoint groups."""
        return self.finish(self.merge_all(pieces))


def _chunk(table: pa.Table, rows: Index) -> Chunk:
    return Chunk(dict(zip(table.column_names, table.columns, strict=True)), rows)


def top_rows(
    by: str | tuple[str, ...],
    n: int,
    column: str,
    *,
    schema: pa.Schema,
    ascending: bool = False,
    dropna: bool = True,
    sort: bool = True,
) -> TopRows:
    """The reducer whose result is the first n rows of each group, by the values of a column.

    It equals `frame.sort_values(column, ascending=ascending, kind="stable").groupby(by).head(n)` in pandas, with the groups in
    the order of their keys: rows of equal values come by their numbers, rows without a value last. The index tells the numbers of
    the rows.

    Args:
        by: The key columns.
        n: Rows of each group.
        column: What rows are ordered by: numbers, times, strings, anything that can be compared.
        schema: The types of all columns, which all are in the result.
        ascending: Whether the smallest value comes first.
        dropna: Whether rows with a null key are left out.
        sort: Whether groups are in the order of their keys, or else all rows in the order of the source.

    Raises:
        ColumnError: No such column.
        ConfigError: n is no whole number from 1 on.
        SchemaError: The column holds lists or structs, or cannot be a key.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"carrier": ["AA", "UA", "AA"], "delay": [3, 5, 4]})
    >>> reduce_chunks(top_rows("carrier", 1, "delay", schema=table.schema), [Chunk.from_arrow(table)])["delay"].tolist()
    [4, 5]
    """
    keys = (by,) if isinstance(by, str) else tuple(by)
    check_keys(keys, schema)
    if column not in schema.names:
        raise ColumnError.missing(column, schema.names)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError("a number of rows from 1 on", got=f"{n!r}", where="n of top")
    kind = plain(schema.field(column).type)
    if pa.types.is_nested(kind):
        raise SchemaError("a column whose values can be ordered", got=f"type {kind}", where=f"column `{column}`")
    return TopRows(keys, n, column, schema, ascending, dropna, sort)
