"""Heap: freed memory goes back to the system, though the C library and Arrow would keep most of it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache

import pyarrow as pa

LARGE_NBYTES = 4 << 20
"""Blocks from this size on are mapped one by one. NumPy asks for huge pages from the same size on, so that faults are few."""
SPARE_NBYTES = 4 << 20
"""Free bytes that may stay at the end of a thread's heap, which trimming leaves: with fewer that end moves all the time."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def give_back() -> None:
    """Freed memory back to the system: Arrow and the C library keep most of what large arrays of many threads leave behind."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


@cache
def map_large_blocks() -> bool:
    """Make the C library map large blocks one by one from now on in this process, so that each goes back when it is freed.

    glibc would not: when it sees a mapped block freed, it takes blocks of that size, up to 32 MiB, from its heaps from then on
    (mallopt(3), M_MMAP_THRESHOLD). Batches of several threads leave holes there, more of them the longer a chain runs.

    Returns:
        Whether it does so; False where the environment sets thresholds of its own, and where there is no such C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or _is_decided(os.environ):
        return False
    return all([mallopt(M_MMAP_THRESHOLD, LARGE_NBYTES), mallopt(M_TRIM_THRESHOLD, SPARE_NBYTES)])


def _is_decided(environment: Mapping[str, str]) -> bool:
    """Whether whoever started this process has set thresholds."""
    own = "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"
    return any(name in environment for name in own) or "glibc.malloc." in environment.get("GLIBC_TUNABLES", "")
