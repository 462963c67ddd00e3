"""Witness: a small table that stands for all rows, weighted column by column.

Every preprocessing step that is learned here works on one column at a time. So a table of some hundred rows can stand for
all of them: each column holds every distinct value (or its extremes, or a tally of it) and says how many rows of the data
each of its cells stands for. scikit-learn fits the step on the witness, which gives the fitted object its whole structure;
what depends on all rows is then computed from the weights and installed in public attributes. The transformed witness, with
the same weights, is what the next step learns from: one scan serves any depth of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.learning.summary import Spread, Summary

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Column:
    """What the cells of one column of a witness stand for.

    Attributes:
        weights: Rows of the data that each cell stands for; 0 for cells that only mark a range or fill up.
        spread: The exact spread, where the weighted cells do not tell it.
    """

    weights: NDArray[np.int64]
    spread: Spread | None = None

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
        data: What scikit-learn is given: a DataFrame at first, then whatever the steps before made of it.
        columns: One for each column of the data.
        n_rows: Rows of the real data.
    """

    data: Any
    columns: tuple[Column, ...]
    n_rows: int

    @classmethod
    def of(cls, summaries: Sequence[tuple[str, Summary]], n_rows: int) -> Witness:
        """The witness of raw columns, with the dtypes that pandas gives to all rows together."""
        size = max((len(summary.values) + (summary.missing > 0) for _, summary in summaries), default=1) or 1
        arrays = {name: _cells(summary, size) for name, summary in summaries}
        frame = Chunk(arrays, range(size)).to_pandas()
        return cls(frame, tuple(_column(summary, size) for _, summary in summaries), n_rows)

    def cells(self, position: int) -> NDArray[Any]:
        """The cells of one column."""
        if hasattr(self.data, "iloc"):
            cells: NDArray[Any] = self.data.iloc[:, position].to_numpy()
            return cells
        column = self.data[:, [position]]
        dense: NDArray[Any] = (column.toarray() if hasattr(column, "toarray") else column).ravel()
        return dense

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
        data = self.data.iloc[:, positions] if hasattr(self.data, "iloc") else self.data[:, positions]
        return Witness(data, tuple(self.columns[i] for i in positions), self.n_rows)

    def becomes(self, data: Any, columns: Sequence[Column]) -> Witness:
        """The witness after a step."""
        return Witness(data, tuple(columns), self.n_rows)


def _cells(summary: Summary, size: int) -> pa.Array:
    values = summary.values
    kept = pa.concat_arrays([values, pa.nulls(1, values.type)]) if summary.missing or not len(values) else values
    return kept.take(pa.array(np.minimum(np.arange(size), len(kept) - 1)))


def _column(summary: Summary, size: int) -> Column:
    weights = np.zeros(size, np.int64)
    weights[: len(summary.counts)] = summary.counts
    if summary.missing:
        weights[len(summary.counts)] = summary.missing
    return Column(weights, summary.spread)


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
