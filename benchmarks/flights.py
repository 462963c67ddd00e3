"""Generated flights on disk for the benchmarks: made once for each number of rows."""

from __future__ import annotations

import argparse
from pathlib import Path

HOME = Path(__file__).parent / "data"


def options(parser: argparse.ArgumentParser) -> None:
    """The option that every benchmark on flights has."""
    parser.add_argument("--rows", type=int, default=20_000_000, help="generated rows")


def folder(arguments: argparse.Namespace) -> Path:
    """Where the rows are."""
    return HOME / f"flights-{arguments.rows}"


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows unless they are there."""
    if not (folder(arguments) / "_manifest.json").exists():
        import bigml

        bigml.airline_like(arguments.rows, seed=1).write_parquet(folder(arguments))


def pattern(arguments: argparse.Namespace) -> str:
    """The files as a glob, for engines that know no manifest."""
    return str(folder(arguments) / "*.parquet")


def close(left: object, right: object, relative: float = 1e-9) -> bool:
    """Whether two nested results are equal, floats up to a relative difference."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key], relative) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(close(a, b, relative) for a, b in zip(left, right, strict=True))
    if isinstance(left, int | float) and isinstance(right, int | float):
        return abs(left - right) <= relative * max(abs(left), abs(right), 1e-300)
    return left == right
