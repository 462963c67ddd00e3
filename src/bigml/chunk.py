"""Chunk: the rows of a Part in memory, Arrow arrays or numpy views, zero-copy where the format allows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigml.coded import Coded
from bigml.errors import ColumnError, SchemaError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import DTypeLike, NDArray

# An Arrow array (plain or chunked) or a one-dimensional numpy view; pyarrow has no type hints, hence Any.
Array: TypeAlias = Any
T = TypeVar("T")

BLOCK_ROWS = 4096
"""Rows of a matrix that are filled together: a block that stays in the processor's cache, four times as fast as columns."""


class Chunk:
    """Named columns of equal length with the numbers of their rows.

    Columns are Arrow arrays or one-dimensional numpy views. A chunk never changes: every method returns a new one that
    shares memory where it can.

    Args:
        columns: Name to array, or to the codes of a column, which become an array when somebody asks for it; all of one length.
        rows: The row numbers in the source: a `range` while nothing was filtered, an int64 array afterwards.
        block: A two-dimensional array whose columns are the first columns of the chunk, when there is one.
    """

    __slots__ = ("_block", "_columns", "_made", "rows")

    def __init__(
        self, columns: Mapping[str, Array | Coded], rows: range | NDArray[np.int64], block: NDArray[Any] | None = None
    ) -> None:
        self._columns = dict(columns)
        self.rows = rows
        self._block = block
        self._made: dict[Hashable, Any] | None = None

    @classmethod
    def from_arrow(cls, table: pa.Table | pa.RecordBatch, offset: int = 0) -> Chunk:
        """A chunk over an Arrow table whose first row has the number `offset`."""
        return cls(dict(zip(table.column_names, table.columns, strict=True)), range(offset, offset + table.num_rows))

    @classmethod
    def from_matrix(cls, matrix: NDArray[Any], names: Sequence[str], offset: int = 0) -> Chunk:
        """A chunk of views on the columns of a row-major matrix of shape (n_rows, len(names))."""
        columns = {name: matrix[:, i] for i, name in enumerate(names)}
        return cls(columns, range(offset, offset + len(matrix)), block=matrix)

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    @property
    def nbytes(self) -> int:
        return sum(int(column.nbytes) for column in self._columns.values())

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """The row numbers as an int64 array of shape (n_rows,)."""
        if isinstance(self.rows, range):
            return np.arange(self.rows.start, self.rows.stop, dtype=np.int64)
        return self.rows

    def __len__(self) -> int:
        return self.n_rows

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def shared(self) -> Chunk:
        """The same rows for several uses: what `once` makes of them lives as long as this chunk or a selection of it."""
        if self._made is not None:
            return self
        out = Chunk(self._columns, self.rows, self._block)
        out._made = {}
        return out

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives; made only once of a chunk that is `shared` and its selections.

        Args:
            key: Says what is made, and of which columns.
            make: Makes it of these columns alone; nobody may change it.
        """
        if self._made is None:
            return make()
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def __repr__(self) -> str:
        return f"Chunk({self.n_rows:,} rows: {', '.join(self.names)})"

    def column(self, name: str) -> Array:
        """The column as it is stored, or decoded where it is stored as codes.

        Raises:
            ColumnError: No such column.
        """
        column = self._stored(name)
        return self.once(("decoded", name), lambda: pa.chunked_array([column.array()])) if isinstance(column, Coded) else column

    def coded(self, name: str) -> Coded | None:
        """The column as codes; None where it is not stored so."""
        column = self._stored(name)
        return column if isinstance(column, Coded) else None

    def _stored(self, name: str) -> Array | Coded:
        try:
            return self._columns[name]
        except KeyError:
            raise ColumnError.missing(name, self._columns) from None

    def kind(self, name: str) -> pa.DataType:
        """The column's Arrow type; costs nothing."""
        column = self._stored(name)
        if isinstance(column, Coded):
            return column.kind
        return pa.from_numpy_dtype(column.dtype) if isinstance(column, np.ndarray) else column.type

    def nulls(self, name: str) -> int:
        """How many values of the column are null (NaN is none)."""
        column = self._stored(name)
        if isinstance(column, Coded):
            return column.nulls
        return 0 if isinstance(column, np.ndarray) else int(column.null_count)

    def arrow(self, name: str) -> pa.Array:
        """The column as one contiguous Arrow array; a dictionary stays a dictionary."""
        column = self.column(name)
        if isinstance(column, pa.ChunkedArray):
            return self.once(("arrow", name), lambda: _contiguous(column))
        return column if isinstance(column, pa.Array) else pa.array(np.ascontiguousarray(column))

    def floats(self, name: str) -> NDArray[np.float64]:
        """The column as float64 of shape (n_rows,), nulls as NaN; zero-copy for floats without nulls.

        Raises:
            SchemaError: The column is not numeric, boolean or temporal.
        """
        column = self.column(name)
        if isinstance(column, np.ndarray):
            return np.asarray(column, dtype=np.float64)
        return _floats(column, name)

    def matrix(self, names: Sequence[str], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """The columns as a row-major matrix of shape (n_rows, len(names)), nulls as NaN.

        Zero-copy when the columns are adjacent columns of one block of that dtype.
        """
        view = self._view(names, np.dtype(dtype))
        if view is not None:
            return view
        out = np.empty((self.n_rows, len(names)), dtype=dtype)
        columns = [self._numbers(name) for name in names]
        for start in range(0, self.n_rows, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            for i, column in enumerate(columns):
                out[rows, i] = column[rows]
        return out

    def blocks(self, names: Sequence[str], dtype: DTypeLike = np.float64, *, n_rows: int = BLOCK_ROWS) -> Iterator[NDArray[Any]]:
        """The rows of `matrix`, so many at a time: each block column-major, which is filled three times as fast.

        Blocks are row-major views where `matrix` is one.
        """
        view = self._view(names, np.dtype(dtype))
        columns = [self._numbers(name) for name in names] if view is None else []
        for start in range(0, self.n_rows, n_rows):
            rows = slice(start, min(start + n_rows, self.n_rows))
            yield _filled(columns, rows, dtype) if view is None else view[rows]

    def _numbers(self, name: str) -> NDArray[Any]:
        """The column as numbers of its own type where that holds all of them, which saves a copy in float64; nulls as NaN."""
        column = self.column(name)
        if isinstance(column, np.ndarray):
            return column if column.dtype.kind in "iuf" else self.floats(name)
        if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count):
            values: NDArray[Any] = self.arrow(name).to_numpy(zero_copy_only=False)
            return values
        return self.floats(name)

    def _view(self, names: Sequence[str], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        if self._block is None or self._block.dtype != dtype or not names:
            return None
        known = self.names[: self._block.shape[1]]
        if names[0] not in known:
            return None
        first = known.index(names[0])
        return self._block[:, first : first + len(names)] if known[first : first + len(names)] == tuple(names) else None

    def select(self, names: Iterable[str]) -> Chunk:
        """Only these columns, in this order."""
        wanted = tuple(names)
        keeps_block = self._block is not None and wanted[: self._block.shape[1]] == self.names[: self._block.shape[1]]
        out = Chunk({name: self._stored(name) for name in wanted}, self.rows, self._block if keeps_block else None)
        out._made = self._made
        return out

    def rename(self, names: Mapping[str, str]) -> Chunk:
        """Columns renamed from the mapping's keys to its values."""
        return Chunk({names.get(name, name): column for name, column in self._columns.items()}, self.rows, self._block)

    def shifted(self, by: int) -> Chunk:
        """The same rows with numbers that are higher by so many."""
        rows = range(self.rows.start + by, self.rows.stop + by) if isinstance(self.rows, range) else self.rows + by
        return Chunk(self._columns, rows, self._block)

    def with_columns(self, columns: Mapping[str, Array]) -> Chunk:
        """Columns added or replaced."""
        replaced = not self._columns.keys().isdisjoint(columns)
        return Chunk({**self._columns, **columns}, self.rows, None if replaced else self._block)

    def filter(self, mask: NDArray[np.bool_]) -> Chunk:
        """Only the rows where the mask is true; zero-copy where they follow each other, the chunk itself when all are."""
        positions = np.flatnonzero(mask)
        start, stop = (positions[0], positions[-1] + 1) if len(positions) else (0, 0)
        if len(positions) == self.n_rows:
            return self
        # Rows that follow each other, as where a sorted column is in a range, need not be copied.
        return self.slice(start, stop) if stop - start == len(positions) else self.take(positions)

    def take(self, positions: NDArray[np.int64]) -> Chunk:
        """The rows at these positions within the chunk, in this order."""
        # Rows of a matrix are taken as they lie: column by column each of them would be fetched again.
        block = None if self._block is None else self._block.take(positions, axis=0)
        columns: dict[str, Array | Coded] = (
            {} if block is None else {name: block[:, i] for i, name in enumerate(self.names[: block.shape[1]])}
        )
        for name, column in self._columns.items():
            if name not in columns:
                columns[name] = _taken(column, positions)
        return Chunk(columns, self.row_numbers[positions], block)

    def slice(self, start: int, stop: int) -> Chunk:
        """Rows start to stop (exclusive), zero-copy."""
        columns = {name: _sliced(column, start, stop) for name, column in self._columns.items()}
        return Chunk(columns, self.rows[start:stop], None if self._block is None else self._block[start:stop])

    def to_arrow(self) -> pa.Table:
        """The chunk as an Arrow table; zero-copy for Arrow columns."""
        columns = ((name, self.column(name)) for name in self._columns)
        arrays = [self.arrow(name) if isinstance(column, np.ndarray) else column for name, column in columns]
        return pa.table(arrays, names=list(self._columns)) if arrays else pa.table({})

    def to_pandas(self, *, nullable: bool = False) -> pd.DataFrame:
        """The chunk as a pandas DataFrame with pandas' default types; dictionaries are decoded; index = row numbers.

        Args:
            nullable: Integers and booleans as pandas' nullable types: a column's type then does not depend on whether one of
                these rows has a missing value.
        """
        import pandas as pd

        if not self._columns:
            return pd.DataFrame(index=pd.Index(self.row_numbers))
        table = pa.table([_decoded(column) for column in self.to_arrow().columns], names=list(self._columns))
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=_nullable if nullable else None)
        frame.index = pd.RangeIndex(self.rows.start, self.rows.stop) if isinstance(self.rows, range) else pd.Index(self.rows)
        return frame


def _taken(column: Array | Coded, positions: NDArray[np.int64]) -> Array | Coded:
    if isinstance(column, np.ndarray):
        return column[positions]
    return column.take(positions if isinstance(column, Coded) else pa.array(positions))


def _sliced(column: Array | Coded, start: int, stop: int) -> Array | Coded:
    if isinstance(column, np.ndarray):
        return column[start:stop]
    return column.slice(start, max(start, stop)) if isinstance(column, Coded) else column.slice(start, max(stop - start, 0))


def _nullable(kind: pa.DataType) -> Any:
    """The nullable type of pandas for integers and booleans."""
    import pandas as pd

    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    if pa.types.is_integer(kind):
        return pd.api.types.pandas_dtype(f"{kind}".replace("int", "Int").replace("u", "U"))
    return None


def _filled(columns: Sequence[NDArray[Any]], rows: slice, dtype: DTypeLike) -> NDArray[Any]:
    out = np.empty((rows.stop - rows.start, len(columns)), dtype=dtype, order="F")
    for i, column in enumerate(columns):
        out[:, i] = column[rows]
    return out


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], type=column.type)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _floats(array: Array, name: str) -> NDArray[np.float64]:
    # A chunked array is joined while its nulls become NaN: one copy, not two.
    if isinstance(array, pa.ChunkedArray) and array.num_chunks == 1:
        array = array.chunk(0)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        array = array.cast(pa.int64())
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        raise SchemaError("a numeric column", got=f"{kind}", where=f"column `{name}`", do="Encode it, or leave it out.")
    if array.type != pa.float64():
        array = pc.cast(array, pa.float64(), safe=False)
    values: NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return values
