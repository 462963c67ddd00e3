"""Schema drift between files: nine cases, unified where that is safe, otherwise refused with file, column and types."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bigml
from bigml.errors import SchemaError, SourceError
from bigml.sources.schemas import common_type

NOON = datetime.datetime(2014, 1, 1, 12)
BASE = pa.table({"x": pa.array([1, 2, 3], pa.int64()), "s": ["a", "b", "a"]})


def two(folder: Path, other: pa.Table, base: pa.Table = BASE) -> Path:
    pq.write_table(base, folder / "a.parquet")
    pq.write_table(other, folder / "b.parquet")
    return folder


REQUIRED = pa.schema([pa.field("x", pa.int64(), nullable=False), pa.field("s", pa.string())])
SAFE = {
    "reordered": (pa.table({"s": ["c"], "x": [4]}), "int64"),
    "narrower integer": (pa.table({"x": pa.array([4], pa.int8()), "s": ["c"]}), "int64"),
    "unsigned integer": (pa.table({"x": pa.array([4], pa.uint32()), "s": ["c"]}), "int64"),
    "integer to float": (pa.table({"x": [4.5], "s": ["c"]}), "double"),
    "narrow float": (pa.table({"x": pa.array([4.5], pa.float32()), "s": ["c"]}), "double"),
    "nullability": (pa.table({"x": [4], "s": ["c"]}, schema=REQUIRED), "int64"),
    "dictionary": (pa.table({"x": [4], "s": pa.array(["c"]).dictionary_encode()}), "int64"),
    "large string": (pa.table({"x": [4], "s": pa.array(["c"], pa.large_string())}), "int64"),
    "all null": (pa.table({"x": pa.nulls(1), "s": ["c"]}), "int64"),
    "metadata": (pa.table({"x": [4], "s": ["c"]}).replace_schema_metadata({"written": "later"}), "int64"),
}


@pytest.mark.parametrize("case", SAFE)
def test_a_safe_difference_is_unified(tmp_path: Path, case: str) -> None:
    other, kind = SAFE[case]
    source = bigml.read_parquet(two(tmp_path, other))
    assert [(field.name, str(field.type)) for field in source.schema] == [("x", kind), ("s", "string")]
    wanted = pd.concat([BASE.to_pandas(), other.to_pandas()], ignore_index=True)[["x", "s"]]
    got = source.to_pandas()
    np.testing.assert_array_equal(got["x"].astype(float), wanted["x"].astype(float))
    assert got["s"].tolist() == wanted["s"].tolist()


REFUSED = {
    "missing": (pa.table({"s": ["c"]}), r"column `x` of type int64 as in .*a.parquet, got no such column - in .*b.parquet"),
    "extra": (
        pa.table({"x": [4], "s": ["c"], "y": [1.5]}),
        r"no column `y`, as in .*a.parquet, got one of type double - in .*b.parquet",
    ),
    "integer to text": (
        pa.table({"x": ["4"], "s": ["c"]}),
        r"column `x` of type int64 as in .*a.parquet, got string - in .*b.parquet",
    ),
    "text to integer": (
        pa.table({"x": [4], "s": [7]}),
        r"column `s` of type string as in .*a.parquet, got int64 - in .*b.parquet",
    ),
    "case": (pa.table({"X": [4], "s": ["c"]}), r"`x` of type int64 as in .*a.parquet, got no such column .*It has `X`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsafe_difference_is_refused_with_file_column_and_types(tmp_path: Path, case: str) -> None:
    other, message = REFUSED[case]
    with pytest.raises(SchemaError, match=message):
        bigml.read_parquet(two(tmp_path, other))


def test_times_with_and_without_a_zone_are_refused(tmp_path: Path) -> None:
    naive = pa.table({"t": pa.array([NOON] * 2, pa.timestamp("us"))})
    aware = pa.table({"t": pa.array([NOON], pa.timestamp("us", "UTC"))})
    with pytest.raises(SchemaError, match=r"`t` of type timestamp\[us\] as in .*got timestamp\[us, tz=UTC\] - in .*b.parquet"):
        bigml.read_parquet(two(tmp_path, aware, naive))


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_fit_is_set_aside_and_its_rows_are_counted(tmp_path: Path, case: str) -> None:
    source = bigml.read_parquet(two(tmp_path, REFUSED[case][0]), on_mismatch="quarantine")
    assert source.n_rows == source.count() == 3
    assert [(Path(file.path).name, file.rows) for file in source.quarantined] == [("b.parquet", 1)]
    assert "Expected" in source.quarantined[0].reason
    assert "quarantined: 1 files, 1 rows" in repr(source)
    assert "quarantined: 1 files, 1 rows" in repr(source.where("x > 1").select("s"))
    assert "b.parquet" in source._repr_html_()


def test_the_odd_file_is_set_aside_even_when_it_comes_first(tmp_path: Path) -> None:
    source = bigml.read_parquet(two(tmp_path, BASE, pa.table({"x": ["odd"], "s": ["c"]})), on_mismatch="quarantine")
    assert [Path(file.path).name for file in source.quarantined] == ["a.parquet"]
    assert source.to_pandas()["x"].tolist() == [1, 2, 3]


def test_rows_in_are_rows_used_and_rows_quarantined(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    total = 0
    for i in range(12):
        n = int(rng.integers(1, 20))
        column: Any = ["text"] * n if i % 4 == 3 else list(range(n))
        pq.write_table(pa.table({"x": column}), tmp_path / f"{i:02d}.parquet")
        total += n
    source = bigml.read_parquet(tmp_path, on_mismatch="quarantine")
    assert source.count() + sum(file.rows for file in source.quarantined) == total
    assert len(source.quarantined) == 3


def test_columns_that_are_not_read_may_drift(tmp_path: Path) -> None:
    source = bigml.read_parquet(two(tmp_path, pa.table({"x": [4], "s": [7], "more": [1]})), columns=["x"])
    assert source.to_pandas()["x"].tolist() == [1, 2, 3, 4]


def test_types_settle_a_difference(tmp_path: Path) -> None:
    source = bigml.read_parquet(two(tmp_path, pa.table({"x": ["4"], "s": ["c"]})), types={"x": "int64"})
    assert source.to_pandas()["x"].tolist() == [1, 2, 3, 4]
    source = bigml.read_parquet(tmp_path, types={"x": "string"})
    assert source.to_pandas()["x"].tolist() == ["1", "2", "3", "4"]
    pq.write_table(pa.table({"x": ["four"], "s": ["c"]}), tmp_path / "c.parquet")
    with pytest.raises(SourceError, match="`x` does not convert from string to int64"):
        bigml.read_parquet(tmp_path, types={"x": "int64"}).to_pandas()


def test_a_column_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="each column once"):
        bigml.read_parquet(tmp_path)


KINDS = [
    pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint16(), pa.uint64(), pa.float32(), pa.float64(), pa.string(),
    pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"),
    pa.timestamp("ms"), pa.binary(), pa.decimal128(5, 2), pa.list_(pa.int64()),
]  # fmt: skip


@pytest.mark.parametrize("left", KINDS, ids=str)
def test_common_type_does_not_depend_on_the_order(left: pa.DataType) -> None:
    assert [common_type(left, right) for right in KINDS] == [common_type(right, left) for right in KINDS]
    assert common_type(left, left) == left
    assert common_type(left, pa.null()) == left
