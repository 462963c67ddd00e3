"""The heap: large arrays of a chain go back to the system when freed. Thresholds hold for a process, so each case has its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="thresholds are those of glibc")

RAISED = """
import numpy as np

np.ones(30 << 20, dtype=np.uint8)  # mapped, and freed at once: glibc now takes smaller blocks from its heap
"""
CHAINED = """
import bigml, pandas as pd
from sklearn.linear_model import SGDClassifier

bigml.fit(SGDClassifier(), bigml.from_pandas(pd.DataFrame({"x": [0.0, 1.0], "y": [0, 1]})), target="y", progress=False)
"""
IS_MAPPED = """
block = np.ones(8 << 20, dtype=np.uint8)
address = block.ctypes.data + block.nbytes // 2
del block
ranges = [line.split()[0].split("-") for line in open("/proc/self/maps")]
print(any(int(first, 16) <= address < int(end, 16) for first, end in ranges))
"""
SET_UP = "from bigml.graph.heap import map_large_blocks; print(map_large_blocks())"


def printed(script: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True).stdout.strip()


def test_large_arrays_go_back_to_the_system_once_a_chain_has_run() -> None:
    assert printed(RAISED + IS_MAPPED) == "True"
    assert printed(RAISED + CHAINED + IS_MAPPED) == "False"


def test_blocks_are_mapped_where_nobody_has_decided_otherwise() -> None:
    assert printed(SET_UP) == "True"
    assert printed(SET_UP, GLIBC_TUNABLES="glibc.pthread.rseq=1") == "True"


@pytest.mark.parametrize(
    "setting",
    [{"MALLOC_MMAP_THRESHOLD_": "131072"}, {"MALLOC_TRIM_THRESHOLD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}],
)
def test_thresholds_of_the_environment_are_left_alone(setting: dict[str, str]) -> None:
    assert printed(SET_UP, **setting) == "False"
