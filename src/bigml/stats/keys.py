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
from bigml.coded import Coded
from bigml.stats import kernels

Codes = NDArray[np.int32]
Index = NDArray[np.int64]

DENSE = 1 << 22
FLAT = 1 << 62
HIGHEST = np.iinfo(np.int64).max


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: dictionaries decoded, strings with 64-bit offsets."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_binary_view(kind) else kind


def encode(array: pa.Array | Coded) -> tuple[Codes, pa.Array]:
    """Codes of shape (n_rows,), -1 for null and NaN, and the distinct values that they number, unsorted, of plain type."""
    if isinstance(array, Coded):
        return _from_dictionary(array.codes, array.values)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_dictionary(_filled(array.indices), array.dictionary)
    if pa.types.is_null(kind):
        return np.full(len(array), -1, np.int32), pa.nulls(0)
    if pa.types.is_boolean(kind):
        return _filled(array.cast(pa.int32())), pa.array([False, True])
    if pa.types.is_integer(kind):
        return _from_integers(array)
    if pa.types.is_floating(kind):
        return _from_whole(array) or _hashed(_without_nan(array))
    return _hashed(array.cast(plain(kind)) if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind) else array)


def encoded(chunk: Chunk, name: str) -> tuple[Codes, pa.Array]:
    """A column of the chunk, encoded but once."""
    return chunk.once(("key", name), lambda: encode(chunk.coded(name) or chunk.arrow(name)))


def _hashed(array: pa.Array) -> tuple[Codes, pa.Array]:
    coded = array.dictionary_encode()
    return _filled(coded.indices), coded.dictionary.cast(plain(array.type))


def _from_dictionary(codes: Codes, dictionary: pa.Array) -> tuple[Codes, pa.Array]:
    values = dictionary.cast(plain(dictionary.type))
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
    if low is None or high - low > HIGHEST or high > HIGHEST:
        return _hashed(array)
    words = (array.fill_null(low) if array.null_count else array).to_numpy(zero_copy_only=False)
    if high - low <= max(1 << 16, 2 * len(array)):
        codes, distinct = _offset(words, low), np.arange(high - low + 1)
    else:
        codes, distinct = kernels.factorize(words.astype(np.int64) - low)
    if array.null_count:
        codes[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return codes, pa.array(distinct + low).cast(array.type)


def _offset(words: NDArray[Any], low: int) -> Codes:
    """`words - low`, which is small, for integers of any kind."""
    if words.dtype.itemsize == 8:
        codes: Codes = kernels.offset_codes(kernels.frozen(words.view(np.int64)), low)
        return codes
    return np.subtract(words, np.int64(low).astype(np.int32), dtype=np.int32, casting="unsafe")


def _from_whole(array: pa.Array) -> tuple[Codes, pa.Array] | None:
    """The same for floats that are whole numbers close together; None for others."""
    if pa.types.is_float16(array.type):
        return None
    values = kernels.frozen(array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False))
    low, high = kernels.whole_range(values)
    if not high - low <= max(1 << 16, 2 * len(array)):
        return None
    return kernels.offset_floats(values, low), pa.array(np.arange(low, high + 1)).cast(array.type)


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
        flat, top = _flat(ranks, [len(level) + 1 for level, _ in ranked])
        order = np.arange(len(flat)) if np.all(flat[1:] > flat[:-1]) else _places(flat, top)[1]
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

    @classmethod
    def united(cls, tables: Sequence[Keys]) -> tuple[Keys, list[Index] | None]:
        """The groups of all tables, and for each table the places of its groups among them; None when all have the same."""
        first, *others = tables
        if all(map(first._same, others)):
            return first, None
        by_key = [([table.levels[i] for table in tables], [table.codes[i] for table in tables]) for i in range(len(first.levels))]
        levels, codes = zip(*(_united(*key) for key in by_key), strict=True)
        ends = np.cumsum([table.n_groups for table in tables])[:-1]
        if len(levels) == 1 and codes[0].min(initial=0) >= 0:
            return cls(levels, np.arange(len(levels[0]), dtype=np.int32)[None]), np.split(codes[0].astype(np.int64), ends)
        every = np.array(codes, np.int32)
        places, chosen = _places(*_flat(every, [len(level) + 1 for level in levels]))
        return cls(levels, every[:, chosen]), np.split(places, ends)

    @classmethod
    def joined(cls, tables: Sequence[Keys]) -> tuple[Keys, Index]:
        """The groups of tables that share none, and the places of all tables' groups among them, one table after another."""
        keys, places = cls.united(tables)
        return keys, np.arange(keys.n_groups) if places is None else np.concatenate(places)

    def _same(self, other: Keys) -> bool:
        return np.array_equal(self.codes, other.codes) and all(map(pa.Array.equals, self.levels, other.levels))


