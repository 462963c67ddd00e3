"""Race: engines side by side, each run in a fresh process, interleaved A-B-B-A, with the peak memory of its process tree.

A benchmark script defines its engines as generators that get ready (imports, compiled code, a cluster), yield the work
to be timed as a function, and clean up. The script calls itself once for each run of each engine; the child prints one
line of JSON. Getting ready is not part of the work: it shows in the column "with start-up".
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

THREADS = 2
RESULTS = Path(__file__).parent / "results"
Engine = Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]


@dataclass(frozen=True)
class Lap:
    """One run of one engine: seconds of work and in all, peak bytes of the process tree, and the result to compare.

    Attributes:
        processor: Seconds of the work that processors spent, on what is still alive of the process tree.
        peak: Of resident memory, pages of mapped files included.
        anonymous: Of memory that belongs to no file: what the system cannot take back.
    """

    seconds: float
    wall: float
    processor: float
    peak: int
    anonymous: int
    result: Any


Laps = dict[str, list[Lap]]


def main(
    title: str,
    engines: dict[str, Engine],
    *,
    prepare: Callable[[argparse.Namespace], None],
    same: Callable[[Any, Any], bool],
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    table: Callable[[Laps], list[str]] | None = None,
) -> None:
    """Run the benchmark that the command line asks for.

    Args:
        title: The question that is answered.
        engines: Name to function; the first is bigml's and the yardstick of all ratios.
        prepare: Makes the data once, before anything is timed.
        same: Whether two engines' results are equal; checked before anything is reported.
        options: Adds the script's own options.
        table: Lines of Markdown from the runs of all engines; by default their times, ratios and peaks.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each engine")
    parser.add_argument("--only", nargs="*", default=list(engines), help="engines to run")
    parser.add_argument("--save", action="store_true", help="keep the table in benchmarks/results")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options(parser)
    arguments = parser.parse_args()
    if arguments.engine:
        _lap(engines[arguments.engine], arguments)
        return
    prepare(arguments)
    laps = _race([name for name in engines if name in arguments.only], arguments.runs)
    first = next(iter(laps))
    for name in laps:
        if not same(laps[first][0].result, laps[name][0].result):
            raise SystemExit(f"{name} and {first} disagree: {laps[name][0].result} and {laps[first][0].result}")
    _report(title, (table or times)(laps), len(laps[first]), save=arguments.save)


def _lap(engine: Engine, arguments: argparse.Namespace) -> None:
    with contextmanager(engine)(arguments) as work:
        spent, begun = _processor(), time.perf_counter()
        result = work()
        seconds, spent = time.perf_counter() - begun, _processor() - spent
    print(json.dumps({"seconds": seconds, "processor": spent, "result": result}))


def _processor() -> float:
    """Seconds that processors have spent on this process and its children."""
    import psutil

    own = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [own, *own.children(recursive=True)])


def _race(names: Sequence[str], runs: int) -> Laps:
    laps: Laps = {name: [] for name in names}
    for round_number in range(runs + 1):
        for name in names if round_number % 2 else reversed(names):
            lap = _child(name)
            if round_number:
                laps[name].append(lap)
            run = f"run {round_number}" if round_number else "warm-up"
            print(f"  {run} {name}: {lap.seconds:.2f} s, {lap.processor:.2f} s of processors", file=sys.stderr)
    return laps


def _child(name: str) -> Lap:
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": str(THREADS),
        "BIGML_THREADS": str(THREADS),
        "OMP_NUM_THREADS": str(THREADS),
        "OPENBLAS_NUM_THREADS": str(THREADS),
    }
    begun = time.perf_counter()
    command = [sys.executable, *sys.argv, "--engine", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        peak = _Peak(child.pid)
        output, _ = child.communicate(timeout=1800)
    if child.returncode:
        raise SystemExit(f"{name} failed with exit code {child.returncode}")
    answer = json.loads(output.strip().splitlines()[-1])
    return Lap(answer["seconds"], time.perf_counter() - begun, answer["processor"], *peak.stop(), answer["result"])


class _Peak:
    """The largest sums of resident and of anonymous memory over a process tree, sampled every 20 ms."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peaks, self._over = pid, (0, 0), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        try:
            root = psutil.Process(self._pid)
            while not self._over.wait(0.02):
                tree = [root, *root.children(recursive=True)]
                sums = map(sum, zip(*(_resident(process) for process in tree), strict=True))
                self._peaks = tuple(map(max, self._peaks, sums))
        except psutil.Error:
            return

    def stop(self) -> tuple[int, ...]:
        self._over.set()
        self._thread.join()
        return self._peaks


def _resident(process: Any) -> tuple[int, int]:
    """Resident bytes of a process, and those of them that are anonymous."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines)
    resident, anonymous = (int(fields.get(name, "0 kB").split()[0]) << 10 for name in ("VmRSS", "RssAnon"))
    return resident, anonymous


def calibration() -> dict[str, float]:
    """What the machine can do: memory copies and matrix products, for reading the table as shares of a limit."""
    import numpy as np

    block = np.ones(1 << 25)
    copy = min(_seconds(block.copy) for _ in range(5))
    square = np.ones((2048, 2048), dtype=np.float32)
    gemm = min(_seconds(lambda: square @ square) for _ in range(5))
    return {"memcpy GB/s": block.nbytes / copy / 1e9, "sgemm GFLOP/s": 2 * 2048**3 / gemm / 1e9}


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def times(laps: Laps) -> list[str]:
    """A row an engine: seconds, the ratio to the first engine, the peak."""
    base = statistics.median(lap.seconds for lap in next(iter(laps.values())))
    lines = heading(
        "engine", "median s", "min s", "max s", "ratio to the first", "processor s", "with start-up s", "peak MiB of the tree"
    )
    for name, own in laps.items():
        seconds = [lap.seconds for lap in own]
        median = statistics.median(seconds)
        wall, spent = statistics.median(lap.wall for lap in own), min(lap.processor for lap in own)
        peak = max(lap.peak for lap in own) / 2**20
        lines.append(
            f"| {name} | {median:.3f} | {min(seconds):.3f} | {max(seconds):.3f} | {median / base:.2f} "
            f"| {spent:.2f} | {wall:.2f} | {peak:.0f} |"
        )
    return lines


def heading(*columns: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def _report(title: str, lines: list[str], runs: int, *, save: bool) -> None:
    limits = ", ".join(f"{name} {value:.1f}" for name, value in calibration().items())
    text = "\n".join([f"## {title}", "", *lines, "", f"{runs} runs each, {THREADS} threads; {limits}; {versions()}."])
    print(text)
    if save:
        RESULTS.mkdir(exist_ok=True)
        stamp = datetime.now(UTC).date().isoformat()
        (RESULTS / f"{Path(sys.argv[0]).stem}.md").write_text(f"{text}\n\nMeasured {stamp}.\n")


def versions() -> str:
    """Versions of the engines and of Python, and the processor's architecture."""
    names = "bigml", "numpy", "pandas", "pyarrow", "scikit-learn", "dask", "polars", "duckdb"
    packages = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return ", ".join([*packages, f"Python {platform.python_version()}", platform.machine()])
