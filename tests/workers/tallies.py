"""Reducers and steps for the tests of graphs; worker processes import them from this file."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigml.chunk import Chunk
from bigml.part import Part


@dataclass(frozen=True)
class Total:
    """Rows, sum and sum of squares of a column, added in the order of the tree: its last bits tell the order."""

    column: str = "x"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def start(self) -> tuple[int, float, float]:
        return 0, 0.0, 0.0

    def update(self, state: tuple[int, float, float], chunk: Chunk) -> tuple[int, float, float]:
        values = chunk.floats(self.column)
        return self.merge(state, (len(values), float(values.sum()), float((values**2).sum())))

    def merge(self, left: tuple[int, float, float], right: tuple[int, float, float]) -> tuple[int, float, float]:
        return left[0] + right[0], left[1] + right[1], left[2] + right[2]

    def finish(self, state: tuple[int, float, float]) -> tuple[int, float, float]:
        return state


@dataclass(frozen=True)
class Order(Total):
    """The shape of the tree as text: `(` for a state that began, `.` for an update, `+` for a merge."""

    def start(self) -> Any:
        return "("

    def update(self, state: Any, chunk: Chunk) -> Any:
        return f"{state}{int(chunk.row_numbers[0])}."

    def merge(self, left: Any, right: Any) -> Any:
        return f"[{left}+{right}]"


@dataclass(frozen=True)
class Fragile(Total):
    """A total that changes a copy of its state and then, the first time that it meets a row, dies or fails."""

    folder: str = ""
    row: int = -1
    dies: bool = False
    always: bool = False

    def update(self, state: tuple[int, float, float], chunk: Chunk) -> tuple[int, float, float]:
        made = super().update(state, chunk)
        if self.row in chunk.rows and (self.always or first_time(Path(self.folder, "met"))):
            Path(self.folder, f"death of {os.getpid()}").touch()
            if self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("after the state was changed")
        return made


def first_time(path: Path) -> bool:
    """Whether nobody came here before, on any process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def values(part: Part, chunk: Chunk) -> np.ndarray[Any, Any]:
    """A batch."""
    return np.asarray(chunk.floats("x"))


def step(state: tuple[int, float], batch: np.ndarray[Any, Any]) -> tuple[int, float]:
    """Rows seen, and a number that depends on the order of the batches to the last bit."""
    return state[0] + len(batch), 0.9 * state[1] + float(batch.sum()) / 3


def first_row(part: Part, chunk: Chunk) -> tuple[int, int, int]:
    """The part's index, its first row and its rows."""
    return part.index, int(chunk.row_numbers[0]), chunk.n_rows


def failing(part: Part, chunk: Chunk) -> int:
    """Fails at one part."""
    if part.index == 2:
        raise ValueError("no good")
    return part.index


def deadly(part: Part, chunk: Chunk) -> None:
    """Ends the process as a lack of memory would."""
    os.kill(os.getpid(), signal.SIGKILL)


def stopping(done: int, total: int) -> None:
    """A progress function that fails at the third task."""
    if done == 3:
        raise LookupError(f"at {done} of {total}")


@dataclass(frozen=True)
class Gate:
    """The index of a part; only a few are given before the gate is opened."""

    folder: str

    def __call__(self, part: Part, chunk: Chunk) -> int:
        Path(self.folder, f"began {part.index}").touch()
        waits, deadline = len(list(Path(self.folder).glob("began *"))) > 4, time.monotonic() + 60
        while waits and not Path(self.folder, "open").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return part.index
