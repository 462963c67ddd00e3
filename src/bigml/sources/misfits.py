"""Misfits: the rows of a block of CSV that do not fit the columns, found exactly, and the rest as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from bigml.errors import SourceError
from bigml.sources.blocks import Block, not_in_encoding
from bigml.sources.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that was set aside: the line on which it starts, why (and the column, if it is one), and its text."""

    line: int
    reason: str
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """What every row must fit: names in the order of the file, with their types."""

    path: Path
    names: tuple[str, ...]
    types: tuple[pa.DataType, ...]
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Parsed:
    """A block as a table, and what did not fit into it."""

    table: pa.Table
    misfits: tuple[Misfit, ...]
    path: Path
    done: int


def parse(block: Block, columns: Columns) -> Parsed:
    """The rows of a block that fit the columns, and those that do not.

    Raises:
        SourceError: Bytes that are not UTF-8.
    """
    check_utf8(block, columns)
    wrong: list[tuple[int, str]] = []
    try:
        table = read_rows(block.data, columns, dict(zip(columns.names, columns.types, strict=True)), wrong)
    except pa.ArrowInvalid:
        return _sorted_out(block, columns)
    misfits = _misfits(block, columns, {number: (reason, "") for number, reason in wrong})
    return Parsed(table, misfits, columns.path, block.done)


def check_utf8(block: Block, columns: Columns) -> None:
    """Refuse bytes that are not UTF-8, with their line."""
    if block.data.isascii():
        return
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        raise not_in_encoding(error, "utf-8", columns.path, block.line) from error


def read_rows(
    data: bytes, columns: Columns, types: dict[str, pa.DataType], wrong: list[tuple[int, str]], *, nulls: bool = True
) -> pa.Table:
    """Whole rows as a table; types that are not given are inferred.

    Rows with another number of fields are left out and go to `wrong`, with their number among the rows that are not blank.
    """
    dialect = columns.dialect

    def note(row: Any) -> str:
        wrong.append((row.number - 1, f"{row.actual_columns} fields instead of {row.expected_columns}"))
        return "skip"

    if not data.strip(b"\r\n"):
        return pa.table({name: pa.array([], types.get(name, pa.null())) for name in columns.names})
    return pacsv.read_csv(
        pa.py_buffer(data),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(columns.names)),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote or False, newlines_in_values=True, invalid_row_handler=note
        ),
        convert_options=_conversion(dialect, types, nulls=nulls),
    )


def _conversion(dialect: Dialect, types: dict[str, pa.DataType], *, nulls: bool = True) -> pacsv.ConvertOptions:
    values = list(dialect.na_values) if nulls else []
    return pacsv.ConvertOptions(column_types=types, null_values=values, strings_can_be_null=nulls, check_utf8=False)


def _sorted_out(block: Block, columns: Columns) -> Parsed:
    """The slow way: the block as text, converted a column at a time, leaving out what does not convert."""
    wrong: list[tuple[int, str]] = []
    texts = read_rows(block.data, columns, dict.fromkeys(columns.names, pa.string()), wrong, nulls=False)
    numbers = np.delete(np.arange(texts.num_rows + len(wrong)), [number for number, _ in wrong])
    reasons: dict[int, tuple[str, str]] = {number: (reason, "") for number, reason in wrong}
    for name, kind in zip(columns.names, columns.types, strict=True):
        text = texts.column(name).combine_chunks()
        for row in unconvertible(text, kind, columns.dialect):
            reasons.setdefault(int(numbers[row]), (f"column `{name}`: {text[row].as_py()!r} is not {kind}", name))
    fitting = pa.array(np.flatnonzero(~np.isin(numbers, list(reasons))))
    converted = [
        convert(texts.column(name).combine_chunks().take(fitting), kind, columns.dialect)
        for name, kind in zip(columns.names, columns.types, strict=True)
    ]
    return Parsed(pa.table(converted, names=list(columns.names)), _misfits(block, columns, reasons), columns.path, block.done)


