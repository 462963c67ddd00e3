"""Grouped count, mean, std, min and max of one column, by one key of 16 values or by several keys."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import flights
import race

STATISTICS = ["count", "mean", "std", "min", "max"]


def keys(arguments: argparse.Namespace) -> list[str]:
    return arguments.by.split(",")


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import bigml

    def work(rows: Any = None) -> Any:
        source = bigml.read_parquet(flights.folder(arguments)) if rows is None else rows
        return source.groupby(keys(arguments)).agg(arr_delay=STATISTICS).compute(progress=False)

    bigml.read_parquet(next(flights.folder(arguments).glob("*.parquet")))
    work(bigml.airline_like(1000))
    yield lambda: values(work().set_axis(STATISTICS, axis=1).reset_index(), arguments)


def run_polars(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import polars as pl

    column = pl.col("arr_delay")
    wanted = [
        column.count().alias("count"), column.mean().alias("mean"), column.std().alias("std"),
        column.min().alias("min"), column.max().alias("max"),
    ]  # fmt: skip
    lazy = pl.scan_parquet(flights.pattern(arguments)).group_by(keys(arguments)).agg(wanted)
    yield lambda: values(lazy.collect(engine="streaming").to_pandas(), arguments)


def run_duckdb(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import duckdb

    duckdb.execute(f"set threads to {race.THREADS}")
    by = ", ".join(keys(arguments))
    query = (
        f"select {by}, count(arr_delay) as count, avg(arr_delay) as mean, stddev_samp(arr_delay) as std, "
        f"min(arr_delay) as min, max(arr_delay) as max from read_parquet('{flights.pattern(arguments)}') group by {by}"
    )
    yield lambda: values(duckdb.execute(query).df(), arguments)


def run_dask(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    def work() -> Any:
        frame = dd.read_parquet(flights.pattern(arguments), columns=[*keys(arguments), "arr_delay"])
        result = frame.groupby(keys(arguments))["arr_delay"].agg(STATISTICS).compute()
        return values(result.reset_index(), arguments)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster):
        yield work


def values(frame: Any, arguments: argparse.Namespace) -> list[list[Any]]:
    """Plain values of the first groups in the order of the keys, to compare engines."""
    by = keys(arguments)
    frame = frame.sort_values(by).head(1000)
    return [[str(row[key]) for key in by] + [float(row[name]) for name in STATISTICS] for row in frame.to_dict("records")]


def options(parser: argparse.ArgumentParser) -> None:
    flights.options(parser)
    parser.add_argument("--by", default="carrier", help="keys, separated by commas")


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "polars streaming": run_polars, "duckdb": run_duckdb, "dask.dataframe 2x1": run_dask}
    title = "Grouped count, mean, std, min, max of one column"
    race.main(title, engines, prepare=flights.prepare, same=flights.close, options=options)
