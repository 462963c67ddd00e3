"""The pipelines: short to read, whole from data to report, the same bits wherever and however often they run."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

PIPELINES = Path(__file__).parents[1] / "pipelines"
AIRLINE = PIPELINES / "airline_delays.py"
BIGML = [sys.executable, "-W", "error", "-m", "bigml"]


def run(*options: object, folder: Path, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The result of the airline pipeline, which must succeed without a warning."""
    call = [*BIGML, "run", str(AIRLINE), "--json", *map(str, options)]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=240, cwd=folder, env=os.environ | (environment or {}), check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    """The metrics that must not differ between runs."""
    return {name: value for name, value in result["metrics"].items() if name != "seconds"}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on generated flights."""
    return run("--rows", 400_000, "--seed", 3, folder=tmp_path_factory.mktemp("generated"))


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.py")), ids=lambda path: path.stem)
def test_pipelines_read_as_a_story(path: Path) -> None:
    text = path.read_text()
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert len(text.splitlines()) <= 120
    assert [function.name for function in functions if not ast.get_docstring(function)] == []


def test_a_run_leaves_everything_a_reader_wants(generated: dict[str, Any]) -> None:
    folder = Path(generated["run"])
    names = {path.name for path in folder.iterdir()}
    assert names >= {"report.html", "metrics.json", "config.json", "log.txt", "journal.jsonl", "model.skops"}
    assert json.loads((folder / "metrics.json").read_text()) == generated["metrics"]
    page = (folder / "report.html").read_text()
    for words in (
        "Delay by hour",
        "Carriers, ranked",
        "Mean delay by route",
        "ROC curve",
        "Calibration",
        "The task graph",
        "Versions",
    ):
        assert words in page
    assert page.count("<svg") == 8


def test_every_row_is_accounted_for(generated: dict[str, Any]) -> None:
    rows = generated["metrics"]["rows"]
    assert rows["in"] == 400_000 == rows["train"] + rows["test"] + rows["without arrival"]


def test_the_model_beats_the_base_rate(generated: dict[str, Any]) -> None:
    metrics = generated["metrics"]
    assert metrics["scores"]["log_loss"] < 0.97 * metrics["base_log_loss"]
    assert metrics["scores"]["roc_auc"] > 0.64


def test_the_saved_model_predicts_where_bigml_is_not_installed(generated: dict[str, Any]) -> None:
    program = (
        "import sys; sys.modules['bigml'] = None; import pandas as pd; from skops.io import load\n"
        "row = dict(distance=[500.0], carrier=['UA'], origin=['ORD'], dest=['DEN'], month=[6], hour=[18.0])\n"
        "print(load(sys.argv[1], trusted=['numpy.dtype']).predict_proba(pd.DataFrame(row))[0].sum().round(9))\n"
    )
    call = [sys.executable, "-c", program, f"{generated['run']}/model.skops"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("1.0", "")


@pytest.mark.cluster
def test_a_cluster_gives_the_same_bits_as_threads(generated: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("kind: local\nn_workers: 2\n")
    assert without_times(run("--rows", 400_000, "--seed", 3, "--cluster", "two.yaml", folder=tmp_path)) == without_times(
        generated
    )


@pytest.mark.parametrize("stage", ["statistics", "model", "scores"])
def test_killed_in_any_stage_it_goes_on_to_the_same_bits_and_repeats_nothing(
    stage: str, generated: dict[str, Any], tmp_path: Path
) -> None:
    killer = (
        "import os, sys; from bigml.report import run; from bigml.cli import main; whole = run.Run.log\n"
        "def log(self, text):\n    whole(self, text)\n    if text == sys.argv[1] + ' ...': os.kill(os.getpid(), 9)\n"
        "run.Run.log = log; main(sys.argv[2:])\n"
    )
    options = ["--rows", "400000", "--seed", "3", "--quiet"]
    call = [sys.executable, "-c", killer, stage, "run", str(AIRLINE), *options]
    assert subprocess.run(call, timeout=240, cwd=tmp_path, check=False).returncode == -9
    resumed = run("--resume", folder=tmp_path)
    events = [json.loads(line) for line in (Path(resumed["run"]) / "journal.jsonl").read_text().splitlines()]
    assert without_times(resumed) == without_times(generated)
    assert sorted(event["stage"] for event in events if event["event"] == "stage_finished") == ["model", "scores", "statistics"]


def test_real_flights_are_counted_and_learned(data_dir: Path, tmp_path: Path) -> None:
    result = run("--data", data_dir / "flights" / "nineteen_columns" / "*.parquet", folder=tmp_path)
    metrics = result["metrics"]
    assert metrics["rows"]["in"] == 856_973
    assert metrics["rows"]["train"] + metrics["rows"]["test"] == 825_817
    assert metrics["scores"]["roc_auc"] >= 0.64
    assert metrics["scores"]["log_loss"] < metrics["base_log_loss"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "nothing there"), (b"not parquet at all", "flights.parquet"), (b"", "flights.parquet"), ("one class", "late")],
)
def test_bad_data_is_one_clear_error(content: bytes | str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "flights.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        same = {"hour": 1.0, "month": 1, "distance": 1.0, "dep_delay": 1.0, "arr_delay": 1.0, "air_time": 1.0}
        words = {"carrier": "AA", "origin": "JFK", "dest": "LAX"}
        pd.DataFrame([same | words] * 50).to_parquet(path)
    call = [*BIGML, "run", str(AIRLINE), "--quiet", "--data", str(path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Expected ")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
