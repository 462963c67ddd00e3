"""Surveying: what one scan finds out about columns, as they are read or as the steps fitted so far make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.learning.design import Design
from bigml.learning.preprocessing.summarising import summary_of
from bigml.learning.preprocessing.summary import FREE, Spread, Summary, Want, Wants, plain
from bigml.stats.reducer import Product

GLIMPSED = 8
"""Rows that are kept as they are, to show what a step makes of real rows."""


class _Rows(NamedTuple):
    numbers: NDArray[np.int64]
    table: pa.Table | None


@dataclass(frozen=True)
class FirstRows:
    """A reducer: the first few rows."""

    columns: tuple[str, ...]

    def start(self) -> _Rows:
        return _Rows(np.empty(0, np.int64), None)

    def update(self, state: _Rows, chunk: Chunk) -> _Rows:
        full = len(state.numbers) == GLIMPSED and chunk.n_rows and state.numbers[-1] < chunk.rows[0]
        if full or not chunk.n_rows:
            return state
        table = chunk.select(self.columns).slice(0, GLIMPSED).to_arrow()
        decoded = pa.table([_decoded(column) for column in table.columns], names=self.columns)
        return self.merge(state, _Rows(np.array(chunk.rows[:GLIMPSED]), decoded))

    def merge(self, left: _Rows, right: _Rows) -> _Rows:
        if left.table is None or right.table is None:
            return right if left.table is None else left
        numbers = np.concatenate([left.numbers, right.numbers])
        order = np.argsort(numbers, kind="stable")[:GLIMPSED]
        return _Rows(numbers[order], pa.concat_tables([left.table, right.table]).take(pa.array(order)))

    def finish(self, state: _Rows) -> Chunk | None:
        if state.table is None:
            return None
        return Chunk({name: state.table.column(name) for name in self.columns}, state.numbers)

    def forecast_nbytes(self, n_rows: int) -> int:
        return 1 << 16


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


@dataclass(frozen=True, eq=False)
class Surveyed:
    """A reducer of chunks: a summary of every column of a design's matrix, in the order of the columns.

    Args:
        design: Makes the matrix; its steps are fitted.
        rows: A few rows of that matrix, which show its kind.
        wanted: What must be known of each of its columns.
    """

    design: Design
    rows: Any
    wanted: tuple[Wants, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def inner(self) -> Any:
        """The reducer of the matrix's columns."""
        few = frozenset(want for wants in self.wanted for want in wants) <= FREE | {Want.MOMENTS, Want.MISSING}
        if sparse.issparse(self.rows) and few:
            return SparseMeasured(self.design, self.rows.shape[1])
        frame = columns_of(self.rows, np.arange(self.rows.shape[0]))
        pairs = zip(frame.names, self.wanted, strict=True)
        return Product(tuple(summary_of(pa.field(name, _promoted(frame.kind(name))), wants) for name, wants in pairs))

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, chunk: Chunk) -> Any:
        if not chunk.n_rows:
            return state
        inner = self.inner
        return inner.update(
            state, chunk if isinstance(inner, SparseMeasured) else columns_of(self.design.matrix(chunk), chunk.rows)
        )

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> list[Summary]:
        found = self.inner.finish(state)
        return found.summaries() if isinstance(found, Columns) else list(found)

    def forecast_nbytes(self, n_rows: int) -> int:
        return (1 << 20) + 512 * len(self.wanted)


def _promoted(kind: pa.DataType) -> pa.DataType:
    """The type that cells of a column may have in any chunk: integers become floats where one is missing."""
    return pa.float64() if pa.types.is_floating(kind) else kind


def columns_of(matrix: Any, rows: Any) -> Chunk:
    """A matrix of any kind as a chunk of named columns."""
    if hasattr(matrix, "iloc"):
        frame = matrix.to_frame() if matrix.ndim == 1 else matrix
        arrays = [_array(frame.iloc[:, i]) for i in range(frame.shape[1])]
        return Chunk(dict(zip(_distinct(frame.columns), arrays, strict=True)), rows)
    if sparse.issparse(matrix):
        by_column = matrix.tocsc()
        columns = [by_column[:, [i]].toarray().ravel() for i in range(matrix.shape[1])]
    else:
        columns = list(np.ascontiguousarray(np.asarray(matrix).T))
    arrays = [_array(column) if column.dtype == object else pa.array(column) for column in columns]
    return Chunk(dict(zip(_distinct(range(len(arrays))), arrays, strict=True)), rows)


