"""Batch: rows as an estimator takes them, X with y and weights; and Encoder, which makes batches of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.learning.blas import one_thread_each
from bigml.learning.design import Design
from bigml.learning.finite import refused_cell, refused_number
from bigml.learning.inputs import InputDesign, joined_rows
from bigml.learning.target import Target
from bigml.part import Part

SLICE_ROWS = 1 << 14
"""Rows that are encoded at a time for a reducer that takes slices."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows, encoded.

    Attributes:
        rows: Numbers of the rows in the source, shape (n_rows,).
        X: Array, CSR matrix or DataFrame of shape (n_rows, n_features).
        y: Labels, codes of classes or numbers, shape (n_rows,); None without a target.
        weights: Non-negative float64, shape (n_rows,); None means that every row counts once.
        where: The part that they are from, for errors.
        parts: The parts that they are from, where these are several.
    """

    rows: NDArray[np.int64]
    X: Any
    y: NDArray[Any] | None = None
    weights: NDArray[np.float64] | None = None
    where: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def place(self, row: int | None = None) -> str:
        """The part that a row is from, by its number, or those that all are from."""
        here = [part for part in self.parts if row is None or part.offset <= row < part.offset + part.n_rows]
        return self.where or ", ".join(map(str, here))

    @staticmethod
    def joined(batches: Sequence[Batch]) -> Batch:
        """The rows of all batches, one after another; batches without rows have no say in the kind of X."""
        some = [batch for batch in batches if batch.n_rows] or list(batches[:1])
        if len(some) == 1:
            return some[0]
        X = [batch.X for batch in some]
        dense = joined_rows if getattr(X[0], "dtype", np.dtype(float)).names else np.concatenate
        stack = pd.concat if hasattr(X[0], "iloc") else sparse.vstack if sparse.issparse(X[0]) else dense
        y, weights = (_stacked([getattr(batch, name) for batch in some]) for name in ("y", "weights"))
        parts = tuple(part for batch in some for part in batch.parts)
        return Batch(np.concatenate([batch.rows for batch in some]), stack(X), y, weights, parts=parts)

    def rows_between(self, start: int, stop: int) -> Batch:
        """Rows start to stop (exclusive), without a copy where X is an array."""
        X = self.X.iloc[start:stop] if hasattr(self.X, "iloc") else self.X[start:stop]
        y, weights = (None if values is None else values[start:stop] for values in (self.y, self.weights))
        return Batch(self.rows[start:stop], X, y, weights, self.where, self.parts)

    def take(self, order: NDArray[np.int64]) -> Batch:
        """These rows, in this order."""
        X = self.X
        # `take` is faster than indexing for a matrix; sparse matrices have none.
        X = X.iloc[order] if hasattr(X, "iloc") else X.take(order, axis=0) if isinstance(X, np.ndarray) else X[order]
        y, weights = (None if values is None else values[order] for values in (self.y, self.weights))
        return Batch(self.rows[order], X, y, weights, self.where, self.parts)


def _stacked(values: Sequence[Any]) -> Any:
    return None if values[0] is None else np.concatenate(values)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Makes a batch of a chunk.

    Attributes:
        design: Makes X.
        target: Makes y; None for learning without a target.
        weight: The column of sample weights.
        coded: Whether y are codes 0, 1, ... of the target's classes, not the classes themselves.
    """

    design: Design
    target: Target | None = None
    weight: str | None = None
    coded: bool = False

    @property
    def is_raw(self) -> bool:
        """Whether features are columns as they are read."""
        return self.design.preprocessor is None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        more = [self.target.column] if self.target is not None else []
        return tuple(dict.fromkeys([*self.design.names, *more, *([self.weight] if self.weight else [])]))

    def __call__(self, chunk: Chunk, where: str = "") -> Batch:
        """The batch of the chunk.

        Raises:
            DataError: The target is missing or no known class, a weight is negative or missing, or preprocessing refuses.
        """
        X = self.design.matrix(chunk) if chunk.n_rows else np.empty((0, 0))
        return Batch(chunk.row_numbers, X, self._y(chunk, where), self._weights(chunk, where), where)

    def slices(self, chunk: Chunk, where: str = "") -> Iterator[Batch]:
        """The batch of the chunk in short pieces, which stay in a processor's cache from decoding to adding up.

        Raises:
            DataError: As of the whole batch; its target and weights are looked at before its features.
        """
        whole = Batch(chunk.row_numbers, np.empty((chunk.n_rows, 0)), self._y(chunk, where), self._weights(chunk, where), where)
        for i, X in enumerate(self.design.blocks(chunk, SLICE_ROWS)):
            yield replace(whole.rows_between(i * SLICE_ROWS, i * SLICE_ROWS + len(X)), X=X)

    def _y(self, chunk: Chunk, where: str) -> NDArray[Any] | None:
        if self.target is None:
            return None
        if self.coded and self.target.classes is not None:
            return self.target.codes(chunk, self.target.classes, where)
        return self.target.values(chunk, where)

    def _weights(self, chunk: Chunk, where: str) -> NDArray[np.float64] | None:
        if self.weight is None:
            return None
        weights = chunk.floats(self.weight)
        bad = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
        if len(bad):
            place = f"column `{self.weight}`, row {chunk.row_numbers[bad[0]]:,}{f', {where}' if where else ''}"
            got = "a missing value" if np.isnan(weights[bad[0]]) else f"{weights[bad[0]]:g}"
            raise DataError("finite weights of 0 or more", got=got, where=place, do="Repair or drop these rows.")
        return weights

    def checked(self, batch: Batch) -> Batch:
        """The batch with a matrix for X, when all its features are finite numbers.

        Raises:
            DataError: One is not, or is no number; the column is named.
        """
        if isinstance(self.design, InputDesign):
            return batch  # which was looked at when it was made
        batch = replace(batch, X=self._numbers(batch))
        values = batch.X.data if hasattr(batch.X, "tocoo") else batch.X
        with np.errstate(over="ignore", invalid="ignore"):
            # The sum tells without a mask; one that overflows only costs the longer look.
            suspect = not np.isfinite(np.sum(values, dtype=np.result_type(values, np.float32)))
        if suspect and (error := refused_number(batch.X, self.features(batch.X.shape[1]), batch.rows, batch.where)) is not None:
            raise error
        return batch

    def _numbers(self, batch: Batch) -> Any:
        """X as a matrix of numbers, also where preprocessing makes a DataFrame or objects."""
        if not hasattr(batch.X, "iloc") and batch.X.dtype != object:
            return batch.X
        cells = np.asarray(batch.X)
        try:
            return cells.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise refused_cell(cells, self.features(cells.shape[1]), batch.rows, batch.where) or error from error

    def features(self, n: int) -> Sequence[str]:
        """The names of n features."""
        names = self.design.features
        return names if len(names) == n else [f"feature {i}" for i in range(n)]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A reducer of chunks: encodes each chunk once and hands the batch to a reducer of batches.

    A reducer that says `slices` is given several short batches of a chunk instead, where no preprocessing makes them dear.
    """

    encoder: Encoder
    inner: Any

    @property
    def columns(self) -> tuple[str, ...]:
        return self.encoder.columns

    def start(self) -> Any:
        return self.inner.start()

    def update(self, state: Any, chunk: Chunk) -> Any:
        if not chunk.n_rows:
            return state
        sliced = getattr(self.inner, "slices", False) and self.encoder.is_raw and self.encoder.design.dtype is not None
        with one_thread_each():
            for batch in self.encoder.slices(chunk) if sliced else (self.encoder(chunk),):
                state = self.inner.update(state, self.encoder.checked(batch))
        return state

    def merge(self, left: Any, right: Any) -> Any:
        return self.inner.merge(left, right)

    def finish(self, state: Any) -> Any:
        return self.inner.finish(state)

    def forecast_nbytes(self, n_rows: int) -> int:
        forecast = getattr(self.inner, "forecast_nbytes", None)
        return int(forecast(n_rows)) if forecast is not None else 1 << 20
