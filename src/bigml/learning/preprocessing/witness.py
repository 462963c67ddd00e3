"""Witness: a small table that stands for all rows, weighted column by column.

Every preprocessing step that is learned here works on one column at a time. So a table of some hundred rows can stand for
all of them: each column holds every distinct value (or its extremes, or a tally of it) and says how many rows of the data
each of its cells stands for. scikit-learn fits the step on the witness, which gives the fitted object its whole structure;
what depends on all rows is then computed from the weights and installed in public attributes. The transformed witness, with
the same weights, is what the next step learns from: one scan serves any depth of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from bigml.chunk import Chunk
from bigml.learning.preprocessing.summary import FREE, Spread, Summary, Want, Wants

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Column:
    """What the cells of one column of a witness stand for.

    Attributes:
        weights: Rows of the data that each cell stands for; 0 for cells that only mark a range or fill up.
        spread: The exact spread, where the weighted cells do not tell it.
        knows: What the cells tell of all rows: all of it where `Want.VALUES` is among it, where every value has a cell.
    """

    weights: NDArray[np.int64]
    spread: Spread | None = None
    knows: Wants = frozenset()

    @property
    def size(self) -> int:
        """How many cells tell something: the first two may mark a range, those behind the last that stands for rows fill up."""
        return min(max([1, *np.flatnonzero(self.weights)[-1:]]) + 1, len(self.weights))

    def cut(self, size: int) -> Column:
        """The column of the first cells."""
        return self if size == len(self.weights) else replace(self, weights=self.weights[:size])

    def holds(self, wanted: Wants) -> bool:
        """Whether the cells tell what is wanted."""
        return Want.VALUES in self.knows or wanted - FREE <= self.knows

    def mapped(self) -> Column:
        """The column after any function of its values: known when every value is."""
        if Want.VALUES in self.knows:
            return Column(self.weights, None, frozenset([Want.VALUES]))
        return Column(np.zeros_like(self.weights))

    def measure(self, cells: NDArray[Any]) -> Spread:
        """Count, mean and squared deviations of the column whose cells these are."""
        if self.spread is not None:
            return self.spread
        numbers = np.asarray(cells, dtype=np.float64)
        present = ~np.isnan(numbers)
        return Spread.of(numbers[present], self.weights[present])

    def affine(self, slope: float, shift: float) -> Column:
        """The column after slope * x + shift."""
        return self if self.spread is None else replace(self, spread=self.spread.affine(slope, shift))

    def filled(self, fill: float, missing: int) -> Column:
        """The column after its missing cells were filled."""
        return self if self.spread is None else replace(self, spread=self.spread.filled(fill, missing))


@dataclass(frozen=True, eq=False)
class Witness:
    """The table that a step is fitted on, and what its cells stand for.

    Attributes:
        make: Makes the data, when they are first looked at: behind the last step nobody does.
        columns: One for each column of the data.
        n_rows: Rows of the real data.
        stored: Values that a sparse matrix of all rows stores, where the data are sparse and that is known.
    """

    make: Callable[[], Any]
    columns: tuple[Column, ...]
    n_rows: int

    stored: int | None = None

    @cached_property
    def data(self) -> Any:
        """What scikit-learn is given: a DataFrame at first, then whatever the steps before made of it."""
        return self.make()

    @classmethod
    def of(cls, summaries: Sequence[tuple[str, Summary]], n_rows: int) -> Witness:
        """The witness of raw columns, with the dtypes that pandas gives to all rows together."""
        arrays, columns = _laid_out([summary for _, summary in summaries])
        names = [name for name, _ in summaries]
        size = len(arrays[0]) if arrays else 1
        return cls(Chunk(dict(zip(names, arrays, strict=True)), range(size)).to_pandas, columns, n_rows)

    @classmethod
    def like(cls, rows: Any, summaries: Sequence[Summary], n_rows: int) -> Witness:
        """The witness of the columns of a matrix, of the same kind and dtype as these rows of it."""
        arrays, columns = _laid_out(summaries)
        if hasattr(rows, "iloc"):
            frame = Chunk({str(i): array for i, array in enumerate(arrays)}, range(len(arrays[0]))).to_pandas()
            return cls(lambda: frame.set_axis(rows.columns, axis=1), columns, n_rows)
        cells = np.column_stack([array.to_numpy(zero_copy_only=False) for array in arrays])
        cells = cells.astype(rows.dtype) if rows.dtype.kind == "f" else cells
        return cls(lambda: sparse.csr_matrix(cells) if sparse.issparse(rows) else cells, columns, n_rows)

    @classmethod
    def unknown(cls, data: Any, n_rows: int) -> Witness:
        """A witness that shows the kind of the columns and tells nothing of their values."""
        size, width = (*np.shape(data), 1)[:2]
        return cls(lambda: data, (Column(np.zeros(size, np.int64)),) * width, n_rows)

    def holds(self, wanted: Sequence[Wants]) -> bool:
        """Whether all that is wanted of each column is known."""
        return all(column.holds(wants) for column, wants in zip(self.columns, wanted, strict=True))

    def cells(self, position: int) -> NDArray[Any]:
        """The cells of one column."""
        if hasattr(self.data, "iloc"):
            cells: NDArray[Any] = self.data.iloc[:, position].to_numpy()
            return cells
        if not sparse.issparse(self.data):
            return self.data[:, position]
        dense: NDArray[Any] = self._by_column[:, [position]].toarray().ravel()
        return dense

    @cached_property
    def _by_column(self) -> Any:
        return self.data.tocsc()

    @property
    def names(self) -> list[str]:
        """The names of the columns; numbers where they have none."""
        return [str(name) for name in self.data.columns] if hasattr(self.data, "columns") else list(map(str, range(self.width)))

    @property
    def width(self) -> int:
        return len(self.columns)

    def missing(self, position: int) -> int:
        """Rows of the data without a value in this column."""
        import pandas as pd

        return int(self.columns[position].weights[pd.isna(self.cells(position))].sum())

    def spreads(self) -> list[Spread]:
        """The spread of every column."""
        return [column.measure(self.cells(i)) for i, column in enumerate(self.columns)]

    def select(self, chosen: Any) -> Witness:
        """Some columns, chosen in any way that a ColumnTransformer understands."""
        positions = positions_of(self.data, chosen)
        columns = [self.columns[i] for i in positions]
        size = max((column.size for column in columns), default=1)
        data = self.data.iloc[:size, positions] if hasattr(self.data, "iloc") else self.data[:size][:, positions]
        return Witness(lambda: data, tuple(column.cut(size) for column in columns), self.n_rows)

    def becomes(self, data: Any, columns: Sequence[Column], stored: int | None = None) -> Witness:
        """The witness after a step that made these data of it."""
        return Witness(lambda: data, tuple(columns), self.n_rows, stored)

    def after(self, step: Any, columns: Sequence[Column], stored: int | None = None) -> Witness:
        """The witness after a fitted step, which takes these data for certain."""
        return Witness(lambda: step.transform(self.data), tuple(columns), self.n_rows, stored)

    def weighted(self, weight: float | None) -> Witness:
        """The witness of the columns times a number."""
        if weight is None:
            return self
        columns = tuple(column.affine(weight, 0.0) for column in self.columns)
        return Witness(lambda: self.data * weight, columns, self.n_rows, self.stored)

    def table(self, values: NDArray[np.float64]) -> Any:
        """Numbers of shape (n, width) as a table of the same kind as the data, with its names."""
        if hasattr(self.data, "iloc"):
            return type(self.data)(values, columns=self.data.columns)
        return sparse.csr_matrix(values) if sparse.issparse(self.data) else values

    def n_as_sparse(self) -> int | None:
        """Values that a sparse matrix of all rows stores, into which dense columns go without their zeros; None: not known."""
        if self.stored is not None or not all(Want.VALUES in column.knows for column in self.columns):
            return self.stored
        if not sparse.issparse(self.data):
            return sum(int(column.weights[self.cells(i) != 0].sum()) for i, column in enumerate(self.columns))
        ends, rows = self._by_column.indptr, self._by_column.indices
        # Neighbours that one column was encoded to share their weights.
        runs = [list(run) for _, run in groupby(range(self.width), key=lambda i: id(self.columns[i].weights))]
        return sum(int(self.columns[run[0]].weights[rows[ends[run[0]] : ends[run[-1] + 1]]].sum()) for run in runs)


def beside(witnesses: Sequence[Witness], rows: Any, n_rows: int) -> Witness:
    """Witnesses side by side, as a table of the same kind as these rows of the whole; shorter ones are filled up."""
    size = max((len(column.weights) for witness in witnesses for column in witness.columns[:1]), default=1)
    # Very many columns of which nothing is known share one object.
    made = {column: _padded(column, size) for witness in witnesses for column in set(witness.columns)}
    columns = tuple(made[column] for witness in witnesses for column in witness.columns)
    stored = [witness.n_as_sparse() for witness in witnesses] if sparse.issparse(rows) else [None]
    total = None if None in stored else sum(count for count in stored if count is not None)
    return Witness(lambda: _side_by_side(witnesses, rows, size), columns, n_rows, total)


def _side_by_side(witnesses: Sequence[Witness], rows: Any, size: int) -> Any:
    blocks = [_stretched(witness.data, size) for witness in witnesses if witness.width]
    if hasattr(rows, "iloc"):
        return _joined(blocks, size).set_axis(rows.columns, axis=1)
    if sparse.issparse(rows):
        return sparse.hstack(blocks, format="csr")
    dense = [block.toarray() if sparse.issparse(block) else np.asarray(block) for block in blocks]
    return np.hstack(dense) if dense else np.empty((size, 0))


def _joined(blocks: Sequence[Any], size: int) -> pd.DataFrame:
    import pandas as pd

    frames = [block if hasattr(block, "iloc") else pd.DataFrame(block) for block in blocks]
    return pd.concat([frame.reset_index(drop=True) for frame in frames], axis=1) if frames else pd.DataFrame(index=range(size))


def _stretched(data: Any, size: int) -> Any:
    rows = np.minimum(np.arange(size), data.shape[0] - 1)
    return data.iloc[rows] if hasattr(data, "iloc") else data[rows]


def _padded(column: Column, size: int) -> Column:
    if len(column.weights) == size:
        return column
    return replace(column, weights=np.concatenate([column.weights, np.zeros(size - len(column.weights), np.int64)]))


def _laid_out(summaries: Sequence[Summary]) -> tuple[list[pa.Array], tuple[Column, ...]]:
    """Cells of all columns, equally many, and what they stand for."""
    size = max((len(summary.values) + (summary.missing > 0) for summary in summaries), default=1) or 1
    return [_cells(summary, size) for summary in summaries], tuple(_column(summary, size) for summary in summaries)


def _cells(summary: Summary, size: int) -> pa.Array:
    values = summary.values
    kept = pa.concat_arrays([values, pa.nulls(1, values.type)]) if summary.missing or not len(values) else values
    return kept.take(pa.array(np.minimum(np.arange(size), len(kept) - 1)))


def _column(summary: Summary, size: int) -> Column:
    weights = np.zeros(size, np.int64)
    weights[: len(summary.counts)] = summary.counts
    if summary.missing:
        weights[len(summary.counts)] = summary.missing
    return Column(weights, summary.spread, summary.knows)


def positions_of(data: Any, chosen: Any) -> list[int]:
    """The positions of columns chosen by name(s), number(s), slice, mask or function, as in a ColumnTransformer."""
    if callable(chosen):
        return positions_of(data, chosen(data))
    names: pd.Index[Any] | None = getattr(data, "columns", None)
    if isinstance(chosen, slice):
        if names is not None and (isinstance(chosen.start, str) or isinstance(chosen.stop, str)):
            chosen = names.slice_indexer(chosen.start, chosen.stop, chosen.step)
        return list(range(*chosen.indices(data.shape[1])))
    keys = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if keys and all(isinstance(key, bool | np.bool_) for key in keys):
        return [int(i) for i in np.flatnonzero(keys)]
    if names is None:
        return [int(key) % data.shape[1] for key in keys]
    return [list(names).index(key) if isinstance(key, str) else int(key) % len(names) for key in keys]
