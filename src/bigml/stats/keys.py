"""Keys: what the rows are grouped by, as dense slot numbers within a chunk and as a sorted table of groups in a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.stats import kernels

Codes = NDArray[np.int32]
Index = NDArray[np.int64]

DENSE = 1 << 22
FLAT = 1 << 62


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: dictionaries decoded, strings with 64-bit offsets."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_binary_view(kind) else kind


def encode(array: pa.Array) -> tuple[Codes, pa.Array]:
    """Codes of shape (n_rows,), -1 for null and NaN, and the distinct values that they number, unsorted, of plain type."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_dictionary(array)
    if pa.types.is_null(kind):
        return np.full(len(array), -1, np.int32), pa.nulls(0)
    if pa.types.is_boolean(kind):
        return _filled(array.cast(pa.int32())), pa.array([False, True])
    if pa.types.is_integer(kind):
        return _from_integers(array)
    if pa.types.is_floating(kind):
        array = _without_nan(array)
    return _from_dictionary(array.cast(plain(kind)).dictionary_encode())


def _from_dictionary(array: pa.DictionaryArray) -> tuple[Codes, pa.Array]:
    codes, values = _filled(array.indices), array.dictionary.cast(plain(array.type))
    if pa.types.is_floating(values.type):
        values = _without_nan(values)
    distinct = values.dictionary_encode()
    if len(distinct.dictionary) == len(codes) == 0 or len(distinct.dictionary) == len(values):
        return codes, values
    # The dictionary repeats values or holds a null: look each code up once more.
    lookup = np.append(_filled(distinct.indices), np.int32(-1))
    return lookup[codes], distinct.dictionary


