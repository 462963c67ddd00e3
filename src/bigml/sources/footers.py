"""Footer: what is kept of the end of a Parquet file, read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from bigml.errors import BigmlError, SchemaError, SourceError
from bigml.graph.progress import reporting
from bigml.sources.schemas import is_text
from bigml.sources.storage import Listing, Storage

T = TypeVar("T")
Sized: TypeAlias = tuple[tuple[pa.Field, int], ...]
"""Columns and the positions of those of their stored columns that are of variable width."""

PARSED_BYTES = 24 << 20
"""Bytes of footers, as they are stored, that a process keeps parsed, which takes some seven times as much: those of ten thousand
row groups. Threads that parse them again and again leave as much behind."""
THREADS = 16
"""Footers read at once: they wait for the network, not for the processor."""
LOCAL_THREADS = 4
"""Those of local files that are not at hand at once."""
FIRST = 8
"""Local files whose footers one thread reads before it is known how long they take."""
QUICK = 2e-3
"""Seconds for the footer of a local file up to which one thread reads all: it is parsing them that takes long, not waiting."""
WORTH_BYTES = 4.0
"""Stored bytes a value below which text is read as an Arrow dictionary: above, its dictionary was given up."""


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its rows, and the decoded bytes of its columns of variable width."""

    rows: int
    variable: int


@dataclass(frozen=True, slots=True)
class TextSize:
    """Values of a text column in a file, their stored bytes, and whether all of them are dictionary-encoded."""

    values: int
    nbytes: int
    encoded: bool

    def __add__(self, other: TextSize) -> TextSize:
        return TextSize(self.values + other.values, self.nbytes + other.nbytes, self.encoded and other.encoded)

    @property
    def is_worth_a_dictionary(self) -> bool:
        """Whether reading codes is cheaper than reading text."""
        return self.encoded and self.nbytes <= WORTH_BYTES * self.values + (1 << 16)


@dataclass(frozen=True, slots=True)
class Footer:
    """A file's columns and row groups, in a few hundred bytes beyond the schema, which equal files share.

    Attributes:
        stamp: Changes when the file is changed.
        size: Bytes of the file.
        texts: Sizes of the text columns.
    """

    path: str
    stamp: str
    size: int
    schema: pa.Schema
    groups: tuple[Group, ...]
    texts: Mapping[str, TextSize]

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)


def read_footers(listing: Listing, columns: frozenset[str] | None) -> list[Footer]:
    """The footers of the files, in order, read by a few threads.

    Footers whose checksums are known are compared first: pyarrow ends the process over some kinds of damage.

    Args:
        columns: The columns whose sizes are wanted; None means all.

    Raises:
        SourceError: A file is missing, empty, truncated or no Parquet file.
    """
    storage, checksums = listing.storage, listing.checksums

    def one(path: str) -> Footer:
        _check_footer(storage, path, checksums.get(path))
        return read_footer(storage, path, columns)

    footers = list(_each(storage, one, [path for path, _ in listing.files]))
    shared: dict[bytes, pa.Schema] = {}
    return [_sharing(footer, shared.setdefault(footer.schema.serialize().to_pybytes(), footer.schema)) for footer in footers]


def _sharing(footer: Footer, schema: pa.Schema) -> Footer:
    return Footer(footer.path, footer.stamp, footer.size, schema, footer.groups, footer.texts)


