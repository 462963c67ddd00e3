"""BLAS: one of its threads for each task, so that tasks do not get in each other's way and results do not depend on it.

A matrix product that BLAS splits over two threads may differ in its last bits from the one of a single thread, and workers
of a cluster have other limits than threads of this process. On a busy machine, BLAS threads that wait for each other
can take ten times as long as one. The same holds of OpenMP, by which scikit-learn's own loops share their rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any


class _Users:
    """How many tasks of this process are inside, and the limit that holds while there is one: it is the process's own."""

    def __init__(self) -> None:
        self.lock, self.count, self.limit = threading.Lock(), 0, ExitStack()

    def enter(self) -> None:
        with self.lock:
            if not self.count:
                self.limit.enter_context(_controller().limit(limits=1, user_api="blas"))
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count:
                self.limit.close()


_users = _Users()


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  # it brings a BLAS of its own, which must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """While any thread of this process is inside, BLAS uses the calling thread alone; afterwards its limits are as before.

    OpenMP uses the thread that is inside alone, too.

    >>> import numpy as np
    >>> with one_thread_each():
    ...     (np.eye(2) @ np.ones(2)).tolist()
    [1.0, 1.0]
    """
    _users.enter()
    try:
        # OpenMP's limit is one of each thread.
        with _controller().limit(limits=1, user_api="openmp"):
            yield
    finally:
        _users.leave()
