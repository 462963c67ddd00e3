"""The terminal: options that every command has, and tables and JSON on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
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

F = TypeVar("F", bound=Callable[..., Any])
UNBOUNDED_WIDTH = 10_000


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
    """Print a table; as wide as it needs to be when nobody looks at a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in frame.index.names:
        table.add_column(Text("" if name is None else str(name)), style="bold", no_wrap=True)
    for label in frame.columns:
        table.add_column(
            Text("\n".join(map(str, label)) if isinstance(label, tuple) else str(label)), justify="right", no_wrap=True
        )
    for keys, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        table.add_row(*(Text(shown(value)) for value in (*(keys if isinstance(keys, tuple) else (keys,)), *values)))
    Console(width=None if sys.stdout.isatty() else UNBOUNDED_WIDTH).print(table)
