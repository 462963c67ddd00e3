"""Whole: aggregations of columns over all rows, as one group without a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ConfigError
from bigml.stats.aggregations import Output, Wanted, planned
from bigml.stats.cells import Cell, Rows
from bigml.stats.keys import Index, plain

if TYPE_CHECKING:
    import pandas as pd


class WholeState(NamedTuple):
    """Rows, nulls of each column, and one state per cell, of one group."""

    n_rows: int
    nulls: Index
    cells: tuple[Any, ...]


@dataclass(frozen=True)
class Aggregated:
    """Aggregations of columns over all rows; `aggregated` makes one.

    Attributes:
        outputs: What is aggregated.
        schema: The types of the columns.
        flat: Whether each column has a single aggregation: the result is a Series then.
    """

    outputs: tuple[Output, ...]
    schema: pa.Schema
    flat: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for output in self.outputs for name in (output.column, *output.others)))

    @property
    def cells(self) -> tuple[Cell[Any], ...]:
        return tuple(dict.fromkeys(output.cell for output in self.outputs if output.cell is not None))

    def start(self) -> WholeState:
        cells = tuple(cell.arrange(cell.empty(), np.array([-1])) for cell in self.cells)
        return WholeState(0, np.zeros(len(self.columns), np.int64), cells)

    def update(self, state: WholeState, chunk: Chunk) -> WholeState:
        if not chunk.n_rows:
            return state
        rows = Rows(chunk)
        nulls = np.array([chunk.nulls(name) for name in self.columns], np.int64)
        return self.merge(state, WholeState(chunk.n_rows, nulls, tuple(cell.partial(rows) for cell in self.cells)))

    def merge(self, left: WholeState, right: WholeState) -> WholeState:
        cells = tuple(cell.merge(a, b) for cell, a, b in zip(self.cells, left.cells, right.cells, strict=True))
        return WholeState(left.n_rows + right.n_rows, left.nulls + right.nulls, cells)

    def finish(self, state: WholeState) -> pd.Series[Any] | pd.DataFrame:
        import pandas as pd

        values = [self._value(output, state) for output in self.outputs]
        error = {f"{one.column}:{one.name}": one.error for one in self.outputs if one.error}
        found: Any
        if self.flat:
            found = pd.Series({output.column: value for output, value in zip(self.outputs, values, strict=True)})
        else:
            found = self._table(values)
        found.attrs["error"] = error
        return found

    def _table(self, values: Sequence[Any]) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, dict[str, Any]] = {}
        for output, value in zip(self.outputs, values, strict=True):
            columns.setdefault(output.column, {})[output.name] = value
        names = dict.fromkeys(output.name for output in self.outputs)
        series = [pd.Series(column).reindex(list(names)).rename(name) for name, column in columns.items()]
        return pd.concat(series, axis=1)

    def _value(self, output: Output, state: WholeState) -> Any:
        held = np.array([state.n_rows]) if output.cell is None else state.cells[self.cells.index(output.cell)]
        has_nulls = bool(state.nulls[self.columns.index(output.column)])
        return output.shape(output.read(held), plain(self.schema.field(output.column).type), has_nulls).iloc[0]

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return 64 + sum(cell.forecast_nbytes(n_rows, 1) for cell in self.cells)


def aggregated(aggregations: Mapping[str, Wanted | Sequence[Wanted]], *, schema: pa.Schema) -> Aggregated:
    """The reducer whose result equals `frame.agg(aggregations)` in pandas, with all aggregations that groups have.

    A Series by column where each column has one aggregation, or else a DataFrame with a row for each and a column for each.

    Args:
        aggregations: For each column, one aggregation or several, as for `grouped`.
        schema: The types of all columns.

    Raises:
        ColumnError: No such column.
        ConfigError: No aggregation has that name, or nothing is asked for.
        SchemaError: The column's type has no such aggregation.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"delay": [3.0, 5.0, 4.0]})
    >>> reduce_chunks(aggregated({"delay": "mean"}, schema=table.schema), [Chunk.from_arrow(table)]).to_dict()
    {'delay': 4.0}
    """
    found, flat = planned(aggregations, schema)
    of_groups = [output.name for output in found if output.over]
    if of_groups:
        raise ConfigError("aggregations of all rows", got=f"`{of_groups[0]}`", where="agg", do="Shares and ranks are of groups.")
    return Aggregated(found, schema, flat)
