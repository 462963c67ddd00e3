"""Channel: messages between the process of a rank and the one that watches it, over a pair of sockets that nobody else has."""

from __future__ import annotations

import pickle
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bigml.errors import BigmlError

BEAT_SECONDS = 1.0
"""Between two signs of life of a rank at work."""


@dataclass(frozen=True)
class Failure:
    """Why a rank did not do what it was asked: a value, which goes where an exception of TensorFlow's cannot.

    Attributes:
        number: The rank's.
        what: Happened.
        first: Whether it may be the first cause; what follows from the loss of another rank is none.
        error: Of ours, which would come again.
        log: The last lines of its output.
    """

    number: int
    what: str
    first: bool = True
    error: BigmlError | None = None
    log: str = ""


class Channel:
    """One end of a pair of sockets.

    Only a process and its own child have the two ends, so what is unpickled was pickled by bigml.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end, self._lock = end, threading.Lock()
        self._reader, self._writer = end.makefile("rb"), end.makefile("wb")

    def tell(self, message: Any) -> None:
        """Send a message."""
        with self._lock:
            pickle.dump(message, self._writer, protocol=pickle.HIGHEST_PROTOCOL)
            self._writer.flush()

    def hear(self, silence: float | None = None) -> Any:
        """The next message.

        Raises:
            TimeoutError: Not a byte came for so many seconds.
            EOFError: The other process has ended.
        """
        self._end.settimeout(silence)
        return pickle.load(self._reader)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Send a sign of life, None, each second, from a thread of its own."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(BEAT_SECONDS):
            try:
                self.tell(None)
            except OSError:  # nobody watches any more: TensorFlow may be waiting for another rank, and would for a long time
                signal.raise_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close this end: a rank that waits at the other one ends."""
        for one in (self._reader, self._end):
            one.close()
