"""Pieces: encoded rows that are kept once, of which each training of a Keras model is fed those of its cells."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.graph.mapping import map_parts
from bigml.graph.progress import reporting
from bigml.graph.reader import Reader
from bigml.graph.scan import read
from bigml.learning.batch import Batch, Encoder
from bigml.part import Part
from bigml.searching.cells import WHOLE, Dealer, Partition
from bigml.searching.setting import Setting
from bigml.sources.atomic import disk
from bigml.training.contract import Contract
from bigml.training.feed import Blocks, Kept, process_folder
from bigml.training.rows import Rows, encoder_of, kept_rows
from bigml.training.shards import Shard, deal

JUDGED_ROWS = 1 << 14
"""Rows that are judged at a time."""


@dataclass(frozen=True, eq=False)
class KeepCells:
    """Counts the rows of a part in each cell, and keeps the cell of each row in a file.

    Attributes:
        dealer: Tells cells.
        n_cells: How many there are.
        key: Tells the files apart from those of another dealer.
        directory: Of the files; None where none are kept.
    """

    dealer: Dealer
    n_cells: int
    key: str
    directory: str | None

    def __call__(self, part: Part, chunk: Chunk) -> NDArray[np.int64]:
        cells = self.dealer(chunk)
        if self.directory is not None:
            path = _path(self.directory, self.key, part.index)
            temporary = f"{path}-{secrets.token_hex(4)}"
            with disk(Path(path)), open(temporary, "wb") as file:
                np.save(file, cells, allow_pickle=False)
            os.replace(temporary, path)
        return np.bincount(cells[cells >= 0], minlength=self.n_cells)


@dataclass(frozen=True, eq=False)
class Near:
    """The files with the cells of each block, which all workers see."""

    directory: str
    key: str
    indices: tuple[int, ...]

    def path(self, number: int) -> str:
        """Of a block."""
        return _path(self.directory, self.key, self.indices[number])


@dataclass(frozen=True, eq=False)
class Afar:
    """The files with the cells of each block, where workers share none: each process makes those that it asks for."""

    reader: Reader
    parts: tuple[Part, ...]
    keep: KeepCells

    def path(self, number: int) -> str:
        """Of a block."""
        part, own = self.parts[number], replace(self.keep, directory=process_folder())
        path = _path(process_folder(), own.key, part.index)
        if not Path(path).exists():
            (chunk,) = read(self.reader, (part,), own.dealer.columns)
            own(part, chunk)
        return path


def _path(directory: str, key: str, index: int) -> str:
    return str(Path(directory, f"cells-{key}-{index}.npy"))


@lru_cache(maxsize=128)
def _places(path: str, wanted: tuple[int, ...]) -> NDArray[np.int64]:
    """Where in a block its rows of some cells are, in their order."""
    return np.flatnonzero(np.isin(np.load(path, allow_pickle=False), wanted))


@dataclass(frozen=True, eq=False)
class Taken:
    """Some rows of an array, as one of which rows are taken: nothing is copied before that."""

    array: NDArray[Any]
    places: NDArray[np.int64]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), *self.array.shape[1:])

    def take(self, places: NDArray[np.int64], axis: int = 0) -> NDArray[Any]:
        """These rows."""
        return self.array.take(self.places[places], axis=axis)


@dataclass(frozen=True, eq=False)
class Chosen:
    """Gives the rows of some cells by the number of their block."""

    blocks: Blocks
    cells: Near | Afar
    wanted: tuple[int, ...]

    def __call__(self, number: int) -> Batch:
        whole, places = self.blocks(number), _places(self.cells.path(number), self.wanted)
        values = (whole.rows, whole.X, whole.y, whole.weights)
        taken: list[Any] = [None if array is None else Taken(array, places) for array in values]
        return Batch(*taken)

    def part(self, number: int) -> int:
        """The index of the part that the rows of a block are from."""
        return self.blocks.part(number)

    def batches(self, numbers: Sequence[int]) -> Iterator[Batch]:
        """The rows of some blocks, some at a time."""
        for number in numbers:
            whole, places = self.blocks(number), _places(self.cells.path(number), self.wanted)
            yield from (whole.take(places[at : at + JUDGED_ROWS]) for at in range(0, len(places), JUDGED_ROWS))


@dataclass(frozen=True, eq=False)
class Pieces:
    """Rows in cells.

    Attributes:
        rows: All of them.
        cells: Tells the cell of each; None where all rows are in one.
        counts: Rows of each block in each cell, shape (n_blocks, n_cells).
    """

    rows: Rows
    cells: Near | Afar | None
    counts: NDArray[np.int64]

    def of(self, wanted: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
        """What gives the rows of some cells by block, and how many these are."""
        if self.cells is None:
            return self.rows.blocks, self.rows.counts
        return Chosen(self.rows.blocks, self.cells, wanted), tuple(self.counts[:, list(wanted)].sum(axis=1).tolist())

    def batches(self, wanted: tuple[int, ...]) -> Callable[[], Iterator[Batch]]:
        """Gives the rows of some cells, some at a time."""
        blocks, counts = self.of(wanted)
        return partial(blocks.batches, tuple(i for i, n in enumerate(counts) if n))

    def shard(self, wanted: tuple[int, ...]) -> tuple[Any, Shard]:
        """The rows of some cells as one shard: as `train` deals them, of a source of these rows alone."""
        blocks, counts = self.of(wanted)
        numbers = [i for i, n in enumerate(counts) if n]
        (shard,) = deal([counts[i] for i in numbers], 1, whole=not self.rows.shared)
        return blocks, Shard(0, tuple(replace(slab, block=numbers[slab.block]) for slab in shard.slabs))


@dataclass(eq=False)
class Stock:
    """The encoded rows of a search, made when they are first asked for, and kept until its end.

    Attributes:
        contract: What models ask of the rows.
        stack: Its end is the end of the search.
        encoder: Makes rows of chunks, when they have been asked for.
        scans: Of the source so far.
    """

    contract: Contract
    stack: ExitStack
    encoder: Encoder = field(init=False)
    scans: int = 0
    _rows: Rows | None = None
    _known: dict[Partition, Pieces] = field(default_factory=dict)

    def of(self, partition: Partition, setting: Setting) -> Pieces:
        """The rows in the cells of a partition."""
        rows = self._kept(setting)
        if partition is WHOLE:
            return Pieces(rows, None, np.array(rows.counts)[:, None])
        if partition not in self._known:
            self._known[partition] = _dealt(rows, partition, setting)
        return self._known[partition]

    def _kept(self, setting: Setting) -> Rows:
        if self._rows is None:
            source = setting.source.drop(*setting.aside) if setting.aside else setting.source
            about: dict[str, Any] = {"target": setting.target, "weight": setting.sample_weight, "preprocessor": None}
            about |= {"classes": setting.classes, "client": setting.client}
            with reporting(setting.progress("prepare"), "prepare") as bar:
                self.encoder = encoder_of(source, self.contract, **about, bar=bar)
            target = self.encoder.target
            self.scans += 1 + (setting.classes is None and target is not None and target.classes is not None)
            with reporting(setting.progress("encode"), "encode") as bar:
                self._rows = self.stack.enter_context(kept_rows(source, self.encoder, True, setting.client, bar))
        return self._rows


def _dealt(rows: Rows, partition: Partition, setting: Setting) -> Pieces:
    """The cells of all rows, counted by block."""
    blocks, source = rows.blocks, setting.source
    keep = KeepCells(partition.dealer, partition.n_cells, secrets.token_hex(8), getattr(blocks, "directory", None))
    about: dict[str, Any] = {"columns": keep.dealer.columns, "client": setting.client, "progress": setting.progress("deal")}
    counts = dict(zip([part.index for part in source.parts], map_parts(source, keep, **about), strict=True))
    if isinstance(blocks, Kept):
        indices = tuple(block.part for block in blocks.blocks)
        return Pieces(rows, Near(blocks.directory, keep.key, indices), np.stack([counts[i] for i in indices]))
    parts: tuple[Part, ...] = getattr(blocks, "parts", source.parts)
    return Pieces(rows, Afar(source.lean(), parts, keep), np.stack([counts[part.index] for part in parts]))
