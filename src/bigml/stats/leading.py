"""Leading: the most frequent values of a column as a table, of all rows or group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.aggregations import Output, index_of
from bigml.stats.frequent import Frequent, Leaders
from bigml.stats.groupby import Grouped, GroupState, check_keys
from bigml.stats.keys import plain
from bigml.stats.reducer import merged
from bigml.stats.whole import Aggregated, WholeState

if TYPE_CHECKING:
    import pandas as pd

OF_ALL, OF_GROUPS = (1 << 16, 1 << 16), (1 << 11, 1 << 11)
"""Distinct values that are kept and counters in a row, of all rows and of each group."""


@dataclass(frozen=True)
class MostFrequent:
    """The most frequent values of a column; `most_frequent` makes one.

    Attributes:
        rows: What brings the rows together: all of them, or by group.
        cell: The statistic.
        n: Values of each group.
    """

    rows: Grouped | Aggregated
    cell: Frequent
    n: int

    @property
    def columns(self) -> tuple[str, ...]:
        return self.rows.columns

    def start(self) -> Any:
        return self.rows.start()

    def update(self, state: Any, chunk: Chunk) -> Any:
        return self.rows.update(state, chunk)

    def merge(self, left: Any, right: Any) -> Any:
        return self.rows.merge(left, right)

    def merge_all(self, states: Sequence[Any]) -> Any:
        return merged(self.rows, states)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return self.rows.forecast_nbytes(n_rows)

    def finish(self, state: GroupState | WholeState) -> pd.DataFrame:
        import pandas as pd

        leaders = self.cell.leaders(state.cells[0], self.n)
        frame = pd.DataFrame({"count": leaders.counts, "error": leaders.errors}, index=self._index(state, leaders))
        limit, width = self.cell.limit, self.cell.width
        frame.attrs["error"] = (
            f"exact up to {limit:,} distinct values; beyond, no count is too low, it is too high by at most `error`, which is "
            f"{100 * np.e / width:.2g} % of the rows, with a probability above 99 %, and a value that has "
            f"{1000 / limit:.2g} % of the rows is missed with a probability below 0.005 %"
        )
        return frame

    def _index(self, state: GroupState | WholeState, leaders: Leaders) -> pd.Index[Any]:
        import pandas as pd

        values = index_of(leaders.values, self.cell.column)
        if isinstance(self.rows, Aggregated) or isinstance(state, WholeState):
            return values
        groups = pa.array(leaders.groups)
        keys = [index_of(state.keys.values(i).take(groups), name) for i, name in enumerate(self.rows.by)]
        return pd.MultiIndex.from_arrays([*keys, values])


def most_frequent(column: str, n: int = 10, *, schema: pa.Schema, by: Sequence[str] = (), dropna: bool = True) -> MostFrequent:
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
    return MostFrequent(Grouped(tuple(by), (output,), schema, (column,), dropna), cell, n)


def _unshaped(values: Any, kind: pa.DataType, has_nulls: bool) -> Any:
    return values
