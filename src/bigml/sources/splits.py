"""Splits: which rows belong together, decided by hashing the identity of each row."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray


BLOCK = 1 << 15
"""Values hashed at once: they stay in the processor's nearest caches."""


def mixed(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Each value hashed to 64 well-mixed bits: the finaliser of splitmix64 (Steele, Lea, Flood, 2014), keyed by `seed`.

    >>> mixed(np.arange(2, dtype=np.uint64), seed=7).shape
    (2,)
    """
    key = np.uint64(int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "little"))
    out = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), BLOCK):
        _mix(values[start : start + BLOCK], key, out[start : start + BLOCK])
    return out


def _mix(values: NDArray[np.uint64], key: np.uint64, z: NDArray[np.uint64]) -> None:
    with np.errstate(over="ignore"):
        np.add(values, np.uint64(1), out=z)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += key
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)


def row_hashes(chunk: Chunk, by: tuple[str, ...], seed: int) -> NDArray[np.uint64]:
    """A hash for each row: of its number, or of its values in the columns `by` so that equal values stay together."""
    if not by:
        return mixed(chunk.row_numbers.view(np.uint64), seed)
    out = np.zeros(chunk.n_rows, dtype=np.uint64)
    for name in by:
        out = mixed(out ^ _value_hashes(chunk.arrow(name)), seed)
    return out


def _value_hashes(array: pa.Array) -> NDArray[np.uint64]:
    """A hash of each value, of each distinct value once; null has a hash of its own."""
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    distinct = [_hash_of(value) for value in encoded.dictionary.to_pylist()]
    table = np.array([*distinct, _hash_of(None)], dtype=np.uint64)
    codes = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    return table[codes]


def _hash_of(value: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "little")


def below(hashes: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """Which hashes fall into the first `fraction` of their range."""
    return hashes < np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
