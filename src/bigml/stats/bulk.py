"""Bulk: the states of a whole tree of merges, made at once of rows that lie in memory together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from bigml.chunk import Chunk
from bigml.stats import kernels
from bigml.stats.cells import Absorbing, Rows, united
from bigml.stats.keys import Codes, Grouping, Index


def tree_of(
    cells: Sequence[Absorbing[Any]], grouping: Grouping, chunk: Chunk, ends: Index, levels: Sequence[Index]
) -> tuple[Any, ...]:
    """The states of the cells that chunks would have, to the bit, were each reduced and these states merged level by level.

    Rows are sorted by group, once for all chunks: then every loop runs from front to back, and nothing is looked up.

    Args:
        grouping: Of the rows of all chunks.
        chunk: These rows, one chunk after the other.
        ends: Where the rows of each chunk end.
        levels: For each level of the tree the number of the node that takes in each chunk; the last has one node.
    """
    rank = np.full(grouping.n_slots, -1)
    rank[grouping.index] = np.arange(grouping.keys.n_groups)
    order, group = sorted_rows(kernels.frozen(grouping.slots), kernels.frozen(rank), kernels.frozen(grouping.sizes))
    source = np.repeat(np.arange(len(ends), dtype=np.int32), np.diff(ends, prepend=0))[order]
    first, slots = _runs(group, source)
    group, source = group[first], source[first]
    rows = Rows(chunk.take(order), kernels.frozen(slots), len(group))
    states = tuple(cell.partial(rows) for cell in cells)
    nodes = len(ends)
    for level in levels:
        nodes, finer = len(np.unique(level)), nodes
        if nodes < finer:
            first, places = _runs(group, level[source].astype(np.int32))
            at = places.astype(np.int64)
            states = tuple(united(cell, [state], [at], len(first)) for cell, state in zip(cells, states, strict=True))
            group, source = group[first], source[first]
    return states


def _runs(group: Codes, node: Codes) -> tuple[Index, Codes]:
    """Where runs of one group in one node begin, and the number of the run that each position is in."""
    first, places = np.empty(len(group), np.int64), np.empty(len(group), np.int32)
    n = mark_runs(kernels.frozen(group), kernels.frozen(node), first, places)
    return first[:n], places


@njit(nogil=True, cache=True)
def sorted_rows(slots: Any, rank: Any, sizes: Any) -> Any:
    """Positions of the rows by the rank of their slot, in their order within each, and these ranks; no negative slots."""
    at = np.cumsum(sizes) - sizes
    n = at[-1] + sizes[-1] if sizes.size else 0
    order, group = np.empty(n, np.int64), np.empty(n, np.int32)
    for i in range(slots.size):
        if slots[i] >= 0:
            r = rank[slots[i]]
            order[at[r]] = i
            group[at[r]] = r
            at[r] += 1
    return order, group


@njit(nogil=True, cache=True)
def mark_runs(group: Any, node: Any, first: Any, places: Any) -> int:
    """Number the runs of equal (group, node); how many there are."""
    n = 0
    for i in range(group.size):
        if i == 0 or group[i] != group[i - 1] or node[i] != node[i - 1]:
            first[n] = i
            n += 1
        places[i] = n - 1
    return n
