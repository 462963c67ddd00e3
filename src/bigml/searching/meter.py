"""Meter: how far a search is: one bar for all its scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from bigml.graph.progress import Bar, ProgressLike, Reporting, reporting
from bigml.learning.job import Job
from bigml.learning.solving import is_solved, n_scans
from bigml.searching.failures import Failure

SCAN = 100
"""What one scan counts: progress is told in hundredths of a scan."""
JUDGE = "judge"

Phase: TypeAlias = tuple[str, float]
"""Its title, and how many scans it takes."""

COUNTING: list[Phase] = [("folds", 1), ("folds", 1)]
"""Scans that tell the folds, where there are some."""


def phases(jobs: Sequence[Job | Failure], epochs: int, *, judged: bool, waves: int = 1) -> list[Phase]:
    """What is about to come, where some candidates are tried: preparing, and learning and judging in so many waves."""
    finals = [job.final for job in jobs if isinstance(job, Job) and job.final is not None]
    solved = max((n_scans(final) for final in finals if is_solved(final)), default=0)
    chained = any(not is_solved(final) for final in finals)
    wave: list[Phase] = [*[("fit", 1)] * solved, *[("train", epochs)] * chained, *[(JUDGE, 1)] * judged]
    return [("prepare", 1), ("encode", 1), *wave * waves]


class Meter:
    """Tells a bar how far a search is, from what is done and what is expected to come.

    The share that is done does not go back within a plan: work that was expected and does not come makes the total smaller, work
    that was not expected (the judgements of a race) does not move the bar. It falls only where a new plan is longer: when a
    strategy begins another round, and when candidates turn out to take more scans than the caller's own estimator.

    Args:
        bar: Told (done, total) in hundredths of a scan, and the title of what is done.
        refits: Whether the best candidate is fitted on all rows at the end.

    >>> meter = Meter()
    >>> meter.plan([("prepare", 1), ("train", 3)])
    >>> tell = meter("train")  # nothing is to be prepared
    >>> tell(1, 2)
    >>> meter.told
    (150, 300)
    """

    def __init__(self, bar: Reporting | None = None, *, refits: bool = False) -> None:
        self._bar, self._refits = bar or Bar("", show=False), refits
        self.told = (0, 0)
        self._name, self._ahead, self._done = "search", list[Phase](), 0.0
        self._title, self._size, self._share, self._before = "", 0.0, 1.0, 0.0
        self._left: dict[str, float] = {}

    def plan(self, ahead: Sequence[Phase], *, last: bool = False) -> None:
        """What is to come from now on; the last plan is that of the best candidate on all rows."""
        self._close()
        self._left.clear()
        self._name = "refit" if last else "search"
        again = sum(scans for title, scans in ahead if title != JUDGE)
        self._ahead = [*ahead, *[("refit", again)] * (self._refits and not last)]

    def __call__(self, title: str) -> Callable[[int, int], None]:
        """Begin a phase, or go on with one that was left; returns what is told (done, total) of it, in any unit."""
        self._close()
        place = next((i for i, (one, _) in enumerate(self._ahead) if one == title), -1)
        self._title, self._size = (title, 0.0) if place < 0 else self._ahead[place]
        self._ahead = self._ahead[place + 1 :]
        self._share, self._before = 0.0, self._left.pop(title, 0.0)
        self._bar.entitle(f"{self._name}: {title}")
        self._tell()
        return self._report

    def end(self) -> None:
        """Everything is done."""
        self._close()
        whole = max(round(SCAN * self._done), 1)
        self.told = whole, whole
        self._bar(*self.told)

    def _report(self, done: int, total: int) -> None:
        share = done / max(total, 1)
        self._share = min(max((share - self._before) / (1 - self._before), 0.0), 1.0)
        self._tell()

    def _close(self) -> None:
        """End the phase; what is left of it may go on later."""
        if self._size and self._share < 1:
            self._ahead.insert(0, (self._title, self._size * (1 - self._share)))
            self._left[self._title] = self._before + self._share * (1 - self._before)
        self._done += self._size * self._share
        self._title, self._size = "", 0.0

    def _tell(self) -> None:
        ahead = self._size + sum(scans for _, scans in self._ahead)
        done, total = self._done + self._size * self._share, self._done + ahead
        self.told = round(SCAN * done), max(round(SCAN * total), 1)
        self._bar(*self.told)


@contextmanager
def metered(progress: ProgressLike, *, refits: bool) -> Iterator[Meter]:
    """The meter of a search that reports as asked."""
    with reporting(progress, "search") as bar:
        meter = Meter(bar, refits=refits)
        yield meter
        meter.end()
