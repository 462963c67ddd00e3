"""What the README and the files beside it promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bigml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def said(stderr: str) -> list[str]:
    """Lines beside the one that a first run on a machine says."""
    return [line for line in stderr.splitlines() if "compiling its loops" not in line]


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    bigml.airline_like(30_000, seed=1).write_parquet(tmp_path / "flights", progress=False)
    assert len(example.splitlines()) <= 24
    call = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, said(done.stderr)) == (0, [])
    assert "roc_auc" in done.stdout
    assert bigml.read_parquet(tmp_path / "predictions").n_rows
    assert bigml.load(tmp_path / "late")


@pytest.mark.parametrize("name", ["search.md", "statistics.md"])
def test_the_examples_of_a_guide_run(name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        if "import keras" in example:  # tests/searching/test_networks.py runs it where Keras is installed
            continue
        call = [sys.executable, "-W", "error", "-c", example]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, said(done.stderr)) == (0, [])


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:docs|cluster|pipelines|\.github)/[\w./]*|[A-Z]+\.md)`|\]\(([^)h][^)]*)\)", README)
)
def test_files_that_the_readme_names_are_there(path: tuple[str, str]) -> None:
    assert (ROOT / "".join(path)).exists()


def test_ci_runs_what_is_run_by_hand() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make --no-print-directory test" in (ROOT / ".ci" / "run").read_text()
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    for command in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert command in done.stdout
