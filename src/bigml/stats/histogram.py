"""Histogram: rows per bin of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.aggregations import is_number
from bigml.stats.cells import Rows
from bigml.stats.keys import Index, plain
from bigml.stats.moments import Moment, Moments
from bigml.stats.sketches import Buckets, Quantiles, edges

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

    The edges are exact. Values are counted as the quantile sketch keeps them, at most 0.2 % nearer to zero, so that a
    value that close above an edge may be counted below it.

    Args:
        column: A numeric or boolean column.
        bins: The number of bins.
    """

    column: str
    bins: int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> tuple[Moment, Buckets]:
        nothing = np.array([-1])
        moments, sketch = self._cells
        return moments.arrange(moments.empty(), nothing), sketch.arrange(sketch.empty(), nothing)

    @property
    def _cells(self) -> tuple[Moments, Quantiles]:
        return Moments(self.column, spread=False), Quantiles(self.column)

    def update(self, state: tuple[Moment, Buckets], chunk: Chunk) -> tuple[Moment, Buckets]:
        values = Rows(chunk).floats(self.column)
        rows = Rows(Chunk({self.column: values[np.isfinite(values)]}, range(int(np.isfinite(values).sum()))))
        moments, sketch = self._cells
        return self.merge(state, (moments.partial(rows), sketch.partial(rows)))

    def merge(self, left: tuple[Moment, Buckets], right: tuple[Moment, Buckets]) -> tuple[Moment, Buckets]:
        moments, sketch = self._cells
        return moments.merge(left[0], right[0]), sketch.merge(left[1], right[1])

    def finish(self, state: tuple[Moment, Buckets]) -> Counts:
        moment, buckets = state
        low, high = (float(moment.low[0]), float(moment.high[0])) if moment.n[0] else (0.0, 1.0)
        bounds = np.histogram_bin_edges([], self.bins, (low, high))
        inside = np.clip(edges(buckets.codes), low, high)
        place = np.clip(np.searchsorted(bounds, inside, side="right") - 1, 0, self.bins - 1)
        counts = np.zeros(self.bins, np.int64)
        np.add.at(counts, place, buckets.counts)
        return counts, bounds

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return sum(cell.forecast_nbytes(n_rows, 1) for cell in self._cells)


def histogram(
    column: str,
    bins: int | Sequence[float] = 10,
    *,
    schema: pa.Schema,
    range: tuple[float, float] | None = None,
) -> Histogram | RangeHistogram:
    """The reducer whose result is the counts and edges of `numpy.histogram`; missing values are left out.

    With `range` or with edges the counts are exact; values outside are not counted. Without, the bins span the finite
    values that one scan finds, and a value up to 0.2 % above an edge may be counted below it.

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
    if range is None and isinstance(bins, int) and bins > 0:
        return RangeHistogram(column, bins)
    try:
        bounds = np.histogram_bin_edges([], bins, range)
    except (ValueError, TypeError) as error:
        do = f"numpy says: {error}."
        raise ConfigError("a number of bins or ascending edges", got=f"{bins}", where=f"histogram of `{column}`", do=do) from None
    return Histogram(column, tuple(bounds.tolist()))
