"""Hashing: numbers that equal values share on any machine, and the rows of a chunk partitioned by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from bigml.chunk import Chunk
from bigml.stats import kernels
from bigml.stats.cells import Rows
from bigml.stats.keys import Index, plain

DROPPED = -1
GOLDEN = 0x9E3779B97F4A7C15
MISSING = 0x5BD1E995
"""What a missing key is hashed to: any number would do."""


def hashes(rows: Rows, name: str) -> Index:
    """32-bit hashes of the column's values, of shape (n_rows,); those of missing values mean nothing."""
    array = rows.arrow(name)
    kind = array.type
    if pa.types.is_floating(kind):
        return hash_words(kernels.frozen((rows.floats(name) + 0.0).view(np.int64)))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        return hash_words(rows.words(name))
    if pa.types.is_dictionary(kind):
        codes, values = rows.coded(name)
        return np.append(hash_values(values), 0)[codes]
    return np.zeros(len(array), np.int64) if pa.types.is_null(kind) else hash_values(array.cast(plain(kind)))


def hash_values(values: pa.Array) -> Index:
    """32-bit hashes of the bytes of an Arrow array: strings, bytes, or what has a text."""
    kind = values.type
    if not (pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)):
        values = values.cast(pa.large_binary() if pa.types.is_fixed_size_binary(kind) else pa.large_string())
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64, len(values) + 1, values.offset * 8) if len(values) else np.zeros(1, np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    hashed: Index = hash_bytes(kernels.frozen(ends), kernels.frozen(content))
    return hashed


def partitioned(chunk: Chunk, by: Sequence[str], n: int, dropna: bool) -> tuple[Chunk, Index]:
    """The rows by the hash of their keys, which keep their order within a partition, and the n + 1 ends of partitions.

    Args:
        by: The key columns.
        dropna: Whether rows with a missing key are in none.
    """
    rows = Rows(chunk)
    missing = DROPPED if dropna else MISSING
    mixed = kernels.frozen(np.zeros(chunk.n_rows, np.int64))
    for name in by:
        found, known = kernels.frozen(hashes(rows, name)), kernels.frozen(rows.known_slots(name))
        mixed = kernels.frozen(mix_hashes(mixed, found, known, missing))
    order, ends = partition_rows(mixed, n)
    return chunk.take(order), ends


@njit(nogil=True, cache=True)
def _mixed(x: Any) -> Any:
    # The finaliser of splitmix64 (Steele, Lea and Flood 2014).
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, cache=True)
def shuffled_words(words: Any) -> Any:
    """Another int64 number for each, without repeats, in an order that looks random."""
    out = np.empty(words.size, np.int64)
    for i in range(words.size):
        out[i] = np.int64(_mixed(np.uint64(words[i]) + np.uint64(GOLDEN)))
    return out


@njit(nogil=True, cache=True)
def hash_words(words: Any) -> Any:
    """32-bit hashes of int64 words."""
    out = np.empty(words.size, np.int64)
    for i in range(words.size):
        out[i] = np.int64(_mixed(np.uint64(words[i]) + np.uint64(GOLDEN)) >> np.uint64(32))
    return out


@njit(nogil=True, cache=True)
def hash_bytes(offsets: Any, data: Any) -> Any:
    """32-bit hashes of byte strings: FNV-1a, then mixed."""
    out = np.empty(offsets.size - 1, np.int64)
    for i in range(out.size):
        h = np.uint64(0xCBF29CE484222325)
        for j in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[j])) * np.uint64(0x100000001B3)
        out[i] = np.int64(_mixed(h) >> np.uint64(32))
    return out


@njit(nogil=True, cache=True)
def mix_hashes(mixed: Any, hashes: Any, known: Any, missing: int) -> Any:
    """Hashes of tuples from those of their heads and of one more value; a missing value counts as `missing`, -1 drops the row."""
    out = np.empty(mixed.size, np.int64)
    for i in range(mixed.size):
        h = hashes[i] if known[i] >= 0 else missing
        if mixed[i] < 0 or h < 0:
            out[i] = -1
        else:
            out[i] = np.int64(_mixed(np.uint64(mixed[i]) * np.uint64(GOLDEN) + np.uint64(h)) >> np.uint64(32))
    return out


@njit(nogil=True, cache=True)
def partition_rows(hashes: Any, n: int) -> Any:
    """Positions of the rows by partition, in their order within each, and where partitions end; negative hashes are left out."""
    ends = np.zeros(n + 1, np.int64)
    for i in range(hashes.size):
        if hashes[i] >= 0:
            ends[((hashes[i] * n) >> 32) + 1] += 1
    ends = np.cumsum(ends)
    order = np.empty(ends[n], np.int64)
    at = ends[:-1].copy()
    for i in range(hashes.size):
        if hashes[i] >= 0:
            p = (hashes[i] * n) >> 32
            order[at[p]] = i
            at[p] += 1
    return order, ends
