"""Inputs: the columns that a Keras model asks for by name, as rows of one structured array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ColumnError, DataError, FitError
from bigml.learning.design import Design
from bigml.learning.preprocessing.summary import is_number, plain

MOST_TEXT = 1 << 30
"""Bytes of one column of texts in a part: each takes as many as the longest of them."""


@dataclass(frozen=True)
class Input:
    """What a model asks for under one name.

    Attributes:
        name: Of the input, and of its column; an input `pixel` of several numbers has the columns `pixel0`, `pixel1`, ...
        kind: "number" (fed as float32), "integer" (int64) or "text".
        shape: Of one row.
    """

    name: str
    kind: str = "number"
    shape: tuple[int, ...] = (1,)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read for it.

        >>> Input("job", "text").columns, Input("x", shape=(2,)).columns
        (('job',), ('x0', 'x1'))
        """
        width = prod(self.shape)
        return (self.name,) if width == 1 else tuple(f"{self.name}{i}" for i in range(width))

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns that it cannot be fed.

        Raises:
            ColumnError: One is not there.
            FitError: One is of another kind.
        """
        for column in self.columns:
            if column not in schema.names:
                raise ColumnError.missing(column, schema.names, where=f"for the model's input `{self.name}`")
            kind = plain(schema.field(column).type)
            if not (_is_text(kind) or pa.types.is_integer(kind) if self.kind == "text" else is_number(kind)):
                do = 'Give the Input layer the dtype "string", or make numbers of it by source.assign(...).'
                do = "Make text of it by source.assign(...)." if self.kind == "text" else do
                where = f"column `{column}`, for the model's input of this kind"
                raise FitError(f"a column of {_PLURALS[self.kind]}", got=f"{kind}", where=where, do=do)


_PLURALS = {"number": "numbers", "integer": "whole numbers", "text": "text"}


@dataclass(frozen=True, eq=False)
class InputDesign(Design):
    """A chunk's columns as one structured array with a field for each input: it is mapped, cut and gathered like a matrix.

    Attributes:
        inputs: What the model asks for.
    """

    inputs: tuple[Input, ...] = ()

    @classmethod
    def of(cls, inputs: Sequence[Input], schema: pa.Schema) -> InputDesign:
        """Of the inputs of a model, whose columns are there.

        Raises:
            ColumnError: One is not.
            FitError: One is of another kind.
        """
        for one in inputs:
            one.check(schema)
        return cls(tuple(dict.fromkeys(name for one in inputs for name in one.columns)), None, None, tuple(inputs))

    def matrix(self, chunk: Chunk) -> NDArray[Any]:
        """Shape (chunk.n_rows, 1), with a field for each input: float32, int64, or bytes as long as the longest text.

        Raises:
            DataError: A value is missing, has a fraction where whole numbers are asked for, or a text is very long.
        """
        values = {one.name: _READ[one.kind](chunk, one) for one in self.inputs}
        fields = [(name, array.dtype, array.shape[1:]) for name, array in values.items()]
        rows = np.empty((chunk.n_rows, 1), dtype=fields)
        for name, array in values.items():
            rows[name][:, 0] = array
        return rows


def inputs_of(model: Any) -> tuple[Input, ...]:
    """What a functional Keras model with named inputs asks for; empty for a model of one input without a name of its own."""
    given = getattr(model, "input", None)  # a Sequential has none before it is called
    if isinstance(model.input_shape, tuple) and not isinstance(given, dict):
        return ()
    named = given.items() if isinstance(given, dict) else [(one.name, one) for one in model.inputs]
    return tuple(Input(name, _kind(str(one.dtype)), tuple(int(size) for size in one.shape[1:])) for name, one in named)


def _kind(dtype: str) -> str:
    return "text" if dtype == "string" else "integer" if "int" in dtype else "number"


def fields_of(rows: NDArray[Any], inputs: Sequence[Input]) -> Mapping[str, NDArray[Any]]:
    """What a model is fed of the rows of an `InputDesign`: by input an array of its shape."""
    return {one.name: np.ascontiguousarray(rows[one.name]).reshape(len(rows), *one.shape) for one in inputs}


def common(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """A type for the rows of all of these: texts are as long as the longest."""
    first = dtypes[0]
    if first.names is None or all(dtype == first for dtype in dtypes):
        return first
    fields = [(name, np.result_type(*(dtype[name].base for dtype in dtypes)), first[name].shape) for name in first.names]
    return np.dtype(fields)


def put(rows: NDArray[Any], at: NDArray[np.int64] | slice, values: NDArray[Any]) -> None:
    """Write rows where they belong.

    Rows whose texts are shorter are written field by field: numpy's own cast of fields that are arrays reads beyond them.
    """
    if rows.dtype == values.dtype:
        rows[at] = values
        return
    for name in rows.dtype.names or ():
        rows[name][at] = values[name]


def joined_rows(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The rows of several such arrays, one after another."""
    ends = np.cumsum([len(array) for array in arrays])
    rows = np.empty((int(ends[-1]), 1), common([array.dtype for array in arrays]))
    for array, end in zip(arrays, ends, strict=True):
        put(rows, slice(end - len(array), end), array)
    return rows


