"""Blocks: rows in order of time or as they stand, where a later block is tested on after learning from what lies before it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigml.errors import DataError
from bigml.learning.inquiry import Inquiry
from bigml.searching.cells import Partition, Split
from bigml.searching.dealers import Cut
from bigml.searching.ordering import ByNumber, ByTime, Ordering
from bigml.searching.ranks import Spanned, Window, at_ranks
from bigml.searching.schemes import RowBlocks


@dataclass(frozen=True)
class Stretch:
    """Keys of one split, from the first of these to before the second; None is where the rows begin or end."""

    train: tuple[int | None, int]
    test: tuple[int, int | None]


def partition_of(ordering: Ordering, stretches: Sequence[Stretch]) -> Partition:
    """The partition whose cells lie between all ends of all stretches."""
    ends = sorted({end for one in stretches for end in (*one.train, *one.test) if end is not None})

    def cells(stretch: tuple[int | None, int | None]) -> tuple[int, ...]:
        low, high = stretch
        first = 0 if low is None else bisect_right(ends, low)
        return tuple(range(first, len(ends) + 1 if high is None else bisect_right(ends, high)))

    splits = tuple(Split(cells(one.train), cells(one.test)) for one in stretches)
    return Partition(Cut(ordering, np.array([ends], np.uint64)), len(ends) + 1, splits)


def time_blocks(ordering: ByTime, n_splits: int, gap: Any) -> Inquiry[Partition]:
    """Blocks of equal shares of the rows, but for rows of one time, which stay together."""
    ordering.steps(gap)  # refuses one that does not fit, before anything is read
    n, low, high = yield Spanned(ordering)
    ranks = [n * i // (n_splits + 1) for i in range(1, n_splits + 1)]
    starts = (yield from at_ranks(ordering, [(rank, Window(0, low, high)) for rank in ranks])) if n else []
    where = f"column `{ordering.column}`"
    if len({low, *starts}) <= n_splits:
        got = f"{len({low, *starts}) if n else 0} among which rows can be shared out"
        raise DataError(f"{n_splits + 1} times or more, one for each block", got=got, where=where, do="Use fewer splits.")
    before = [ordering.before(start, gap) for start in starts]
    if before[0] <= low:
        raise DataError("a gap shorter than the first block", got=f"{gap}", where=where, do="Use a shorter gap, or fewer splits.")
    ends = [*starts[1:], None]
    return partition_of(ordering, [Stretch((None, b), (s, e)) for b, s, e in zip(before, starts, ends, strict=True)])


def row_blocks(ordering: ByNumber, scheme: RowBlocks) -> Inquiry[Partition]:
    """The splits of scikit-learn's TimeSeriesSplit."""
    n, low, high = yield Spanned(ordering)
    size = scheme.test_size or n // (scheme.n_splits + 1)
    first = n - scheme.n_splits * size
    if not size or first - scheme.gap <= 0:
        expected = f"rows for {scheme.n_splits} blocks to test on, a gap of {scheme.gap} and something before them"
        raise DataError(expected, got=f"{n} rows", where="in cv=", do="Use fewer splits.")
    spans = [_span(start, size, scheme) for start in range(first, n, size)]
    ranks = sorted({rank for train, test in spans for rank in (*train, *test)} - {0, n})
    keys = yield from at_ranks(ordering, [(rank, Window(0, low, high)) for rank in ranks])
    at: dict[int, Any] = {0: None, n: None, **dict(zip(ranks, keys, strict=True))}
    return partition_of(ordering, [Stretch((at[a], at[b]), (at[c], at[d])) for (a, b), (c, d) in spans])


def _span(start: int, size: int, scheme: RowBlocks) -> tuple[tuple[int, int], tuple[int, int]]:
    """The ranks of training and of testing, from the first to before the second."""
    end = start - scheme.gap
    return (max(end - (scheme.most_train or end), 0), end), (start, start + size)
