"""Operation: what a view does to each chunk; row-wise, pure, ignorant of sources."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, SchemaError
from bigml.part import Part
from bigml.sources import arithmetic
from bigml.sources.expression import Expression
from bigml.sources.schemas import cast, plain
from bigml.sources.splits import below, row_hashes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Function = Callable[["pd.DataFrame"], "pd.Series[Any]"]
"""A function of a pandas DataFrame of a chunk that returns one value a row."""


class Operation(Protocol):
    """A row-wise transformation.

    Attributes:
        keeps_rows: Whether every row stays, so that counts are known without reading.
    """

    @property
    def keeps_rows(self) -> bool: ...

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema after the operation; raises SchemaError when the operation does not fit."""
        ...

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        """Columns of the input (whose schema is given) from which these columns are made."""
        ...

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        """These columns, made from a chunk of the input's needed columns."""
        ...


@dataclass(frozen=True)
class Select:
    """Some columns, in a given order, perhaps under new names (`pairs` of new and old name)."""

    pairs: tuple[tuple[str, str], ...]
    keeps_rows: bool = True

    def schema(self, schema: pa.Schema) -> pa.Schema:
        for _, old in self.pairs:
            if old not in schema.names:
                raise ColumnError.missing(old, schema.names)
        names = [new for new, _ in self.pairs]
        if len(set(names)) < len(names):
            raise SchemaError("each column once", got=f"columns {names}", where="in select or rename")
        return pa.schema([schema.field(old).with_name(new) for new, old in self.pairs])

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        old = dict(self.pairs)
        return tuple(old[name] for name in columns)

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        old = dict(self.pairs)
        picked = chunk.select(old[name] for name in columns)
        return picked.rename({old[name]: name for name in columns})


