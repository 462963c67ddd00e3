"""Nearest: the loops of k-means, compiled by numba, free of the GIL, cached on disk.

Distances come from one matrix product, a row for each centre: the search for the least then runs along the rows of the
table, which compilers turn into vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def label(distances: Any, ids: Any, labels: Any) -> None:
    """The nearest centre of each row in each group of centres; of equally near ones the first.

    Args:
        distances: To centre c of row i, shape (n_groups * k, n_rows).
        ids: 0, 1, ..., n_groups * k - 1; integers as wide as the distances, so that both fill a vector alike.
        labels: Filled with numbers of centres, shape (n_groups, n_rows), of the type of `ids`.
    """
    n_groups, n_rows = labels.shape
    k = distances.shape[0] // n_groups
    least = np.empty(n_rows, distances.dtype)
    for group in range(n_groups):
        mine = labels[group]
        mine[:], least[:] = ids[group * k], distances[group * k]
        for centre in range(group * k + 1, group * k + k):
            row, number = distances[centre], ids[centre]
            for i in range(n_rows):
                # Both are read before either is written: only then are vector instructions made of it, six times as fast.
                x, y = row[i], least[i]
                closer = x < y
                mine[i] = number if closer else mine[i]
                least[i] = x if closer else y


@njit(nogil=True, cache=True)
def add(rows: Any, weights: Any, labels: Any, sums: Any) -> None:
    """Adds each row to the sums of its centre in each group, times its weight.

    Args:
        rows: Shape (n_rows, width).
        weights: Shape (n_rows,), or (0,) when every row counts once.
        labels: Shape (n_groups, n_rows).
        sums: Changed; float64 of shape (n_groups * k, width).
    """
    n_rows, width = rows.shape
    weighted = weights.size > 0
    for i in range(n_rows):
        weight = weights[i] if weighted else 1.0
        for group in range(labels.shape[0]):
            centre = labels[group, i]
            for j in range(width):
                sums[centre, j] += weight * rows[i, j]
