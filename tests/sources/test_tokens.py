"""Tokens: equal in every process for equal rows, so that a resumed run finds its sources again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import bigml

SCRIPT = """
import sys
import dask.dataframe as dd
import pandas as pd
import bigml

CITIES = {"JFK", "LGA", "EWR", "SFO"}
frame = pd.DataFrame({"k": ["JFK", None, "SFO"], "x": [1, 2, 3], "c": pd.Categorical(["a", "b", "a"])})
source = bigml.from_pandas(frame)
files = bigml.read_parquet(sys.argv[1], types={"x": "float64", "k": "string"})
views = [
    source,
    source.where(bigml.col("k").isin(CITIES) & ~bigml.col("x").isin({1, 2.5})),
    source.where("k in {'a', 'b', 'c', 'd'} or x.is_null()"),
    source.assign(late=lambda f: f["k"].isin(CITIES), own=lambda f: f["k"].map(lambda k: k in {"JFK", "EWR", "LGA"}), y="x + 1"),
    source.split(test=0.5, by=["k", "x"])[0].sample(1),
    bigml.concat(source, source.rename(x="x")),
    bigml.from_dask(dd.from_pandas(frame, npartitions=2)),
    files,
    files.where("k != 'b'"),
]
print(*(view.token for view in views))
"""


def test_tokens_do_not_depend_on_the_seed_of_hashes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": ["a", "b"], "x": [1, 2]})
    bigml.from_pandas(frame).write_parquet(tmp_path / "data", partition_by="k", progress=False)
    tokens = [_tokens(tmp_path / "data", seed) for seed in (1, 2)]
    assert tokens[0] == tokens[1]
    assert len(set(tokens[0].split())) == 9


def _tokens(data: Path, seed: int) -> str:
    command = [sys.executable, "-c", SCRIPT, str(data)]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


FRAME = pd.DataFrame({"x": [1.5, np.nan, 3.0], "k": ["a", None, "c"]})


@pytest.mark.parametrize(
    "other",
    [
        FRAME.assign(x=[1.5, np.nan, 4.0]),
        FRAME.assign(k=["a", "", "c"]),
        FRAME.rename(columns={"x": "z"}),
        FRAME.astype({"x": "float32"}),
        FRAME[["k", "x"]],
        FRAME.iloc[:2],
        FRAME.iloc[::-1],
    ],
)
def test_tables_in_memory_are_told_apart_by_their_values(other: pd.DataFrame) -> None:
    assert bigml.from_pandas(FRAME).token == bigml.from_pandas(FRAME.copy()).token
    assert bigml.from_pandas(FRAME).token != bigml.from_pandas(other).token


def test_a_slice_has_the_token_of_its_rows_and_parts_count() -> None:
    table = pa.table({"x": np.arange(100), "k": pa.array(["a", None] * 50).dictionary_encode()})
    whole, part = bigml.from_arrow(table.slice(10, 20)), bigml.from_arrow(pa.table(table.slice(10, 20).to_pandas()))
    assert whole.select("x").to_arrow().equals(part.select("x").to_arrow())
    assert bigml.from_arrow(table.slice(10, 20).select(["x"])).token == bigml.from_arrow(pa.table({"x": np.arange(10, 30)})).token
    assert bigml.from_arrow(table, part_rows=10).token != bigml.from_arrow(table, part_rows=20).token


def test_equal_tables_share_one_scan() -> None:
    one, two = bigml.from_pandas(FRAME), bigml.from_pandas(FRAME.copy())
    plans = one.describe(), two.where("x > 2").value_counts("k")
    assert bigml.explain(*plans).to_dict()["scans"] == 1
    assert bigml.compute(*plans)[1].to_dict() == {"c": 1}


def test_one_plan_hashes_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    source = bigml.from_pandas(FRAME)
    bigml.compute(source.describe(), source.where("x > 2").value_counts("k"))
    assert "token" not in vars(source)


def test_a_dask_dataframe_has_the_token_of_its_graph() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    with dask.config.set(scheduler="synchronous"):
        one, again, other = map(bigml.from_dask, (frame, dd.from_pandas(FRAME, npartitions=2), frame[frame.x > 2]))
    assert one.token == again.token != other.token
