"""Run every benchmark, small by default: `python -m benchmarks [--full] [name ...]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = {
    "startup": [],
    "groupby": ["--rows", "2000000"],
    "layouts": ["--rows", "1000000"],
    "describe": ["--rows", "2000000"],
    "memory": ["--rows", "1000000"],
    "ingest": ["--rows", "500000"],
    "chain": ["--rows", "500000"],
    "epochs": ["--rows", "1000000"],
    "logistic": ["--rows", "500000"],
    "ridge": ["--rows", "500000"],
    "search_panel": ["--rows", "500000"],
    "kmeans": ["--rows", "200000"],
    "pca": ["--rows", "200000"],
    "pipeline": ["--rows", "1000000"],
    "preprocessing": ["--rows", "2000000"],
}
"""Scripts and the options that make them small."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHMARKS), help=f"some of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--full", action="store_true", help="at full size; saves the tables in benchmarks/results")
    parser.add_argument("--runs", default=None, help="counted runs of each engine (default 5, small 3)")
    arguments = parser.parse_args()
    failed = [name for name in arguments.names if not run(name, arguments.full, arguments.runs)]
    print(f"failed: {', '.join(failed)}" if failed else "all benchmarks ran")
    return int(bool(failed))


def run(name: str, full: bool, runs: str | None) -> bool:
    """One benchmark in a process of its own; whether it ended well."""
    options = ["--save"] if full else BENCHMARKS[name]
    command = [sys.executable, str(HERE / f"{name}.py"), *options, "--runs", runs or ("5" if full else "3")]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
