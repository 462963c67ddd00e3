"""`bigml check`: what it prints, and the exit code that scripts go by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import bigml
from bigml.cli import main

FRAME = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2000), "y": 1.0})


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    with pytest.raises(SystemExit) as leave:
        main([*map(str, arguments)])
    captured = capsys.readouterr()
    return int(leave.value.code or 0), captured.out, captured.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A saved model beside rows like those that it learned from, and others."""
    FRAME.to_parquet(tmp_path / "same.parquet")
    FRAME.assign(x=FRAME["x"] + 3).to_parquet(tmp_path / "moved.parquet")
    return bigml.save(LinearRegression().fit(FRAME[["x"]], FRAME["y"]), tmp_path / "model", source=FRAME)


def test_rows_like_those_of_training_end_with_zero(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "check", model, model.parent / "same.parquet")
    assert (code, err) == (0, "")
    assert out == "ok: 0 problems, 0 notices in 1 column; compared 2,000 rows with 2,000 of training\n"


def test_a_problem_ends_with_one_and_is_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "check", model, model.parent / "moved.parquet")
    assert (code, err) == (1, "")
    assert "problem: `x`: its values have drifted: PSI " in out


def test_json_has_all_that_was_found(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "check", model, model.parent / "moved.parquet", "--json", "--where", "x < 3")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert found["n_rows"] == int((FRAME["x"] < 0).sum())
    assert found["columns"]["x"]["psi"] > 0.25


def test_a_directory_without_a_model_is_one_message(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys, "check", model.parent, model.parent / "same.parquet")
    assert (code, out) == (1, "")
    assert err.startswith("Error: Expected a directory with a saved model")
    assert len(err.splitlines()) == 1
