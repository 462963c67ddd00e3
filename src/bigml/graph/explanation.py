"""Explanation: what a plan would read, run and hold, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from bigml.graph.budget import Place, forecast, readable
from bigml.graph.scan import Scan
from bigml.graph.tree import scan_graph


@dataclass(frozen=True, repr=False)
class Explanation:
    """The price of plans, from footers alone.

    Attributes:
        plans: Titles of the plans.
        scans: Passes over storage.
        parts: Parts to read, in all scans.
        rows: Rows in those parts, before filters.
        nbytes: Decoded bytes to read of the columns needed.
        columns: Columns to read.
        tasks: Tasks in the graphs.
        place: Where it would run.
        partitions: Partitions into which rows are shuffled by their keys, of the plan with most; 0 where all groups fit.
        peak_nbytes: Forecast peak memory of one worker, beyond what the process holds already.
        limit_nbytes: Memory limit of one worker; None when unknown.
    """

    plans: tuple[str, ...]
    scans: int
    parts: int
    rows: int
    nbytes: int
    columns: tuple[str, ...]
    tasks: int
    place: str
    partitions: int
    peak_nbytes: int
    limit_nbytes: int | None

    @classmethod
    def of(cls, scans: Sequence[Scan], titles: Sequence[str], place: Place) -> Explanation:
        """The explanation of these scans at that place."""
        rows = [sum(part.n_rows for part in scan.parts) for scan in scans]
        return cls(
            plans=tuple(titles),
            scans=len(scans),
            parts=sum(len(scan.parts) for scan in scans),
            rows=sum(rows),
            nbytes=int(sum(n * scan.row_nbytes for n, scan in zip(rows, scans, strict=True))),
            columns=tuple(dict.fromkeys(name for scan in scans for name in scan.columns)),
            tasks=sum(len(scan_graph(scan)[0].tasks) for scan in scans if scan.parts),
            place=str(place),
            partitions=max((job.shuffle.n for scan in scans for job in scan.jobs if job.shuffle), default=0),
            peak_nbytes=max((forecast(scan, place) for scan in scans), default=0),
            limit_nbytes=place.memory_limit,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    def rows_for_people(self) -> list[tuple[str, str]]:
        """Label and text, in reading order."""
        limit = f" of {readable(self.limit_nbytes)}" if self.limit_nbytes is not None else ""
        shuffled = [("shuffled by key", f"{self.partitions:,} partitions")] if self.partitions else []
        return [
            ("plans", ", ".join(self.plans)),
            ("scans", str(self.scans)),
            ("parts", f"{self.parts:,}"),
            ("rows", f"{self.rows:,}"),
            ("bytes to read", readable(self.nbytes)),
            ("columns", ", ".join(self.columns) or "none"),
            ("tasks", f"{self.tasks:,}"),
            ("runs on", self.place),
            *shuffled,
            ("peak memory a worker", f"{readable(self.peak_nbytes)}{limit}"),
        ]

    def __repr__(self) -> str:
        return as_text(self.rows_for_people())

    def _repr_html_(self) -> str:
        return as_html(self.rows_for_people())


def as_text(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and texts, one below the other.

    >>> print(as_text([("scans", "1"), ("rows", "336,776")]))
    scans                 1
    rows                  336,776
    """
    return "\n".join(f"{label:<21} {text}" for label, text in rows)


def as_html(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and texts as a table for a notebook; the texts are escaped."""
    lines = [f"<tr><th style='text-align:left'>{label}</th><td>{escape(text)}</td></tr>" for label, text in rows]
    return f"<table>{''.join(lines)}</table>"
