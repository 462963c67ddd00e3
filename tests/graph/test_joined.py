"""Parts that are read as one: which, and that nothing else changes by it."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

import bigml
from bigml.graph import reader
from bigml.graph.scan import Scan

WIDE = {"carrier": pa.string(), "image": pa.binary(), "early": pa.string(), "late": pa.string(), "delay": pa.float64()}


@pytest.fixture(autouse=True)
def _few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MANY_ROWS", 1)
    monkeypatch.setattr(reader, "LEAST_PARTS", 3)


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """Twelve row groups of 100 rows in three files, seven columns; one day a row group."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"more{i}": rng.normal(size=1_200) for i in range(4)})
    frame["delay"], frame["carrier"] = rng.integers(-9, 99, 1_200) / 1.0, rng.choice(["AA", "UA", "DL"], 1_200)
    frame["day"] = np.arange(1_200) // 100
    for i in range(3):
        table = pa.Table.from_pandas(frame[400 * i : 400 * (i + 1)], preserve_index=False)
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=100)
    return tmp_path


def opened(path: Path, **options: Any) -> Any:
    """The rows in parts of one row group each."""
    return bigml.read_parquet(path, part_bytes=5_200, **options)


def parts_of(*plans: Any) -> list[tuple[int, int]]:
    """The first row and the number of rows of what a scan reads at once."""
    scan = Scan.of([(plan.reader, plan.reducer) for plan in plans])
    return [(part.offset, part.n_rows) for part in scan.parts]


def mean(source: Any) -> Any:
    """A plan that reads two columns of seven."""
    return source.groupby("carrier").agg({"delay": ["count", "mean", "std", "min", "max"]})


def test_neighbours_are_read_as_one_as_long_as_they_are_small(flights: Path) -> None:
    source = opened(flights)
    assert len(source.parts) == 12
    assert parts_of(mean(source)) == [(0, 400), (400, 400), (800, 400)]
    assert len(parts_of(source.groupby("carrier").agg({name: "mean" for name in source.columns if name != "carrier"}))) == 12
    assert len(parts_of(source.describe())) == 12
    joined = mean(source).compute(progress=False)
    pd.testing.assert_frame_equal(joined, mean(bigml.read_parquet(flights)).compute(progress=False))


def test_some_parts_are_left_to_be_read_side_by_side(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LEAST_PARTS", 6)
    assert parts_of(mean(opened(flights))) == [(start, 200) for start in range(0, 1_200, 200)]
    monkeypatch.setattr(reader, "MANY_ROWS", 1_201)
    assert len(parts_of(mean(opened(flights)))) == 12


def test_parts_that_are_no_neighbours_or_not_wanted_by_the_same_plans_are_not_joined(flights: Path) -> None:
    source = opened(flights)
    first, _, last = (file.name for file in source.files)
    assert parts_of(mean(source.only({first, last}))) == [(0, 200), (200, 200), (800, 200), (1_000, 200)]
    late = source.where("day >= 5")
    assert parts_of(mean(late)) == [(500, 200), (700, 200), (900, 200), (1_100, 100)]
    assert parts_of(mean(source), mean(late)) == [(0, 400), (400, 100), (500, 400), (900, 300)]
    whole, rest = bigml.compute(mean(source), mean(late), progress=False)
    pd.testing.assert_frame_equal(whole, mean(source).compute(progress=False))
    pd.testing.assert_frame_equal(rest, mean(late).compute(progress=False))


def test_slices_of_a_row_group_and_rows_of_two_folders_are_not_joined(tmp_path: Path) -> None:
    frame = pd.DataFrame({"carrier": ["AA", "UA"] * 500, "delay": np.arange(1_000.0), "year": [2013] * 500 + [2014] * 500})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, tmp_path / "one.parquet")
    sliced = bigml.read_parquet(tmp_path / "one.parquet", part_bytes=2_000)
    assert len(parts_of(mean(sliced))) == len(sliced.parts) > 4
    bigml.from_arrow(table).write_parquet(tmp_path / "folders", partition_by="year", progress=False)
    foldered = bigml.read_parquet(tmp_path / "folders")
    assert parts_of(mean(foldered)) == [(0, 500), (500, 500)]
    found = mean(foldered).compute(progress=False)
    pd.testing.assert_frame_equal(found, mean(sliced).compute(progress=False))


def test_long_values_are_not_read_from_more_parts_at_once(tmp_path: Path) -> None:
    """Images are of no known width, and notes are long where others are short: how many rows of them are few is not known."""
    rng, n = np.random.default_rng(0), 100
    with pq.ParquetWriter(tmp_path / "f.parquet", schema := pa.schema(WIDE), use_dictionary=["carrier"]) as writer:
        for i in range(16):
            early, late = (["x" * (900 if is_long else 1) + f"{k}" for k in range(n)] for is_long in (i < 8, i >= 8))
            columns = [rng.choice(["AA", "UA"], n), [bytes(900)] * n, early, late, rng.normal(size=n)]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))
    source = bigml.read_parquet(tmp_path, part_bytes=250_000)
    largest = max(part.nbytes for part in source.parts)
    for name, is_joined in {"image": False, "early": False, "late": False, "delay": True}.items():
        plan = source.groupby("carrier").agg(n=(name, "count"))
        sizes = [part.nbytes for part in Scan.of([(plan.reader, plan.reducer)]).parts]
        assert (max(sizes) > largest) == is_joined, name
        assert plan.compute(progress=False)["n"].sum() == 1_600


def test_columns_of_no_width_are_grouped(tmp_path: Path) -> None:
    table = pa.table({"carrier": pa.nulls(10), "delay": pa.nulls(10)})
    pq.write_table(table, tmp_path / "nulls.parquet", row_group_size=2)
    for source in (bigml.from_arrow(table), bigml.read_parquet(tmp_path)):
        assert source.groupby("carrier", dropna=False).agg(n=("delay", "size")).compute(progress=False)["n"].tolist() == [10]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part_bytes=st.sampled_from([1_000, 5_000, 12_000]), least=st.sampled_from([1, 3, 100]), limit=st.integers(0, 12))
def test_results_are_the_same_however_parts_are_joined(flights: Path, part_bytes: int, least: int, limit: int) -> None:
    source = bigml.read_parquet(flights, part_bytes=part_bytes)
    plans = mean(source), mean(source.where(f"day < {limit}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "LEAST_PARTS", least)
        found = bigml.compute(*plans, progress=False)
        patch.setattr(reader, "MANY_ROWS", 1 << 20)
        expected = bigml.compute(*plans, progress=False)
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-13)
