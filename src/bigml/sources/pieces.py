"""Piece: some consecutive rows of one Parquet file; and how files are cut into parts of at most so many bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from bigml.part import Part
from bigml.sources.footers import Footer

MOST_ROWS = 1 << 20
"""Rows up to which row groups are combined: more would leave the processor's caches without saving work."""
MOST_PIECES = 16
"""Files in one part, at most: a part stays a small reference."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of one file.

    Attributes:
        path: The file.
        size: Its bytes when it was opened; another size means that it was changed.
        first: The first row group.
        last: The last row group.
        n_rows: Rows in the piece.
        start: The first row in the row group when the piece is a slice of one; None for whole row groups.
    """

    path: str
    size: int
    first: int
    last: int
    n_rows: int
    start: int | None = None

    def __str__(self) -> str:
        groups = f"row group {self.first}" if self.first == self.last else f"row groups {self.first} to {self.last}"
        where = f" from row {self.start:,}" if self.start is not None else ""
        return f"{self.path}, {groups}{where}"


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a part refers to: pieces under the same partition keys, and the values of the keys."""

    pieces: tuple[Piece, ...]
    keys: tuple[Any, ...] = ()

    def __str__(self) -> str:
        more = f" and {len(self.pieces) - 1} more files" if len(self.pieces) > 1 else ""
        return f"{self.pieces[0]}{more}"


@dataclass(frozen=True, slots=True)
class _Cut:
    """A piece with its size and its run, on the way to a part."""

    piece: Piece
    keys: tuple[Any, ...]
    nbytes: int
    run: int = -1


def cut(footers: Sequence[Footer], keys: Mapping[str, tuple[Any, ...]], fixed: float, part_bytes: int) -> tuple[Part, ...]:
    """Parts of at most `part_bytes` decoded bytes: large row groups are sliced, small ones combined.

    Args:
        footers: The files, in order.
        keys: Path to the values of the file's partition keys.
        fixed: Decoded bytes of a row in the columns of fixed width.
    """
    parts: list[Part] = []
    offset = 0
    for gathered in _gathered(_cuts(footers, keys, fixed, part_bytes), part_bytes):
        parts.append(gathered.part(len(parts), offset))
        offset += gathered.rows
    return tuple(parts)


def of_paths(part: Part, paths: Collection[str]) -> Part:
    """The part with the pieces of these files alone."""
    pieces: Pieces = part.ref
    kept = tuple(piece for piece in pieces.pieces if piece.path in paths)
    n_rows = sum(piece.n_rows for piece in kept)
    return replace(part, n_rows=n_rows, nbytes=part.nbytes * n_rows // part.n_rows, ref=Pieces(kept, pieces.keys))


def joined(left: Part, right: Part) -> Part | None:
    """Two parts, the second of which follows the first, as one; None where they are slices, of other keys or of many files."""
    one, other = left.ref, right.ref
    if left.run >= 0 or right.run >= 0 or one.keys != other.keys or len(one.pieces) + len(other.pieces) > MOST_PIECES:
        return None
    (*before, last), (first, *after) = one.pieces, other.pieces
    middle = (replace(last, last=first.last, n_rows=last.n_rows + first.n_rows),) if last.path == first.path else (last, first)
    ref = Pieces((*before, *middle, *after), one.keys)
    return replace(left, n_rows=left.n_rows + right.n_rows, nbytes=left.nbytes + right.nbytes, ref=ref)


def _gathered(cuts: Iterable[_Cut], part_bytes: int) -> Iterator[_Gathered]:
    gathered: _Gathered | None = None
    for one in cuts:
        if gathered is not None and not gathered.has_room(one, part_bytes):
            yield gathered
            gathered = None
        gathered = gathered or _Gathered(one.keys, one.run)
        gathered.add(one)
    if gathered is not None:
        yield gathered


def _cuts(footers: Sequence[Footer], keys: Mapping[str, tuple[Any, ...]], fixed: float, part_bytes: int) -> Iterator[_Cut]:
    """Every row group that has rows, the large ones in slices; slices of one row group share a run."""
    run = 0
    for footer in footers:
        for g, group in enumerate(footer.groups):
            nbytes = int(group.rows * fixed) + group.variable
            whole = Piece(footer.path, footer.size, g, g, group.rows)
            slices = min(ceil(nbytes / part_bytes), group.rows)
            if slices > 1:
                yield from _slices(_Cut(whole, keys[footer.path], nbytes, run), slices)
                run += 1
            elif group.rows:
                yield _Cut(whole, keys[footer.path], nbytes)


def _slices(whole: _Cut, number: int) -> Iterator[_Cut]:
    rows = whole.piece.n_rows
    step = ceil(rows / number)
    for start in range(0, rows, step):
        n = min(step, rows - start)
        yield replace(whole, piece=replace(whole.piece, start=start, n_rows=n), nbytes=whole.nbytes * n // rows)


class _Gathered:
    """Neighbouring cuts that become one part."""

    def __init__(self, keys: tuple[Any, ...], run: int) -> None:
        self.keys, self.run, self.rows, self.nbytes = keys, run, 0, 0
        self.pieces: list[Piece] = []

    def has_room(self, one: _Cut, part_bytes: int) -> bool:
        if one.run >= 0 or self.run >= 0 or one.keys != self.keys:
            return False
        is_new_file = one.piece.path != self.pieces[-1].path
        fits = self.rows + one.piece.n_rows <= MOST_ROWS and self.nbytes + one.nbytes <= part_bytes
        return fits and len(self.pieces) + is_new_file <= MOST_PIECES

    def add(self, one: _Cut) -> None:
        if self.pieces and self.pieces[-1].path == one.piece.path:
            last = self.pieces.pop()
            self.pieces.append(replace(last, last=one.piece.last, n_rows=last.n_rows + one.piece.n_rows))
        else:
            self.pieces.append(one.piece)
        self.rows += one.piece.n_rows
        self.nbytes += one.nbytes

    def part(self, index: int, offset: int) -> Part:
        return Part(index, offset, self.rows, self.nbytes, Pieces(tuple(self.pieces), self.keys), self.run)
