"""`bigml describe`, `groupby`, `explain`, `ingest` and `data make`: right tables, clear failures, the right exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest

from bigml.cli import main
from bigml.commands.terminal import print_frame

FRAME = pd.DataFrame({"k": list("aabbc"), "n": [1, 2, 3, 4, 5], "x": [1.5, np.nan, 0.1, 0.2, -1e9], "s": list("uvuuw")})


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A small Parquet file."""
    FRAME.to_parquet(tmp_path / "table.parquet")
    return str(tmp_path / "table.parquet")


class Outcome:
    """What a command line printed and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main([*map(str, arguments)])
        captured = self._capsys.readouterr()
        return int(leave.value.code or 0), captured.out, captured.err

    def json(self, *arguments: object) -> Any:
        """The printed JSON of a command that must succeed."""
        code, out, err = self(*arguments, "--json", "--quiet")
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def bigml(capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Calls the command in this process."""
    return Outcome(capsys)


def test_groupby_prints_pandas_numbers(bigml: Outcome, table: str) -> None:
    rows = bigml.json("groupby", table, "--by", "k", "--agg", "x:count,mean", "--agg", "n:sum")
    expected = FRAME.groupby("k").agg({"x": ["count", "mean"], "n": "sum"})
    assert [(row["k"], row["x"]["count"], row["n"]["sum"]) for row in rows] == [("a", 1, 3), ("b", 2, 7), ("c", 1, 5)]
    np.testing.assert_allclose([row["x"]["mean"] for row in rows], expected["x"]["mean"], rtol=1e-12)


def test_groupby_by_two_keys_and_a_filter(bigml: Outcome, table: str) -> None:
    rows = bigml.json("groupby", table, "--by", "k, s", "--agg", "n:sum", "--where", "n > 1")
    assert [(row["k"], row["s"], row["n"]["sum"] if isinstance(row["n"], dict) else row["n"]) for row in rows] == [
        *[("a", "v", 2), ("b", "u", 7), ("c", "w", 5)]
    ]


def test_groups_are_written_where_a_directory_is_named(bigml: Outcome, table: str, tmp_path: Path) -> None:
    out = tmp_path / "groups"
    assert bigml("groupby", table, "--by", "k", "--agg", "n:sum,max", "--out", out) == (0, f"3 groups in {out}\n", "")
    assert pd.read_parquet(out)[["k", "n_sum", "n_max"]].to_numpy().tolist() == [["a", 3, 2], ["b", 7, 4], ["c", 5, 5]]


def test_describe_prints_pandas_numbers_and_leaves_out_what_is_not_there(bigml: Outcome, table: str) -> None:
    about = bigml.json("describe", table)
    expected = FRAME.describe(include="all")
    assert about["x"]["count"] == 4
    assert about["s"] == {"count": 5, "unique": 3, "top": "u", "freq": 3}
    np.testing.assert_allclose(about["x"]["mean"], expected["x"]["mean"], rtol=1e-12)


def test_tables_for_people_are_whole_when_nobody_looks_at_a_terminal(bigml: Outcome, table: str) -> None:
    code, out, _ = bigml("describe", table, "--columns", "x,s")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.strip() and "─" not in line] == ["count", "x", "s"]
    assert "-1,000,000,000" in out


def test_tables_on_a_narrow_terminal_go_on_below_and_cut_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    values = {("x", name): [123_456_789, 1] for name in "abcdef"} | {("long", "y"): ["y" * 50] * 2}
    print_frame(pd.DataFrame(values, index=pd.Index(["AA", "UA"], name="carrier")))
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert [line.count("123,456,789") for line in lines if "AA" in line] == [2, 2, 2, 0]
    assert sum("carrier" in line for line in lines) == 4
    assert sum("y" * 50 in line for line in lines) == 2
    assert max(len(line) for line in lines if "123,456,789" in line) <= 40


