"""The pipelines of Keras models: digits by convolution, incomes by wide & deep, and a text by a network of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import bigml
from bigml.errors import SourceError
from bigml.report.pipeline import load_pipeline

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
PIPELINES = Path(__file__).parents[1] / "pipelines"
SLOW = pytest.mark.skipif("BIGML_SLOW" not in os.environ, reason="takes minutes: set BIGML_SLOW=1")


def run(name: str, folder: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """Figures and report of a pipeline, in this process: a new one takes its time to load TensorFlow."""
    pipeline = load_pipeline(PIPELINES / f"{name}.py")
    config = pipeline.config(**options)
    with bigml.Run.create(name, config, seed=3, root=folder) as current:
        pipeline.main(config, current)
    return json.loads((current.path / "metrics.json").read_text()), (current.path / "report.html").read_text()


def test_enlarged_digits_are_read_and_the_report_shows_how_it_was_learned(tmp_path: Path) -> None:
    metrics, page = run("mnist_cnn", tmp_path, filters=[4, 8], dense=32, epochs=3, rate=0.005)
    assert sum(metrics["rows"].values()) == 1797
    assert metrics["scores"]["accuracy"] > 0.8
    assert metrics["history"]["val_accuracy"][-1] == pytest.approx(metrics["scores"]["accuracy"], abs=0.003)
    assert page.count("data:image/png") == 1
    for words in ("Filters of the first layer", "Loss and accuracy by epoch", "Conv2D", "Digits taken for others", "Versions"):
        assert words in page
    [model] = tmp_path.glob("*/model.keras")
    assert keras.saving.load_model(model).output_shape == (None, 10)


def test_made_up_people_are_told_apart_by_wide_and_deep_together(tmp_path: Path) -> None:
    metrics, page = run("census_wide_deep", tmp_path, rows=3_000, epochs=2, rate=0.01, apart=False)
    assert metrics["rows"] == {"train": 3_000, "test": 3_000}
    both = metrics["scores"].pop("wide_and_deep")
    assert both["log_loss"] < 0.9 * metrics["base_log_loss"]
    assert both["roc_auc"] > 0.7
    assert not metrics["scores"]
    for words in ("wide and deep", "ROC curve of both", "HashedCrossing", "Columns"):
        assert words in page


def test_a_made_up_play_is_learned_and_the_report_shows_what_is_written(tmp_path: Path) -> None:
    small = {"characters": 30_000, "units": [48], "epochs": 6, "rate": 0.02, "length": 40, "written": 200}
    metrics, page = run("shakespeare_lstm", tmp_path, **small)
    assert metrics["characters"] == 27_000
    assert metrics["scores"]["nats"] < 0.6 * metrics["scores"]["nats_by_frequency"]
    assert len(metrics["written"]) == 200
    assert f"<pre>{metrics['written'].split()[0]}" in page
    for words in ("What it writes", "Loss by epoch", "LSTM"):
        assert words in page


@pytest.mark.parametrize(
    ("name", "ask", "file"),
    [
        ("mnist_cnn", lambda module, config: module.digits(config, 0), "train-images"),
        ("census_wide_deep", lambda module, config: module.people(config, "data", 0), "adult.data"),
        ("shakespeare_lstm", lambda module, config: module.kept(config, 0, Path()), "a text file"),
    ],
)
def test_data_that_are_not_there_are_told(name: str, ask: Any, file: str, tmp_path: Path) -> None:
    pipeline = load_pipeline(PIPELINES / f"{name}.py")
    with pytest.raises(SourceError, match=file):
        ask(sys.modules[name], pipeline.config(data=str(tmp_path)))


def test_a_play_is_made_up_to_the_letter_of_its_seed() -> None:
    load_pipeline(PIPELINES / "shakespeare_lstm.py")
    play = sys.modules["shakespeare_lstm"]
    assert play.made_up(5_000, 1) == play.made_up(6_000, 1)[:5_000] != play.made_up(5_000, 2)


@SLOW
@pytest.mark.timeout(3600)
def test_the_digits_of_mnist_are_read_as_well_as_by_the_classic_network(data_dir: Path, tmp_path: Path) -> None:
    metrics, _ = run("mnist_cnn", tmp_path, data=str(data_dir / "mnist"), epochs=3, batch_size=100)
    assert metrics["rows"] == {"train": 60_000, "test": 10_000}
    assert metrics["scores"]["accuracy"] >= 0.9915


@SLOW
@pytest.mark.timeout(3600)
def test_incomes_of_the_census_are_told_apart_better_by_both_parts_than_by_either(data_dir: Path, tmp_path: Path) -> None:
    metrics, _ = run("census_wide_deep", tmp_path, data=str(data_dir / "adult"))
    assert metrics["rows"] == {"train": 32_561, "test": 16_281}
    both, wide, deep = (metrics["scores"][name] for name in ("wide_and_deep", "wide", "deep"))
    assert both["accuracy"] >= 0.852
    assert both["roc_auc"] >= 0.908
    assert both["log_loss"] < min(wide["log_loss"], deep["log_loss"])


@SLOW
@pytest.mark.timeout(3600)
def test_shakespeare_is_learned_and_words_are_written_that_he_used(data_dir: Path, tmp_path: Path) -> None:
    text = data_dir / "tinyshakespeare" / "input.txt.gz"
    metrics, _ = run("shakespeare_lstm", tmp_path, data=str(text), epochs=4)
    assert metrics["characters"] == pytest.approx(1_003_854, abs=10)
    assert metrics["scores"]["nats"] < 1.9
    assert metrics["scores"]["known_words"] > 0.6
    assert bigml.read_memmap(next(tmp_path.glob("*/test.npy"))).n_rows == pytest.approx(111_540, abs=10)
