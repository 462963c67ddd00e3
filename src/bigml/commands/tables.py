"""Commands that answer with a table: describe, groupby, explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

import bigml
from bigml.commands.terminal import (
    client,
    cluster_option,
    json_option,
    print_frame,
    print_json,
    progress,
    records,
    session_options,
)

if TYPE_CHECKING:
    from bigml.graph.plan import Plan
    from bigml.sources.source import Source

F = TypeVar("F", bound=Callable[..., Any])
AGG_HELP = "Aggregates of a column, such as arr_delay:count,mean,p95; may be given more than once."


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _aggregates(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for text in texts:
        column, colon, stats = text.rpartition(":")
        if not (colon and column and _names(stats)):
            raise click.BadParameter(f"{text!r} is not COLUMN:STAT,...", context, option)
        wanted.setdefault(column, []).extend(_names(stats))
    return wanted


path_argument = click.argument("path", metavar="PATH")
where_option = click.option("--where", metavar="FORMULA", help="Only the rows for which this holds, such as 'distance > 500'.")
by_option = click.option(
    "--by", metavar="A,B", callback=lambda _context, _option, text: _names(text), help="Columns to group by."
)
agg_option = click.option("--agg", metavar="COLUMN:STAT,...", multiple=True, callback=_aggregates, help=AGG_HELP)
columns_option = click.option(
    "--columns", metavar="A,B", callback=lambda _context, _option, text: _names(text), help="Only these columns."
)


@click.command()
@path_argument
@columns_option
@where_option
@cluster_option
@json_option
@session_options
def describe(path: str, *, columns: list[str], where: str | None, cluster: str | None, as_json: bool) -> None:
    """Summarise the columns of Parquet files: count, mean, deviation, quartiles; for text the most frequent value.

    PATH is a file, a directory, a glob in quotes, or any fsspec URL.
    """
    plan = _source(path, where).describe(columns or None)
    with client(cluster) as connected:
        frame = plan.compute(connected, progress=progress())
    if as_json:
        print_json({str(column): values.dropna().to_dict() for column, values in frame.items()})
    else:
        print_frame(frame.T)


@click.command()
@path_argument
@by_option
@agg_option
@where_option
@click.option("--out", metavar="DIR", help="Write the groups as Parquet files: for more groups than memory holds.")
@cluster_option
@json_option
@session_options
def groupby(
    path: str,
    *,
    by: list[str],
    agg: dict[str, list[str]],
    where: str | None,
    out: str | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Aggregate columns of Parquet files by group.

    \b
    bigml groupby flights/ --by carrier,month --agg arr_delay:count,mean,p95 --agg distance:sum

    Aggregates: count, size, sum, mean, var, std, sem, skew, kurt, min, max, first, last, nunique, median and pNN, such as p95.
    """
    if not by or not agg:
        raise click.UsageError("--by and --agg are both needed.")
    plan = _source(path, where).groupby(by).agg(agg)
    with client(cluster) as connected:
        if out:
            written = plan.write_parquet(out, client=connected, progress=progress()).rows
        else:
            frame = plan.compute(connected, progress=progress())
    if as_json:
        print_json({"out": out, "groups": written} if out else records(frame))
    elif out:
        click.echo(f"{written:,} groups in {out}")
    else:
        print_frame(frame)


@click.command()
@path_argument
@by_option
@agg_option
@columns_option
@where_option
@cluster_option
@json_option
@session_options
def explain(path: str, *, by: list[str], agg: dict[str, list[str]], columns: list[str], where: str | None, **place: Any) -> None:
    """Say what a groupby (or, without --by, a describe) would read, run and hold; footers are read, and
    where memory may be short of room for groups the keys of the first and last rows."""
    source = _source(path, where)
    if bool(by) != bool(agg):
        raise click.UsageError("--by and --agg belong together.")
    plan: Plan[Any] = source.groupby(by).agg(agg) if by else source.describe(columns or None)
    with client(place["cluster"]) as connected:
        explanation = plan.explain(connected)
    if place["as_json"]:
        print_json(explanation.to_dict())
    else:
        click.echo(str(explanation))


def _source(path: str, where: str | None) -> Source:
    source: Source = bigml.read_parquet(path)
    return source.where(where) if where else source
