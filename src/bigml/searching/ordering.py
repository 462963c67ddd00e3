"""Ordering: the keys by which rows are lined up before they are cut into folds: hashes, times, row numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import ConfigError, DataError, SchemaError
from bigml.sources.splits import row_hashes
from bigml.stats.keys import encode, plain
from bigml.stats.order import floats, ordered

Keys = NDArray[np.uint64]
TOP = 2**64 - 1
"""The largest key."""
SIGN = np.uint64(1 << 63)


class Ordering(Protocol):
    """Tells the key of each row, from nothing but the row itself. Picklable.

    Attributes:
        columns: What it reads, beside the row's number.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, chunk: Chunk) -> tuple[NDArray[np.int64] | None, Keys]:
        """Strata and keys, both of shape (n_rows,); None where all rows are one stratum."""
        ...


def salted(*what: Any) -> int:
    """A seed of folds alone: hashes by it have nothing in common with those that `Source.split` or `sample` draw rows by."""
    return int.from_bytes(hashlib.blake2b(repr(("folds", *what)).encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class ByHash:
    """Rows in an order drawn by hashing their numbers, or their values in the columns `by`, which stay together."""

    seed: int
    by: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.by

    def __call__(self, chunk: Chunk) -> tuple[None, Keys]:
        return None, row_hashes(chunk, self.by, self.seed)


@dataclass(frozen=True)
class ByNumber:
    """Rows in the order of the source."""

    columns: tuple[str, ...] = ()

    def __call__(self, chunk: Chunk) -> tuple[None, Keys]:
        return None, chunk.row_numbers.view(np.uint64)


@dataclass(frozen=True, eq=False)
class ByClass:
    """Rows of each class in an order drawn by hashing their numbers.

    Attributes:
        column: The target.
        classes: Its distinct values.
        seed: Decides the order.
    """

    column: str
    classes: pa.Array
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, chunk: Chunk) -> tuple[NDArray[np.int64], Keys]:
        strata = places(chunk.arrow(self.column), self.classes)
        if (strata < 0).any():
            complete(chunk, self.column, "target")
            row = int(chunk.row_numbers[int(np.argmin(strata))])
            where = f"column `{self.column}`, row {row:,}"
            raise DataError("the classes that were counted", got="another one", where=where, do="Keep the files as they are.")
        return strata, row_hashes(chunk, (), self.seed)


@dataclass(frozen=True)
class ByTime:
    """Rows in the order of a column of numbers, dates or timestamps.

    Attributes:
        column: Its name.
        kind: Its type in the schema.

    Raises:
        SchemaError: The column has no such order.
    """

    column: str
    kind: pa.DataType

    def __post_init__(self) -> None:
        if not any(has_order(self.whole) for has_order in ORDERED):
            expected, do = "a column of numbers, dates or timestamps", "Make one by source.assign(...)."
            raise SchemaError(expected, got=f"{self.kind}", where=f"column `{self.column}`", do=do)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def whole(self) -> pa.DataType:
        """The type that the column is read as: dates count as timestamps."""
        kind = plain(self.kind)
        return {pa.date32(): pa.timestamp("s"), pa.date64(): pa.timestamp("ms")}.get(kind, kind)

    def __call__(self, chunk: Chunk) -> tuple[None, Keys]:
        values = complete(chunk, self.column, "time").cast(self.whole)
        if pa.types.is_floating(self.whole):
            return None, _unsigned(ordered(values.cast(pa.float64()).to_numpy(zero_copy_only=False)))
        return None, _unsigned(values.cast(pa.int64()).to_numpy(zero_copy_only=False))

    def before(self, key: int, gap: Any) -> int:
        """The key of what lies this gap before a key."""
        if pa.types.is_floating(self.whole):
            word = np.array([key], np.uint64) ^ SIGN
            return int(_unsigned(ordered(floats(word.view(np.int64)) - float(gap)))[0])
        return max(key - self.steps(gap), 0)

    def steps(self, gap: Any) -> int:
        """The gap in units of the column, rounded down: between whole units there is no time.

        Raises:
            ConfigError: A duration for numbers, or a number other than 0 for times.
        """
        is_time, is_span = pa.types.is_temporal(self.whole), isinstance(gap, timedelta | np.timedelta64)
        if is_time and is_span:
            return int(pd.Timedelta(gap) // pd.Timedelta(1, self.whole.unit))
        if is_span or (is_time and gap):
            expected, got = ("a duration", f"{gap!r}") if is_time else ("a number", f"the duration {gap}")
            do = "Use gap=pd.Timedelta(...)." if is_time else ""
            raise ConfigError(f"{expected} for the gap", got=got, where=f"column `{self.column}` of type {self.kind}", do=do)
        return int(gap // 1)


ORDERED = (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp, pa.types.is_duration)


def _unsigned(numbers: NDArray[np.int64]) -> Keys:
    """Unsigned numbers that sort as these do."""
    words: Keys = np.ascontiguousarray(numbers).view(np.uint64) ^ SIGN
    return words


def complete(chunk: Chunk, column: str, what: str) -> pa.Array:
    """A column without missing values.

    Raises:
        DataError: One is missing; its row is named.
    """
    array = chunk.arrow(column)
    missing = array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if missing.any():
        row, more = int(chunk.row_numbers[int(np.argmax(missing))]), int(missing.sum()) - 1
        where = f"column `{column}`, row {row:,}{f' (and {more:,} more)' if more else ''}"
        raise DataError(f"a {what} in every row", got="a missing value", where=where, do=f'Use source.dropna("{column}").')
    return array


def places(array: pa.Array, values: pa.Array) -> NDArray[np.int64]:
    """The place of each element among distinct values, -1 for one that is missing or none of them.

    >>> places(pa.array(["b", None, "a", "c"]), pa.array(["a", "b"], pa.large_string())).tolist()
    [1, -1, 0, -1]
    """
    codes, found = encode(array)
    known = pc.index_in(found.cast(values.type), value_set=values).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.append(known, -1).astype(np.int64)[codes]
