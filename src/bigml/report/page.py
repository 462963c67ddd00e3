"""Page: one self-contained HTML file with figures, pictures and tables, for a person to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.graph.plan import Plan, explain
from bigml.report.run import Run
from bigml.sources.atomic import AtomicFile

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 200


@dataclass(frozen=True)
class Card:
    """A key figure: what it is, its value as text, and a remark."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A value of a table: as it is shown, and what it sorts by when it is a number."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0

    @property
    def is_number(self) -> list[bool]:
        """For each column, whether any of its cells is a number."""
        return [any(cell.number is not None for cell in column) for column in zip(*self.rows, strict=True)] or [False] * len(
            self.head
        )


@dataclass(frozen=True)
class Block:
    """A picture, a table or a text with its caption."""

    caption: str
    svg: str = ""
    table: Table | None = None
    text: str = ""
    is_wide: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with blocks below it."""

    title: str
    text: str = ""
    blocks: list[Block] = field(default_factory=list)


class Page:
    """A report in the making; every method returns the page, so that calls can follow each other.

    Text is escaped: a column called `<script>` is shown, never run. Pictures are SVG text and taken as they are. The file
    that `write` makes needs no network and no other file.

    >>> page = Page("Delays", subtitle="all flights").card("flights", 336_776).section("By hour")
    >>> "336,776" in page.write("report.html").read_text()
    True
    """

    def __init__(self, title: str, *, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self.cards: list[Card] = []
        self.sections: list[Section] = []

    def card(self, label: str, value: object, note: str = "") -> Page:
        """A key figure at the top."""
        self.cards.append(Card(label, shown(value), note))
        return self

    def section(self, title: str, text: str = "") -> Page:
        """Begin a section; what follows is in it."""
        self.sections.append(Section(title, text))
        return self

    def plot(self, svg: str, caption: str, *, wide: bool = False) -> Page:
        """An SVG picture, of bigml.report.plots or any other; `wide` takes the whole width."""
        return self._add(Block(caption, svg=svg, is_wide=wide))

    def table(self, values: pd.DataFrame | Mapping[str, Any], caption: str, *, wide: bool = False) -> Page:
        """A table: a DataFrame with its index, or names and values. After 200 rows it says how many are left out."""
        table = _of_mapping(values) if isinstance(values, Mapping) else _of_frame(values)
        return self._add(Block(caption, table=table, is_wide=wide))

    def text(self, text: str, caption: str, *, wide: bool = False) -> Page:
        """A text as it is, line by line."""
        return self._add(Block(caption, text=text, is_wide=wide))

    def record(self, run: Run, *plans: Plan[Any]) -> Page:
        """A section on how it ran: the price of the plans' scan, times by stage, the task graph, config and versions."""
        self.section("How it ran", "The same rows, configuration and seed give the same bits, on threads and on any cluster.")
        if plans:
            price = explain(*plans, client=run.client).rows_for_people()
            self.table(dict(price), "The scan, as it was forecast before it ran")
        self.table(run.timings, "Seconds by stage")
        if plans:
            self.plot(plans[0].visualize(), "The task graph", wide=True)
        about = {"run": run.path.name, "seed": run.seed} | run.config
        return self.table(about, "Configuration").table(run.versions, "Versions")

    def _add(self, block: Block) -> Page:
        if not self.sections:
            self.section("")
        self.sections[-1].blocks.append(block)
        return self

    def html(self) -> str:
        """The page as text."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("bigml.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        template = environment.get_template("report.html.jinja")
        return template.render(page=self, written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    def write(self, path: str | Path) -> Path:
        """Write the page, atomically, and return its path."""
        with AtomicFile(Path(path)) as file:
            file.write(self.html().encode())
        return Path(path)


def shown(value: object) -> str:
    """A value as people read it.

    >>> [shown(value) for value in (336776, 6.8953769, 0.00001234, float("nan"), "JFK", ["a", "b"])]
    ['336,776', '6.895', '1.234e-05', '-', 'JFK', 'a, b']
    """
    match value:
        case None:
            return "-"
        case bool() | np.bool_():
            return "yes" if value else "no"
        case int() | np.integer():
            return f"{int(value):,}"
        case float() | np.floating():
            return _float(float(value))
        case list() | tuple():
            return ", ".join(map(shown, value))
        case Mapping():
            return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    return "-" if str(value) in ("nan", "NaT", "<NA>") else str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e15:
        return f"{value:.4g}"
    if value.is_integer() or abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def _cell(value: object) -> Cell:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan  # type: ignore[arg-type]
    return Cell(shown(value), None if math.isnan(number) else number)


def _of_mapping(values: Mapping[str, Any]) -> Table:
    return Table((), tuple((Cell(str(name)), _cell(value)) for name, value in values.items()))


def _of_frame(frame: pd.DataFrame) -> Table:
    flat = frame.iloc[:MOST_ROWS].copy()
    flat.columns = [_label(name) for name in frame.columns]
    names = [_label(name) if name is not None else "" for name in frame.index.names]
    keys = [index if isinstance(index, tuple) else (index,) for index in flat.index]
    rows = (map(_cell, (*key, *row)) for key, row in zip(keys, flat.itertuples(index=False, name=None), strict=True))
    return Table((*names, *flat.columns), tuple(map(tuple, rows)), max(0, len(frame) - MOST_ROWS))


def _label(name: object) -> str:
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
