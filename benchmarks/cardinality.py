"""Grouping by a key that nearly every other row has alone: more groups than the memory allows, written as Parquet.

Each engine may hold 2 GB: bigml by BIGML_MEMORY, duckdb by memory_limit. polars has no such limit and is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flights
import race

ROWS_A_FILE = 10_000_000
MEMORY = "2GB"


def folder(arguments: argparse.Namespace) -> Path:
    return flights.HOME / f"keys-{arguments.rows}-{arguments.keys}"


def prepare(arguments: argparse.Namespace) -> None:
    """Write random keys and numbers unless they are there."""
    import numpy as np
    import pyarrow as pa

    from bigml.sources.writing import dataset

    if (folder(arguments) / "_manifest.json").exists():
        return
    draw = np.random.default_rng(0)

    def tables() -> Iterator[pa.Table]:
        for start in range(0, arguments.rows, 1_000_000):
            n = min(1_000_000, arguments.rows - start)
            keys = draw.integers(0, arguments.keys, n) * 0x9E3779B1
            yield pa.table({"key": keys, "x": draw.normal(size=n)})

    with dataset(folder(arguments), pa.schema({"key": pa.int64(), "x": pa.float64()})) as writer:
        writer.write(tables(), rows_per_file=ROWS_A_FILE)


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import bigml

    os.environ["BIGML_MEMORY"] = MEMORY
    small = bigml.from_arrow(bigml.read_parquet(folder(arguments)).head(1000).to_arrow())
    small.groupby("key").agg(x=["count", "mean"]).compute()

    def work() -> Any:
        source = bigml.read_parquet(folder(arguments))
        with Emptied("bigml", arguments) as out:
            source.groupby("key").agg(x=["count", "mean"]).write_parquet(out, progress=False)
            return checks(f"{out}/*.parquet")

    yield work


def run_duckdb(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import duckdb

    def work() -> Any:
        with Emptied("duckdb", arguments) as out:
            out.mkdir()
            database = duckdb.connect(config={"threads": race.THREADS, "memory_limit": MEMORY, "temp_directory": f"{out}/spill"})
            query = (
                f"copy (select key, count(x) as x_count, avg(x) as x_mean from '{folder(arguments)}/*.parquet' group by key) "
                f"to '{out}/found.parquet'"
            )
            database.execute("set preserve_insertion_order = false")
            database.execute(query)
            database.close()
            return checks(f"{out}/*.parquet")

    yield work


class Emptied:
    """A directory for an engine's result, gone before and after."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self._path = flights.HOME / f"found-{name}-{arguments.rows}"

    def __enter__(self) -> Path:
        shutil.rmtree(self._path, ignore_errors=True)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def checks(pattern: str) -> list[float]:
    """The groups, their rows and the sum of their means, read back a file at a time."""
    import glob

    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = [0.0, 0.0, 0.0]
    for path in sorted(glob.glob(pattern)):
        for batch in pq.ParquetFile(path).iter_batches(columns=["x_count", "x_mean"]):
            found[0] += batch.num_rows
            found[1] += pc.sum(batch.column(0)).as_py() or 0
            found[2] += pc.sum(pc.multiply(batch.column(0).cast("double"), batch.column(1))).as_py() or 0.0
    return found


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000_000, help="generated rows")
    parser.add_argument("--keys", type=int, default=50_000_000, help="different keys")


def same(left: Any, right: Any) -> bool:
    return flights.close(left, right, 1e-6)


if __name__ == "__main__":
    race.main(
        "Groups beyond memory, written", {"bigml": run_bigml, "duckdb": run_duckdb}, prepare=prepare, same=same, options=options
    )
