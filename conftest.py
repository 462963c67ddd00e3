"""Examples in docstrings write to a folder of their own, which goes with the test run."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _a_folder_for_the_example(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
