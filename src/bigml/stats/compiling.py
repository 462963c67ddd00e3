"""Compiling: says once in a process that loops are being compiled, which the very first call on a machine waits for."""

from __future__ import annotations

import sys
from threading import Lock

from numba.core import event

LINE = "bigml: compiling its loops for this machine; they are kept for later runs"


class Notice(event.Listener):
    """Writes a line on standard error when the first of our loops is compiled; one that was kept on disk is not.

    >>> Notice().is_ours("bigml.stats.kernels"), Notice().is_ours("somebody.else")
    (True, False)
    """

    def __init__(self) -> None:
        self._lock, self._is_told = Lock(), False

    def is_ours(self, module: str) -> bool:
        """Whether loops of this module are told of."""
        return module.startswith("bigml.")

    def on_start(self, event: event.Event) -> None:
        with self._lock:
            if self.is_ours(event.data["dispatcher"].py_func.__module__) and not self._is_told:
                self._is_told = True
                sys.stderr.write(f"{LINE}\n")

    def on_end(self, event: event.Event) -> None:
        """Nothing is told of the end."""


def tell() -> None:
    """From now on, tell of the first loop that is compiled."""
    event.register("numba:compile", Notice())
