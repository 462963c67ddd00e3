"""The command that runs a pipeline file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigml.commands.options import build_config, config_options
from bigml.commands.terminal import client, cluster_option, json_option, print_json, session, session_options
from bigml.report.pipeline import Pipeline, load_pipeline
from bigml.report.run import Run, stored_config

if TYPE_CHECKING:
    from distributed import Client
    from pydantic import BaseModel

NEWEST = ""
RESERVED = {"cluster", "out", "seed", "resume", "json", "as_json", "quiet", "debug", "help"}
RESUME_HELP = "Go on with a run that ended early: the newest unfinished one, or the one in DIR. Options may be left out."
OPTIONS: list[Callable[[Any], Any]] = [
    cluster_option,
    click.option("--out", default="runs", show_default=True, metavar="DIR", help="Where the directories of runs go."),
    click.option("--seed", type=int, help="The root of every random choice.  [default: 0]"),
    click.option("--resume", is_flag=False, flag_value=NEWEST, metavar="[DIR]", help=RESUME_HELP),
    json_option,
    session_options,
]


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    pipeline: Pipeline
    given: dict[str, Any]
    out: str
    seed: int | None
    resume: str | None


class _Pipelines(click.Group):
    """Each pipeline file is a subcommand with the options of its config."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        pipeline = load_pipeline(cmd_name)
        command = _command(lambda **given: _run(pipeline, **given))
        command.help = pipeline.text
        command.params[:0] = config_options(pipeline.config, RESERVED)
        return command

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "FILE [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [option.get_help_record(ctx) for option in _command(lambda **_: None).params]
        with formatter.section("Options of every pipeline"):
            formatter.write_dl([option for option in options if option])


@click.group(cls=_Pipelines)
def run() -> None:
    """Run a pipeline: a Python file with `class Config(pydantic.BaseModel)` and `def main(config, run)`.

    \b
    bigml run pipelines/airline_delays.py --help      the options of that pipeline
    bigml run pipelines/airline_delays.py --resume    go on after a kill
    """


def _command(callback: Callable[..., None]) -> click.Command:
    return click.command()(reduce(lambda function, option: option(function), reversed(OPTIONS), callback))


def _run(
    pipeline: Pipeline, *, cluster: str | None, as_json: bool, out: str, seed: int | None, resume: str | None, **given: Any
) -> None:
    begun = time.monotonic()
    wish = Wish(pipeline, given, out, seed, resume)
    path = _path_to_resume(wish)
    config = build_config(pipeline.config, stored_config(path) if path else {}, given)
    with client(cluster) as connected:
        _send(pipeline, connected)
        with _opened(wish, config, path, connected) as current, _telling_how_to_go_on(pipeline, current):
            pipeline.main(config, current)
    _print_end(current, time.monotonic() - begun, as_json=as_json)


def _path_to_resume(wish: Wish) -> Path | None:
    if wish.resume is None:
        return None
    return Path(wish.resume) if wish.resume != NEWEST else Run.newest_unfinished(wish.pipeline.name, wish.out)


def _opened(wish: Wish, config: BaseModel, path: Path | None, connected: Client | None) -> Run:
    echo = None if session().quiet else _echo
    if path is not None:
        return Run.resume(path, config, seed=wish.seed, client=connected, echo=echo)
    return Run.create(wish.pipeline.name, config, seed=wish.seed or 0, root=wish.out, client=connected, echo=echo)


@contextmanager
def _telling_how_to_go_on(pipeline: Pipeline, current: Run) -> Iterator[None]:
    """What a person needs after an interrupt: where the run lies, and the command that goes on with it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _echo(f"What was done is kept in {current.path}: `bigml run {pipeline.path} --resume {current.path}` goes on.")
        raise


def _echo(text: str) -> None:
    click.echo(text, err=True)


def _send(pipeline: Pipeline, connected: Client | None) -> None:
    """Workers that this process did not start cannot import the file from here."""
    if connected is not None and connected.cluster is None:
        connected.upload_file(str(pipeline.path))


def _print_end(current: Run, seconds: float, *, as_json: bool) -> None:
    report = current.path / "report.html"
    if as_json:
        about = {"run": current.path.resolve(), "report": report.resolve() if report.exists() else None}
        print_json({**about, "seconds": round(seconds, 3), "metrics": current.recorded_metrics})
    else:
        click.echo(report if report.exists() else current.path)
