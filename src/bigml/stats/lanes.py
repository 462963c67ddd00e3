"""Lanes: a column as it lies in memory, taken block by block into a buffer that the processor works on many numbers at a time.

Loops over a whole buffer, without a branch, become vector instructions. Sums are kept by lane, one for each place of the buffer,
so that no order of additions is left to the compiler: the bits are the same on any processor.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from bigml.chunk import Array
from bigml.stats.kernels import frozen

LANES = 256
ALL = frozen(np.zeros(0, np.uint8))
HOLES = np.where((np.arange(256)[:, None] >> np.arange(8)) & 1, 0.0, np.nan)
"""For each byte of a bitmap what makes NaN of the values that are missing, when it is added."""


Plain: TypeAlias = tuple[NDArray[Any], NDArray[np.uint8], int]
"""Values, bitmap of the valid ones (empty: all) and where it starts."""


def plain(array: Array) -> Plain | None:
    """What an array holds in memory; None for other types than plain numbers."""
    if isinstance(array, np.ndarray):
        return (frozen(array), ALL, 0) if array.dtype.kind in "if" and array.dtype.itemsize > 2 else None
    kind = array.type
    is_plain = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if isinstance(array, pa.ChunkedArray) or not is_plain or not len(array):
        return None
    validity, data = array.buffers()
    values = np.frombuffer(data, kind.to_pandas_dtype(), len(array), array.offset * kind.bit_width // 8)
    bits = np.frombuffer(validity, np.uint8) if array.null_count else ALL
    return frozen(values), frozen(bits), array.offset


@njit(nogil=True, cache=True)
def fill(buffer: Any, values: Any, bits: Any, at: int) -> None:
    """Put the values in the buffer, NaN where bit `at` and the ones behind it say that there is none, and in the rest."""
    for k in range(values.size):
        buffer[k] = values[k]
    buffer[values.size :] = np.nan
    if bits.size:
        _puncture(buffer[: values.size], bits, at)


@njit(nogil=True, cache=True)
def _puncture(buffer: Any, bits: Any, at: int) -> None:
    # Whole bytes, which nearly all are, without a branch.
    whole = 0 if at & 7 else buffer.size >> 3
    for byte in range(whole):
        holes = HOLES[bits[(at >> 3) + byte]]
        for k in range(8):
            buffer[8 * byte + k] += holes[k]
    for k in range(8 * whole, buffer.size):
        if not has(bits, at + k):
            buffer[k] = np.nan


@njit(nogil=True, cache=True)
def has(bits: Any, at: int) -> bool:
    """Whether this bit says that there is a value."""
    return bits.size == 0 or (bits[at >> 3] >> (at & 7)) & 1 == 1


@njit(nogil=True, cache=True)
def count_known(buffer: Any) -> int:
    """How many numbers of the buffer are not NaN."""
    known = 0
    for k in range(buffer.size):
        known += buffer[k] == buffer[k]
    return known


@njit(nogil=True, cache=True)
def first_gap(buffer: Any) -> int:
    """The place of the first NaN; there must be one."""
    k = 0
    while buffer[k] == buffer[k]:
        k += 1
    return k