def _each(storage: Storage, function: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    with reporting(None, "footers") as bar:
        for done, value in enumerate(_values(storage, function, paths), start=1):
            bar(done, len(paths))
            yield value


def _values(storage: Storage, function: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    """The function of each path, in order, by few threads or this one."""
    first = paths[:FIRST] if storage.is_local else []
    begin = perf_counter()
    yield from map(function, first)
    rest = paths[len(first) :]
    if not rest or (first and perf_counter() - begin < QUICK * len(first)):
        yield from map(function, rest)
        return
    with ThreadPoolExecutor(min(LOCAL_THREADS if storage.is_local else THREADS, len(rest)), "bigml-footers") as pool:
        yield from pool.map(function, rest)


def _check_footer(storage: Storage, path: str, checksum: int | None) -> None:
    try:
        found = checksum if checksum is None else storage.footer_crc32(path)
    except FileNotFoundError:
        return
    if found != checksum:
        expected = f"a footer with the checksum {checksum:08x}, as its manifest says"
        raise SourceError(
            expected, got=f"{found:08x}", where=path, do="The file was damaged after it was written: write it again."
        )


class _Parsed:
    """Parsed footers, the last used ones: a file of thousands of row groups is opened by many tasks, and parsing takes long."""

    def __init__(self) -> None:
        self._footers: OrderedDict[Hashable, pq.FileMetaData] = OrderedDict()
        self._nbytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> pq.FileMetaData | None:
        """What was put under this key, if it is still there."""
        return self._footers.get(key)

    def put(self, key: Hashable, footer: pq.FileMetaData) -> None:
        """Keep a footer; a key of None is never kept."""
        if key is None:
            return
        with self._lock:
            self._drop(self._footers.pop(key, None))
            self._footers[key] = footer
            self._nbytes += footer.serialized_size
            while len(self._footers) > 1 and self._nbytes > PARSED_BYTES:
                self._drop(self._footers.popitem(last=False)[1])

    def _drop(self, footer: pq.FileMetaData | None) -> None:
        self._nbytes -= footer.serialized_size if footer else 0


_PARSED = _Parsed()


def read_footer(storage: Storage, path: str, columns: frozenset[str] | None) -> Footer:
    """The footer of one file."""
    with opened(storage, path) as file:
        metadata = file.metadata
        schema, sized = _DESCRIBED.get(file, path, columns)
        groups, texts = _sizes(metadata, sized)
    return Footer(path, storage.stamp(path), storage.size(path), schema, groups, texts)


class _Described:
    """What schemas of footers say, the last one's: those of a data set are mostly equal, and comparing them is quick."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] = (None,)

    def get(self, file: pq.ParquetFile, path: str, columns: frozenset[str] | None) -> tuple[pa.Schema, Sized]:
        """The columns, and the stored columns of variable width that are among these.

        Raises:
            SchemaError: There are two columns of one name.
        """
        told, more = layout(file.metadata.schema), file.metadata.metadata
        last = self._last
        if last[:3] == (told, more, columns):
            return last[3], last[4]
        schema = file.schema_arrow.remove_metadata()
        if len(set(schema.names)) < len(schema.names):
            raise SchemaError("each column once", got=f"columns {schema.names}", where=f"in {path}")
        stored = leaves(schema, len(file.metadata.schema))
        kept = [(owner, leaf) for owner, leaf in stored if columns is None or schema.names[owner] in columns]
        sized = tuple((schema.field(owner), leaf) for owner, leaf in kept if width_of(schema.field(owner).type) is None)
        self._last = (told, more, columns, schema, sized)
        return schema, sized


_DESCRIBED = _Described()


def layout(schema: pq.ParquetSchema) -> str:
    """What a footer says of its columns; `equals` of pyarrow is blind to the groups that they are in."""
    # The first line is where the schema lies in memory.
    return str(schema).partition("\n")[2]


def opened(storage: Storage, path: str, **options: Any) -> pq.ParquetFile:
    """The file, open; errors name it and tell a text file from a truncated one.

    Raises:
        SourceError: It is missing, empty, truncated or no Parquet file.
    """
    try:
        key = (path, storage.stamp(path)) if storage.is_local else None
        options = {"pre_buffer": False, "page_checksum_verification": True, **options}
        file = pq.ParquetFile(storage.open(path), metadata=_PARSED.get(key), **options)
        _PARSED.put(key, file.metadata)
        return file
    except FileNotFoundError as error:
        do = "If the data set was written anew since it was opened, open it again."
        raise SourceError("a Parquet file", got="no such file", where=path, do=do) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError("a Parquet file", got=_what(storage, path, error), where=path, do=_remedy(storage, path)) from error


def parsed(storage: Storage, path: str) -> pq.FileMetaData:
    """The file's footer; of a local file it is parsed but once while there is room.

    Raises:
        SourceError: See `opened`.
    """
    footer = _PARSED.get((path, storage.stamp(path))) if storage.is_local else None
    if footer is None:
        with opened(storage, path) as file:
            footer = file.metadata
    return footer


def _what(storage: Storage, path: str, error: Exception) -> str:
    try:
        size = storage.size(path)
        if size == 0:
            return "an empty file (0 bytes)"
        head = storage.filesystem.read_block(path, 0, 4)
    except OSError:
        return reason(error)
    if head == b"PAR1":
        return f"a truncated or damaged one of {size:,} bytes ({reason(error)})"
    return f"{'a text file' if head.isascii() else 'another kind of file'} of {size:,} bytes"


def _remedy(storage: Storage, path: str) -> str:
    if path.endswith((".csv", ".txt", ".tsv", ".data", ".gz", ".bz2", ".zst")):
        return "Convert it with bigml.ingest() first."
    return "Write it again, or leave it out with a glob or a list of files."


def reason(error: BaseException) -> str:
    """The first line of an error, without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def leaves(schema: pa.Schema, number: int) -> list[tuple[int, int]]:
    """Pairs of a column's position and that of one of its stored leaves; a nested column has several."""
    owners = [i for i, field in enumerate(schema) for _ in range(_n_leaves(field.type))]
    return [(owner, leaf) for leaf, owner in enumerate(owners)] if len(owners) == number else []


def _n_leaves(kind: pa.DataType) -> int:
    if not pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        return 1
    return sum(_n_leaves(kind.field(i).type) for i in range(kind.num_fields))


def _sizes(metadata: Any, wanted: Sized) -> tuple[tuple[Group, ...], dict[str, TextSize]]:
    """Row groups and text sizes from the sizes of the stored columns of variable width."""
    groups: list[Group] = []
    texts: dict[str, TextSize] = {}
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        variable = 0
        for field, leaf in wanted:
            column = group.column(leaf)
            least = 4 if is_text(field.type) else 8
            variable += max(column.total_uncompressed_size, least * column.num_values)
            if is_text(field.type):
                one = TextSize(column.num_values, column.total_uncompressed_size, column.has_dictionary_page)
                texts[field.name] = texts[field.name] + one if field.name in texts else one
        groups.append(Group(group.num_rows, variable))
    return tuple(groups), texts


def width_of(kind: pa.DataType) -> float | None:
    """Decoded bytes of one value; None when values differ in width.

    >>> width_of(pa.int32()), width_of(pa.bool_()), width_of(pa.string())
    (4.0, 0.125, None)
    """
    if pa.types.is_null(kind):
        return 0.0
    if pa.types.is_dictionary(kind) or pa.types.is_nested(kind):
        return None
    try:
        return float(kind.bit_width) / 8
    except ValueError:
        return None


def each_footer(storage: Storage, paths: Sequence[str], function: Callable[[pq.FileMetaData], T]) -> dict[str, T]:
    """The values of a function of each file's footer, by path, from a few threads."""

    def one(path: str) -> T:
        footer = parsed(storage, path)
        try:
            return function(footer)
        except BigmlError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError("a readable footer", got=reason(error), where=path) from error

    return dict(zip(paths, _each(storage, one, paths), strict=True))
