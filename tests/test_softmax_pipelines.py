"""The pipelines of logistic regression: incomes in the census, and handwritten digits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PIPELINES = Path(__file__).parents[1] / "pipelines"
BIGML = [sys.executable, "-W", "error", "-m", "bigml", "run"]


def run(name: str, *options: object, folder: Path) -> dict[str, Any]:
    """The result of a pipeline, which must succeed without a warning."""
    call = [*BIGML, str(PIPELINES / f"{name}.py"), "--json", *map(str, options)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=900, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_made_up_people_are_told_apart_and_reported(tmp_path: Path) -> None:
    made = run("census_income", "--seed", 3, folder=tmp_path)
    metrics, page = made["metrics"], Path(made["report"]).read_text()
    assert metrics["rows"] == {"train": 20_000, "test": 20_000}
    assert metrics["scores"]["roc_auc"] > 0.85
    assert metrics["scores"]["log_loss"] < 0.75 * metrics["base_log_loss"]
    for words in ("Income by age", "Income by occupation", "ROC curve", "Calibration", "Versions"):
        assert words in page


def test_incomes_of_the_census_are_told_apart(data_dir: Path, tmp_path: Path) -> None:
    metrics = run("census_income", "--data", data_dir / "adult", folder=tmp_path)["metrics"]
    assert metrics["rows"] == {"train": 32_561, "test": 16_281}
    assert metrics["scores"]["accuracy"] >= 0.850
    assert metrics["scores"]["roc_auc"] >= 0.903


def test_small_digits_are_read_and_a_run_repeated_gives_the_same_bits(tmp_path: Path) -> None:
    first, again = (run("digits_softmax", "--seed", 3, folder=tmp_path) for _ in range(2))
    assert first["metrics"]["scores"] == again["metrics"]["scores"]
    assert first["metrics"]["rows"]["train"] + first["metrics"]["rows"]["test"] == 1797
    assert first["metrics"]["scores"]["accuracy"] > 0.94
    for words in ("Digits taken for others", "Digits, ranked", "Weights of 0", "Versions"):
        assert words in Path(first["report"]).read_text()


@pytest.mark.slow
@pytest.mark.skipif("BIGML_SLOW" not in os.environ, reason="takes a minute: set BIGML_SLOW=1")
def test_the_digits_of_mnist_are_read(data_dir: Path, tmp_path: Path) -> None:
    metrics = run("digits_softmax", "--data", data_dir / "mnist", folder=tmp_path)["metrics"]
    assert metrics["rows"] == {"train": 60_000, "test": 10_000}
    assert metrics["scores"]["accuracy"] >= 0.924


@pytest.mark.parametrize(("name", "file"), [("census_income", "adult.data"), ("digits_softmax", "train-images")])
def test_a_folder_without_the_data_is_one_clear_error(name: str, file: str, tmp_path: Path) -> None:
    call = [*BIGML, str(PIPELINES / f"{name}.py"), "--quiet", "--data", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Expected ")
    assert file in done.stderr
    assert len(done.stderr.splitlines()) == 1
