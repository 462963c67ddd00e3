"""Commands that write data: ingest, data make."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

import bigml
from bigml.commands.terminal import json_option, print_json, progress, session_options

TYPES_HELP = "Types of columns instead of the inferred ones, such as flight:string; may be given more than once."


def _types(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.rpartition(":") for text in texts]
    if not all(column and kind for column, _, kind in pairs):
        raise click.BadParameter("each must be COLUMN:TYPE", context, option)
    return {column: kind for column, _, kind in pairs}


@click.command()
@click.argument("paths", metavar="CSV...", nargs=-1, required=True)
@click.argument("out", metavar="OUT")
@click.option("--type", "types", metavar="COLUMN:TYPE", multiple=True, callback=_types, help=TYPES_HELP)
@click.option("--encoding", default="utf-8", show_default=True, help="Of the text.")
@click.option("--delimiter", default=",", show_default=True, help="Between fields.")
@click.option(
    "--na", "na_values", metavar="TEXT", multiple=True, help="Texts that mean a missing value, instead of the usual ones."
)
@json_option
@session_options
def ingest(
    paths: tuple[str, ...], out: str, *, types: dict[str, str], na_values: tuple[str, ...], as_json: bool, **dialect: Any
) -> None:
    """Turn CSV files (plain, gz, bz2, zstd) into a data set of Parquet files in the directory OUT.

    Rows that do not fit the types go to a rejects file with their line number and the reason; no row is lost in silence.
    """
    if na_values:
        dialect["na_values"] = na_values
    result = bigml.ingest(list(paths), out, types=types, progress=progress(), **dialect)
    if as_json:
        columns = {field.name: str(field.type) for field in result.schema}
        print_json({name: value for name, value in asdict(result).items() if name != "schema"} | {"columns": columns})
    else:
        click.echo(repr(result))


@click.group()
def data() -> None:
    """Make data to try things on."""


@data.command()
@click.argument("kind", type=click.Choice(["airline-like"]))
@click.argument("out", metavar="OUT")
@click.option("--rows", type=int, default=1_000_000, show_default=True, help="How many; 20_000_000 can be written so.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other rows.")
@json_option
@session_options
def make(kind: str, out: str, *, rows: int, seed: int, as_json: bool) -> None:
    """Write generated rows to the directory OUT, in bounded memory; the same seed gives the same rows."""
    manifest = bigml.airline_like(rows, seed=seed).write_parquet(out, progress=progress())
    if as_json:
        print_json(
            {"directory": out, "kind": kind, "rows": manifest.rows, "bytes": manifest.nbytes, "files": len(manifest.files)}
        )
    else:
        click.echo(f"{out}: {manifest.rows:,} rows in {len(manifest.files)} files, {manifest.nbytes:,} bytes")
