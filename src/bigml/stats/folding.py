"""Folding: the state of coarser groups from that of finer ones, without another look at the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from bigml.stats.cells import arranged
from bigml.stats.groupby import Grouped, GroupState
from bigml.stats.keys import Codes, Index, Keys


def folded(grouped: Grouped, state: GroupState, keep: Sequence[int], name: str) -> tuple[Grouped, GroupState]:
    """What `grouped` would be, and its state, had the same rows been grouped by some of the keys only.

    Groups are merged in pairs, in the order of their keys: the result depends on the state alone.

    Args:
        grouped: The reducer; its groups have no missing keys.
        state: Its state.
        keep: The positions of the keys that are kept; none for all rows in one group.
        name: The key of that one group.
    """
    by = tuple(grouped.by[i] for i in keep) or (name,)
    keys, place = _kept(state.keys, keep) if keep else _one(state.keys, name)
    coarse = replace(grouped, by=by, sort=True)
    nulls = dict(zip(grouped.columns, state.nulls.tolist(), strict=True))
    every = replace(state, cells=state.cells[: len(coarse.cells)])
    return coarse, replace(
        _joined(coarse, every, place), keys=keys, nulls=np.array([nulls.get(one, 0) for one in coarse.columns])
    )


def _kept(keys: Keys, keep: Sequence[int]) -> tuple[Keys, Index]:
    codes, place = np.unique(keys.codes[list(keep)], axis=1, return_inverse=True)
    return Keys(tuple(keys.levels[i] for i in keep), codes), place


def _one(keys: Keys, name: str) -> tuple[Keys, Index]:
    codes: Codes = np.zeros((1, min(keys.n_groups, 1)), np.int32)
    return Keys((pa.array([name], pa.large_string()),), codes), np.zeros(keys.n_groups, np.int64)


def _joined(grouped: Grouped, state: GroupState, place: Index) -> GroupState:
    """Groups that have one place brought together, two and two, until one is left in each place."""
    order = np.argsort(place, kind="stable")
    place, state = place[order], _taken(grouped, state, order)
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    while rank.any():
        left = np.flatnonzero(rank % 2 == 0)
        has_right = np.append(rank, 0)[left + 1] % 2 == 1
        right = _taken(grouped, state, np.where(has_right, left + 1, -1))
        state = _merged(grouped, _taken(grouped, state, left), right)
        place, rank = place[left], rank[left] // 2
    return state


def _taken(grouped: Grouped, state: GroupState, index: Index) -> GroupState:
    cells = tuple(cell.arrange(one, index) for cell, one in zip(grouped.cells, state.cells, strict=True))
    return replace(state, sizes=arranged(state.sizes, index, 0), cells=cells)


def _merged(grouped: Grouped, left: GroupState, right: GroupState) -> GroupState:
    cells = tuple(cell.merge(a, b) for cell, a, b in zip(grouped.cells, left.cells, right.cells, strict=True))
    return replace(left, sizes=left.sizes + right.sizes, cells=cells)
