"""Track: how far a fit of several scans is, told as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bigml.graph.progress import Progress, ProgressLike


@dataclass
class Track:
    """How far a fit is, in parts of all its scans.

    Attributes:
        n_parts: Parts of one scan.
        n_scans: Scans that are expected; more of them stay at the end of the bar.
        bar: Told about it.
    """

    n_parts: int
    n_scans: int
    bar: Progress = field(default=lambda done, total: None)

    def scan(self, number: int) -> Callable[[int, int], None]:
        """Progress of one scan."""
        before = min(number, self.n_scans - 1)
        return lambda done, of: self.bar(self.n_parts * before + self.n_parts * done // max(of, 1), self.n_parts * self.n_scans)

    def from_scan(self, first: int) -> Callable[[int], ProgressLike]:
        """Progress of the scans after the first ones, by their number."""
        return lambda number: self.scan(first + number)

    def parts(self, scans: int) -> Callable[[int], None]:
        """Progress by parts, after these scans."""
        return lambda done: self.bar(self.n_parts * scans + done, self.n_parts * self.n_scans)
