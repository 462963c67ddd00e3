"""Runs: stages are done once, and a killed run goes on to the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pydantic import BaseModel

import bigml
from bigml.errors import ConfigError, DataError, SourceError
from bigml.report.journal import Journal, events
from bigml.report.run import Run


class Config(BaseModel):
    rows: int = 10
    data: Path | None = None


class Counter:
    """Work that counts how often it was done."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *values: Any) -> Any:
        self.calls += 1
        return sum(values)


def start(root: Path, **config: Any) -> Run:
    """A new run under a folder."""
    return Run.create("example", Config(**config), seed=7, root=root)


def history(run: Run) -> list[tuple[str, str]]:
    """The events of a run with their stages."""
    return [(event["event"], event.get("stage", "")) for event in events(run.path / "journal.jsonl")]


# The journal


def test_events_are_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("begun", rows=3)
        assert [event["rows"] for event in events(tmp_path / "journal.jsonl")] == [3]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 200))
def test_a_last_line_cut_anywhere_never_happened(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for number in range(3):
            journal.append("step", number=number)
    data = path.read_bytes()
    kept = data[: max(len(data) - cut, 0)]
    path.write_bytes(kept)
    whole = kept.count(b"\n")
    assert [event["number"] for event in events(path)] == list(range(whole))
    with Journal(path) as journal:
        journal.append("step", number=9)
    assert [event["number"] for event in events(path)] == [*range(whole), 9]


def test_a_garbled_last_line_is_dropped_and_one_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event": "a"}\n\x00\x00\xff\n')
    assert len(events(path)) == 1
    path.write_bytes(b'\x00\x00\xff\n{"event": "a"}\n')
    with pytest.raises(ConfigError, match=r"one event of JSON a line.*journal\.jsonl, line 1"):
        events(path)


def test_a_journal_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(ConfigError, match="no other process works on"):
        Journal(tmp_path / "journal.jsonl")
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("free")
    assert len(events(tmp_path / "journal.jsonl")) == 1


# Stages


def test_a_run_leaves_config_journal_log_and_metrics(tmp_path: Path) -> None:
    with start(tmp_path, rows=3) as run:
        run.stage("total", sum, [1, 2])
        run.metrics(auc=0.75, worst=float("nan"))
        run.log("a word")
    about = json.loads((run.path / "config.json").read_text())
    assert about["config"] == {"rows": 3, "data": None}
    assert (about["pipeline"], about["seed"]) == ("example", 7)
    assert set(about["versions"]) >= {"python", "numpy", "scikit-learn"}
    assert json.loads((run.path / "metrics.json").read_text()) == {"auc": 0.75, "worst": None}
    assert "a word" in (run.path / "log.txt").read_text()
    assert history(run) == [("run_started", ""), ("stage_started", "total"), ("stage_finished", "total"), ("run_finished", "")]
    assert run.path.name.startswith("example-2")


def test_finished_stages_are_read_and_unfinished_ones_repeated(tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    run = start(tmp_path)
    with run:
        run.stage("first", first, 0.1, 0.2)
        with pytest.raises(ZeroDivisionError):
            run.stage("second", lambda: 1 / 0)
    with Run.resume(run.path, Config()) as again:
        assert again.stage("first", first, 0.1, 0.2) == 0.1 + 0.2
        assert again.stage("second", second, 1, 2) == 3
    assert (first.calls, second.calls) == (1, 1)
    assert ("stage_failed", "second") in history(run)
    assert again.timings.keys() == {"first", "second"}


def test_a_plan_is_computed_as_a_stage(tmp_path: Path) -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 6.0]}))
    with start(tmp_path) as run:
        plan = source.describe()
        table = run.stage("describe", plan)
    assert_frame_equal(table, plan.compute(), check_exact=True)
    with Run.resume(run.path) as again:
        assert_frame_equal(again.stage("describe", plan), table, check_exact=True)


def test_a_stage_gives_what_a_resumed_run_will_see(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        now = run.stage("mixed", lambda: {"n": np.int64(3), "pair": (1, 2.5)})
    with Run.resume(run.path) as again:
        later = again.stage("mixed", Counter())
    assert now == later == {"n": 3, "pair": (1, 2.5)}
    assert type(now["n"]) is type(later["n"]) is int


def test_metrics_of_before_the_kill_are_kept(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.metrics(first=1)
    with Run.resume(run.path) as again:
        again.metrics(second=2)
        assert again.recorded_metrics == {"first": 1, "second": 2}
    assert json.loads((run.path / "metrics.json").read_text()) == {"first": 1, "second": 2}


def test_a_checkpointed_stage_gets_the_same_directory_again(tmp_path: Path) -> None:
    def work(fails: bool, checkpoint: Path) -> str:
        (checkpoint / "seen").touch()
        if fails:
            raise OSError("killed")
        return checkpoint.relative_to(tmp_path).parts[-1]

    with pytest.raises(OSError, match="killed"), start(tmp_path) as run:
        run.stage("fit", work, True, checkpoint=True)
    with Run.resume(run.path) as again:
        assert again.stage("fit", work, False, checkpoint=True) == "fit"
    assert (run.path / "checkpoints" / "fit" / "seen").exists()


def test_a_changed_config_refuses_to_resume_and_names_the_setting(tmp_path: Path) -> None:
    with start(tmp_path, rows=3) as run:
        pass
    with pytest.raises(ConfigError, match="`rows` to be 3 as when the run was started, got 4"):
        Run.resume(run.path, Config(rows=4))
    with Run.resume(run.path, Config(rows=3)) as again:
        assert again.seed == 7


@pytest.mark.parametrize(("value", "key"), [(1.0, "b"), (2.0, "a")], ids=["key", "source"])
def test_a_stage_with_other_inputs_is_refused(value: float, key: str, tmp_path: Path) -> None:
    source, other = (bigml.from_pandas(pd.DataFrame({"x": [x]})) for x in (1.0, value))
    with start(tmp_path) as run:
        run.stage("rows", lambda source: 1, source, key=["key", "a"])
        run.stage("same", lambda: 2, key=source)
    with Run.resume(run.path) as again:
        assert again.stage("same", lambda: 3, key=source) == 2
        with pytest.raises(ConfigError, match="stage `rows` to have the inputs that it was finished with"):
            again.stage("rows", lambda source: 1, other, key=["key", key])


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "Upper", "a b"])
def test_names_that_are_no_plain_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower-case letters"):
        Run.create(name, {}, root=tmp_path)
    with start(tmp_path) as run, pytest.raises(ConfigError, match="lower-case letters"):
        run.stage(name, sum, [1])
    assert [path.name for path in tmp_path.iterdir()] == [run.path.name]


