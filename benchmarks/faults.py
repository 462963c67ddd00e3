"""Seconds that a training loses to a fault in the middle of an epoch: until the leg that it hit is done, less a usual leg.

A leg is repeated when its rank or worker dies. `BIGML_TRUSTED_NETWORK=1` allows the engine "sync".
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from race import heading

MUST = 60.0
AT = 4
"""The leg that is hit, of eight in an epoch."""


def ranks() -> list[Any]:
    """The processes of ranks, below this one."""
    import psutil

    below = psutil.Process().children(recursive=True)
    return [one for one in below if "bigml.training.rank" in " ".join(one.cmdline())]


def worker_killed(client: Any) -> None:
    os.kill(client.first_process, signal.SIGKILL)


def rank_killed(client: Any) -> None:
    ranks()[0].kill()


def rank_frozen(client: Any) -> None:
    ranks()[0].suspend()


def worker_added(client: Any) -> None:
    client.cluster.scale(3)


FAULTS: dict[str, tuple[str, bool, Callable[[Any], None]]] = {
    "rounds, a worker killed": ("rounds", True, worker_killed),
    "rounds, a worker added": ("rounds", True, worker_added),
    "sync, a rank killed": ("sync", False, rank_killed),
    "sync, a rank frozen": ("sync", False, rank_frozen),
    "sync, a worker killed with its ranks": ("sync", True, worker_killed),
}


def watcher(fault: Callable[[], None]) -> Any:
    """A callback that inflicts a fault in the middle of a leg, and takes the time of all legs."""
    import keras

    class Watcher(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.legs: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.begun = time.monotonic()
            if len(self.legs) == AT:
                threading.Timer(0.3 * statistics.median(self.legs[1:]), fault).start()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.legs.append(time.monotonic() - self.begun)

    return Watcher()


@contextmanager
def workers(needed: bool) -> Iterator[Any]:
    """A client of two workers of one thread; None where none are needed."""
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if not needed:
            yield None
            return
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0")
        yield stack.enter_context(Client(stack.enter_context(cluster)))


def lost(name: str, rows: int) -> tuple[float, float]:
    """Seconds of a usual leg, and of the one that was hit."""
    from functools import partial

    import numpy as np
    import pandas as pd

    import bigml

    engine, distributed, fault = FAULTS[name]
    X = np.random.default_rng(0).normal(size=(rows, 65)).astype(np.float32)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(65)]).assign(label=(X[:, 0] > 0).astype(int))
    source = bigml.from_pandas(frame, part_rows=rows // 16)
    with workers(distributed) as client:
        if client is not None:  # asked beforehand: a worker that learns may be late to answer
            client.first_process = min(client.run(os.getpid).values())
        watched = watcher(lambda: fault(client))
        how: dict[str, Any] = {"batch_size": 64, "shards": 2, "local_steps": 32, "checkpoint_every": rows // (8 * 2 * 64 * 32)}
        build = partial(bigml.models.mlp, 65)
        bigml.train(build, source, target="label", engine=engine, client=client, callbacks=[watched], progress=False, **how)
    return statistics.median(watched.legs[1:AT]), watched.legs[AT]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--only", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    arguments = parser.parse_args()
    print("\n".join(heading("fault", "a usual leg, s", "the leg that was hit, s", "lost, s", "must")))
    for name in arguments.only:
        usual, hit = lost(name, arguments.rows)
        print(f"| {name} | {usual:.1f} | {hit:.1f} | {hit - usual:.1f} | {MUST:.0f} |", flush=True)
