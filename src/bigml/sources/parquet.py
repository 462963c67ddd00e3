"""ParquetSource: Parquet files as one source, cut into parts by a byte budget."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, SchemaError, SourceError
from bigml.part import Part
from bigml.sources import pieces, pruning
from bigml.sources.drift import Agreement, Quarantined, Types, agree, as_types
from bigml.sources.expression import Expression
from bigml.sources.footers import Footer, TextSize, read_footers, width_of
from bigml.sources.hive import Keys, key_column, key_schema, keys_of, typed
from bigml.sources.manifest import Manifest
from bigml.sources.opened import Opened
from bigml.sources.pages import PageReader
from bigml.sources.pieces import Pieces, cut, of_paths
from bigml.sources.rows import Extent
from bigml.sources.schemas import is_text
from bigml.sources.source import Source
from bigml.sources.storage import Listing, Paths, Storage, listing
from bigml.sources.stored import StoredFile

PART_BYTES = 64 << 20


@dataclass(frozen=True, repr=False, eq=False)
class ParquetSource(Opened, Source):
    """Parquet files as one source; made by `bigml.read_parquet`.

    Attributes:
        quarantined: Files set aside because their columns do not fit: (path, rows, reason).
        encoded: Whether chunks may hold columns as codes.
    """

    storage: Storage
    keys: tuple[str, ...]
    dictionaries: frozenset[str]
    span: Extent
    quarantined: tuple[Quarantined, ...] = ()
    encoded: bool = False

    @property
    def extent(self) -> Extent:
        return self.span

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.quarantined:
            return ()
        rows = sum(file.rows for file in self.quarantined)
        files = [f"    {file.path} ({file.rows:,} rows): {file.reason}" for file in self.quarantined]
        return (f"  quarantined: {len(files):,} files, {rows:,} rows", *files[:10], *["    ..."] * (len(files) > 10))

    def scan(self, parts: Sequence[Part], columns: Sequence[str]) -> Iterator[Chunk]:
        stored = pa.schema([self.unified.field(name) for name in columns if name not in self.keys])
        with PageReader(self.storage, stored, self.dictionaries, coded=self.encoded) as reader:
            for part in parts:
                yield self._chunk(reader, part, columns, stored)

    def _chunk(self, reader: PageReader, part: Part, columns: Sequence[str], stored: pa.Schema) -> Chunk:
        ref: Pieces = part.ref
        made = reader.read(ref.pieces) if stored.names else {}
        for name, value in zip(self.keys, ref.keys, strict=True):
            if name in columns:
                made[name] = key_column(value, self.unified.field(name).type, part.n_rows)
        return Chunk({name: made[name] for name in columns}, range(part.offset, part.offset + part.n_rows))

    def pruned(self, condition: Expression) -> ParquetSource:
        """The same source without row groups whose statistics, or files whose partition keys, rule the condition out.

        Reads the footers of the files that the keys leave once more, unless the condition is of keys alone.
        """
        kept = pruning.kept(self.own_parts, condition, self.storage, self.unified, self.keys)
        return replace(self, own_parts=kept)

    @cached_property
    def files(self) -> tuple[StoredFile, ...]:
        paths = dict.fromkeys(piece.path for part in self.own_parts for piece in part.ref.pieces)
        return tuple(StoredFile(self.storage, path) for path in paths)

    def only(self, names: Collection[str]) -> ParquetSource:
        paths = {file.path for file in self.files if file.name in names}
        parts = (of_paths(part, paths) for part in self.own_parts)
        return replace(self, own_parts=tuple(part for part in parts if part.n_rows))

    def reopened(self, path: Paths, columns: Sequence[str]) -> ParquetSource:
        return read_parquet(path, columns=columns or None, storage_options=self.storage.options)

    def coded(self) -> ParquetSource:
        return replace(self, encoded=True)

    def joined(self, left: Part, right: Part) -> Part | None:
        return pieces.joined(left, right)

    def lean(self) -> ParquetSource:
        return replace(self, own_parts=(), quarantined=())


def read_parquet(
    path: Paths,
    *,
    columns: Sequence[str] | None = None,
    part_bytes: int = PART_BYTES,
    on_mismatch: str = "error",
    types: Types | None = None,
    storage_options: Mapping[str, Any] | None = None,
    partitioning: str | None = "hive",
) -> ParquetSource:
    """A source of the rows of Parquet files; only the files' footers are read.

    Schemas of all files are compared: the order of columns, widths of integers, integer beside float, nullability and
    encodings of text are unified, anything else is refused. Rows follow the sorted names of files.

    Args:
        path: A file, directory (recursive; names that begin with `.` or `_` are left out), glob, any fsspec URL, or a list
            of these. A directory that bigml wrote holds what its manifest says: all of the old rows or all of the new.
        columns: The columns to have, in this order; others are not even compared. None takes all.
        part_bytes: Decoded bytes of a part, at most: larger row groups are read in slices, smaller ones together.
        on_mismatch: "error" refuses files that do not fit; "quarantine" sets them aside in `source.quarantined`, with
            the reason and their number of rows.
        types: Types for columns by name, such as {"flight": "string"}: values are cast when they are read.
        storage_options: Options of the fsspec file system.
        partitioning: "hive" makes columns of `key=value` folders below the path: integers when all values are, text
            otherwise, or what `types` says; None ignores them.

    Raises:
        SourceError: Nothing is there, or a file is empty, truncated or no Parquet file; it is named.
        SchemaError: Files do not fit together; names the file, the column and both types.

    >>> import bigml
    >>> _ = bigml.from_arrow(pa.table({"x": [1, 2, 3]})).write_parquet("numbers", progress=False)
    >>> bigml.read_parquet("numbers").where("x > 1").to_pandas()["x"].tolist()
    [2, 3]
    """
    _check_options(part_bytes, on_mismatch, partitioning)
    wanted, given = None if columns is None else tuple(columns), as_types(types or {})
    found, footers = _opened(path, storage_options or {}, wanted)
    raw = {file: keys_of(folders) if partitioning else () for file, folders in found.files}
    if found.manifest is not None:
        given = {**_key_types(found.manifest), **given}
    own = None if wanted is None else [name for name in wanted if name not in dict(raw[footers[0].path])]
    agreed = agree(footers, own, given, quarantine=on_mismatch == "quarantine")
    keys = key_schema([(footer.path, raw[footer.path]) for footer in agreed.footers], given)
    schema = _ordered(agreed.schema, keys, wanted, found.manifest)
    for name in given:
        if types and name in types and name not in schema.names:
            raise ColumnError.missing(name, schema.names, where="in types=")
    values = {footer.path: typed(raw[footer.path], keys, footer.path) for footer in agreed.footers}
    return _source(found.storage, agreed, schema, (keys, values), part_bytes)


def _check_options(part_bytes: int, on_mismatch: str, partitioning: str | None) -> None:
    if part_bytes < 1:
        raise SourceError("a positive number of bytes", got=f"{part_bytes}", where="in part_bytes=")
    if on_mismatch not in ("error", "quarantine"):
        raise SourceError('on_mismatch="error" or "quarantine"', got=f"{on_mismatch!r}", where="in read_parquet")
    if partitioning not in ("hive", None):
        raise SourceError('partitioning="hive" or None', got=f"{partitioning!r}", where="in read_parquet")


def _opened(path: Paths, options: Mapping[str, Any], columns: Sequence[str] | None) -> tuple[Listing, list[Footer]]:
    """The files and their footers; listed once more when a rewrite removed them in between."""
    sizes = None if columns is None else frozenset(columns)
    found = listing(path, options)
    try:
        return found, read_footers(found, sizes)
    except SourceError:
        again = listing(path, options)
        if found.manifest is None or again.manifest is None or again.manifest.generation == found.manifest.generation:
            raise
        return again, read_footers(again, sizes)


def _key_types(manifest: Manifest) -> dict[str, pa.DataType]:
    """The types that partition keys had when they were written."""
    kinds = {name: kind for name, kind in manifest.columns if name in manifest.partition_by}
    return as_types({name: "string" if kind.startswith("dictionary") else kind for name, kind in kinds.items()})


def _ordered(stored: pa.Schema, keys: pa.Schema, wanted: Sequence[str] | None, manifest: Manifest | None) -> pa.Schema:
    """Stored columns and keys in one schema: as asked, as written, or the keys last."""
    both = [name for name in keys.names if name in stored.names]
    if both:
        do = "Pass partitioning=None to use the column in the files."
        raise SchemaError(f"column `{both[0]}` in files or in folders' names", got="both", do=do)
    fields = {item.name: item for item in (*stored, *keys)}
    if wanted is not None:
        return pa.schema([fields[name] for name in wanted])
    if manifest is not None and {name for name, _ in manifest.columns} == fields.keys():
        return pa.schema([fields[name] for name, _ in manifest.columns])
    return pa.schema(list(fields.values()))


def _source(
    storage: Storage, agreed: Agreement, schema: pa.Schema, partitions: tuple[pa.Schema, Mapping[str, Keys]], part_bytes: int
) -> ParquetSource:
    keys, values = partitions
    texts = _texts(agreed.footers)
    fixed = sum(width_of(item.type) or 0.0 for item in agreed.schema) + 4 * len(keys)
    parts = cut(agreed.footers, values, fixed, part_bytes)
    stamps = [(footer.path, footer.stamp) for footer in agreed.footers]
    return ParquetSource(
        storage=storage,
        unified=schema,
        keys=tuple(keys.names),
        dictionaries=_dictionaries(agreed.schema, texts),
        key=hashlib.blake2b(f"{stamps}{schema}{part_bytes}".encode(), digest_size=16).hexdigest(),
        sizes={item.name: _width(item, texts.get(item.name), agreed.footers) for item in schema},
        span=Extent(len(parts), sum(part.n_rows for part in parts)),
        own_parts=parts,
        quarantined=agreed.quarantined,
    )


def _texts(footers: Sequence[Footer]) -> dict[str, TextSize]:
    out: dict[str, TextSize] = {}
    for footer in footers:
        for name, text in footer.texts.items():
            out[name] = out[name] + text if name in out else text
    return out


def _dictionaries(schema: pa.Schema, texts: Mapping[str, TextSize]) -> frozenset[str]:
    worth = (name for name, text in texts.items() if text.is_worth_a_dictionary)
    return frozenset(name for name in worth if name in schema.names and is_text(schema.field(name).type))


def _width(item: pa.Field, text: TextSize | None, footers: Sequence[Footer]) -> float:
    """Decoded bytes of a value: by type, or by what is stored; columns of neither kind share the rest."""
    fixed = width_of(item.type)
    if fixed is not None:
        return fixed
    if text is not None and text.values:
        return max(4.0, text.nbytes / text.values)
    return 16.0