def _ranked(level: pa.Array, codes: Codes) -> tuple[pa.Array, Codes]:
    """The values in use, sorted, and the codes that they now have."""
    in_use = np.zeros(len(level) + 1, np.bool_)
    in_use[codes] = True
    used = np.flatnonzero(in_use[:-1])
    values = level if len(used) == len(level) else level.take(pa.array(used))
    order = _order(values)
    rank = np.full(len(level) + 1, -1, np.int32)
    rank[used[order]] = np.arange(len(order))
    return values.take(pa.array(order)), rank[codes]


def _order(values: pa.Array) -> Index:
    """The positions of distinct values in ascending order."""
    numbers = _numbers(values)
    order: Index = pc.array_sort_indices(values).to_numpy().astype(np.int64) if numbers is None else np.argsort(numbers)
    return order


def _numbers(values: pa.Array) -> NDArray[Any] | None:
    """The values as numbers that sort as they do; None where they are none."""
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers


def _united(levels: Sequence[pa.Array], codes: Sequence[Codes]) -> tuple[pa.Array, Codes]:
    """The values of sorted levels, sorted, and the codes of all groups among them."""
    if all(map(levels[0].equals, levels[1:])):
        return levels[0], np.concatenate(codes)
    values = pa.concat_arrays(levels)
    numbers = _numbers(values)
    if numbers is None:
        coded = values.dictionary_encode()
        level, rank = _ranked(coded.dictionary, np.arange(len(coded.dictionary), dtype=np.int32))
        lookup = np.append(rank[coded.indices.to_numpy(zero_copy_only=False)], np.int32(0))
    else:
        order = np.argsort(numbers, kind="stable")
        ahead = numbers[order]
        is_new = np.append(True, ahead[1:] != ahead[:-1])[: len(ahead)]
        lookup = np.empty(len(order) + 1, np.int32)
        lookup[order] = np.cumsum(is_new) - 1
        level = values.take(pa.array(order[is_new]))
    starts = np.cumsum([0, *map(len, levels[:-1])])
    shifted = [np.where(code < 0, -1, code + start) for code, start in zip(codes, starts, strict=True)]
    lookup[-1] = -1
    return level, lookup[np.concatenate(shifted)]


def _places(flat: Index, top: int) -> tuple[Index, Index]:
    """For each number below `top` its place among the distinct ones, and the position of one of each."""
    if top > max(1024, 4 * len(flat)):
        _, chosen, places = np.unique(flat, return_index=True, return_inverse=True)
        return places, chosen
    position = np.full(top, -1)
    position[flat] = np.arange(len(flat))
    in_use = position >= 0
    return (np.cumsum(in_use) - 1)[flat], position[in_use]


def _flat(codes: Codes, sizes: Sequence[int]) -> tuple[Index, int]:
    """One number per group that sorts as the tuple of its codes does, null last, and what all of them are below."""
    flat = np.zeros(codes.shape[1], np.int64)
    top = 1
    for code, size in zip(codes, sizes, strict=True):
        if top * size > FLAT:
            distinct, flat = np.unique(flat, return_inverse=True)
            top = len(distinct)
        flat = flat * size + np.where(code < 0, size - 1, code)
        top *= size
    return flat, top


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
        return chunk.once(("grouping", tuple(by), dropna), lambda: cls._made(chunk, by, kinds, dropna))

    @classmethod
    def _made(cls, chunk: Chunk, by: Sequence[str], kinds: Sequence[pa.DataType], dropna: bool) -> Grouping:
        coded = [encoded(chunk, name) for name in by]
        codes = [kernels.frozen(code) for code, _ in coded]
        slots, n_slots = _slots(codes, [len(level) + (not dropna) for _, level in coded], dropna)
        counts, position = kernels.count_rows(slots, n_slots)
        present = np.flatnonzero(counts)
        levels = [level.cast(plain(kind)) for (_, level), kind in zip(coded, kinds, strict=True)]
        keys, order = Keys.ordered(levels, np.array([code[position[present]] for code in codes], np.int32))
        return cls(slots, n_slots, keys, present[order], counts[present[order]])


def _slots(codes: Sequence[Codes], sizes: Sequence[int], dropna: bool) -> tuple[Codes, int]:
    limit = max(1024, min(DENSE, 8 * len(codes[0])))
    # Codes of few values are slots as they are.
    n_coded = int(dropna and sizes[0] <= limit)
    slots, n = (codes[0], sizes[0]) if n_coded else (kernels.frozen(np.zeros(len(codes[0]), np.int32)), 1)
    for code, size in zip(codes[n_coded:], sizes[n_coded:], strict=True):
        fits = n * size <= limit
        mixed = kernels.room(len(code), np.int32 if fits else np.int64)
        kernels.mix_codes(slots, code, size, not dropna, mixed)
        slots, n = (mixed, n * size) if fits else _compressed(mixed)
        slots = kernels.frozen(slots)
    return slots, n


def _compressed(codes: Any) -> tuple[Codes, int]:
    slots, distinct = kernels.factorize(codes)
    return slots, len(distinct)
