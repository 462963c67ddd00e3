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
    """Of each pair (i, j), over the rows that have both: rows, least, greatest, mean and squares of i, products of deviations.

    Means are kept as differences from `origin`, the rounded mean of the first rows, so that large means lose nothing.
    """

    origin: Matrix
    n: Matrix
    least: Matrix
    greatest: Matrix
    mean: Matrix
    squares: Matrix
    products: Matrix


@dataclass(frozen=True)
class CoMoments:
    """Centred second moments of pairs of columns, merged as by Chan, Golub and LeVeque (1983); not-finite is missing.

    Memory: seven matrices of shape (n_columns, n_columns).

    Args:
        columns: Numeric or boolean columns.
        scaled: Whether the result is the correlation, not the covariance.
    """

    columns: tuple[str, ...]
    scaled: bool = False

    def start(self) -> Pairs:
        return _nothing(len(self.columns))

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, state: Pairs, chunk: Chunk) -> Pairs:
        values = np.ascontiguousarray(chunk.matrix(self.columns).T)
        return self.merge(state, _pairs(values)) if chunk.n_rows else state

    @np.errstate(over="ignore", invalid="ignore")
    def merge(self, left: Pairs, right: Pairs) -> Pairs:
        n = left.n + right.n
        share = right.n / np.maximum(n, 1)
        origin = np.where(left.n > 0, left.origin, right.origin)
        right_mean = right.mean + (right.origin - origin)
        delta = right_mean - left.mean
        weight = left.n * share
        mean = np.where(left.n > 0, left.mean + delta * share, right_mean)
        squares = left.squares + right.squares + delta**2 * weight
        products = left.products + right.products + delta * delta.T * weight
        least, greatest = np.minimum(left.least, right.least), np.maximum(left.greatest, right.greatest)
        return Pairs(origin, n, least, greatest, mean, squares, products)

    @np.errstate(over="ignore", invalid="ignore")
    def finish(self, state: Pairs) -> pd.DataFrame:
        import pandas as pd

        state = _without_rounding(state)
        values = _correlation(state) if self.scaled else _ratio(state.products, state.n - 1)
        return pd.DataFrame(values, index=list(self.columns), columns=list(self.columns))

    def forecast_nbytes(self, n_rows: int) -> int:
        """The bytes of one state."""
        return 56 * len(self.columns) ** 2


def _nothing(size: int) -> Pairs:
    origin, n, mean, squares, products = (np.zeros((size, size)) for _ in range(5))
    return Pairs(origin, n, np.full((size, size), np.inf), np.full((size, size), -np.inf), mean, squares, products)


def _pairs(values: Matrix) -> Pairs:
    """Of values of shape (n_columns, n_rows). Columns known in the same rows are taken together, by one product of matrices."""
    known = np.isfinite(values)
    alike: dict[bytes, list[int]] = {}
    for column, rows in enumerate(np.packbits(known, axis=1)):
        alike.setdefault(rows.tobytes(), []).append(column)
    state = _nothing(len(values))
    groups = list(alike.values())
    for i, some in enumerate(groups):
        for others in groups[i:]:
            rows = known[some[0]] & known[others[0]]
            if rows.any():
                _add_pairs(state, some, others, values, rows)
    return state


def _add_pairs(state: Pairs, some: list[int], others: list[int], values: Matrix, rows: NDArray[np.bool_]) -> None:
    """Writes into `state` what is told by the rows in which both groups of columns have values."""
    left, left_sums = _spread(state, some, others, values, rows)
    right, right_sums = (left, left_sums) if some is others else _spread(state, others, some, values, rows)
    products = left @ right.T - np.outer(left_sums, right_sums) / left.shape[1]
    state.products[np.ix_(some, others)] = products
    state.products[np.ix_(others, some)] = products.T


def _spread(
    state: Pairs, columns: list[int], others: list[int], values: Matrix, rows: NDArray[np.bool_]
) -> tuple[Matrix, Matrix]:
    """Deviations of the columns from their rounded means, and the sums of these."""
    apart = values[columns] if rows.all() else values[columns][:, rows]
    least, greatest, origin = apart.min(axis=1), apart.max(axis=1), apart.mean(axis=1)
    apart -= origin[:, None]
    n, sums = apart.shape[1], apart.sum(axis=1)
    squares = np.maximum(np.einsum("ij,ij->i", apart, apart) - sums**2 / n, 0)
    told = Pairs(origin, np.full(len(columns), n), least, greatest, sums / n, squares, squares)
    for matrix, of_columns in zip(state[:-1], told, strict=False):
        matrix[np.ix_(columns, others)] = of_columns[:, None]
    return apart, sums


def _without_rounding(state: Pairs) -> Pairs:
    """A column that is constant in the rows of a pair has no spread, however its mean was rounded."""
    constant = state.least >= state.greatest
    squares, products = np.where(constant, 0, state.squares), np.where(constant | constant.T, 0, state.products)
    return state._replace(squares=squares, products=products)


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
