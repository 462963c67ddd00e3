"""Loops are compiled once for a machine, and whoever waits for that is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bigml.stats.compiling import LINE

WORK = """
import pandas as pd, bigml
rows = bigml.from_pandas(pd.DataFrame({"k": ["a", "b"], "x": [1.0, 2.0]}))
print(rows.groupby("k").agg(x=["count", "mean", "std"]).compute().to_numpy().tolist())
"""


def test_only_the_first_process_compiles_and_says_so_once(tmp_path: Path) -> None:
    done = [
        subprocess.run(
            [sys.executable, "-c", WORK],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        for _ in range(2)
    ]
    assert [one.stderr.count(LINE) for one in done] == [1, 0]
    assert done[0].stdout == done[1].stdout
