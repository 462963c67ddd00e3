"""Blocks: a text file, plain or compressed, as pieces of whole rows in UTF-8."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.errors import SourceError
from bigml.sources.dialect import Dialect

BLOCK_BYTES = 8 << 20
LONGEST_ROW = 64 << 20
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
BOM = codecs.BOM_UTF8


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows of a file.

    Attributes:
        data: UTF-8, ending with a line end.
        line: The number of its first line in the file, from 1.
        done: Bytes of the file, as it lies on the disk, that were read so far.
    """

    data: bytes
    line: int
    done: int

    def lines_of(self, positions: Sequence[int]) -> list[int]:
        """The numbers of the lines in the file at these ascending positions in the data."""
        borders = itertools.pairwise([0, *positions])
        counts = (count_lines(self.data[start:stop]) for start, stop in borders)
        return list(itertools.accumulate(counts, initial=self.line))[1:]


def count_lines(data: bytes) -> int:
    r"""Line ends in the data: \n, \r\n or \r.

    >>> count_lines(b"a\nb\r\nc\rd")
    3
    """
    returns = data.count(b"\r") if b"\r" in data else 0
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def read_blocks(path: Path, dialect: Dialect, size: int = BLOCK_BYTES) -> Generator[Block, None, None]:
    """The file in blocks of about `size` bytes of text, decompressed by what its first bytes say.

    Raises:
        SourceError: Not readable, damaged, not in the encoding, or a quote that is never closed.
    """
    cutter = _Cutter(path, dialect)
    with _opened(path) as raw:
        stream = _decompressed(raw)
        decode = _Decoder(path, dialect)
        while True:
            piece = _read(stream, size, path)
            yield from cutter.feed(decode(piece, final=not piece), raw.tell(), final=not piece)
            if not piece:
                return


def _opened(path: Path) -> Any:
    try:
        return pa.OSFile(str(path))
    except OSError as error:
        raise SourceError("a file that can be read", got=f"{error}", where=f"{path}") from error


def _decompressed(raw: Any) -> Any:
    start = raw.read(4)
    raw.seek(0)
    codec = next((codec for magic, codec in MAGIC.items() if start.startswith(magic)), None)
    return raw if codec is None else pa.CompressedInputStream(raw, codec)


def _read(stream: Any, size: int, path: Path) -> bytes:
    try:
        data: bytes = stream.read(size)
        return data
    except OSError as error:
        raise SourceError("a whole file", got=f"a damaged one ({error})", where=f"{path}", do="Fetch it again.") from error


class _Decoder:
    """Bytes of the file to UTF-8, across the borders of pieces."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._encoding, self._lines = path, dialect.encoding, 1
        self._decoder = None if dialect.is_utf8 else codecs.getincrementaldecoder(dialect.encoding)()

    def __call__(self, piece: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            return piece
        try:
            text = self._decoder.decode(piece, final).encode()
        except UnicodeDecodeError as error:
            raise not_in_encoding(error, self._encoding, self._path, self._lines) from error
        self._lines += count_lines(text)
        return text


def not_in_encoding(error: UnicodeDecodeError, encoding: str, path: Path, first_line: int) -> SourceError:
    """The error for bytes that the encoding does not have, in data whose first line has this number."""
    line = first_line + count_lines(bytes(error.object[: error.start]))
    got = f"the byte 0x{error.object[error.start]:02x}"
    do = 'Pass encoding="latin-1" (or the one it was written in).'
    return SourceError(f"text in {encoding}", got=got, where=f"{path}, line {line:,}", do=do)


class _Cutter:
    """Gathers pieces of text and gives them out cut after the last row that is whole."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._dialect = path, dialect
        self._rest, self._line, self._first = b"", 1, True

    def feed(self, text: bytes, done: int, *, final: bool) -> Iterator[Block]:
        data = self._rest + text if self._rest else text
        if self._first and data:
            data, self._first = data.removeprefix(BOM), False
        if final and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        end = last_row_end(data, self._dialect, final=final)
        self._rest = data[end:]
        self._check(final)
        if end:
            whole = data[:end] if self._rest else data
            yield Block(whole, self._line, done)
            self._line += count_lines(whole)

    def _check(self, final: bool) -> None:
        if (self._rest and final) or len(self._rest) > LONGEST_ROW:
            raise SourceError(
                "a closing quote",
                got="none to the end of the file" if final else f"a row of more than {LONGEST_ROW >> 20} MiB",
                where=f"{self._path}, in the row that starts on line {self._line:,}",
                do="Mend the row, or pass quote=None if quotes are plain text.",
            )


def last_row_end(data: bytes, dialect: Dialect, *, final: bool = False) -> int:
    r"""Where the last whole row ends: after a line end outside quotes; 0 when there is none.

    >>> last_row_end(b'1,"a\nb"\n2,"c\nd', Dialect())
    8
    """
    if dialect.quote is None or dialect.quote.encode() not in data:
        return _line_end(data, len(data), final)
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == ord(dialect.quote))
    if not _are_regular(array, quotes, dialect):
        match = dialect.records.match(data, 0, len(data) if final or not data.endswith(b"\r") else len(data) - 1)
        return match.end() if match else 0
    end = _line_end(data, len(data), final)
    while (before := int(np.searchsorted(quotes, end))) % 2:
        end = _line_end(data, int(quotes[before - 1]), True)
    return end


def _line_end(data: bytes, stop: int, closed: bool) -> int:
    """The end of the last line before `stop`; a return at the very end may be half of a line end, unless it is closed."""
    newline = data.rfind(b"\n", 0, stop)
    lone_return = data.rfind(b"\r", newline + 1, stop if closed else stop - 1)
    return max(newline, lone_return) + 1


def _are_regular(array: NDArray[np.uint8], quotes: NDArray[np.int64], dialect: Dialect) -> bool:
    """Whether every quote opens a field, closes one or is doubled: then their parity tells what is inside quotes."""
    neighbours = np.zeros(256, dtype=np.bool_)
    neighbours[[ord(dialect.delimiter), 10, 13, ord(dialect.quote or '"')]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = array[opening[1:] - 1 if opening[0] == 0 else opening - 1]
    after = array[closing[:-1] + 1 if len(closing) and closing[-1] == len(array) - 1 else closing + 1]
    return bool(neighbours[before].all() and neighbours[after].all())
