"""Journal: what happened in a run, one line of JSON an event, never rewritten."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bigml.errors import ConfigError, WriteError
from bigml.sources.atomic import disk


class Journal:
    """An append-only file of events, locked to one process; an event is on the disk when `append` returns.

    The lock goes with its process, so a killed run can be taken over at once. A last line that a kill cut short never
    happened: it is dropped when the journal is opened.

    Raises:
        ConfigError: Another living process holds the journal, or a line in its middle is damaged.

    >>> path = Path("journal.jsonl")
    >>> with Journal(path) as journal:
    ...     journal.append("stage_finished", stage="scan")
    >>> [event["stage"] for event in events(path)]
    ['scan']
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            self._claim()
            os.ftruncate(self._descriptor, _whole_bytes(path.read_bytes()))
        except BaseException:
            os.close(self._descriptor)
            raise

    def _claim(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "a run that no other process works on", got="one at work", where=str(self.path.parent), do="Wait for it to end."
            ) from None

    def append(self, event: str, **facts: Any) -> None:
        """Write one event with the time, and flush it to the disk."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts})
        data = f"{line}\n".encode()
        with disk(self.path):
            if os.write(self._descriptor, data) != len(data):
                raise WriteError("a journal line written whole", got="a part of it", where=str(self.path))
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Unlock and close."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def events(path: Path) -> list[Mapping[str, Any]]:
    """The events in a journal, without a last line that was cut short; none when there is no file.

    Raises:
        ConfigError: A line before the last is damaged.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    return list(_parsed(data[: _whole_bytes(data)], path))


def _whole_bytes(data: bytes) -> int:
    """The length up to the last line that is whole: ended, and readable."""
    ended = data.rfind(b"\n") + 1
    last = data[data.rfind(b"\n", 0, max(ended - 1, 0)) + 1 : ended]
    try:
        return ended if not last or isinstance(json.loads(last), dict) else ended - len(last)
    except ValueError:
        return ended - len(last)


def _parsed(data: bytes, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(data.splitlines(), 1):
        try:
            yield dict(json.loads(line))
        except (ValueError, TypeError):
            raise ConfigError("one event of JSON a line", got=repr(line[:40]), where=f"{path}, line {number}") from None
