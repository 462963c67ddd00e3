"""Two of those that train side by side against one, each on one core: rows a second of rounds and of ranks in step.

Measured on the way: processes run, the model is traced, rows are kept. A leg is as long as it is by default.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import race

from training import EVERY, STEPS, kept
from training import options as of_training


def run(kind: str, n: int) -> race.Engine:
    """An epoch by so many workers or ranks, on as many cores."""

    def engine(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        from bigml.graph.progress import silent
        from bigml.training.shards import deal
        from bigml.training.state import State

        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])
        with kept(arguments, arguments.batch) as (lesson, rows), ExitStack() as stack:
            client = workers(stack, n) if kind == "rounds" else None
            shards = deal(rows.counts, n)
            learned = rounds(lesson, shards) if client is not None else stack.enter_context(ranks(lesson, shards))
            how: dict[str, Any] = {"client": client, "progress": silent}
            begun, _ = learned.leg(State.of(lesson.build()), 0, 0, min(2, learned.n_rounds), **how)

            def work() -> int:
                state = begun
                for first in range(0, learned.n_rounds, EVERY):
                    state, _ = learned.leg(state, 1, first, min(first + EVERY, learned.n_rounds), **how)
                return arguments.rows

            yield work

    return engine


def workers(stack: ExitStack, n: int) -> Any:
    """A client of workers of one thread."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=n, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    return stack.enter_context(Client(stack.enter_context(cluster)))


def rounds(lesson: Any, shards: Any) -> Any:
    from bigml.training.rounds import Rounds
    from bigml.training.state import Average

    return Rounds(lesson, shards, STEPS, Average())


def ranks(lesson: Any, shards: Any) -> Any:
    from bigml.training.generations import Generations

    return Generations(lesson, shards, STEPS)


def speeds(laps: race.Laps) -> list[str]:
    """A row an engine: seconds, and its rows a second against those of one."""
    lines = race.heading("engine", "median s", "min s", "max s", "rows/s against one")
    medians = {name: statistics.median(lap.seconds for lap in own) for name, own in laps.items()}
    for name, own in laps.items():
        seconds = [lap.seconds for lap in own]
        one = medians.get(name.replace("2", "1"), medians[name])
        lines.append(f"| {name} | {medians[name]:.3f} | {min(seconds):.3f} | {max(seconds):.3f} | {one / medians[name]:.2f} |")
    return lines


def options(parser: argparse.ArgumentParser) -> None:
    of_training(parser)
    parser.add_argument("--batch", type=int, default=256, help="rows of a step of one")


if __name__ == "__main__":
    engines = {f"{kind}, {n} x 1 core": run(kind, n) for kind in ("rounds", "sync") for n in (1, 2)}
    race.main(
        "Two side by side against one",
        engines,
        prepare=lambda arguments: None,
        same=lambda a, b: a == b,
        options=options,
        table=speeds,
    )
