"""What the way in which the same rows are written or worked on costs: bigml beside itself, processor time unless told otherwise.

A range of one row in a hundred beside all rows of a sorted column; ten thousand row groups beside a hundred; twenty columns that
nobody asks for beside none; two worker processes beside one, by the clock.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import flights
import race

STATISTICS = ["count", "mean", "std", "min", "max"]


def run(
    arguments: argparse.Namespace, layout: str, by: str = "carrier", share: float = 1.0, workers: int = 0
) -> Iterator[Callable[[], Any]]:
    """Grouped statistics of that share of the rows, opened before; on threads, or by so many worker processes of one thread."""
    import bigml

    def work(source: Any, client: Any = None) -> Any:
        rows = source.where(f"number < {int(share * arguments.rows)}") if layout == "sorted" else source
        frame = rows.groupby(by.split(",")).agg(arr_delay=STATISTICS).compute(client, progress=False)
        return frame.head(100).to_numpy().tolist() if share == 1 else []

    source = bigml.read_parquet(flights.folder(arguments, layout))
    with ExitStack() as stack:
        client = served(stack, workers) if workers else None
        # Few rows would not reach every worker, and be read by other loops.
        first = sorted(flights.folder(arguments, layout).glob("*.parquet"))[:5]
        work(source if workers else bigml.read_parquet(first), client)
        yield lambda: work(source, client)


def served(stack: ExitStack, workers: int) -> Any:
    """A client of worker processes of one thread."""
    import bigml

    return stack.enter_context(bigml.cluster({"kind": "local", "n_workers": workers, "threads_per_worker": 1}))


def table(laps: race.Laps) -> list[str]:
    """A row for each question: both ways, their ratio, what it must be."""
    lines = race.heading("question", "by", "this", "beside", "ratio", "must", "peak MiB", "beside", "ratio")
    for question, (ways, clock, must) in QUESTIONS.items():
        if not set(ways) <= set(laps):
            continue
        this, beside = ([clocked(lap, clock) for lap in laps[way]] for way in ways)
        seconds = [min(own) if clock == "processors" else statistics.median(own) for own in (this, beside)]
        peaks = [statistics.median(lap.peak for lap in laps[way]) / 2**20 for way in ways]
        lines.append(
            f"| {question} | {clock} | {seconds[0]:.3f} | {seconds[1]:.3f} | {seconds[0] / seconds[1]:.3f} | {must} "
            f"| {peaks[0]:.0f} | {peaks[1]:.0f} | {peaks[0] / peaks[1]:.2f} |"
        )
    return lines


def clocked(lap: race.Lap, clock: str) -> float:
    return lap.processor if clock == "processors" else lap.seconds


def prepare(arguments: argparse.Namespace) -> None:
    for layout in ("flights", "sorted", "coarse", "fine", "wide"):
        flights.prepare(arguments, layout)


WAYS: dict[str, race.Engine] = {
    "a range of one in a hundred": partial(run, layout="sorted", share=0.01),
    "the whole sorted table": partial(run, layout="sorted"),
    "10,000 row groups": partial(run, layout="fine"),
    "100 row groups": partial(run, layout="coarse"),
    "20 columns more": partial(run, layout="wide"),
    "no columns more": partial(run, layout="coarse"),
    "one worker": partial(run, layout="flights", by="carrier,origin,month", workers=1),
    "two workers": partial(run, layout="flights", by="carrier,origin,month", workers=2),
}
QUESTIONS = {
    "a range of 1 % of a sorted column": (("a range of one in a hundred", "the whole sorted table"), "processors", "0.03"),
    "10,000 row groups": (("10,000 row groups", "100 row groups"), "processors", "1.15; memory 1.3"),
    "20 unused columns more": (("20 columns more", "no columns more"), "processors", "1.1"),
    "one worker process, of two": (("one worker", "two workers"), "clock", "at least 1.7"),
}
"""The two ways that are compared, what the ratio is of, and what it must be."""

if __name__ == "__main__":
    title = "Grouped statistics of one column: ways to write the rows and to work on them"
    race.main(title, WAYS, prepare=prepare, same=lambda left, right: True, options=flights.options, table=table)
