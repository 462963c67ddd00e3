"""`bigml run`: options from the config, exit codes, one clear message, resume after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

import bigml
from bigml.cli import Session, commands
from bigml.commands.options import build_config, config_options
from bigml.errors import ConfigError
from bigml.report.pipeline import load_pipeline

BIGML = [sys.executable, "-m", "bigml"]
STORY = '''
"""Adds numbers up.

More words.
"""
import os, threading, time
from pathlib import Path
from typing import Literal
from pydantic import BaseModel, Field

class Config(BaseModel):
    rows: int = Field(10, gt=0, description="How many rows.")
    share: float = Field(0.5, description="Of the test.")
    data: list[Path] = Field([], description="Files to read.")
    mode: Literal["fast", "slow"] = "fast"
    loud: bool = Field(False, description="Say more.")
    note: str | None = None

def add(rows, calls):
    with calls.open("a") as file:
        file.write("add\\n")
    return sum(i / 7 for i in range(rows))

def main(config, run):
    calls = run.path.parent / "calls.txt"
    total = run.stage("total", add, config.rows, calls)
    if os.environ.get("STORY") == "fail":
        raise ValueError("the second\\n  stage failed")
    if os.environ.get("STORY") == "wait":
        threading.Timer(0.5, print, ["waiting"], {"flush": True}).start()
        if run.client:
            run.client.gather(run.client.map(time.sleep, [60, 60], pure=False))
        time.sleep(60)
    run.metrics(total=total, rows=config.rows, mode=config.mode, loud=config.loud, seed=run.seed)
    if config.note:
        (run.path / "report.html").write_text(config.note)
'''


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A small pipeline file."""
    path = tmp_path / "adding_up.py"
    path.write_text(STORY)
    return path


@pytest.fixture(autouse=True)
def _modules_as_before() -> Iterator[None]:
    """Pipeline files that a test imports are forgotten again."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "Config", None):
            del sys.modules[name]


def bigml_command(*arguments: object, story: str = "", folder: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """The outcome of a bigml command line in a process of its own."""
    environment = os.environ | {"STORY": story}
    call = [*BIGML, *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, timeout=timeout, cwd=folder, env=environment, check=False)


def run_json(*arguments: object, folder: Path) -> dict[str, Any]:
    """The result of `bigml run ... --json`, which must succeed."""
    done = bigml_command("run", *arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_run_ends_by_printing_where_its_report_is(story: Path, tmp_path: Path) -> None:
    done = bigml_command("run", story, "--note", "hello", "--out", "out", folder=tmp_path)
    report = tmp_path / done.stdout.splitlines()[-1]
    assert done.returncode == 0
    assert report.read_text() == "hello"
    assert report.parent.parent == tmp_path / "out"
    assert "total done in" in done.stderr


def test_every_kind_of_field_becomes_an_option(story: Path, tmp_path: Path) -> None:
    options = ("--rows", "1_000", "--share", 0.25, "--data", "a", "--data", "b", "--mode", "slow", "--loud", "--seed", 5)
    result = run_json(story, *options, folder=tmp_path)
    config = json.loads((Path(result["run"]) / "config.json").read_text())
    assert config["config"] == {"rows": 1000, "share": 0.25, "data": ["a", "b"], "mode": "slow", "loud": True, "note": None}
    assert result["metrics"] == {"total": sum(i / 7 for i in range(1000)), "rows": 1000, "mode": "slow", "loud": True, "seed": 5}


def test_help_of_a_pipeline_shows_its_words_and_its_options_with_defaults(story: Path, tmp_path: Path) -> None:
    text = " ".join(bigml_command("run", story, "--help", folder=tmp_path).stdout.split())
    for words in (
        "Adds numbers up.",
        "--rows INTEGER",
        "How many rows. [default: 10]",
        "[fast|slow]",
        "--loud / --no-loud",
        "--resume",
    ):
        assert words in text


def test_quiet_says_nothing_on_standard_error(story: Path, tmp_path: Path) -> None:
    done = bigml_command("run", story, "--quiet", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--rows", "0"), 2, "Invalid value for '--rows': Input should be greater than 0"),
        (("--rows", "x"), 2, "Invalid value for '--rows'"),
        (("--mode", "slw"), 2, "Invalid value for '--mode'"),
        (("--rws", "1"), 2, "No such option '--rws'"),
        (("--cluster", "none.yaml"), 1, "Error: Expected a readable YAML file"),
        (("--resume",), 1, "Error: Expected an unfinished run of `adding_up`, got none"),
        (("--resume", "nowhere"), 1, "Error: Expected the directory of a run"),
    ],
)
def test_wrong_words_are_told_in_one_message_and_leave_no_run(
    arguments: tuple[str, ...], code: int, message: str, story: Path, tmp_path: Path
) -> None:
    done = bigml_command("run", story, *arguments, folder=tmp_path)
    assert done.returncode == code
    assert message.replace("'", "") in done.stderr.replace("'", "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got no such file"),
        ("x = (", "got SyntaxError: '(' was never closed"),
        ("import no_such_thing", "got ModuleNotFoundError"),
        ("def main(config, run): ...", "got a file without a pydantic model `Config`"),
        ("from pydantic import BaseModel\nclass Config(BaseModel): ...", "got a file without `main`"),
        (
            "from pydantic import BaseModel\nclass Config(BaseModel):\n  seed: int = 1\ndef main(config, run): ...",
            "`seed`, an option",
        ),
    ],
)
def test_a_file_that_is_no_pipeline_is_one_clear_error(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "strange.py").write_text(content)
    done = bigml_command("run", "strange.py", folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pipeline_may_not_take_the_name_of_a_module_in_use(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(STORY)
    with pytest.raises(ConfigError, match="a name that no imported module has, got `json`"):
        load_pipeline(tmp_path / "json.py")


def test_a_failure_is_one_line_and_debug_shows_the_traceback(story: Path, tmp_path: Path) -> None:
    done = bigml_command("run", story, "--quiet", story="fail", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "Error: ValueError: the second stage failed\n")
    told = bigml_command("run", story, "--quiet", "--debug", story="fail", folder=tmp_path)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert told.stderr.endswith("Error: ValueError: the second stage failed\n")


def test_resume_repeats_no_finished_stage_and_needs_no_options(story: Path, tmp_path: Path) -> None:
    failed = bigml_command("run", story, "--rows", 1000, "--seed", 3, story="fail", folder=tmp_path)
    result = run_json(story, "--resume", folder=tmp_path)
    whole = run_json(story, "--rows", 1000, "--seed", 3, "--out", "other", folder=tmp_path)
    assert failed.returncode == 1
    assert result["metrics"] == whole["metrics"]
    assert (tmp_path / "runs" / "calls.txt").read_text().count("add") == 1
    assert bigml_command("run", story, "--resume", folder=tmp_path).returncode == 1


@pytest.mark.parametrize(("option", "value", "told"), [("--rows", 11, "`rows` to be 10"), ("--seed", 9, "`seed` to be 0")])
def test_resume_with_other_options_is_refused(option: str, value: int, told: str, story: Path, tmp_path: Path) -> None:
    bigml_command("run", story, story="fail", folder=tmp_path)
    done = bigml_command("run", story, "--resume", option, value, folder=tmp_path)
    assert done.returncode == 1
    assert f"{told} as when the run was started, got {value}" in done.stderr


def waiting(story: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run that has finished its first stage and waits in its second."""
    call = [*BIGML, "run", str(story), "--quiet", *arguments]
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=os.environ | {"STORY": "wait"}
    )
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    return process


