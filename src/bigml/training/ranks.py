"""Ranks: the processes of those that train in step: started, asked, watched and ended by the process that has them."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bigml.training.channel import Channel, Failure

START_SECONDS = 180.0
"""For a rank to import TensorFlow, to meet the others and to make the model: so long it need not give a sign of life."""
SILENCE_SECONDS = 15.0
"""A rank at work that gives no sign of life for so long is frozen: it gives one each second."""
LOG_BYTES, LOG_LINES = 4000, 20
"""Of a rank's output that an error tells, at most."""

_RANKS: dict[str, Rank] = {}


class Rank:
    """The process of a rank, in a group of its own, with a log that has no name and so goes with it.

    It ends when this process does, however that went, since then its pair of sockets is closed.

    Args:
        number: Of the rank.
        pupil: What it runs, as cloudpickle wrote it.
    """

    def __init__(self, number: int, pupil: bytes) -> None:
        self._number, self._ended = number, False
        self._log = _nameless()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bigml.training.rank", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=_environment(),
                start_new_session=True,
            )
        self._channel = Channel(ours)
        self._channel.tell((number, pupil))

    def ask(self, name: str, arguments: Sequence[Any], silence: float) -> Any:
        """What the rank answers; a Failure when it does not, and then its process is ended."""
        answer = self._heard(name, arguments, silence)
        if not isinstance(answer, Failure):
            return answer
        self._kill()
        return replace(answer, log=self._tail())

    def _heard(self, name: str, arguments: Sequence[Any], silence: float) -> Any:
        try:
            self._channel.tell((name, arguments))
            while (answer := self._channel.hear(silence)) is None:
                pass
        except TimeoutError:
            return Failure(self._number, f"no sign of life for {silence:.0f} s")
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            return Failure(self._number, self._ending())
        return answer

    def end(self) -> None:
        """Kill the process, and close all that it had."""
        self._kill()
        self._channel.close()
        os.close(self._log)

    def _kill(self) -> None:
        """Kill the process and all that it started, a frozen one too; once, since its number may be another's later."""
        if self._ended:
            return
        self._ended = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ending(self) -> str:
        """How the process ended by itself."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "its channel closed"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def _tail(self) -> str:
        """The end of its log, read without moving the place where it is written."""
        size = os.fstat(self._log).st_size
        tail = os.pread(self._log, LOG_BYTES, max(size - LOG_BYTES, 0)).decode(errors="replace")
        return "\n".join(tail.splitlines()[-LOG_LINES:])


def _nameless() -> int:
    """A file for a log, which is gone as soon as nobody has it open."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _environment() -> dict[str, str]:
    """That of this process, whose modules the rank finds too."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": "tensorflow"}


def ask(key: str, number: int, name: str, arguments: Sequence[Any], silence: float) -> Any:
    """What a rank of this process answers, or a Failure; runs where the rank is."""
    rank = _RANKS.get(key)
    if rank is None:
        return Failure(number, "its worker is gone")
    return rank.ask(name, arguments, silence)


def start(key: str, number: int, pupil: bytes) -> Any:
    """Start a rank in this process's charge; the address that others find it at, or a Failure."""
    try:
        _RANKS[key] = Rank(number, pupil)
    except OSError as error:
        return Failure(number, f"not started: {error}")
    return ask(key, number, "open", (), START_SECONDS)


def end(key: str) -> None:
    """End a rank, if this process has it."""
    rank = _RANKS.pop(key, None)
    if rank is not None:
        rank.end()