def convert(texts: pa.Array, kind: pa.DataType, dialect: Dialect) -> pa.Array:
    """Texts converted as they would be in a CSV file.

    Raises:
        pa.ArrowInvalid: One does not convert.
    """
    if not len(texts):
        return pa.array([], kind)
    out = pa.BufferOutputStream()
    pacsv.write_csv(pa.table({"": texts}), out, pacsv.WriteOptions(include_header=False, quoting_style="all_valid"))
    data = out.getvalue()
    return pacsv.read_csv(
        data,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=data.size + 1, column_names=[""]),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=_conversion(dialect, {"": kind}),
    ).column(0)


def unconvertible(texts: pa.Array, kind: pa.DataType, dialect: Dialect) -> NDArray[np.int64]:
    """The positions of the texts that do not convert, in order.

    The converter itself decides, on distinct texts and by halving; what it could never accept is told by its letters.
    """
    distinct = pc.unique(texts)
    if _converts(distinct, kind, dialect):
        return np.empty(0, dtype=np.int64)
    hopeless = _hopeless(distinct, kind, dialect)
    bad = [distinct.filter(hopeless), *_bisected(distinct.filter(pc.invert(hopeless)), kind, dialect)]
    return np.flatnonzero(pc.is_in(texts, pa.concat_arrays(bad)).to_numpy(zero_copy_only=False))


def _converts(texts: pa.Array, kind: pa.DataType, dialect: Dialect) -> bool:
    try:
        convert(texts, kind, dialect)
    except pa.ArrowInvalid:
        return False
    return True


def _hopeless(texts: pa.Array, kind: pa.DataType, dialect: Dialect) -> pa.Array:
    """Texts with a character that no value of the type has, and that are not a missing value either, even when trimmed."""
    foreign = pc.match_substring_regex(texts, _FOREIGN.get(_family(kind), "$^"))
    missing = pc.is_in(pc.utf8_trim_whitespace(texts), pa.array([text.strip() for text in dialect.na_values], pa.string()))
    return pc.and_(foreign, pc.invert(missing))


_FOREIGN = {"integer": r"[^0-9+\-\sxXa-fA-F]", "float": r"[^0-9+\-.\sa-zA-Z]", "temporal": r"[^0-9+\-.:/\sa-zA-Z]"}


def _family(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "float"
    return "temporal" if pa.types.is_temporal(kind) else ""


def _bisected(texts: pa.Array, kind: pa.DataType, dialect: Dialect) -> list[pa.Array]:
    """The texts that do not convert, by trying halves."""
    if not len(texts) or _converts(texts, kind, dialect):
        return []
    if len(texts) == 1:
        return [texts]
    middle = len(texts) // 2
    return _bisected(texts[:middle], kind, dialect) + _bisected(texts[middle:], kind, dialect)


def _misfits(block: Block, columns: Columns, reasons: dict[int, tuple[str, str]]) -> tuple[Misfit, ...]:
    """Reasons by row number turned to misfits with lines and texts."""
    if not reasons:
        return ()
    rows = [match for match in columns.dialect.record.finditer(block.data) if match.group().strip(b"\r\n")]
    numbers = sorted(reasons)
    if numbers[-1] >= len(rows):
        where = f"{columns.path}, after line {block.line:,}"
        raise SourceError("rows that can be told apart", got="quotes that are ambiguous", where=where, do="Try quote=None.")
    lines = block.lines_of([rows[number].start() for number in numbers])
    texts = (rows[number].group().decode().rstrip("\r\n") for number in numbers)
    return tuple(Misfit(line, *reasons[number], text) for number, line, text in zip(numbers, lines, texts, strict=True))


def inferred(sample: Block, columns: Columns, given: Mapping[str, pa.DataType]) -> Columns:
    """The columns with the given types, the others inferred from a sample; what is all missing there is taken as text."""
    check_utf8(sample, columns)
    schema = read_rows(sample.data, columns, {}, []).schema
    guessed = {item.name: pa.string() if pa.types.is_null(item.type) else item.type for item in schema}
    return Columns(columns.path, columns.names, tuple((guessed | dict(given))[name] for name in columns.names), columns.dialect)