def test_a_killed_run_goes_on_to_the_same_numbers(story: Path, tmp_path: Path) -> None:
    with waiting(story, tmp_path, "--rows", "1000") as process:
        process.kill()
    resumed = run_json(story, "--resume", folder=tmp_path)
    assert (tmp_path / "runs" / "calls.txt").read_text().count("add") == 1
    assert resumed["metrics"] == run_json(story, "--rows", 1000, "--out", "other", folder=tmp_path)["metrics"]


@pytest.mark.cluster
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_within_ten_seconds_leaves_nothing_and_can_go_on(
    number: signal.Signals, code: int, story: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.yaml").write_text("kind: local\nn_workers: 2\n")
    with waiting(story, tmp_path, "--cluster", "two.yaml") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    left = [child for child in psutil.wait_procs(family, timeout=2)[1] if child.status() != psutil.STATUS_ZOMBIE]
    assert (process.returncode, left) == (code, [])
    told, *rest = filter(None, errors.splitlines())
    assert re.search(r"kept in (runs/\S+): .*adding_up.py --resume \1", told)
    assert rest == (["Interrupted."] if code == 130 else [])
    assert run_json(story, "--resume", folder=tmp_path)["metrics"]["rows"] == 10


@pytest.mark.cluster
def test_functions_of_the_pipeline_file_reach_the_workers_of_any_cluster(tmp_path: Path) -> None:
    from distributed import LocalCluster

    (tmp_path / "neighbour.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "on_workers.py").write_text(
        "from pydantic import BaseModel\nfrom neighbour import double\n"
        "class Config(BaseModel): ...\n"
        "def work(x):\n    return x + 1\n"
        "def main(config, run):\n    run.metrics(values=run.client.gather(run.client.map(work, [1, 2])))\n"
        "    if run.client.cluster: run.metrics(doubled=run.client.submit(double, 4).result(timeout=10))\n"
    )
    (tmp_path / "local.yaml").write_text("kind: local\nn_workers: 1\n")
    assert run_json("on_workers.py", "--cluster", "local.yaml", folder=tmp_path)["metrics"] == {"values": [2, 3], "doubled": 8}
    with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as running:
        (tmp_path / "far.yaml").write_text(f"kind: scheduler\naddress: {running.scheduler_address}\n")
        (tmp_path / "on_workers.py").write_text(
            (tmp_path / "on_workers.py").read_text().replace("from neighbour import double\n", "")
        )
        assert run_json("on_workers.py", "--cluster", "far.yaml", folder=tmp_path)["metrics"] == {"values": [2, 3]}


def test_optional_and_repeated_fields_keep_their_defaults(story: Path) -> None:
    model = load_pipeline(story).config
    assert {option.name for option in config_options(model, set())} == set(model.model_fields)
    expected = {"rows": 3, "share": 0.5, "data": [], "mode": "fast", "loud": False, "note": "x"}
    assert build_config(model, {"rows": 3}, {"rows": None, "data": (), "note": "x"}).model_dump() == expected


def test_a_default_is_what_a_resumed_run_reads() -> None:
    class Config(BaseModel):
        late: float = 15

    assert type(build_config(Config, {}, {}).late) is float  # type: ignore[attr-defined]


def test_version_is_told() -> None:
    done = CliRunner().invoke(commands, ["--version"], obj=Session())
    assert done.exit_code == 0
    assert bigml.__version__ in done.output
