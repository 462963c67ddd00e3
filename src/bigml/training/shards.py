"""Shards: the rows divided among those that train side by side, and the order in which each learns from its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import ConfigError
from bigml.learning.batch import Batch
from bigml.learning.inputs import common, put
from bigml.stats.kernels import frozen
from bigml.training.gathering import gather

SLAB_ROWS = 1024
"""Rows that stay together when rows are dealt: few enough for a sorted file, enough to be read in one go."""
ALIGNMENT = 64
"""Bytes of which the address of a tensor's memory must be a multiple, as TensorFlow asks."""
WINDOW = 64
"""Slabs whose rows are mixed with each other."""


@dataclass(frozen=True)
class Slab:
    """Neighbouring rows of a block: from `start` to `stop`, of the block with this number."""

    block: int
    start: int
    stop: int

    @property
    def n_rows(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Shard:
    """The rows of one of those that train side by side; it does not depend on how many workers there are."""

    number: int
    slabs: tuple[Slab, ...]

    @cached_property
    def n_rows(self) -> int:
        return sum(slab.n_rows for slab in self.slabs)

    def n_steps(self, batch_size: int) -> int:
        """Batches in an epoch, the last one perhaps short."""
        return -(-self.n_rows // batch_size)


def deal(counts: Sequence[int], n_shards: int, *, slab_rows: int = SLAB_ROWS, whole: bool = False) -> tuple[Shard, ...]:
    """Blocks of so many rows, dealt to shards slab by slab, so that a sorted file gives all of them the same.

    Args:
        counts: Rows of each block.
        n_shards: How many shares; they differ by a slab at most.
        slab_rows: Rows that stay together.
        whole: Whether a block goes to one shard as it is, as where not all workers see all blocks.

    Raises:
        ConfigError: There are not enough rows for all shards.

    >>> [shard.n_rows for shard in deal([2500, 1000], 2, slab_rows=250)]
    [1750, 1750]
    """
    size = slab_rows if whole else max(1, min(slab_rows, sum(counts) // max(4 * n_shards, 1)))
    blocks = [[Slab(i, at, min(at + size, n)) for at in range(0, n, size)] for i, n in enumerate(counts)]
    units = [block for block in blocks if block] if whole else [[slab] for block in blocks for slab in block]
    if len(units) < n_shards:
        what = "parts with rows" if whole else "rows"
        do = f"Take shards={max(len(units), 1)} or fewer, or write the rows in smaller parts."
        raise ConfigError(f"{n_shards} {what} or more for as many shards", got=f"{len(units)}", where="in shards=", do=do)
    return tuple(Shard(i, tuple(slabs)) for i, slabs in enumerate(_dealt(units, n_shards)))


def _dealt(units: Sequence[Sequence[Slab]], n_shards: int) -> list[list[Slab]]:
    """Units dealt one after another, each to the shard that has the fewest rows: in turn where they are of one size."""
    hands: list[list[Slab]] = [[] for _ in range(n_shards)]
    fewest = [(0, i) for i in range(n_shards)]
    for unit in units:
        n_rows, i = heapq.heappop(fewest)
        hands[i] += unit
        heapq.heappush(fewest, (n_rows + sum(slab.n_rows for slab in unit), i))
    return hands


@dataclass(frozen=True)
class Order:
    """The order of a shard's rows in one epoch: slabs permuted, and rows permuted among every `window` of them.

    Attributes:
        shard: Whose rows.
        seed: Decides the order, with the epoch and the number of the shard.
        epoch: Its number.
        shuffle: Whether anything is permuted.
    """

    shard: Shard
    seed: int
    epoch: int
    shuffle: bool = True
    window: int = WINDOW

    @cached_property
    def slabs(self) -> tuple[Slab, ...]:
        if not self.shuffle:
            return self.shard.slabs
        order = np.random.default_rng([self.seed, self.epoch, self.shard.number]).permutation(len(self.shard.slabs))
        return tuple(self.shard.slabs[i] for i in order)

    def places(self, begin: int, end: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Rows number begin to end of this order: the block of each, and its place there."""
        found, at = [], 0
        for first in range(0, len(self.slabs), self.window):
            slabs = self.slabs[first : first + self.window]
            n = sum(slab.n_rows for slab in slabs)
            low, high = max(begin - at, 0), min(end - at, n)
            if low < high:
                seed = (self.seed, self.epoch, self.shard.number, first) if self.shuffle else ()
                found.append([values[low:high] for values in mixed(slabs, *seed)])
            at += n
        blocks, places = zip(*found, strict=True)
        return np.concatenate(blocks), np.concatenate(places)


@lru_cache(maxsize=8)
def mixed(slabs: tuple[Slab, ...], *seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The block and the place there of all rows of some slabs, in an order that follows from a seed or as they are.

    They are kept, since a window of slabs is asked for again and again.
    """
    sizes = [slab.n_rows for slab in slabs]
    numbers = np.array([slab.block for slab in slabs])
    # Narrow numbers are sorted several times faster.
    blocks = np.repeat(numbers.astype(np.int16 if numbers.max() < 1 << 15 else np.int64), sizes)
    places = np.concatenate([np.arange(slab.start, slab.stop) for slab in slabs])
    if not seed:
        return blocks, places
    order = np.random.default_rng(seed).permutation(len(places))
    return blocks[order], places[order]


def rows(blocks: Callable[[int], Batch], order: Order, begin: int, end: int) -> Batch:
    """Rows number begin to end of an epoch's order, gathered from their blocks; their numbers are their places there."""
    owners, places = order.places(begin, end)
    by_block = np.argsort(owners, kind="stable")
    spans = np.split(by_block, np.flatnonzero(np.diff(owners[by_block])) + 1)
    parts = [(blocks(int(owners[at[0]])), at) for at in spans]
    if hasattr(parts[0][0].X, "tocoo"):
        back = np.empty_like(by_block)
        back[by_block] = np.arange(len(by_block))
        return Batch.joined([part.take(places[at]) for part, at in parts]).take(back)
    X, y, weights = (_gathered([(getattr(part, name), at) for part, at in parts], places) for name in ("X", "y", "weights"))
    return Batch(places, X, y, weights)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An empty array that begins where a backend may take it as a tensor, without a copy.

    >>> aligned((3, 2), np.dtype("float32")).ctypes.data % ALIGNMENT
    0
    """
    if dtype.hasobject:
        return np.empty(shape, dtype)
    n = dtype.itemsize * prod(shape)
    whole = np.empty(n + ALIGNMENT, np.uint8)
    begin = -whole.ctypes.data % ALIGNMENT
    return whole[begin : begin + n].view(dtype).reshape(shape)


def _gathered(parts: Sequence[tuple[Any, NDArray[np.int64]]], places: NDArray[np.int64]) -> Any:
    """Rows of arrays at their places, each written where it belongs."""
    first = parts[0][0]
    if first is None:
        return None
    gathered = aligned((len(places), *first.shape[1:]), common([array.dtype for array, _ in parts]))
    for array, at in parts:
        if gathered.ndim == 2 and gathered.dtype == np.float32 and isinstance(array, np.ndarray):
            gather(frozen(array), places, at, gathered)
        else:
            put(gathered, at, array.take(places[at], axis=0))
    return gathered
