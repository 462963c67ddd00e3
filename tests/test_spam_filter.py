"""The spam filter: from lines of text to a report, as good as scikit-learn in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone
from sklearn.metrics import f1_score

import bigml

PIPELINE = Path(__file__).parents[1] / "pipelines" / "spam_filter.py"


def run(*options: object, folder: Path) -> dict[str, Any]:
    """The result of the pipeline, which must succeed without a warning."""
    call = [sys.executable, "-W", "error", "-m", "bigml", "run", str(PIPELINE), "--json", *map(str, options)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=240, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on messages that are made up."""
    return run("--seed", 3, "--epochs", 5, folder=tmp_path_factory.mktemp("made_up"))


def test_made_up_messages_are_told_apart_and_reported(made_up: dict[str, Any]) -> None:
    metrics, page = made_up["metrics"], Path(made_up["report"]).read_text()
    assert metrics["rows"]["in"] == 5_000 == metrics["rows"]["train"] + metrics["rows"]["test"]
    assert metrics["scores"]["f1"] > 0.7
    assert metrics["scores"]["log_loss"] < 0.6 * metrics["base_log_loss"]
    for words in ("Length of all messages", "ROC curve", "taken for spam", "Versions"):
        assert words in page


def test_a_run_repeated_gives_the_same_bits(made_up: dict[str, Any], tmp_path: Path) -> None:
    again = run("--seed", 3, "--epochs", 5, folder=tmp_path)
    first, second = ({name: value for name, value in one["metrics"].items() if name != "seconds"} for one in (made_up, again))
    assert first == second


def test_the_saved_filter_reads_messages_where_bigml_is_not_installed(made_up: dict[str, Any]) -> None:
    program = (
        "import sys; sys.modules['bigml'] = None; from skops.io import load, get_untrusted_types\n"
        "model = load(sys.argv[1], trusted=['numpy.dtype'])\n"
        "print(model.predict(['claim your free prize urgent cash stop', 'i will be home later love']).tolist())\n"
    )
    call = [sys.executable, "-c", program, f"{made_up['run']}/model.skops"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[True, False]", "")


def test_real_messages_are_filtered_as_well_as_by_scikit_learn_in_memory(data_dir: Path, tmp_path: Path) -> None:
    result = run("--data", data_dir / "sms_spam" / "SMSSpamCollection.gz", folder=tmp_path)
    rows, folder = result["metrics"]["rows"], Path(result["run"])
    assert (rows["in"], rows["rejected"], rows["train"] + rows["test"]) == (5_574, 0, 5_574)
    messages = bigml.read_parquet(folder / "messages").assign(spam=bigml.col("label") == "spam").select("text", "spam")
    assert messages.to_pandas()["spam"].sum() == 747
    train, test = (part.to_pandas() for part in messages.split(test=0.2, seed=0))
    model = clone(bigml.load_model(folder / "model.skops")).set_params(sgdclassifier__random_state=0)
    expected = f1_score(test["spam"], model.fit(train["text"], train["spam"]).predict(test["text"]))
    assert result["metrics"]["scores"]["f1"] == pytest.approx(expected, abs=0.01)
    assert result["metrics"]["scores"]["f1"] >= 0.90


@pytest.mark.parametrize(
    ("content", "told"), [("ham hello\n", "rows to learn from"), ("ham\thello\nham\tyou\n" * 20, "two classes")]
)
def test_bad_data_is_one_clear_error(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "messages.txt").write_text(content)
    call = [sys.executable, "-W", "error", "-m", "bigml", "run", str(PIPELINE), "--quiet", "--data", "messages.txt"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Expected ")
    assert told in done.stderr
