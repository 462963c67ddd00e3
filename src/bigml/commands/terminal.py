"""The terminal: options that every command has, and tables and JSON on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

import bigml
from bigml.cli import Session
from bigml.report.page import shown
from bigml.report.values import dumps

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client
    from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])
UNBOUNDED_WIDTH = 10_000
GAP = 3
"""Between two columns of a table."""


def session_options(function: F) -> F:
    """--quiet and --debug."""
    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_remember, help="No progress and no log on the terminal."
    )
    debug = click.option("--debug", is_flag=True, expose_value=False, callback=_remember, help="Show the traceback of a failure.")
    return quiet(debug(function))


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
cluster_option = click.option("--cluster", metavar="FILE", help="YAML file of a cluster, see cluster/; without it: threads.")


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and parameter.name:
        setattr(session(context), parameter.name, True)


def session(context: click.Context | None = None) -> Session:
    """What holds for this call."""
    return (context or click.get_current_context()).ensure_object(Session)


def progress() -> bool | None:
    """What to tell functions that show progress: nothing when quiet, else as they see fit."""
    return False if session().quiet else None


@contextmanager
def client(cluster: str | None) -> Iterator[Client | None]:
    """A client of the cluster in the file, or None for threads."""
    if cluster is None:
        yield None
        return
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it would tell of futures that an interrupt leaves behind
    with bigml.cluster(cluster) as connected:
        yield connected


def print_json(value: Any) -> None:
    """Print strict JSON."""
    click.echo(dumps(value))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON objects: index levels first, then columns; two-level columns are nested."""
    rows = []
    for keys, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        levels = keys if isinstance(keys, tuple) else (keys,)
        row: dict[str, Any] = dict(zip(_level_names(frame), levels, strict=True))
        for label, value in zip(frame.columns, values, strict=True):
            _place(row, label if isinstance(label, tuple) else (label,), value)
        rows.append(row)
    return rows


def _level_names(frame: pd.DataFrame) -> list[str]:
    return [f"level_{i}" if name is None else str(name) for i, name in enumerate(frame.index.names)]


def _place(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        row = row.setdefault(str(step), {})
    row[str(path[-1])] = value


def print_frame(frame: pd.DataFrame) -> None:
    """Print a table; on a terminal in pieces below each other, as wide as that is. No value is ever cut."""
    from rich.console import Console

    levels = [frame.index.get_level_values(i) for i in range(frame.index.nlevels)]
    keys = [["" if level.name is None else str(level.name), *map(shown, level)] for level in levels]
    values = [[_title(label), *map(shown, frame.iloc[:, i])] for i, label in enumerate(frame.columns)]
    width = Console().width if sys.stdout.isatty() else UNBOUNDED_WIDTH
    for piece in _pieces(values, width - sum(map(_width, keys))):
        Console(width=max(width, sum(map(_width, [*keys, *piece])))).print(_table(keys, piece))


def _title(label: object) -> str:
    return "\n".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _width(column: Sequence[str]) -> int:
    return GAP + max(len(line) for text in column for line in text.split("\n"))


def _pieces(columns: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Columns by as many as are not wider than this, one at least."""
    piece: list[list[str]] = []
    for column in columns:
        if piece and sum(map(_width, [*piece, column])) > width:
            yield piece
            piece = []
        piece.append(column)
    yield piece


def _table(keys: Sequence[Sequence[str]], values: Sequence[Sequence[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, *_ in keys:
        table.add_column(Text(title), style="bold", no_wrap=True)
    for title, *_ in values:
        table.add_column(Text(title), justify="right", no_wrap=True)
    for row in list(zip(*keys, *values, strict=True))[1:]:
        table.add_row(*map(Text, row))
    return table
