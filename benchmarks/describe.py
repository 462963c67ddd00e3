"""Describe of ten columns."""

from __future__ import annotations

import argparse
from typing import Any

import flights
import race

COLUMNS = [
    "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "air_time", "distance",
]  # fmt: skip


def run_bigml(arguments: argparse.Namespace) -> Any:
    import bigml

    frame = bigml.read_parquet(flights.folder(arguments)).describe(COLUMNS).compute(progress=False)
    return {name: [float(frame.loc[row, name]) for row in ("count", "mean", "std", "min", "max")] for name in COLUMNS}


def run_polars(arguments: argparse.Namespace) -> Any:
    import polars as pl

    frame = pl.scan_parquet(flights.pattern(arguments)).select(COLUMNS).describe()
    table = {row["statistic"]: row for row in frame.to_dicts()}
    return {name: [float(table[row][name]) for row in ("count", "mean", "std", "min", "max")] for name in COLUMNS}


def run_pandas(arguments: argparse.Namespace) -> Any:
    import pandas as pd

    frame = pd.read_parquet(flights.folder(arguments), columns=COLUMNS, filesystem=None).describe()
    return {name: [float(frame.loc[row, name]) for row in ("count", "mean", "std", "min", "max")] for name in COLUMNS}


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "polars": run_polars, "pandas in memory": run_pandas}
    race.main("Describe of 10 columns", engines, prepare=flights.prepare, same=flights.close, options=flights.options)
