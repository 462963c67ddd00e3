"""Source: an ordered tuple of parts with a schema; lazy, picklable, printable. Views nest around it."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError
from bigml.graph.progress import ProgressLike
from bigml.part import Part
from bigml.sources import bridges, choices
from bigml.sources.expression import Expression, complete
from bigml.sources.formula import formula
from bigml.sources.kept import StatisticPlan
from bigml.sources.operations import Assign, Operation, Rows, Select, Where, operation_token
from bigml.sources.representation import source_html, source_text
from bigml.sources.rows import Extent, NumberOfRows
from bigml.sources.statistics import GroupBy, keyed
from bigml.sources.stored import Stored
from bigml.sources.summaries import Names, Summaries, flat
from bigml.stats.reducer import Reducer

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from bigml.sources.writing import Manifest


class Source(Stored, Summaries):
    """Rows on storage or in memory, read part by part.

    A subclass gives `parts`, `schema`, `token`, `widths` and `scan`; everything else follows. Sources never change:
    every method returns a new one that reads through this one. Nothing is read until a plan is computed.
    """

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The parts, in order."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""

    @property
    @abstractmethod
    def widths(self) -> Mapping[str, float]:
        """Estimated decoded bytes a row, by column."""

    @abstractmethod
    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        """One chunk for each part, in order, holding at most one part's rows at a time."""

    @abstractmethod
    def lean(self) -> Source:
        """The same source without its parts: what a task carries."""

    def coded(self) -> Source:
        """The same source, whose chunks may hold columns as codes, where it knows how."""
        return self

    def joined(self, left: Part, right: Part) -> Part | None:
        """Two parts, the second of which follows the first, as one; None where they cannot be read at once."""
        return None

    @property
    def root(self) -> Source:
        """The source that owns the storage."""
        return self

    @property
    def extent(self) -> Extent:
        """The part indices and row numbers of the storage, including those of parts that were pruned."""
        return Extent(len(self.root.parts), sum(part.n_rows for part in self.root.parts))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of `repr` should know beyond the columns: for instance, files set aside."""
        return ()

    @property
    def counts_known(self) -> bool:
        """Whether the number of rows is known without reading: no filter is in the way."""
        return True

    @property
    def row_counts(self) -> tuple[int, ...] | None:
        """Rows of each part; None when a filter makes them unknown."""
        return tuple(part.n_rows for part in self.parts) if self.counts_known else None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What is done to the rows on the way from the storage, first things first."""
        return ()

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The root's columns from which these columns can be made."""
        return tuple(columns)

    def view(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        """These columns, made from a chunk of the root."""
        return chunk.select(columns)

    def pruned(self, condition: Expression) -> Source:
        """The same source without parts that provably hold no row for which the condition is true."""
        del condition
        return self

    def read(self, part: Part, columns: Sequence[str] | None = None) -> Chunk:
        """The rows of one part.

        Args:
            part: One of this source's parts.
            columns: Names to read; None reads all.

        Raises:
            SourceError: The storage cannot be read.
            ColumnError: A column is not there.
        """
        return next(self.scan([part], self.known(self.columns if columns is None else columns)))

    def known(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The names as a tuple, after checking that each is a column of the source."""
        for name in columns:
            if name not in self.schema.names:
                raise ColumnError.missing(name, self.schema.names)
        return tuple(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.schema.names)

    @property
    def n_rows(self) -> int | None:
        """The number of rows; None when a filter makes it unknown until a scan (`count()` tells)."""
        return None if self.row_counts is None else sum(self.row_counts)

    @property
    def stored_rows(self) -> int:
        """Rows in the parts before any filter."""
        return sum(part.n_rows for part in self.parts)

    @property
    def nbytes(self) -> int:
        """Estimated decoded bytes of the columns of this source, before any filter."""
        return int(self.stored_rows * sum(self.root.widths.get(name, 8.0) for name in self.needs(self.columns)))

    def iter_chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
        """The chunks, in order, one at a time in this thread; at most one part is held."""
        return self.scan(self.parts, self.known(self.columns if columns is None else columns))

    def select(self, *columns: Names) -> View:
        """Only these columns, in this order."""
        return View(self, Select(tuple((name, name) for name in self.known(flat(columns)))))

    def drop(self, *columns: Names) -> View:
        """All columns but these."""
        gone = self.known(flat(columns))
        return self.select(*(name for name in self.columns if name not in gone))

    def rename(self, names: Mapping[str, str] | None = None, **more: str) -> View:
        """Columns renamed from key to value.

        >>> import bigml, pandas as pd
        >>> bigml.from_pandas(pd.DataFrame({"ArrDelay": [1.0]})).rename(ArrDelay="arr_delay").columns
        ('arr_delay',)
        """
        new = {**(names or {}), **more}
        self.known(tuple(new))
        return View(self, Select(tuple((new.get(name, name), name) for name in self.columns)))

    def where(self, condition: Expression | str) -> View:
        """The rows for which the formula is true; row groups that cannot hold any are not read.

        Missing values (null or NaN) are compared as pandas does; see `bigml.sources.expression.Expression` for the rules.

        >>> import bigml, pandas as pd
        >>> source = bigml.from_pandas(pd.DataFrame({"x": [1, 2, 3]}))
        >>> source.where("x > 1").to_pandas()["x"].tolist()
        [2, 3]
        """
        operation = Where(formula(condition))
        operation.schema(self.schema)
        return View(self.pruned(operation.condition), operation)

    def dropna(self, *columns: Names) -> View:
        """The rows without null or NaN in these columns (default: in any)."""
        return View(self, Where(complete(self.known(flat(columns) or self.columns))))

    def assign(self, **columns: Expression | str | Callable[[pd.DataFrame], Any]) -> View:
        """Columns added or replaced: by a formula, or by a function of a chunk's DataFrame that returns one value a row.

        A function must be row-wise: it sees one chunk at a time. It makes the scan read all columns, a formula only its own.
        The type of its column is what it returns for an empty DataFrame, now; whatever a chunk gives later is cast to it.

        Raises:
            SchemaError: A formula does not fit; while reading: a chunk's values do not fit the type.
        """
        wanted = {name: value if callable(value) else formula(value) for name, value in columns.items()}
        return View(self, Assign.of(wanted, self.schema))

    def head(self, n: int = 5) -> View:
        """The first n rows. After a filter, parts are read at once, in this process, until n rows are found."""
        return View(self, choices.first(self, n))

    def take(self, positions: Sequence[int]) -> View:
        """The rows at these positions, in the order of the source.

        Raises:
            DataError: A position is outside the source, or a filter makes positions unknown.
        """
        return View(self, choices.at(self, positions))

    def sample(self, n: int | None = None, *, frac: float | None = None, seed: int = 0) -> View:
        """Random rows without replacement, in the order of the source: exactly n (or all), or each with probability frac.

        Rows are chosen by the hash of their number and the seed: the same rows whatever the chunking. Choosing n rows
        after a filter takes a scan.

        Raises:
            DataError: Both n and frac or neither, a negative n, or a share that is not from 0 to 1.
        """
        return View(self, choices.sampled(self, n, frac=frac, seed=seed))

    def split(self, *, test: float = 0.25, seed: int = 0, by: Names = ()) -> tuple[View, View]:
        """Two disjoint views (train, test) that together hold every row once.

        Args:
            test: The share of rows in the second view, between 0 and 1.
            seed: Another seed, another split.
            by: Columns whose equal values must stay on one side (for instance a customer); default: rows one by one.

        Rows are told apart by the hash of their number (or of the values `by`): the same rows whatever the chunking.
        """
        train, held_out = choices.halves(self, test, seed=seed, by=flat([by]))
        return View(self, train), View(self, held_out)

    def reduce(self, reducer: Reducer[Any, Any], *, title: str = "reduce") -> StatisticPlan[Any]:
        """A plan for a reducer over this source: your own map-reduce."""
        self.known(reducer.columns)
        return StatisticPlan(self, reducer, title)

    def count(self, client: Client | None = None) -> int:
        """The number of rows, by a scan when a filter makes it unknown."""
        known = self.n_rows
        return known if known is not None else int(self.reduce(NumberOfRows(), title="count").compute(client))

    def groupby(self, by: Names = (), *, dropna: bool = True, sort: bool = True, **keys: Expression | str) -> GroupBy:
        """Rows grouped by equal values: `.agg(...)` gives a plan whose result is a pandas DataFrame.

        Args:
            by: Columns.
            dropna: Whether rows with a missing key are left out.
            sort: Whether groups are in the order of their keys, or else of their first rows.
            keys: Formulas by the names that they get, after the columns: `hour=bigml.col("time").dt.hour`.

        Raises:
            ColumnError: There is no such column.
            ConfigError: An option of pandas is given that it does not take here.
            SchemaError: A formula does not fit.
        """
        rows = self.assign(**keyed(keys)) if keys else self
        return GroupBy(rows, rows.known((*flat([by]), *keys)), dropna=dropna, sort=sort)

    def to_arrow(self, *, limit: int = bridges.LIMIT, client: Client | None = None) -> pa.Table:
        """The whole source as one Arrow table; refused above `limit` bytes."""
        return bridges.to_arrow(self, limit=limit, client=client)

    def to_pandas(self, *, limit: int = bridges.LIMIT, client: Client | None = None) -> pd.DataFrame:
        """The whole source as a pandas DataFrame; refused above `limit` bytes (default 2 GiB, an estimate)."""
        return bridges.to_pandas(self, limit=limit, client=client)

    def to_dask_dataframe(self) -> Any:
        """A dask.dataframe with one partition a part; nothing is read.

        Integers and booleans have pandas' nullable types (`Int64`, `boolean`): whether a value is missing is seen only when
        its partition is read, and a type must not change with it.
        """
        return bridges.to_dask_dataframe(self)

    def to_dask_array(self, columns: Sequence[str] | None = None, *, dtype: Any = np.float64) -> Any:
        """A dask.array of shape (n_rows, n_columns) whose chunk sizes are known; filters are counted by one scan."""
        return bridges.to_dask_array(self, columns, dtype=dtype)

    def write_parquet(
        self, path: str | Path, *, partition_by: Names = (), client: Client | None = None, progress: ProgressLike = None
    ) -> Manifest:
        """Write a data set of Parquet files atomically: a reader sees all of the old rows or all of the new."""
        keys = (partition_by,) if isinstance(partition_by, str) else tuple(partition_by)
        return bridges.write_parquet(self, path, partition_by=self.known(keys), client=client, progress=progress)

    def write_memmap(
        self, path: str | Path, *, columns: Sequence[str] | None = None, target: str | None = None, dtype: Any = np.float32
    ) -> Manifest:
        """Write X.npy (and y.npy) atomically for `bigml.read_memmap(path)`."""
        return bridges.write_memmap(self, path, columns=columns, target=target, dtype=dtype)

    def __repr__(self) -> str:
        return source_text(self)

    def _repr_html_(self) -> str:
        return source_html(self)


@dataclass(frozen=True, repr=False, eq=False)
class View(Source):
    """A source seen through a row-wise operation; reads through its child."""

    child: Source
    operation: Operation

    def __post_init__(self) -> None:
        _ = self.schema

    @cached_property
    def schema(self) -> pa.Schema:
        return self.operation.schema(self.child.schema)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        if not isinstance(self.operation, Rows):
            return self.child.parts
        counts = self.operation.counts(self.child.parts)
        return tuple(part for part, n in zip(self.child.parts, counts, strict=True) if n)

    @cached_property
    def token(self) -> str:
        return hashlib.blake2b(f"{self.child.token}{operation_token(self.operation)}".encode(), digest_size=16).hexdigest()

    @property
    def root(self) -> Source:
        return self.child.root

    @property
    def widths(self) -> Mapping[str, float]:
        return self.child.widths

    @property
    def extent(self) -> Extent:
        return self.child.extent

    @property
    def notes(self) -> tuple[str, ...]:
        return self.child.notes

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (*self.child.operations, self.operation)

    @property
    def counts_known(self) -> bool:
        return self.operation.keeps_rows and self.child.counts_known

    @cached_property
    def row_counts(self) -> tuple[int, ...] | None:
        if isinstance(self.operation, Rows):
            return tuple(n for n in self.operation.counts(self.child.parts) if n)
        return self.child.row_counts if self.operation.keeps_rows else None

    def needs(self, columns: Sequence[str]) -> tuple[str, ...]:
        return self.child.needs(self.operation.needs(columns, self.child.schema))

    def view(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        wanted = self.operation.needs(columns, self.child.schema)
        return self.operation.apply(self.child.view(chunk, wanted), columns)

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        needed = tuple(dict.fromkeys(self.needs(columns)))
        return (self.view(chunk, columns) for chunk in self.root.scan(parts, needed))

    def pruned(self, condition: Expression) -> Source:
        if isinstance(self.operation, Select):
            condition = condition.renamed(dict(self.operation.pairs))
        elif isinstance(self.operation, Assign) and not condition.columns.isdisjoint(name for name, _ in self.operation.items):
            return self
        return replace(self, child=self.child.pruned(condition))

    def coded(self) -> View:
        return replace(self, child=self.child.coded())

    def lean(self) -> View:
        return replace(self, child=self.child.lean())