@dataclass(frozen=True)
class Where:
    """The rows for which a formula is true; null counts as false."""

    condition: Expression
    keeps_rows: bool = False

    def schema(self, schema: pa.Schema) -> pa.Schema:
        kind = self.condition.type(schema)
        if not pa.types.is_boolean(kind):
            where = f"in where(`{self.condition}`)"
            raise SchemaError("a formula that is true or false", got=f"values of type {kind}", where=where)
        return schema

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        return (*columns, *sorted(self.condition.columns.difference(columns)))

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        mask = self.condition.evaluate(chunk)
        return chunk.select(columns).filter(mask.fill_null(False).to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Call:
    """A function of a chunk's DataFrame, and the type of what it returns."""

    function: Function
    kind: pa.DataType

    @classmethod
    def of(cls, function: Function, schema: pa.Schema) -> Call:
        """The function with the type that it gives for an empty DataFrame of these columns."""
        return cls(function, plain(_returned(function, Chunk.from_arrow(schema.empty_table())).type))

    def evaluate(self, chunk: Chunk) -> pa.Array:
        """One value for each of the chunk's rows, in the declared type.

        Raises:
            SchemaError: Another number of values, or values that the type cannot hold.
        """
        values = _returned(self.function, chunk)
        if len(values) != chunk.n_rows:
            raise SchemaError(f"one value for each of {chunk.n_rows} rows", got=f"{len(values)} values")
        try:
            return cast(arithmetic.decoded(values), self.kind)
        except pa.ArrowException as error:
            expected = f"values of type {self.kind}, as for an empty DataFrame"
            do = "Let the function return one type, also for no rows, such as `.astype('float64')`."
            raise SchemaError(expected, got=f"{values.type} ({str(error).splitlines()[0]})", do=do) from error


def _returned(function: Function, chunk: Chunk) -> pa.Array:
    values = pa.array(function(chunk.to_pandas()), from_pandas=True)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


@dataclass(frozen=True)
class Assign:
    """Columns added or replaced, each by a formula or a function of the chunk's DataFrame."""

    items: tuple[tuple[str, Expression | Call], ...]
    keeps_rows: bool = True

    @classmethod
    def of(cls, columns: Mapping[str, Expression | Function], schema: pa.Schema) -> Assign:
        """The operation for an input of this schema; an item sees the columns of those before it."""
        made = cls(())
        for name, value in columns.items():
            call = value if isinstance(value, Expression) else Call.of(value, made.schema(schema))
            made = cls((*made.items, (name, call)))
        return made

    def schema(self, schema: pa.Schema) -> pa.Schema:
        for name, value in self.items:
            field = pa.field(name, value.kind if isinstance(value, Call) else value.type(schema))
            at = schema.get_field_index(name)
            schema = schema.append(field) if at < 0 else schema.set(at, field)
        return schema

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        return self._walk(columns, schema.names)[1]

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        for name, value in self._walk(columns, chunk.names)[0]:
            try:
                chunk = chunk.with_columns({name: value.evaluate(chunk)})
            except SchemaError as error:
                where = f"{error.where} column `{name}` of assign, {_rows(chunk)}".strip()
                raise SchemaError(error.expected, got=error.got, where=where, do=error.do) from error
        return chunk.select(columns)

    def _walk(self, columns: Sequence[str], names: Sequence[str]) -> tuple[list[tuple[str, Expression | Call]], tuple[str, ...]]:
        """The items that must be made for these columns, in order, and the input columns that they and the rest need."""
        wanted, live = list(columns), []
        for i, (name, value) in reversed(list(enumerate(self.items))):
            if name in wanted:
                live.append((name, value))
                wanted.remove(name)
                used = [*names, *(other for other, _ in self.items[:i])] if isinstance(value, Call) else sorted(value.columns)
                wanted += [other for other in used if other not in wanted]
        return live[::-1], tuple(wanted)


def _rows(chunk: Chunk) -> str:
    numbers = chunk.rows
    return f"rows {numbers[0]:,} to {numbers[-1]:,}" if len(numbers) else "no rows"


@dataclass(frozen=True)
class Hashed:
    """The rows whose hash falls between two fractions of its range: splits, folds and samples by share."""

    low: float
    high: float
    seed: int
    by: tuple[str, ...] = ()
    keeps_rows: bool = False

    def schema(self, schema: pa.Schema) -> pa.Schema:
        for name in self.by:
            if name not in schema.names:
                raise ColumnError.missing(name, schema.names, where="in by=")
        return schema

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        return (*columns, *(name for name in self.by if name not in columns))

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        hashes = row_hashes(chunk, self.by, self.seed)
        mask = below(hashes, self.high) if self.high < 1 else np.ones(chunk.n_rows, dtype=bool)
        if self.low > 0:
            mask &= ~below(hashes, self.low)
        return chunk.select(columns).filter(mask)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows with these (sorted, distinct) row numbers."""

    numbers: NDArray[np.int64]
    keeps_rows: bool = False

    @cached_property
    def digest(self) -> str:
        return hashlib.blake2b(self.numbers.tobytes(), digest_size=16).hexdigest()

    def counts(self, parts: Sequence[Part]) -> list[int]:
        """How many of the rows each part has."""
        starts = np.searchsorted(self.numbers, [part.offset for part in parts])
        ends = np.searchsorted(self.numbers, [part.offset + part.n_rows for part in parts])
        return [int(n) for n in ends - starts]

    def schema(self, schema: pa.Schema) -> pa.Schema:
        return schema

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        return tuple(columns)

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        here = chunk.row_numbers
        at = np.searchsorted(self.numbers, here)
        mask = self.numbers[np.minimum(at, len(self.numbers) - 1)] == here if len(self.numbers) else np.zeros(len(here), bool)
        return chunk.select(columns).filter(mask)


def draws(operation: Operation, seed: int) -> bool:
    """Whether an operation may be a random choice of rows with this seed (rows by number may have been drawn with any)."""
    return isinstance(operation, Rows) or (isinstance(operation, Hashed) and (operation.seed - seed) % (1 << 64) == 0)


def operation_token(operation: Operation) -> str:
    """A key of what an operation does: equal keys, equal work."""
    if isinstance(operation, Rows):
        return operation.digest
    if isinstance(operation, Assign) and any(isinstance(value, Call) for _, value in operation.items):
        return hashlib.blake2b(_pickled(operation), digest_size=16).hexdigest()
    return hashlib.blake2b(pickle.dumps(_described(operation)), digest_size=16).hexdigest()


def _pickled(value: Any) -> bytes:
    """The pickle of something with functions in it; sets, whose order is that of hashes, in an order of their own."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return ("set", sorted(map(_pickled, item))) if isinstance(item, set | frozenset) else None

    buffer = BytesIO()
    Pickler(buffer).dump(value)
    return buffer.getvalue()


def _described(operation: Operation) -> str:
    if isinstance(operation, Where):
        return f"where {operation.condition.token}"
    if isinstance(operation, Assign):
        return f"assign {[(name, '' if isinstance(value, Call) else value.token) for name, value in operation.items]}"
    return repr(operation)
