"""Peak memory of the process tree while the rows grow tenfold: it should hardly grow at all.

The fewer rows must be enough for a part a thread, 500,000 rows each: with less the peak is not that of steady work.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flights
import race

GROWTH = 10
TARGET = 1.15
STATISTICS = ["count", "mean", "std", "min", "max"]
COLUMNS = ["month", "day", "dep_time", "dep_delay", "arr_delay", "air_time", "distance"]


def grouped(source: Any) -> int:
    """Rows, counted by a grouping of one column; its key has 16 values."""
    table = source.groupby("carrier").agg(distance=STATISTICS).compute(progress=False)
    return int(table[("distance", "count")].sum())


def described(source: Any) -> int:
    """Rows, counted by a description of seven columns."""
    return int(source.describe(COLUMNS).compute(progress=False).loc["count", "distance"])


def run(arguments: argparse.Namespace, work: Callable[[Any], int], times: int) -> Iterator[Callable[[], Any]]:
    import bigml

    yield lambda: work(bigml.read_parquet(flights.folder(grown(arguments, times)))) / times


def grown(arguments: argparse.Namespace, times: int) -> argparse.Namespace:
    return argparse.Namespace(rows=arguments.rows * times)


def prepare(arguments: argparse.Namespace) -> None:
    """Write the rows of both sizes unless they are there."""
    for times in (1, GROWTH):
        flights.prepare(grown(arguments, times))


def table(laps: race.Laps) -> list[str]:
    """A row for each kind of work: its peaks at both sizes and their ratio."""
    lines = race.heading("work", "rows", "peak MiB", f"peak MiB, {GROWTH} times the rows", "ratio", "target")
    for work in WORKS:
        if not set(names(work)) <= set(laps):
            continue
        small, large = (laps[name] for name in names(work))
        peaks = [statistics.median(lap.peak for lap in own) / 2**20 for own in (small, large)]
        ratio = f"{peaks[1] / peaks[0]:.2f}"
        lines.append(f"| {work} | {small[0].result:,.0f} | {peaks[0]:.0f} | {peaks[1]:.0f} | {ratio} | {TARGET} |")
    return lines


def names(work: str) -> tuple[str, str]:
    """The engines that do this work, at both sizes."""
    return work, f"{work} x{GROWTH}"


WORKS = {"groupby": grouped, "describe": described}

if __name__ == "__main__":
    engines = {
        name: partial(run, work=work, times=times)
        for label, work in WORKS.items()
        for name, times in zip(names(label), (1, GROWTH), strict=True)
    }
    title = f"Peak memory while the rows grow {GROWTH} times"
    race.main(title, engines, prepare=prepare, same=flights.close, options=flights.options, table=table)
