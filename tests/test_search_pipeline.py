"""The pipeline `search_late`: short to read, whole from data to report, a killed run goes on to the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PIPELINE = Path(__file__).parents[1] / "pipelines" / "search_late.py"
BIGML = [sys.executable, "-W", "error", "-m", "bigml"]
SMALL = ["--rows", 6_000, "--alphas", 2, "--folds", 3, "--seed", 3]


def run(*options: object, folder: Path) -> dict[str, Any]:
    """The result of the pipeline, which must succeed without a warning."""
    call = [*BIGML, "run", str(PIPELINE), "--json", *map(str, options)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=500, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on a few generated flights."""
    return run(*SMALL, folder=tmp_path_factory.mktemp("generated"))


def test_the_report_shows_the_search_and_what_it_took(generated: dict[str, Any]) -> None:
    page = (Path(generated["run"]) / "report.html").read_text()
    for words in ("Best parameters", "Candidates, the best first", "What it took", "bytes read", "Scores by value"):
        assert words in page
    for words in ("Outer folds that chose a setting", "McNemar", "ROC curve", "Calibration", "Versions"):
        assert words in page
    assert page.count("<svg") == 4


def test_equal_fits_of_the_nested_search_are_done_once(generated: dict[str, Any]) -> None:
    # Six settings; three outer folds whose inner folds are the other two: 3 * 2 / 2 + 3 fits a setting.
    assert generated["metrics"]["fits"] == {"search": 6 * 3, "nested": 6 * (3 * 2 // 2 + 3)}


def test_the_nested_estimate_is_no_better_than_what_the_search_found_for_itself(generated: dict[str, Any]) -> None:
    metrics = generated["metrics"]
    assert metrics["nested"]["log_loss"] >= metrics["found"]
    assert abs(metrics["nested"]["log_loss"] - metrics["scores"]["log_loss"]) < 0.1


def test_a_resumed_run_has_the_same_numbers_and_repeats_no_search(generated: dict[str, Any]) -> None:
    folder = Path(generated["run"])
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    finished = [i for i, line in enumerate(lines) if json.loads(line)["event"] == "stage_finished"]
    (folder / "journal.jsonl").write_text("".join(lines[: finished[1] + 1]))
    again = run("--resume", folder=folder.parents[1])
    assert {**again["metrics"], "seconds": 0} == {**generated["metrics"], "seconds": 0}
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "stage_finished" and event["stage"] == "search" for event in events) == 1


def test_real_flights_are_searched(data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "flights" / "nineteen_columns").glob("*.parquet"))
    small = min(files, key=lambda path: path.stat().st_size)
    metrics = run("--data", small, "--alphas", 2, "--folds", 3, folder=tmp_path)["metrics"]
    assert metrics["scores"]["roc_auc"] > 0.6
    assert metrics["nested"]["roc_auc"] > 0.6
