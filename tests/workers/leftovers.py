"""What this process holds: child processes, listening ports, threads."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

OFFLOAD = "Dask-Offload"
"""The one thread that distributed keeps as long as the process, for unpickling large messages."""


class Held(NamedTuple):
    """What this process holds that a test must give back."""

    children: int
    ports: int
    threads: frozenset[str]

    def beyond(self, before: Held) -> str:
        """What is held here and was not before, in words; empty when nothing is."""
        threads = sorted(self.threads - before.threads)
        found = [f"{self.children - before.children} child processes"] if self.children > before.children else []
        found += [f"{self.ports - before.ports} listening ports"] if self.ports > before.ports else []
        return ", ".join(found + [f"threads {threads}"] * bool(threads))


def held() -> Held:
    """A reading of /proc that costs well under a millisecond."""
    threads = (thread for thread in threading.enumerate() if not thread.name.startswith(OFFLOAD))
    return Held(_children(), _ports(), frozenset(f"{thread.name} {thread.ident}" for thread in threads))


def _children() -> int:
    ids = [text for task in Path("/proc/self/task").iterdir() for text in _read(task / "children").split()]
    return sum("resource_tracker" not in _read(Path("/proc") / text / "cmdline") for text in ids)


def _ports() -> int:
    mine = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            mine.add(os.readlink(descriptor))
    rows = [line.split() for name in ("tcp", "tcp6") for line in _read(Path("/proc/self/net") / name).splitlines()[1:]]
    return sum(row[3] == "0A" and f"socket:[{row[9]}]" in mine for row in rows)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
