"""Grouped statistics: by one key of 16 values unless told otherwise, by several keys, by several groupings in one scan.

What other questions are asked with:

- 1,200 groups: `--by month,dest`; their percentiles: `--by month,dest --statistics p50,p95,p99`
- up to 90,000 groups from two texts: `--layout terminals --by start,stop`; texts stored without dictionaries: `--layout plain`
- three groupings of six columns: `--by carrier month,origin hour`
  `--columns arr_delay,dep_delay,air_time,distance,arr_time,dep_time`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import flights
import race

STATISTICS = "count,mean,std,min,max"
ROUGH = 0.25
"""How far percentiles that are rough (duckdb's) may be from the others, relatively, and a few minutes beyond."""
MINUTES = 10


def names(text: str) -> list[str]:
    return text.split(",")


def run_bigml(arguments: argparse.Namespace, groupings: int | None = None) -> Iterator[Callable[[], Any]]:
    import bigml

    def work(source: Any) -> Any:
        wanted = dict.fromkeys(names(arguments.columns), names(arguments.statistics))
        frames = bigml.compute(*(source.groupby(names(by)).agg(wanted) for by in arguments.by[:groupings]), progress=False)
        return [frame.set_axis(["_".join(pair) for pair in frame], axis=1).reset_index() for frame in frames]

    # Fewer than a million rows would be read by other loops.
    work(bigml.read_parquet(sorted(flights.folder(arguments).glob("*.parquet"))[:5]))
    yield lambda: values(work(bigml.read_parquet(flights.folder(arguments))), arguments)


def run_alone(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The first grouping alone."""
    return run_bigml(arguments, 1)


def run_polars(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import polars as pl

    def one(column: str, name: str) -> Any:
        expression = pl.col(column)
        of = expression.quantile(float(name[1:]) / 100, "linear") if name[0] == "p" else getattr(expression, name)()
        return of.alias(f"{column}_{name}")

    wanted = [one(column, name) for column in names(arguments.columns) for name in names(arguments.statistics)]
    lazy = [pl.scan_parquet(flights.pattern(arguments)).group_by(names(by)).agg(wanted) for by in arguments.by]
    yield lambda: values([frame.to_pandas() for frame in pl.collect_all(lazy, engine="streaming")], arguments)


def run_duckdb(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import duckdb

    duckdb.execute(f"set threads to {race.THREADS}")
    functions = {"count": "count", "mean": "avg", "std": "stddev_samp", "min": "min", "max": "max"}

    def one(column: str, name: str) -> str:
        of = f"approx_quantile({column}, {float(name[1:]) / 100})" if name[0] == "p" else f"{functions[name]}({column})"
        return f"{of} as {column}_{name}"

    wanted = ", ".join(one(column, name) for column in names(arguments.columns) for name in names(arguments.statistics))
    queries = [f"select {by}, {wanted} from read_parquet('{flights.pattern(arguments)}') group by {by}" for by in arguments.by]
    yield lambda: values([duckdb.execute(query).df() for query in queries], arguments, ROUGH)


def run_dask(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import dask
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    columns = names(arguments.columns)

    def work() -> Any:
        rows = dd.read_parquet(flights.pattern(arguments))
        frames = dask.compute(*(rows.groupby(names(by))[columns].agg(names(arguments.statistics)) for by in arguments.by))
        return values([frame.set_axis(["_".join(pair) for pair in frame], axis=1).reset_index() for frame in frames], arguments)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster):
        yield work


def values(frames: list[Any], arguments: argparse.Namespace, rough: float = 1e-9) -> dict[str, Any]:
    """Plain values of the first groups in the order of the keys, to compare engines, and how exact the percentiles are."""
    out: dict[str, Any] = {"rough": rough, "rows": []}
    for frame, by in zip(frames, arguments.by, strict=False):
        first = frame.sort_values(names(by)).head(1000)
        keys = first[names(by)].astype(str).to_numpy().tolist()
        out["rows"].append({"groups": len(frame), "keys": keys, "exact": {}, "percentiles": {}})
        for name in frame.columns.drop(names(by)):
            kind = "percentiles" if "_p" in name else "exact"
            out["rows"][-1][kind][name] = first[name].astype(float).tolist()
    return out


def same(left: Any, right: Any) -> bool:
    """Whether the groupings that both have are equal."""
    rough = max(left["rough"], right["rough"])
    return all(
        flights.close({**a, "percentiles": 0}, {**b, "percentiles": 0})
        and flights.close(a["percentiles"], b["percentiles"], rough, MINUTES if rough == ROUGH else 0.0)
        for a, b in zip(left["rows"], right["rows"], strict=False)
    )


def options(parser: argparse.ArgumentParser) -> None:
    flights.options(parser)
    parser.add_argument("--by", nargs="+", default=["carrier"], help="groupings; the keys of each separated by commas")
    parser.add_argument("--columns", default="arr_delay", help="columns, separated by commas")
    parser.add_argument(
        "--statistics", default=STATISTICS, help="statistics, separated by commas; percentiles are p50 and the like"
    )


if __name__ == "__main__":
    engines = {
        "bigml": run_bigml,
        "bigml, the first grouping alone": run_alone,
        "polars streaming": run_polars,
        "duckdb": run_duckdb,
        "dask.dataframe 2x1": run_dask,
    }
    race.main("Grouped statistics", engines, prepare=flights.prepare, same=same, options=options)
