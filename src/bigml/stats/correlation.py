"""Correlation: covariances and correlations of pairs of columns, each over the rows that have both values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, SchemaError
from bigml.stats.aggregations import is_number
from bigml.stats.keys import plain

if TYPE_CHECKING:
    import pandas as pd

Matrix = NDArray[np.float64]


class Pairs(NamedTuple):
    """Of each pair (i, j), over the rows that have both: rows, mean and squares of i, products of deviations.

    Means are kept as differences from `origin`, one number per column near its values, so that large means lose nothing.
    """

    origin: Matrix
    n: Matrix
    mean: Matrix
    squares: Matrix
    products: Matrix


@dataclass(frozen=True)
class CoMoments:
    """Centred second moments of pairs of columns, merged as by Chan, Golub and LeVeque (1983); not-finite is missing.

    Memory: four matrices of shape (n_columns, n_columns).

    Args:
        columns: Numeric or boolean columns.
        scaled: Whether the result is the correlation, not the covariance.
    """

    columns: tuple[str, ...]
    scaled: bool = False

    def start(self) -> Pairs:
        size = len(self.columns)
        return Pairs(np.zeros(size), *(np.zeros((size, size)) for _ in range(4)))

    def update(self, state: Pairs, chunk: Chunk) -> Pairs:
        return self.merge(state, _pairs(chunk.matrix(self.columns))) if chunk.n_rows else state

    def merge(self, left: Pairs, right: Pairs) -> Pairs:
        n = left.n + right.n
        share = right.n / np.maximum(n, 1)
        origin = np.where(left.n.diagonal() > 0, left.origin, right.origin)
        right_mean = right.mean + (right.origin - origin)[:, None]
        delta = right_mean - left.mean
        weight = left.n * share
        mean = np.where(left.n > 0, left.mean + delta * share, right_mean)
        squares = left.squares + right.squares + delta**2 * weight
        return Pairs(origin, n, mean, squares, left.products + right.products + delta * delta.T * weight)

    def finish(self, state: Pairs) -> pd.DataFrame:
        import pandas as pd

        values = _correlation(state) if self.scaled else _ratio(state.products, state.n - 1)
        return pd.DataFrame(values, index=list(self.columns), columns=list(self.columns))

    def forecast_nbytes(self, n_rows: int) -> int:
        """The bytes of one state."""
        return 32 * len(self.columns) ** 2


def _pairs(values: Matrix) -> Pairs:
    known = np.isfinite(values)
    clean = np.where(known, values, 0.0)
    shift = clean.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - shift, 0.0) if not known.all() else values - shift
    weights = known.astype(np.float64)
    n = weights.T @ weights
    sums = centred.T @ weights
    products = centred.T @ centred - sums * sums.T / np.maximum(n, 1)
    squares = (centred**2).T @ weights - sums**2 / np.maximum(n, 1)
    return Pairs(shift, n, sums / np.maximum(n, 1), np.maximum(squares, 0), products)


def _ratio(above: Matrix, below: Matrix) -> Matrix:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)


def _correlation(state: Pairs) -> Matrix:
    scale = np.sqrt(state.squares * state.squares.T)
    values = np.clip(np.where(state.n > 1, _ratio(state.products, scale), np.nan), -1, 1)
    diagonal = np.diag(values)
    np.fill_diagonal(values, np.where(np.isnan(diagonal), np.nan, 1.0))
    return values


def covariance(columns: Sequence[str] | None = None, *, schema: pa.Schema) -> CoMoments:
    """The reducer whose result is `frame.cov()` in pandas: each pair over the rows that have both values.

    Infinities are missing. Memory does not grow with the rows.

    Args:
        columns: Numeric or boolean columns; by default all of them.
        schema: The types of all columns.

    Raises:
        ColumnError: No such column.
        SchemaError: A column is not numeric, or there is none.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 7.0]})
    >>> float(reduce_chunks(covariance(schema=table.schema), [Chunk.from_arrow(table)]).loc["x", "y"])
    2.5
    """
    return CoMoments(_numeric(columns, schema))


def correlation(columns: Sequence[str] | None = None, *, schema: pa.Schema) -> CoMoments:
    """The reducer whose result is `frame.corr()` in pandas: each pair over the rows that have both values.

    See `covariance` for arguments, errors and memory.
    """
    return CoMoments(_numeric(columns, schema), scaled=True)


def _numeric(columns: Sequence[str] | None, schema: pa.Schema) -> tuple[str, ...]:
    fits = {field.name: is_number(plain(field.type)) or pa.types.is_boolean(field.type) for field in schema}
    names = tuple(name for name, fit in fits.items() if fit) if columns is None else tuple(columns)
    for name in names:
        if name not in fits:
            raise ColumnError.missing(name, schema.names)
        if not fits[name]:
            got = f"type {schema.field(name).type}"
            raise SchemaError("a numeric column", got=got, where=f"column `{name}`", do="Encode it, or leave it out.")
    if not names:
        raise SchemaError("one or more numeric columns", got="none")
    return names
