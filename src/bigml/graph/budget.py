"""Budget: how much memory a scan will take, forecast before anything is read."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigml.errors import BudgetError, ConfigError
from bigml.graph.execute import check_client, n_threads
from bigml.graph.scan import MERGE_FAN_IN, Job, Scan
from bigml.graph.shuffle import Partitionable, Shuffle, forecast_groups
from bigml.stats.reducer import state_nbytes

if TYPE_CHECKING:
    from distributed import Client

DECODE_OVERHEAD = 2.5
"""Peak over decoded size while a part is read: compressed pages, the decoded rows and one working copy."""
MEMORY = "BIGML_MEMORY"
STATES_SHARE = 0.5
"""Share of the memory limit that states of groups may take before rows are shuffled."""
MERGE_OVERHEAD = 2.5
"""Peak over the size of the states that are merged."""
MOST_PARTITIONS = 1024
ROWS_A_PARTITION = 1 << 18
"""Rows of a partition whose groups are looked up in a processor's caches; on a cluster each partition costs a task a fold."""


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
            return cls("threads", 1, n_threads(), allowed_memory())
        check_client(client)
        workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        limits = [worker["memory_limit"] for worker in workers.values() if worker.get("memory_limit")]
        threads = max((int(worker["nthreads"]) for worker in workers.values()), default=1)
        return cls("cluster", len(workers), threads, min(limits, default=None))


def allowed_memory() -> int | None:
    """Bytes that this process may still take: what is available, or less where `BIGML_MEMORY` (such as "2GB") caps it."""
    available, cap = available_memory(), os.environ.get(MEMORY, "")
    if not cap:
        return available
    import pyarrow as pa
    from dask.utils import parse_bytes

    pa.default_memory_pool().release_unused()
    try:
        left = parse_bytes(cap) - _numbers(Path("/proc/self/status")).get("RssAnon", 0) * 1024
    except (ValueError, OverflowError) as error:
        raise ConfigError('bytes, such as "2GB"', got=f"`{cap}`", where=f"in {MEMORY}") from error
    return max(0, left if available is None else min(left, available))


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
    return int(place.threads_per_worker * decoded + sum(_job_nbytes(scan, job, place) for job in scan.jobs))


def _job_nbytes(scan: Scan, job: Job, place: Place) -> float:
    """Bytes of the states of a job that one worker holds: those that are folded or wait to be merged."""
    n_rows = sum(part.n_rows for part in scan.parts)
    if job.shuffle and isinstance(job.reducer, Partitionable):
        return place.threads_per_worker * _gathered_nbytes(scan, job.reducer, job.groups or n_rows) / job.shuffle.n
    waiting = min(len(scan.folds), MERGE_FAN_IN)
    return (place.threads_per_worker + waiting) * _state_nbytes(job, n_rows)


def _state_nbytes(job: Job, n_rows: int) -> int:
    """The forecast of one state, of as many groups as there may be where that was looked at."""
    if job.groups is not None and isinstance(job.reducer, Partitionable):
        return job.reducer.forecast_nbytes(n_rows, job.groups)
    return state_nbytes(job.reducer, n_rows)


def _gathered_nbytes(scan: Scan, reducer: Partitionable[Any, Any], groups: int) -> float:
    """Bytes of the states of all folds together, while they are merged."""
    n_rows = sum(part.n_rows for part in scan.parts)
    return MERGE_OVERHEAD * reducer.forecast_nbytes(n_rows, min(n_rows, groups * len(scan.folds)))


def fitted(scan: Scan, place: Place) -> Scan:
    """The scan with those jobs shuffled whose groups would not fit in the memory of a worker: their number is looked up in
    the first rows and the last ones, where so many could not be held if all rows had groups of their own.
    """
    if place.memory_limit is None or not scan.parts:
        return scan
    # Where nothing is left, rows are partitioned as far as they can be; whether that fits is for `check` to say.
    room = max(place.memory_limit * STATES_SHARE, 1e-9)
    return replace(scan, jobs=tuple(_fitted(scan, job, place, room) for job in scan.jobs))


def _fitted(scan: Scan, job: Job, place: Place, room: float) -> Job:
    reducer = job.reducer
    if not isinstance(reducer, Partitionable) or _job_nbytes(scan, replace(job, groups=_rows(job)), place) <= room:
        return job
    job = replace(job, groups=min(forecast_groups(job.reader, reducer), _rows(job)))
    if _job_nbytes(scan, job, place) <= room:
        return job
    needed = place.threads_per_worker * _gathered_nbytes(scan, reducer, job.groups or 0) / max(room, 1)
    if place.name == "threads":
        needed = max(needed, _rows(job) / ROWS_A_PARTITION)
    return replace(job, shuffle=Shuffle(min(max(2, 1 << math.ceil(math.log2(needed))), MOST_PARTITIONS)))


def _rows(job: Job) -> int:
    return sum(part.n_rows for part in job.reader.parts)


def check(scan: Scan, place: Place) -> None:
    """Refuse what cannot fit.

    Raises:
        BudgetError: The largest part, decoded on every thread, is beyond the memory limit of a worker.
    """
    needed = forecast(scan, place)
    if place.memory_limit is None or needed <= place.memory_limit or not scan.parts:
        return
    largest = max(scan.parts, key=lambda part: part.n_rows)
    do = "Read smaller parts (part_bytes=), fewer columns, group by fewer keys, or give workers more memory or fewer threads."
    if os.environ.get(MEMORY) and place.name == "threads":
        held, more = ("much of what", " read smaller parts (part_bytes=),") if place.memory_limit else ("all that", "")
        do = f"This process holds {held} {MEMORY} allows already: raise it,{more} or let go of tables that are no longer needed."
    raise BudgetError(
        f"a scan that fits in {readable(place.memory_limit)} a worker",
        got=f"a forecast peak of {readable(needed)}",
        where=f"{place.threads_per_worker} threads reading parts like {largest}",
        do=do,
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
