"""Progress: a bar on the terminal for whatever takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeAlias

SHOW_AFTER_SECONDS = 2.0


class Progress(Protocol):
    """What long work reports to: done so far, and in all, in the same unit."""

    def __call__(self, done: int, total: int) -> None: ...


def silent(done: int, total: int) -> None:
    """Progress that nobody is told of."""
    del done, total


ProgressLike = bool | Callable[[int, int], None] | None
"""True: a bar; False: silence; None: a bar where a person looks at a terminal; or a function (done, total)."""


class Bar:
    """A progress bar on standard error that appears only when the work is slow.

    >>> with Bar("scan", show=False) as bar:
    ...     bar(1, 2)
    """

    def __init__(self, title: str, show: bool | None = None) -> None:
        self._title, self._show = title, sys.stderr.isatty() if show is None else show
        self._begun = time.monotonic()
        self._rich: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int) -> None:
        if not self._show or (self._rich is None and time.monotonic() - self._begun < SHOW_AFTER_SECONDS):
            return
        if self._rich is None:
            self._start(total)
        self._rich.update(self._task, completed=done, total=total)

    def entitle(self, title: str) -> None:
        """Show another title from now on."""
        self._title = title
        if self._rich is not None:
            self._rich.update(self._task, description=title)

    def _start(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        self._rich = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._rich.add_task(self._title, total=total)
        self._rich.start()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._rich is not None:
            self._rich.stop()


class _Forward:
    """A caller's own function in the place of a bar."""

    def __init__(self, function: Callable[[int, int], None]) -> None:
        self._function = function

    def __call__(self, done: int, total: int) -> None:
        self._function(done, total)

    def entitle(self, title: str) -> None:
        del title

    def __enter__(self) -> _Forward:
        return self

    def __exit__(self, *_: object) -> None:
        return None


Reporting: TypeAlias = Bar | _Forward
"""What is called with (done, total), and shows a title or not."""


def reporting(progress: ProgressLike, title: str) -> Reporting:
    """A context manager that reports as asked; call it with (done, total)."""
    return _Forward(progress) if callable(progress) else Bar(title, progress)
