"""Describe of ten columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import flights
import race

COLUMNS = [
    "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "air_time", "distance",
]  # fmt: skip
ROWS = "count", "mean", "std", "min", "max"


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import bigml

    bigml.read_parquet(next(flights.folder(arguments).glob("*.parquet")))
    bigml.airline_like(1000).describe(COLUMNS).compute()
    yield lambda: values(bigml.read_parquet(flights.folder(arguments)).describe(COLUMNS).compute(progress=False))


def run_polars(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import polars as pl

    def work() -> Any:
        frame = pl.scan_parquet(flights.pattern(arguments)).select(COLUMNS).describe()
        return values(frame.to_pandas().set_index("statistic"))

    yield work


def run_pandas(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import pandas as pd

    yield lambda: values(pd.read_parquet(flights.folder(arguments), columns=COLUMNS).describe())


def values(frame: Any) -> dict[str, list[float]]:
    """The exact statistics, to compare engines; quartiles are sketched by bigml."""
    return {name: [float(frame.loc[row, name]) for row in ROWS] for name in COLUMNS}


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "polars": run_polars, "pandas in memory": run_pandas}
    race.main("Describe of 10 columns", engines, prepare=flights.prepare, same=flights.close, options=flights.options)