def test_explain_reads_nothing_and_says_the_price(bigml: Outcome, table: str) -> None:
    price = bigml.json("explain", table, "--by", "k", "--agg", "x:mean")
    assert (price["scans"], price["rows"], sorted(price["columns"])) == (1, 5, ["k", "x"])
    code, out, _ = bigml("explain", table)
    assert code == 0
    assert "peak memory a worker" in out


def test_a_cluster_answers_as_threads_do(bigml: Outcome, table: str, tmp_path: Path) -> None:
    (tmp_path / "threads.yaml").write_text("kind: threads\n")
    words = ("groupby", table, "--by", "k", "--agg", "x:mean,std")
    assert bigml.json(*words, "--cluster", tmp_path / "threads.yaml") == bigml.json(*words)


def test_ingest_counts_rows_in_and_out(bigml: Outcome, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n;w\n1;a\n2;b\nx;c\n")
    told = bigml.json("ingest", tmp_path / "a.csv", tmp_path / "out", "--delimiter", ";", "--type", "n:int64")
    assert (told["rows_in"], told["rows_written"], told["rows_rejected"]) == (3, 2, 1)
    assert told["columns"] == {"n": "int64", "w": "string"}
    assert [row["n"] for row in bigml.json("groupby", tmp_path / "out", "--by", "w", "--agg", "n:sum")] == [
        {"sum": 1},
        {"sum": 2},
    ]


def test_made_data_depend_on_the_seed_alone(bigml: Outcome, tmp_path: Path) -> None:
    told = [
        bigml.json("data", "make", "airline-like", tmp_path / name, "--rows", "3_000", "--seed", seed)
        for name, seed in ["a1", "b1", "c2"]
    ]
    frames = [
        pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / name).rglob("*.parquet"))]) for name in ("a", "b", "c")
    ]
    assert [item["rows"] for item in told] == [3000, 3000, 3000]
    assert frames[0].equals(frames[1])
    assert not frames[0].equals(frames[2])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("describe", "nowhere.parquet"), 1, "got nothing there - nowhere.parquet"),
        (("describe", "{table}", "--columns", "xx"), 1, "Did you mean `x`?"),
        (("groupby", "{table}", "--by", "kk", "--agg", "x:mean"), 1, "Did you mean `k`?"),
        (("groupby", "{table}", "--by", "k", "--agg", "s:mean"), 1, "Expected"),
        (("groupby", "{table}", "--by", "k", "--agg", "x:maen"), 1, "Expected"),
        (("groupby", "{table}", "--by", "k", "--agg", "x"), 2, "'x' is not COLUMN:STAT,..."),
        (("groupby", "{table}", "--by", "k"), 2, "--by and --agg are both needed"),
        (("explain", "{table}", "--by", "k"), 2, "--by and --agg belong together"),
        (("describe", "{table}", "--where", "import os"), 1, "Expected a formula"),
        (("describe", "{table}", "--cluster", "{table}"), 1, "Expected a readable YAML file"),
        (("descibe", "{table}"), 2, "No such command"),
        (("describe",), 2, "Missing argument"),
        (("data", "make", "cars", "out"), 2, "Invalid value"),
        (("ingest", "{table}", "--type", "n", "out"), 2, "COLUMN:TYPE"),
    ],
)
def test_wrong_words_have_the_right_exit_code_and_one_message(
    words: tuple[str, ...], code: int, told: str, bigml: Outcome, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left, out, err = bigml(*(word.format(table=table) for word in words))
    assert (left, out) == (code, "")
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback(bigml: Outcome) -> None:
    code, _, err = bigml("describe", "nowhere", "--debug")
    assert code == 1
    assert "Traceback" in err


def test_help_of_every_command_reads_well(bigml: Outcome) -> None:
    for words in (["run"], ["ingest"], ["describe"], ["groupby"], ["explain"], ["data"], ["data", "make"]):
        code, out, err = bigml(*words, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: bigml {' '.join(words)}")
