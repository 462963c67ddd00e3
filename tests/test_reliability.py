"""Every fault in docs/reliability.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
FAULTS = {cells[0]: cells[1:] for cells in ROWS if cells[0] != "fault"}


def defined_in(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_tests_that_exist(fault: str) -> None:
    what_happens, tests = FAULTS[fault]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert what_happens
    assert named
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == tests
    assert [name for path, name in named if name not in defined_in(ROOT / path)] == []


def test_the_page_is_read_whole() -> None:
    assert len(FAULTS) > 20
    assert len(FAULTS) + PAGE.count("| fault | what happens | test |") == len(ROWS)
