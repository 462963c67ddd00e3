"""Part: a small, picklable reference to rows; tasks carry Parts, never data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive rows of a source.

    Attributes:
        index: Position among the parts of the source that made it; kept when a view drops other parts.
        offset: Number of the part's first row in that source. Row numbers are the identity of rows: splits and
            samples hash them, so they select the same rows whatever the chunking.
        n_rows: Rows in storage, before any filter.
        nbytes: Bytes of those rows decoded, all columns, estimated from the footers.
        ref: What the source needs to find the rows (paths, row groups, ranges). Its `str` is shown in errors.
        run: Parts with the same run are cheapest when read in order by one task (slices of one row group).
    """

    index: int
    offset: int
    n_rows: int
    nbytes: int
    ref: Any = None
    run: int = -1

    def __str__(self) -> str:
        last = self.offset + self.n_rows - 1
        return f"part {self.index} (rows {self.offset:,} to {last:,}{f', {self.ref}' if self.ref is not None else ''})"