def test_one_name_for_two_stages_is_refused(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.stage("total", sum, [1])
        with pytest.raises(ConfigError, match="`total` twice"):
            run.stage("total", sum, [2])


def test_a_result_that_cannot_be_kept_fails_the_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError), start(tmp_path) as run:
        run.stage("strange", object)
    assert ("stage_failed", "strange") in history(run)


def test_newest_unfinished_run_of_the_pipeline_is_found(tmp_path: Path) -> None:
    with start(tmp_path):
        pass
    with pytest.raises(ConfigError, match="an unfinished run of `example`, got none"):
        Run.newest_unfinished("example", tmp_path)
    with pytest.raises(ZeroDivisionError), start(tmp_path) as broken:
        broken.stage("bad", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), Run.create("example-two", {}, root=tmp_path) as other:
        other.stage("bad", lambda: 1 / 0)
    assert Run.newest_unfinished("example", tmp_path) == broken.path
    assert Run.newest_unfinished("example-two", tmp_path) == other.path


@pytest.mark.parametrize("content", [None, "", "{}", "[1]"])
def test_a_folder_that_is_no_run_is_one_clear_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"Expected the (directory|config\.json) of a run"):
        Run.resume(tmp_path)


def test_a_missing_result_is_one_clear_error(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.stage("total", sum, [1])
    (run.path / "artefacts" / "total" / "value.json").unlink()
    with Run.resume(run.path) as again, pytest.raises(SourceError, match="the stored result of a stage"):
        again.stage("total", sum, [1])


# Kills

EVERY_POINT = """
import json, os, signal, sys
import numpy as np, pandas as pd
from pathlib import Path
from bigml.report.run import Run

root = Path(sys.argv[1])
POINTS = ("write", "fsync", "replace", "rename", "mkdir")

def kill_at(point):
    count = 0
    def wrapped(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return call
    for name in POINTS:
        setattr(os, name, wrapped(getattr(os, name)))

def work(run):
    done = root / f"done-{run.path.name}"
    def counted(name, value):
        with done.open("a") as file:
            file.write(name + " ")
        return value
    numbers = np.random.default_rng(run.seed).normal(size=5)
    table = run.stage("table", counted, "table", pd.DataFrame({"x": numbers}))
    total = run.stage("total", counted, "total", float(table["x"].sum()))
    run.metrics(total=total)
    return total.hex()

point = 0
while True:
    point += 1
    folder = root / str(point)
    child = os.fork()
    if child == 0:
        kill_at(point)
        with Run.create("example", {}, seed=3, root=folder) as run:
            work(run)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    runs = [path for path in folder.glob("example-*") if (path / "config.json").exists()]
    if runs:
        stages = [json.loads(line).get("stage") for line in (runs[0] / "journal.jsonl").read_bytes().splitlines()
                  if line.endswith(b"}") and b"stage_finished" in line] if (runs[0] / "journal.jsonl").exists() else []
        before = (root / f"done-{runs[0].name}").read_text() if (root / f"done-{runs[0].name}").exists() else ""
        with Run.resume(runs[0], {}) as run:
            total = work(run)
        repeated = (root / f"done-{runs[0].name}").read_text()[len(before):].split()
        hidden = sorted(path.name for path in runs[0].rglob(".tmp-*"))
        print(json.dumps([total, sorted(set(stages) & set(repeated)), hidden, (runs[0] / "metrics.json").read_text()]))
    if not killed:
        break
print(json.dumps(point))
"""


def test_killed_at_any_write_a_run_resumes_to_the_same_bits_and_repeats_no_finished_stage(tmp_path: Path) -> None:
    script = tmp_path / "kill.py"
    script.write_text(EVERY_POINT)
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120, check=True)
    *outcomes, points = [json.loads(line) for line in done.stdout.splitlines()]
    assert points > 25
    assert len(outcomes) > 20
    assert {json.dumps(outcome) for outcome in outcomes} == {json.dumps(outcomes[-1])}
    assert outcomes[-1][1:3] == [[], []]


def test_a_run_directory_is_free_again_when_its_process_is_killed(tmp_path: Path) -> None:
    create = "from bigml.report.run import Run; run = Run.create('example', {}, root=sys.argv[1])"
    code = f"import os, sys; {create}; os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)
    assert killed.returncode == -9
    with Run.resume(Run.newest_unfinished("example", tmp_path)) as run:
        assert os.path.isdir(run.path)
