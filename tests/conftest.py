"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from leftovers import held

# Every run looks at the same examples, so that its verdict is about the change; `make fuzz` looks at new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves a child process, a listening port or a thread."""
    before = held()
    yield
    deadline = time.monotonic() + 5
    while (left := held().beyond(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        pytest.fail(f"the test left behind: {left}")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it say so when it is not there."""
    root = Path(os.environ.get("BIGML_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()
    if not root.is_dir():
        pytest.skip(f"real data not found in {root}: set BIGML_DATA")
    return root