def _numbers(chunk: Chunk, one: Input) -> NDArray[Any]:
    matrix = chunk.matrix(one.columns, np.float32)
    _check(~np.isfinite(matrix), one, chunk, "a finite number in every row")
    return matrix


def _integers(chunk: Chunk, one: Input) -> NDArray[Any]:
    return np.column_stack([_whole(chunk, name, one) for name in one.columns])


def _whole(chunk: Chunk, name: str, one: Input) -> NDArray[np.int64]:
    if pa.types.is_integer(plain(chunk.kind(name))) and not chunk.nulls(name):
        array = chunk.arrow(name).cast(pa.int64())
        whole: NDArray[np.int64] = array.to_numpy(zero_copy_only=False)
        return whole
    values = chunk.floats(name)
    single = Input(name, one.kind)
    _check(~np.isfinite(values)[:, None], single, chunk, "a whole number in every row")
    _check((values % 1 != 0)[:, None], single, chunk, "whole numbers", "a fraction")
    return values.astype(np.int64)


def _texts(chunk: Chunk, one: Input) -> NDArray[Any]:
    return np.column_stack([_bytes(chunk, name) for name in one.columns])


def _bytes(chunk: Chunk, name: str) -> NDArray[np.bytes_]:
    array = chunk.arrow(name).cast(pa.string())
    _check(array.is_null().to_numpy(zero_copy_only=False)[:, None], Input(name), chunk, "a text in every row")
    longest = pc.max(pc.binary_length(array)).as_py() or 1
    if longest * len(array) > MOST_TEXT:
        do = "Shorten them by source.assign(...), or write the rows in smaller parts."
        raise DataError("texts that are short", got=f"one of {longest:,} bytes", where=f"column `{name}`", do=do)
    return np.array(array.cast(pa.binary()).to_pylist(), dtype=f"S{longest}")


_READ: Mapping[str, Callable[[Chunk, Input], NDArray[Any]]] = {"number": _numbers, "integer": _integers, "text": _texts}


def _check(bad: NDArray[np.bool_], one: Input, chunk: Chunk, expected: str, got: str = "a missing value") -> None:
    """Refuse a value of the input's columns; the first row that holds one is named.

    Args:
        bad: Shape (chunk.n_rows, columns of the input).
    """
    if bad.any():
        row, column = next(zip(*np.nonzero(bad), strict=True))
        place = f"column `{one.columns[column]}`, row {chunk.row_numbers[row]:,}"
        do = f'Fill it by source.assign(...), or use source.dropna("{one.columns[column]}").' if "missing" in got else ""
        raise DataError(expected, got=got, where=place, do=do)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
