"""Budget: how much memory a scan will take, forecast before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigml.errors import BudgetError
from bigml.graph.execute import check_client, n_threads
from bigml.graph.scan import MERGE_FAN_IN, Scan

if TYPE_CHECKING:
    from distributed import Client

DECODE_OVERHEAD = 2.5
"""Peak over decoded size while a part is read: compressed pages, the decoded rows and one working copy."""
DEFAULT_STATE_NBYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where a plan runs: threads that share one memory limit, in bytes (None: unknown)."""

    name: str
    n_workers: int
    threads_per_worker: int
    memory_limit: int | None

    def __str__(self) -> str:
        threads = f"{self.threads_per_worker} threads"
        return f"{self.n_workers} workers of {threads}" if self.name == "cluster" else threads

    @classmethod
    def of(cls, client: Client | None) -> Place:
        """The threads of this process, or the workers of the client."""
        if client is None:
            return cls("threads", 1, n_threads(), available_memory())
        check_client(client)
        workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        limits = [worker["memory_limit"] for worker in workers.values() if worker.get("memory_limit")]
        threads = max((int(worker["nthreads"]) for worker in workers.values()), default=1)
        return cls("cluster", len(workers), threads, min(limits, default=None))


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: what the kernel calls available, or less where a control group leaves less.

    Every control group (version 2) that holds this process counts, from its own up to the mount.

    Args:
        root: Where `proc` and `sys` are.
    """
    lines = _text(root / "proc/self/cgroup").splitlines()
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/").lstrip("/")
    mount = root / "sys/fs/cgroup"
    groups = [mount / folder for folder in (Path(own), *Path(own).parents)]
    available = _numbers(root / "proc/meminfo").get("MemAvailable")
    left = [None if available is None else available * 1024, *map(_left_in, groups)]
    return min((nbytes for nbytes in left if nbytes is not None), default=None)


def _left_in(group: Path) -> int | None:
    limit, used = (_text(group / name).strip() for name in ("memory.max", "memory.current"))
    if not (limit.isdigit() and used.isdigit()):
        return None
    # Cached pages of files count as used, and are given back before anything is refused.
    cached = sum(_numbers(group / "memory.stat").get(name, 0) for name in ("active_file", "inactive_file"))
    return max(0, int(limit) - max(0, int(used) - cached))


def _numbers(path: Path) -> dict[str, int]:
    """The rows `name number` of a file of the kernel's; empty when there is none."""
    rows = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def forecast(scan: Scan, place: Place) -> int:
    """Peak bytes in one worker: parts being decoded on all its threads and the states that are folded and merged."""
    rows = max((part.n_rows for part in scan.parts), default=0)
    decoded = rows * scan.row_nbytes * DECODE_OVERHEAD
    states = sum(state_nbytes(job.reducer, sum(part.n_rows for part in scan.parts)) for job in scan.jobs)
    waiting = min(len(scan.folds), MERGE_FAN_IN)
    return int(place.threads_per_worker * decoded + (place.threads_per_worker + waiting) * states)


def state_nbytes(reducer: Any, n_rows: int) -> int:
    """The reducer's own forecast of one state, or a small default."""
    own = getattr(reducer, "forecast_nbytes", None)
    return int(own(n_rows)) if own is not None else DEFAULT_STATE_NBYTES


def check(scan: Scan, place: Place) -> None:
    """Refuse what cannot fit.

    Raises:
        BudgetError: The largest part, decoded on every thread, is beyond the memory limit of a worker.
    """
    needed = forecast(scan, place)
    if place.memory_limit is None or needed <= place.memory_limit or not scan.parts:
        return
    largest = max(scan.parts, key=lambda part: part.n_rows)
    raise BudgetError(
        f"a scan that fits in {readable(place.memory_limit)} a worker",
        got=f"a forecast peak of {readable(needed)}",
        where=f"{place.threads_per_worker} threads reading parts like {largest}",
        do="Read smaller parts (part_bytes=), fewer columns, group by fewer keys, or give workers more memory or fewer threads.",
    )


def readable(nbytes: float) -> str:
    """Bytes for people.

    >>> readable(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"
