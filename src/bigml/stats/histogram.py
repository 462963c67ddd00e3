"""Histogram: rows per bin of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, DataError, SchemaError
from bigml.stats.aggregations import is_number
from bigml.stats.cells import Rows
from bigml.stats.keys import Index, plain
from bigml.stats.order import floats
from bigml.stats.ticks import Ticked, Ticks, counted

Counts = tuple[Index, NDArray[np.float64]]


@dataclass(frozen=True)
class Histogram:
    """Rows in each bin whose edges are known beforehand; exact.

    Args:
        column: A numeric or boolean column.
        edges: The ascending edges of the bins; the last bin includes its upper edge.
    """

    column: str
    edges: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> Index:
        return np.zeros(len(self.edges) - 1, np.int64)

    def update(self, state: Index, chunk: Chunk) -> Index:
        values = Rows(chunk).floats(self.column)
        return state + np.histogram(values[~np.isnan(values)], np.array(self.edges))[0]

    def merge(self, left: Index, right: Index) -> Index:
        return left + right

    def finish(self, state: Index) -> Counts:
        return state, np.array(self.edges)

    def forecast_nbytes(self, n_rows: int) -> int:
        """The bytes of one state."""
        return 8 * len(self.edges)


@dataclass(frozen=True)
class RangeHistogram:
    """Rows in bins of equal width between the smallest and largest finite value, which the same scan finds.

    The edges are exact, and so are the counts up to 16,384 distinct values. Beyond, `Ticks` counts values in cells, and
    those in a cell that an edge cuts are all counted on the side of its middle.

    Args:
        column: A numeric or boolean column.
        bins: The number of bins.
    """

    column: str
    bins: int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def _ticks(self) -> Ticks:
        return Ticks(self.column)

    def start(self) -> Ticked:
        return self._ticks.start()

    def update(self, state: Ticked, chunk: Chunk) -> Ticked:
        values = Rows(chunk).floats(self.column)
        return self.merge(state, counted(values[np.isfinite(values)].view(np.int64), floating=True))

    def merge(self, left: Ticked, right: Ticked) -> Ticked:
        return self._ticks.merge(left, right)

    def finish(self, state: Ticked) -> Counts:
        values = floats(state.keys)
        low, high = floats(np.array([state.lows[0], state.highs[-1]])) if len(values) else (0.0, 1.0)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.histogram(values, self.bins, (low, high), weights=state.counts)
        except ValueError as error:
            got, do = f"values from {low:g} to {high:g}", f"Pass a range; numpy says: {error}"
            wanted = f"values between which there are {self.bins:,} bins"
            raise DataError(wanted, got=got, where=f"histogram of `{self.column}`", do=do) from None

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return self._ticks.forecast_nbytes(n_rows)


def histogram(
    column: str,
    bins: int | Sequence[float] = 10,
    *,
    schema: pa.Schema,
    range: tuple[float, float] | None = None,
) -> Histogram | RangeHistogram:
    """The reducer whose result is the counts and edges of `numpy.histogram`; missing values are left out.

    With `range` or with edges the counts are exact; values outside are not counted. Without, the bins span the finite
    values that one scan finds. The counts are exact up to 16,384 distinct values. Beyond, a value may be counted on the
    wrong side of an edge that is nearer than 0.05 % of the value where values span up to 64 powers of two, and nearer
    than 1/65,536 of the range where they lie within one, as years do, or 1e6 plus a small noise.

    Args:
        column: A numeric or boolean column.
        bins: The number of bins of equal width, or ascending edges.
        schema: The types of all columns.
        range: The lower and upper end of the bins.

    Raises:
        ColumnError: No such column.
        SchemaError: The column is not numeric.
        ConfigError: Bins or range make no sense.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"delay": [1.0, 2.0, 2.5, 9.0]})
    >>> reduce_chunks(histogram("delay", 2, schema=table.schema, range=(0, 10)), [Chunk.from_arrow(table)])
    (array([3, 1]), array([ 0.,  5., 10.]))
    """
    if column not in schema.names:
        raise ColumnError.missing(column, schema.names)
    kind = plain(schema.field(column).type)
    if not (is_number(kind) or pa.types.is_boolean(kind)):
        raise SchemaError("a numeric column", got=f"type {kind}", where=f"column `{column}`", do="Use value_counts.")
    if range is None and isinstance(bins, int | np.integer) and bins > 0:
        return RangeHistogram(column, int(bins))
    try:
        return Histogram(column, _edges(bins, range))
    except (ValueError, TypeError) as error:
        do = f"numpy says: {error}."
        raise ConfigError("a number of bins or ascending edges", got=f"{bins}", where=f"histogram of `{column}`", do=do) from None


def _edges(bins: Any, range: tuple[float, float] | None) -> tuple[float, ...]:
    if isinstance(bins, str):
        raise TypeError("a rule for the number of bins needs all values")
    edges = np.histogram_bin_edges(np.zeros(0), bins, range)
    if edges.dtype.kind not in "iuf" or len(edges) < 2 or not np.all(edges[1:] >= edges[:-1]):
        raise ValueError("`bins` must have two or more edges, numbers all of them")
    return tuple(edges.tolist())