def _array(values: Any) -> pa.Array:
    made = pa.Array.from_pandas(values)
    made = pa.concat_arrays(made.chunks) if isinstance(made, pa.ChunkedArray) else made
    return made.cast(plain(made.type))


def _distinct(names: Any) -> list[str]:
    """Names as strings, by number where they are numbers or come twice."""
    texts = [name if isinstance(name, str) else f"feature {i}" for i, name in enumerate(names)]
    return texts if len(set(texts)) == len(texts) else [f"feature {i}" for i in range(len(texts))]


class Columns(NamedTuple):
    """What is known of all columns: rows with a value, means, squared deviations, extremes, rows without a value."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing: NDArray[np.int64]

    def summaries(self) -> list[Summary]:
        """One for each column."""
        knows = frozenset([Want.MISSING, Want.MOMENTS])
        spreads = [Spread(int(n), float(mean), float(squares)) for n, mean, squares in zip(*self[:3], strict=True)]
        extremes = np.column_stack([self.low, self.high])
        values = [pa.array(pair if spread.count else pair[:0]) for pair, spread in zip(extremes, spreads, strict=True)]
        return [
            Summary(value, np.zeros(len(value), np.int64), int(missing), spread=spread, knows=knows)
            for value, missing, spread in zip(values, self.missing, spreads, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class SparseMeasured:
    """A reducer of chunks: moments and extremes of all columns of a design's sparse matrix at once.

    It takes time that grows with the stored values.
    Squared deviations are taken from each matrix's own means and merged as by Chan, Golub and LeVeque (1983).
    """

    design: Design
    width: int

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.names

    def start(self) -> Columns:
        nothing, none = np.zeros(self.width, np.int64), np.zeros(self.width)
        return Columns(nothing, none, none, np.full(self.width, np.inf), np.full(self.width, -np.inf), nothing)

    def update(self, state: Columns, chunk: Chunk) -> Columns:
        if not chunk.n_rows:
            return state
        matrix = sparse.csc_matrix(self.design.matrix(chunk))
        columns = np.repeat(np.arange(self.width), np.diff(matrix.indptr))
        present = ~np.isnan(matrix.data)
        columns, values, places = columns[present], matrix.data[present].astype(np.float64), matrix.indices[present]
        if np.isinf(values).any():
            at = int(np.flatnonzero(np.isinf(values))[0])
            where = f"feature {columns[at]}, row {chunk.row_numbers[places[at]]:,}"
            raise DataError("finite numbers", got="infinity", where=where, do="Repair or drop these rows.")
        n = matrix.shape[0] - (np.diff(matrix.indptr) - np.bincount(columns, minlength=self.width))
        return self.merge(state, self._of(columns, values, n, matrix.shape[0] - n))

    def _of(self, columns: Any, values: Any, n: Any, missing: Any) -> Columns:
        zeros = n - np.bincount(columns, minlength=self.width)
        mean = np.bincount(columns, values, self.width) / np.maximum(n, 1)
        squares = np.bincount(columns, (values - mean[columns]) ** 2, self.width) + zeros * mean**2
        low, high = np.where(zeros > 0, 0.0, np.inf), np.where(zeros > 0, 0.0, -np.inf)
        np.minimum.at(low, columns, values)
        np.maximum.at(high, columns, values)
        return Columns(n, mean, squares, low, high, missing)

    def merge(self, left: Columns, right: Columns) -> Columns:
        n = left.n + right.n
        share, delta = right.n / np.maximum(n, 1), right.mean - left.mean
        squares = left.squares + right.squares + delta * delta * left.n * share
        low, high = np.minimum(left.low, right.low), np.maximum(left.high, right.high)
        return Columns(n, left.mean + delta * share, squares, low, high, left.missing + right.missing)

    def finish(self, state: Columns) -> Columns:
        return state

    def forecast_nbytes(self, n_rows: int) -> int:
        return 64 * self.width


@dataclass(frozen=True, eq=False)
class Stored:
    """A reducer of chunks: how many values the sparse matrix of all rows stores."""

    design: Design

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.names

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: Chunk) -> int:
        return state + int(sparse.csr_matrix(self.design.matrix(chunk)).nnz) if chunk.n_rows else state

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, state: int) -> int:
        return state
