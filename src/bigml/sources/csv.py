"""CSV: ingest of text files into a data set of Parquet files, in bounded memory, losing no row in silence."""

from __future__ import annotations

import csv
import glob
import html
import io
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

import pyarrow as pa

from bigml.errors import ColumnError, SchemaError, SourceError
from bigml.graph.execute import n_threads
from bigml.graph.progress import ProgressLike, reporting
from bigml.sources.atomic import AtomicFile
from bigml.sources.blocks import Block, read_blocks
from bigml.sources.dialect import Dialect, DialectOptions
from bigml.sources.misfits import Columns, Parsed, inferred, parse
from bigml.sources.writing import DatasetWriter, dataset

R = TypeVar("R")
BLOCKS_AHEAD = 2


@dataclass(frozen=True)
class IngestResult:
    """What an ingest did. Always `rows_in == rows_written + rows_rejected`.

    Attributes:
        directory: The data set.
        schema: Its columns.
        rows_in: Rows of the text files, headers and blank lines not counted.
        rows_written: Rows of the data set.
        rows_rejected: Rows in the rejects file.
        rejects: A CSV file with file, line, reason and text of each rejected row; None when there is none.
        reasons: Rejected rows by column; "" stands for a wrong number of fields.
        seconds: Wall time.
    """

    directory: Path
    schema: pa.Schema
    rows_in: int
    rows_written: int
    rows_rejected: int
    rejects: Path | None
    reasons: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def __repr__(self) -> str:
        lines = [f"{self.rows_in:,} rows in = {self.rows_written:,} written + {self.rows_rejected:,} rejected"]
        for name, n in self.reasons.items():
            lines.append(f"  {n:,} rejected for {f'column `{name}`' if name else 'their number of fields'}")
        lines += [f"rejects: {self.rejects}"] if self.rejects else []
        return "\n".join([*lines, f"{self.directory}: {len(self.schema)} columns, {self.seconds:.1f} s"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def ingest(
    path: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    types: Mapping[str, Any] | None = None,
    rows_per_file: int = 4_000_000,
    progress: ProgressLike = None,
    **dialect: Unpack[DialectOptions],
) -> IngestResult:
    """Turn CSV files into a data set of Parquet files that `read_parquet(out)` reads.

    Types are inferred from the first 8 MiB, as pyarrow does (integers, floats, booleans, dates, timestamps, text); a column
    without any value there becomes text. A row that does not fit, by its number of fields or by a value, goes to a rejects
    file beside the data with its line number, the reason and its text. Blank lines are no rows.

    Reading and decompressing, parsing and writing overlap; memory is bounded by a few blocks of 8 MiB and a row group,
    whatever the size of the files. Nothing is seen in `out` until all is written; an error leaves what stood there.

    Args:
        path: A file, a glob, or several; plain or compressed by gzip, bz2, zstd or lz4. All with the same columns.
        out: A local directory.
        types: Types by column, as Arrow types or their names (`{"flight": "string"}`), instead of the inferred ones.
        rows_per_file: About how many rows a Parquet file holds.
        progress: True, False, None (a bar on a terminal) or a function (bytes done, bytes in all).
        **dialect: Options of `Dialect`: delimiter, quote, header, encoding, na_values, skip_lines.

    Raises:
        SourceError: No such file, an empty or damaged one, or bytes that are not in the encoding.
        SchemaError: Files with unlike columns, or an unknown type.
        WriteError: The output cannot be written.

    >>> _ = Path("a.csv").write_text("carrier,delay\\nAA,4\\nUA,NA\\nDL,late\\n")
    >>> result = ingest("a.csv", "flights", types={"delay": "int32"}, progress=False)
    >>> result.rows_in, result.rows_written, result.rows_rejected
    (3, 2, 1)
    >>> print(result.rejects.read_text().splitlines()[1].split("a.csv")[1])
    ,4,column `delay`: 'late' is not int32,"DL,late"
    """
    begun = time.perf_counter()
    files = _Files(_paths(path), Dialect(**dialect), types or {})
    with reporting(progress, "ingest") as bar, dataset(out, files.schema, metadata=files.metadata) as writer:
        rejects = _Rejects(writer)
        with _parsed_ahead(files) as tables, rejects:
            writer.write(_accepted(tables, rejects, lambda done: bar(done, files.nbytes)), rows_per_file)
        writer.metadata["rows_rejected"] = rejects.rows
    rows = writer.manifest().rows
    where = rejects.path if rejects.rows else None
    seconds = time.perf_counter() - begun
    counts = (rows + rejects.rows, rows, rejects.rows)
    return IngestResult(Path(out), writer.target.schema, *counts, where, dict(rejects.reasons.most_common()), seconds)


def _paths(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files, globs resolved in order of name."""
    found: list[Path] = []
    for item in [path] if isinstance(path, str | Path) else path:
        matches = [str(item)] if Path(item).exists() else sorted(glob.glob(str(item), recursive=True))
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise SourceError("a CSV file, or a pattern that matches some", got="none", where=f"{item}", do="Check the path.")
        found += files
    if not found:
        raise SourceError("at least one CSV file", got="an empty list")
    return found


class _Files:
    """The files of one ingest with the columns that all of them have."""

    def __init__(self, paths: Sequence[Path], dialect: Dialect, types: Mapping[str, Any]) -> None:
        self.paths, self._dialect = paths, dialect
        self._sizes = [path.stat().st_size for path in paths]
        head, body = self._head(paths[0])
        given = {name: _data_type(kind, name) for name, kind in types.items()}
        for name in given:
            if name not in head.names:
                raise ColumnError.missing(name, head.names, where="in types")
        self.columns = inferred(body, head, given)
        self.schema = pa.schema(list(zip(self.columns.names, self.columns.types, strict=True)))

    @property
    def nbytes(self) -> int:
        return sum(self._sizes)

    @property
    def metadata(self) -> dict[str, Any]:
        return {"made_by": "bigml ingest", "files": [str(path) for path in self.paths], "encoding": self._dialect.encoding}

    def _head(self, path: Path) -> tuple[Columns, Block]:
        """The columns by name, and the first block without its header."""
        blocks = read_blocks(path, self._dialect)
        first = next(blocks, None)
        blocks.close()
        names, body = self._names(path, first or Block(b"", 1, 0))
        return Columns(path, tuple(names), (), self._dialect), body

    def _names(self, path: Path, block: Block) -> tuple[list[str], Block]:
        skipped = _without_rows(block, self._dialect, lines=self._dialect.skip_lines)
        row = next((match.group() for match in self._dialect.record.finditer(skipped.data) if match.group().strip(b"\r\n")), b"")
        if not row and not isinstance(self._dialect.header, Sequence):
            do = "Pass header=[...] to name the columns of a file without rows."
            raise SourceError("a CSV file with a header or rows", got="an empty file", where=f"{path}", do=do)
        body = _without_rows(skipped, self._dialect, rows=1) if self._dialect.header is True else skipped
        return self._dialect.names(row, f"{path}"), body

    def work(self) -> Generator[tuple[Block, Columns], None, None]:
        """Every block with the columns it must fit."""
        before = 0
        for path, size in zip(self.paths, self._sizes, strict=True):
            columns: Columns | None = None
            for block in read_blocks(path, self._dialect):
                if columns is None:
                    names, block = self._names(path, block)  # noqa: PLW2901
                    columns = self._in_order_of(path, names)
                yield Block(block.data, block.line, before + block.done), columns
            before += size

    def _in_order_of(self, path: Path, names: Sequence[str]) -> Columns:
        """The columns as this file orders them."""
        types = dict(zip(self.columns.names, self.columns.types, strict=True))
        if types.keys() != set(names):
            odd = ", ".join(sorted(types.keys() ^ set(names)))
            do = f"Ingest {path.name} on its own and concat the sources."
            raise SchemaError(f"the columns of {self.paths[0].name}", got=f"others ({odd})", where=f"{path}", do=do)
        return Columns(path, tuple(names), tuple(types[name] for name in names), self._dialect)


def _without_rows(block: Block, dialect: Dialect, *, lines: int = 0, rows: int = 0) -> Block:
    """The block after its first lines, or after its first rows that are not blank."""
    start = 0
    while lines and start < len(block.data):
        line = Dialect(quote=None).record.match(block.data, start)
        start, lines = line.end() if line else len(block.data), lines - 1
    while rows and (match := dialect.record.match(block.data, start)):
        start, rows = match.end(), rows - bool(match.group().strip(b"\r\n"))
    return Block(block.data[start:], block.lines_of([start])[0], block.done)


def _data_type(kind: Any, name: str) -> pa.DataType:
    if isinstance(kind, pa.DataType):
        return kind
    try:
        return pa.type_for_alias(kind) if isinstance(kind, str) else pa.from_numpy_dtype(kind)
    except (ValueError, TypeError, pa.ArrowException) as error:
        do = 'Use a name such as "int64", "float64", "string", "bool", "date32" or "timestamp[s]".'
        raise SchemaError("an Arrow type", got=f"{kind!r}", where=f"types[{name!r}]", do=do) from error


@contextmanager
def _parsed_ahead(files: _Files) -> Iterator[Iterator[Parsed]]:
    """The blocks, parsed in order by a few threads while one more reads ahead of them."""
    threads, work = n_threads(), files.work()
    reading, parsing = ThreadPoolExecutor(1, "bigml-read"), ThreadPoolExecutor(threads, "bigml-parse")
    try:
        blocks = _ahead(reading, itertools.repeat(partial(next, work, None)), BLOCKS_AHEAD)
        there = (item for item in iter(partial(next, blocks), None) if item is not None)
        yield _ahead(parsing, (partial(parse, *item) for item in there), threads)
    finally:
        for pool in (reading, parsing):
            pool.shutdown(wait=True, cancel_futures=True)
        work.close()


def _ahead(pool: ThreadPoolExecutor, calls: Iterable[Callable[[], R]], depth: int) -> Iterator[R]:
    """The results of the calls, in order, with up to `depth` of them begun ahead."""
    begun: deque[Future[R]] = deque()
    for call in calls:
        begun.append(pool.submit(call))
        if len(begun) > depth:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _accepted(parsed: Iterable[Parsed], rejects: _Rejects, done: Callable[[int], None]) -> Iterator[pa.Table]:
    """The tables, after their misfits went to the rejects."""
    for item in parsed:
        rejects.write(item)
        done(item.done)
        yield item.table


class _Rejects:
    """The file of rejected rows, made when there is one."""

    def __init__(self, writer: DatasetWriter) -> None:
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._writer = writer
        self._file: AtomicFile | None = None

    @property
    def path(self) -> Path | None:
        return self._file.path if self._file else None

    def write(self, parsed: Parsed) -> None:
        if not parsed.misfits:
            return
        if self._file is None:
            self._file = self._writer.attach("_rejects", ".csv")
            self._append([("file", "line", "reason", "text")])
        self._append([(parsed.path, row.line, row.reason, row.text) for row in parsed.misfits])
        self.rows += len(parsed.misfits)
        self.reasons.update(row.column for row in parsed.misfits)

    def _append(self, rows: Iterable[tuple[Any, ...]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        if self._file:
            self._file.write(text.getvalue().encode())

    def __enter__(self) -> _Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is None:
            return
        try:
            if kind is None:
                self._file.publish()
                self._writer.attached(self._file, self.rows)
        finally:
            self._file.discard()
