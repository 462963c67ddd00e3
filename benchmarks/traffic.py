"""Bytes that go between processes in an epoch: rounds on two workers against two ranks in step, with the accuracy of both.

All that the loopback device carries is counted, so nobody else may use it:
`unshare -n sh -c 'ip link set lo up && python benchmarks/traffic.py'`, with the folder of real data in BIGML_DATA.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import race

LOOPBACK = "lo:"


def carried() -> int:
    """Bytes that the loopback device has carried so far."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.split()[0] == LOOPBACK)
    return int(line.split()[1])


def digits(name: str) -> Any:
    import bigml

    folder = Path(os.environ["BIGML_DATA"]) / "mnist"
    return bigml.read_idx(folder / f"{name}-images-idx3-ubyte.gz", y=folder / f"{name}-labels-idx1-ubyte.gz")


def run(engine: str) -> race.Engine:
    """A training by one engine: bytes of an epoch, and accuracy on the ten thousand images that are held out."""

    def trained(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        from distributed import Client, LocalCluster

        import bigml

        rows = digits("train").head(arguments.rows) if arguments.rows else digits("train")
        build = partial(bigml.models.mlp, 784, 10, hidden=(64,), scale=1 / 255)
        how: dict[str, Any] = {"target": "target", "shards": 2, "epochs": arguments.epochs, "batch_size": 64, "progress": False}
        how |= {"classes": range(10), "local_steps": arguments.steps, "checkpoint_every": arguments.every}
        local: dict[str, Any] = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(n_workers=2, **local) as cluster, Client(cluster) as client:

            def work() -> tuple[float, float]:
                before = carried()
                model, _ = bigml.train(build, rows, engine=engine, client=client, **how)
                moved = (carried() - before) / arguments.epochs
                return moved, float(bigml.score(model, digits("t10k"), target="target"))

            yield work

    return trained


def bytes_and_accuracy(laps: race.Laps) -> list[str]:
    """A row an engine: megabytes of an epoch, their share of the last engine's, accuracy."""
    lines = race.heading("engine", "MB an epoch", "share", "accuracy held out")
    most = list(laps.values())[-1][0].result[0]
    for name, own in laps.items():
        moved, accuracy = own[0].result
        lines.append(f"| {name} | {moved / 1e6:.2f} | 1/{most / moved:.0f} | {accuracy:.4f} |")
    return lines


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=0, help="of the images to learn from; 0 for all")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=32, help="of a round")
    parser.add_argument("--every", type=int, default=16, help="rounds of a leg")


if __name__ == "__main__":
    os.environ.setdefault("BIGML_TRUSTED_NETWORK", "1")
    race.main(
        "Bytes between workers",
        {"rounds": run("rounds"), "sync": run("sync")},
        prepare=lambda arguments: None,
        same=lambda a, b: abs(a[1] - b[1]) < 0.01,
        options=options,
        table=bytes_and_accuracy,
    )