def _from_integers(array: pa.Array) -> tuple[Codes, pa.Array]:
    low, high = (pc.min_max(array)[side].as_py() for side in ("min", "max"))
    if low is None or high - low > max(1 << 16, 2 * len(array)) or high > np.iinfo(np.int64).max:
        return _from_dictionary(array.dictionary_encode())
    words = array.cast(pa.int64())
    words = (words.fill_null(low) if array.null_count else words).to_numpy(zero_copy_only=False)
    codes = kernels.offset_codes(kernels.frozen(words), low)
    if array.null_count:
        codes[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return codes, pa.array(np.arange(low, high + 1, dtype=np.int64)).cast(array.type)


def _without_nan(array: pa.Array) -> pa.Array:
    values = array.to_numpy(zero_copy_only=False) + array.type.to_pandas_dtype()(0)
    return pa.array(values, type=array.type, from_pandas=True)


def _filled(indices: pa.Array) -> Codes:
    indices = indices.cast(pa.int32())
    codes: Codes = (indices.fill_null(-1) if indices.null_count else indices).to_numpy(zero_copy_only=False)
    return codes


@dataclass(frozen=True)
class Keys:
    """The groups of a state, in lexicographic order of their keys, null last.

    Attributes:
        levels: For each key its distinct values, sorted.
        codes: int32 of shape (n_keys, n_groups), positions in the levels; -1 stands for null.
    """

    levels: tuple[pa.Array, ...]
    codes: Codes

    @classmethod
    def none(cls, kinds: Sequence[pa.DataType]) -> Keys:
        """No groups yet, keyed by these types."""
        return cls(tuple(pa.array([], type=plain(kind)) for kind in kinds), np.empty((len(kinds), 0), np.int32))

    @classmethod
    def ordered(cls, levels: Sequence[pa.Array], codes: Codes) -> tuple[Keys, Index]:
        """The table of these groups in order, and the positions in `codes` that they came from."""
        ranked = [_ranked(level, code) for level, code in zip(levels, codes, strict=True)]
        ranks = np.array([code for _, code in ranked], np.int32).reshape(codes.shape)
        flat = _flat(ranks, [len(level) + 1 for level, _ in ranked])
        order = np.arange(len(flat)) if np.all(flat[1:] > flat[:-1]) else np.argsort(flat)
        return cls(tuple(level for level, _ in ranked), ranks[:, order]), order

    @property
    def n_groups(self) -> int:
        return int(self.codes.shape[1])

    @property
    def nbytes(self) -> int:
        return int(self.codes.nbytes) + sum(level.nbytes for level in self.levels)

    def values(self, key: int) -> pa.Array:
        """The key's value in every group."""
        codes = self.codes[key]
        return self.levels[key].take(pa.array(codes, mask=codes < 0))

    def union(self, other: Keys) -> tuple[Keys, Index | None, Index | None]:
        """All groups of both, and for each the position in self and in other, -1 where absent; None where nothing moves."""
        if self._same(other):
            return self, None, None
        levels, codes = zip(*map(_united, self.levels, self.codes, other.levels, other.codes), strict=True)
        both = np.array(codes, np.int32)
        flat, split = kernels.frozen(_flat(both, [len(level) + 1 for level in levels])), self.n_groups
        from_self, from_other = kernels.align_sorted(flat[:split], flat[split:])
        united = Keys(tuple(levels), both[:, np.where(from_self >= 0, from_self, from_other + split)])
        return united, _moving(from_self, split), _moving(from_other, other.n_groups)

    def _same(self, other: Keys) -> bool:
        return np.array_equal(self.codes, other.codes) and all(map(pa.Array.equals, self.levels, other.levels))


def _ranked(level: pa.Array, codes: Codes) -> tuple[pa.Array, Codes]:
    """The values in use, sorted, and the codes that they now have."""
    in_use = np.zeros(len(level) + 1, np.bool_)
    in_use[codes] = True
    used = np.flatnonzero(in_use[:-1])
    values = level.take(pa.array(used))
    order = pc.array_sort_indices(values).to_numpy() if len(values) > 1 else np.arange(len(values))
    rank = np.full(len(level) + 1, -1, np.int32)
    rank[used[order]] = np.arange(len(order))
    return values.take(pa.array(order)), rank[codes]


def _united(left: pa.Array, left_codes: Codes, right: pa.Array, right_codes: Codes) -> tuple[pa.Array, Codes]:
    if left.equals(right):
        return left, np.concatenate([left_codes, right_codes])
    coded = pa.concat_arrays([left, right]).dictionary_encode()
    lookup = coded.indices.to_numpy(zero_copy_only=False)
    level, rank = _ranked(coded.dictionary, np.arange(len(coded.dictionary), dtype=np.int32))
    lookup = np.append(rank[lookup], np.int32(-1))
    shifted = np.where(right_codes < 0, -1, right_codes + len(left))
    return level, lookup[np.concatenate([left_codes, shifted])]


def _flat(codes: Codes, sizes: Sequence[int]) -> Index:
    """One number per group that sorts as the tuple of its codes does, null last."""
    flat = np.zeros(codes.shape[1], np.int64)
    top = 1
    for code, size in zip(codes, sizes, strict=True):
        if top * size > FLAT:
            distinct, flat = np.unique(flat, return_inverse=True)
            top = len(distinct)
        flat = flat * size + np.where(code < 0, size - 1, code)
        top *= size
    return flat


def _moving(index: Index, n_groups: int) -> Index | None:
    """The index, or None when it keeps every group where it was."""
    return None if len(index) == n_groups else index


@dataclass(frozen=True)
class Grouping:
    """The rows of a chunk by group.

    Attributes:
        slots: int32 of shape (n_rows,), -1 for rows that belong to no group.
        n_slots: Slots in use are below this.
        keys: The groups in order.
        index: The slot of each of those groups.
        sizes: Rows of each of those groups.
    """

    slots: Codes
    n_slots: int
    keys: Keys
    index: Index
    sizes: Index

    @classmethod
    def of(cls, chunk: Chunk, by: Sequence[str], kinds: Sequence[pa.DataType], dropna: bool) -> Grouping:
        """Group the chunk's rows by these columns; with `dropna`, rows with a null key belong to no group."""
        coded = [encode(chunk.arrow(name)) for name in by]
        codes = [kernels.frozen(code) for code, _ in coded]
        slots, n_slots = _slots(codes, [len(level) + (not dropna) for _, level in coded], dropna)
        counts, position = kernels.count_rows(slots, n_slots)
        present = np.flatnonzero(counts)
        levels = [level.cast(plain(kind)) for (_, level), kind in zip(coded, kinds, strict=True)]
        keys, order = Keys.ordered(levels, np.array([code[position[present]] for code in codes], np.int32))
        return cls(slots, n_slots, keys, present[order], counts[present[order]])


def _slots(codes: Sequence[Codes], sizes: Sequence[int], dropna: bool) -> tuple[Codes, int]:
    limit = max(1024, min(DENSE, 8 * len(codes[0])))
    if len(codes) == 1 and dropna and sizes[0] <= limit:
        return codes[0], sizes[0]
    slots, n = kernels.frozen(np.zeros(len(codes[0]), np.int32)), 1
    for code, size in zip(codes, sizes, strict=True):
        fits = n * size <= limit
        mixed = np.empty(len(code), np.int32 if fits else np.int64)
        kernels.mix_codes(slots, code, size, not dropna, mixed)
        slots, n = (mixed, n * size) if fits else _compressed(mixed)
        slots = kernels.frozen(slots)
    return slots, n


def _compressed(codes: Any) -> tuple[Codes, int]:
    slots, distinct = kernels.factorize(codes)
    return slots, len(distinct)
