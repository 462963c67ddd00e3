"""The command that compares rows with those that a saved model learned from."""

from __future__ import annotations

import click

import bigml
from bigml.cli import FAILED
from bigml.commands.tables import where_option
from bigml.commands.terminal import client, cluster_option, json_option, print_json, progress, session_options


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("path", metavar="PATH")
@where_option
@cluster_option
@json_option
@session_options
def check(model: str, path: str, *, where: str | None, cluster: str | None, as_json: bool) -> None:
    """Compare Parquet files with the rows that a saved model learned from; ends with exit code 1 when there is a problem.

    MODEL is a directory that bigml.save wrote with source=; PATH is a file, a directory, a glob in quotes, or any fsspec URL.
    Problems are missing columns, other types, new categories, new missing values and drift (PSI above 0.25).
    """
    source = bigml.read_parquet(path)
    with client(cluster) as connected:
        found = bigml.check(model, source.where(where) if where else source, client=connected, progress=progress())
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(repr(found))
    if not found:
        raise click.exceptions.Exit(FAILED)
