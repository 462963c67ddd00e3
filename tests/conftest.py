"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it say so when it is not there."""
    root = Path(os.environ.get("BIGML_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()
    if not root.is_dir():
        pytest.skip(f"real data not found in {root}: set BIGML_DATA")
    return root
