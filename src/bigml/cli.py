"""The `bigml` command: what there is, how a failure is told, and with which exit code.

Commands live in `bigml.commands` and are loaded when they are called, so that `bigml --help` is quick.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import click

from bigml.errors import BigmlError

COMMANDS = {
    "run": ("bigml.commands.run:run", "Run a pipeline file and write its report."),
    "ingest": ("bigml.commands.data:ingest", "Turn CSV files into a data set of Parquet files."),
    "describe": ("bigml.commands.tables:describe", "Summarise every column in one scan."),
    "groupby": ("bigml.commands.tables:groupby", "Aggregate columns by group in one scan."),
    "explain": ("bigml.commands.tables:explain", "Say what a scan would read and hold, without reading."),
    "check": ("bigml.commands.models:check", "Compare rows with those that a saved model learned from."),
    "data": ("bigml.commands.data:data", "Make data to try things on."),
}
DONE, FAILED, MISUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


@dataclass
class Session:
    """What holds for one call of the command."""

    debug: bool = False
    quiet: bool = False


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, name="bigml", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bigml")
def commands() -> None:
    """Machine learning on tables that do not fit in memory.

    \b
    bigml ingest flights.csv.gz flights/
    bigml describe flights/
    bigml groupby flights/ --by carrier --agg arr_delay:count,mean,p95
    bigml run pipelines/airline_delays.py --data 'flights/*.parquet'

    Every command has its own --help. Results go to standard output, everything else to standard error.
    Exit codes: 0 done, 1 failed (or check found a problem), 2 wrong usage, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out a command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    session = Session()
    try:
        # What a command returns comes back, and so does the code that it leaves with by click.exceptions.Exit.
        code = commands.main(args=arguments, prog_name="bigml", standalone_mode=False, obj=session)
    except click.ClickException as error:
        error.show()
        return MISUSED if isinstance(error, click.UsageError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return _tell("Interrupted.", session, INTERRUPTED)
    except BrokenPipeError:
        return _end_of_pipe()
    except BigmlError as error:
        return _tell(f"Error: {error}", session, FAILED)
    except Exception as error:
        return _tell(f"Error: {type(error).__name__}: {' '.join(str(error).split())}", session, FAILED)
    return code if isinstance(code, int) else DONE


def _tell(text: str, session: Session, code: int) -> int:
    """One message on standard error, below the traceback when it was asked for."""
    if session.debug:
        traceback.print_exc()
    click.secho(text, fg="red", err=True)
    return code


def _end_of_pipe() -> int:
    """Whoever read our output has left, as `head` does; what is still in the buffer goes nowhere."""
    sys.stdout = open("/dev/null", "w")  # noqa: SIM115
    return DONE
