"""The fixture that looks for what a test left behind sees it, whatever its name."""

from __future__ import annotations

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from leftovers import held


@pytest.mark.parametrize("name", ["", "ThreadPoolExecutor", "Dask-Default", "bigml-scan"])
def test_a_thread_of_a_pool_is_seen_until_the_pool_ends(name: str) -> None:
    before = held()
    with ThreadPoolExecutor(1, name) as pool:
        pool.submit(int).result(10)
        assert held().beyond(before).startswith("threads [")
    assert held().beyond(before) == ""


def test_a_port_and_a_child_process_are_seen_until_they_end() -> None:
    before = held()
    with socket.create_server(("127.0.0.1", 0)):
        assert held().beyond(before) == "1 listening ports"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        assert held().beyond(before) == "1 child processes"
    assert held().beyond(before) == ""
