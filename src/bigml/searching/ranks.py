"""Ranks: the keys at given ranks among all rows, exactly, in two or three scans and little memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.learning.inquiry import Inquiry
from bigml.searching.ordering import TOP, Keys, Ordering

MOST_KEYS = 1 << 16
"""Keys of a window that are kept as they are; of more, those in each bucket are counted."""
BUCKETS = 1 << 12


@dataclass(frozen=True)
class Window:
    """Where a key is looked for: from low to high, both included, among the rows of a stratum."""

    stratum: int = 0
    low: int = 0
    high: int = TOP

    @property
    def width(self) -> int:
        """Of a bucket."""
        return (self.high - self.low) // BUCKETS + 1

    def bucket(self, i: int) -> Window:
        """The part of the window that a bucket covers."""
        low = self.low + i * self.width
        return replace(self, low=low, high=min(low + self.width - 1, self.high))


class Seen(NamedTuple):
    """What a window showed: rows of the stratum before it, and its keys or, of very many, how many are in each bucket."""

    before: int
    keys: Keys
    counts: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Spanned:
    """A reducer: how many rows there are, with the smallest and the largest key; a stratum is not told from another."""

    ordering: Ordering

    @property
    def columns(self) -> tuple[str, ...]:
        return self.ordering.columns

    def start(self) -> tuple[int, int, int]:
        return 0, TOP, 0

    def update(self, state: tuple[int, int, int], chunk: Chunk) -> tuple[int, int, int]:
        if not chunk.n_rows:
            return state
        _, keys = self.ordering(chunk)
        return self.merge(state, (len(keys), int(keys.min()), int(keys.max())))

    def merge(self, left: tuple[int, int, int], right: tuple[int, int, int]) -> tuple[int, int, int]:
        return left[0] + right[0], min(left[1], right[1]), max(left[2], right[2])

    def finish(self, state: tuple[int, int, int]) -> tuple[int, int, int]:
        return state


@dataclass(frozen=True)
class Look:
    """A reducer: what all windows show."""

    ordering: Ordering
    windows: tuple[Window, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.ordering.columns

    def start(self) -> tuple[Seen, ...]:
        return (Seen(0, np.empty(0, np.uint64)),) * len(self.windows)

    def update(self, state: tuple[Seen, ...], chunk: Chunk) -> tuple[Seen, ...]:
        strata = _by_stratum(*self.ordering(chunk), n_strata=max((window.stratum for window in self.windows), default=0) + 1)
        return self.merge(state, tuple(_shown(window, strata[window.stratum]) for window in self.windows))

    def merge(self, left: tuple[Seen, ...], right: tuple[Seen, ...]) -> tuple[Seen, ...]:
        return tuple(map(_joined, self.windows, left, right))

    def finish(self, state: tuple[Seen, ...]) -> tuple[Seen, ...]:
        return state

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state: a row is in the windows of its own stratum alone."""
        strata = len({window.stratum for window in self.windows})
        return 8 * min(n_rows * len(self.windows) // max(strata, 1), MOST_KEYS * len(self.windows)) + 200 * len(self.windows)


def _by_stratum(strata: NDArray[np.int64] | None, keys: Keys, n_strata: int) -> list[Keys]:
    if strata is None:
        return [keys]
    counts = np.bincount(strata, minlength=n_strata)
    order = np.argsort(strata.astype(np.int16 if len(counts) < 1 << 15 else np.int64), kind="stable")
    edges = np.append(0, np.cumsum(counts)).tolist()
    return [keys[order[start:stop]] for start, stop in pairwise(edges)]


def _shown(window: Window, keys: Keys) -> Seen:
    inside = (keys >= np.uint64(window.low)) & (keys <= np.uint64(window.high))
    before = int(np.count_nonzero(keys < np.uint64(window.low)))
    return _bounded(window, Seen(before, keys[inside]))


def _joined(window: Window, left: Seen, right: Seen) -> Seen:
    before = left.before + right.before
    if left.counts is None and right.counts is None:
        return _bounded(window, Seen(before, np.concatenate([left.keys, right.keys])))
    return Seen(before, left.keys[:0], _counts(window, left) + _counts(window, right))


def _bounded(window: Window, seen: Seen) -> Seen:
    """Whether there are keys or counts depends on how many keys there are, never on their order or chunking."""
    return seen if len(seen.keys) <= MOST_KEYS else Seen(seen.before, seen.keys[:0], _counts(window, seen))


def _counts(window: Window, seen: Seen) -> NDArray[np.int64]:
    if seen.counts is not None:
        return seen.counts
    buckets = (seen.keys - np.uint64(window.low)) // np.uint64(window.width)
    return np.bincount(buckets.astype(np.int64), minlength=BUCKETS)


def at_ranks(ordering: Ordering, wanted: Sequence[tuple[int, Window]]) -> Inquiry[list[int]]:
    """The keys at some ranks, each counted from 0 in its stratum and at first looked for in a window.

    A window that does not hold its key costs a scan more, no more. Every rank must be less than the rows of its stratum.
    """
    ranks, windows = [rank for rank, _ in wanted], [window for _, window in wanted]
    while any(window.low < window.high for window in windows):
        looked = tuple(dict.fromkeys(window for window in windows if window.low < window.high))
        shown = yield Look(ordering, looked)
        seen = dict(zip(looked, shown, strict=True))
        windows = [
            _narrowed(window, seen[window], rank) if window in seen else window
            for window, rank in zip(windows, ranks, strict=True)
        ]
    return [window.low for window in windows]


def _narrowed(window: Window, seen: Seen, rank: int) -> Window:
    """Where the key must be after this look: in a bucket, or beside the window; one key wide when it was seen."""
    rank -= seen.before
    n = len(seen.keys) if seen.counts is None else int(seen.counts.sum())
    if rank < 0:
        return replace(window, low=0, high=window.low - 1)
    if rank >= n:
        return replace(window, low=window.high + 1, high=TOP)
    if seen.counts is not None:
        return window.bucket(int(np.searchsorted(np.cumsum(seen.counts), rank, side="right")))
    key = int(np.partition(seen.keys, rank)[rank])
    return replace(window, low=key, high=key)


def around(rank: int, n: int, stratum: int = 0) -> Window:
    """The window that holds, but for one case in a million, the key of a rank among n hashes, which are spread evenly."""
    share = rank / n
    slack = 5 * (share * (1 - share) / n) ** 0.5 + 5 / n
    low, high = max(share - slack, 0.0), min(share + slack, 1.0)
    return Window(stratum, int(low * TOP), min(int(high * TOP), TOP))
