"""Leading: the most frequent values of a column as a table, of all rows or group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.aggregations import Output, index_of
from bigml.stats.derived import Derived, OfGroups
from bigml.stats.frequent import Frequent, Leaders
from bigml.stats.groupby import Grouped, GroupState, check_keys
from bigml.stats.keys import Keys, plain
from bigml.stats.whole import Aggregated, WholeState

if TYPE_CHECKING:
    import pandas as pd

OF_ALL, OF_GROUPS = (1 << 16, 1 << 16), (1 << 11, 1 << 11)
"""Distinct values that are kept and counters in a row, of all rows and of each group."""


@dataclass(frozen=True)
class MostFrequent(Derived[WholeState]):
    """The most frequent values of a column; `most_frequent` makes one.

    Attributes:
        cell: The statistic.
        n: Values that are told.
    """

    inner: Aggregated
    cell: Frequent
    n: int

    def finish(self, state: WholeState) -> pd.DataFrame:
        leaders = self.cell.leaders(state.cells[0], self.n)
        return _framed(self.cell, leaders, index_of(leaders.values, self.cell.column))


class Led(NamedTuple):
    """The most frequent values of some of the groups."""

    keys: Keys
    leaders: Leaders


@dataclass(frozen=True)
class MostFrequentOfGroups(OfGroups, Derived[GroupState]):
    """The most frequent values of a column in each group; `most_frequent` makes one.

    Attributes:
        cell: The statistic.
        n: Values of each group.
    """

    inner: Grouped
    cell: Frequent
    n: int

    def finish(self, state: GroupState) -> pd.DataFrame:
        return self.joined([self.piece(state)])

    def piece(self, state: GroupState) -> Led:
        """The result of some of the groups."""
        return Led(state.keys, self.cell.leaders(state.cells[0], self.n))

    def joined(self, pieces: Sequence[Led]) -> pd.DataFrame:
        """The result from those of disjoint groups."""
        import pandas as pd

        keys, leaders = _joined(pieces)
        index = [index_of(values, name) for values, name in zip(_keys(keys, leaders), self.inner.by, strict=True)]
        index.append(index_of(leaders.values, self.cell.column))
        return _framed(self.cell, leaders, pd.MultiIndex.from_arrays(index))

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of `table`: the keys, the value, its `count` and by how much this may be too high, its `error`.

        Raises:
            ConfigError: Two columns would have one name.
        """
        counts = [(name, pa.int64()) for name in ("count", "error")]
        return self.inner.schema_with([(self.cell.column, self.cell.kind), *counts])

    def table(self, state: GroupState) -> pa.Table:
        """The result as an Arrow table."""
        keys, leaders = self.piece(state)
        columns = [*_keys(keys, leaders), leaders.values, leaders.counts, leaders.errors]
        return pa.table(columns, schema=self.arrow_schema)


def _joined(pieces: Sequence[Led]) -> Led:
    """Disjoint groups in the order of their keys."""
    keys, places = Keys.joined([keys for keys, _ in pieces])
    starts = np.cumsum([0, *(keys.n_groups for keys, _ in pieces[:-1])])
    groups = places[np.concatenate([led.leaders.groups + start for led, start in zip(pieces, starts, strict=True)])]
    order = np.argsort(groups, kind="stable")
    values = pa.concat_arrays([led.leaders.values for led in pieces]).take(pa.array(order))
    counts, errors = (np.concatenate(every)[order] for every in zip(*(led.leaders[2:] for led in pieces), strict=True))
    return Led(keys, Leaders(groups[order], values, counts, errors))


def _keys(keys: Keys, leaders: Leaders) -> list[pa.Array]:
    """The keys of the group of each of the values."""
    groups = pa.array(leaders.groups)
    return [keys.values(i).take(groups) for i in range(len(keys.levels))]


def _framed(cell: Frequent, leaders: Leaders, index: pd.Index[Any]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({"count": leaders.counts, "error": leaders.errors}, index=index)
    frame.attrs["error"] = (
        f"exact up to {cell.limit:,} distinct values; beyond, no count is too low, it is too high by at most `error`, which is "
        f"{100 * np.e / cell.width:.2g} % of the rows, with a probability above 99 %, and a value that has "
        f"{1000 / cell.limit:.2g} % of the rows is missed with a probability below 0.005 %"
    )
    return frame


def most_frequent(
    column: str, n: int = 10, *, schema: pa.Schema, by: Sequence[str] = (), dropna: bool = True
) -> MostFrequent | MostFrequentOfGroups:
    """The reducer whose result tells the n most frequent values of a column: a row for each, by its `count`, the largest first.

    Equal counts come by value ascending. Counts are exact up to 65,536 distinct values (2,048 in each group); beyond, they are
    estimates that are never too low, and at most `error` too high; `result.attrs["error"]` says how sure that is.

    Args:
        column: The column; null and NaN are left out.
        n: How many values, at most 1,000.
        schema: The types of all columns.
        by: Keys of groups; none for all rows. The index tells group and value.
        dropna: Whether rows with a null key are left out.

    Raises:
        ColumnError: No such column.
        ConfigError: n is not from 1 to 1,000.
        SchemaError: The column holds lists or structs, or cannot be a key.

    >>> from bigml.chunk import Chunk
    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"tail": ["N1", "N2", "N1", None]})
    >>> reduce_chunks(most_frequent("tail", 1, schema=table.schema), [Chunk.from_arrow(table)])["count"].to_dict()
    {'N1': 2}
    """
    if column not in schema.names:
        raise ColumnError.missing(column, schema.names)
    kind = plain(schema.field(column).type)
    if pa.types.is_nested(kind):
        raise SchemaError("a column of plain values", got=f"type {kind}", where=f"column `{column}`", do="Derive a plain column.")
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 1000:
        raise ConfigError("a number of values from 1 to 1,000", got=f"{n!r}", where="n of most_frequent")
    cell = Frequent(column, kind, *(OF_GROUPS if by else OF_ALL))
    output = Output(column, "most_frequent", cell, partial(cell.leaders, n=n), _unshaped)
    if not by:
        return MostFrequent(Aggregated((output,), schema, flat=True), cell, n)
    check_keys(tuple(by), schema)
    return MostFrequentOfGroups(Grouped(tuple(by), (output,), schema, (column,), dropna), cell, n)


def _unshaped(values: Any, kind: pa.DataType, has_nulls: bool) -> Any:
    return values
