"""Partition keys in the names of folders: columns of their own, and a reason not to open a file."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bigml
from bigml.errors import SchemaError
from bigml.sources import parquet
from bigml.testing import check_source


def tree(root: Path, *folders: str) -> Path:
    """One file of two rows in each folder."""
    for i, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        pq.write_table(pa.table({"x": [2 * i, 2 * i + 1]}), root / folder / "a.parquet")
    return root


def test_integer_keys_are_integers_and_the_rest_is_text(tmp_path: Path) -> None:
    folders = ("year=2013/origin=JFK", "year=2014/origin=San%20Jos%C3%A9", "year=2014/origin=LGA")
    source = bigml.read_parquet(tree(tmp_path, *folders))
    check_source(source)
    assert [(field.name, str(field.type)) for field in source.schema] == [("x", "int64"), ("year", "int64"), ("origin", "string")]
    frame = source.to_pandas()
    assert frame["year"].tolist() == [2013, 2013, 2014, 2014, 2014, 2014]
    assert frame["origin"].tolist() == ["JFK", "JFK", "LGA", "LGA", "San José", "San José"]


def test_the_default_partition_is_null(tmp_path: Path) -> None:
    source = bigml.read_parquet(tree(tmp_path, "k=1", "k=__HIVE_DEFAULT_PARTITION__"))
    assert source.to_arrow()["k"].to_pylist() == [1, 1, None, None]
    assert source.where("k == 1").count() == 2
    assert source.where(bigml.col("k").is_null()).count() == 2


def test_months_with_leading_zeros_are_integers_and_types_can_say_otherwise(tmp_path: Path) -> None:
    tree(tmp_path, "month=01", "month=12")
    assert bigml.read_parquet(tmp_path).to_arrow()["month"].to_pylist() == [1, 1, 12, 12]
    assert bigml.read_parquet(tmp_path, types={"month": "string"}).to_arrow()["month"].to_pylist() == ["01", "01", "12", "12"]
    with pytest.raises(SchemaError, match="partition key `month` of type date32"):
        bigml.read_parquet(tmp_path, types={"month": "date32"})


def test_a_glob_knows_the_keys_below_its_fixed_part(tmp_path: Path) -> None:
    tree(tmp_path, "year=2013", "year=2014", "other=1")
    source = bigml.read_parquet(f"{tmp_path}/year=*/*.parquet")
    assert source.columns == ("x", "year")
    assert bigml.read_parquet(tmp_path / "year=2013").columns == ("x",)
    assert bigml.read_parquet(f"{tmp_path}/year=*").columns == ("x", "year")


def test_keys_that_differ_between_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"partition keys .* as in .*"):
        bigml.read_parquet(tree(tmp_path, "a=1", "b=2"))
    assert bigml.read_parquet(tmp_path, partitioning=None).columns == ("x",)


def test_a_key_that_is_a_column_too_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "x=1")
    with pytest.raises(SchemaError, match="column `x` in files or in folders' names, got both"):
        bigml.read_parquet(tmp_path)
    assert bigml.read_parquet(tmp_path, partitioning=None).to_pandas()["x"].tolist() == [0, 1]


def test_keys_alone_are_read_without_opening_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = bigml.read_parquet(tree(tmp_path, "k=a", "k=b"))
    monkeypatch.setattr("bigml.sources.pages.opened", lambda *a, **k: pytest.fail("a file was opened"))
    monkeypatch.setattr("bigml.sources.footers.opened", lambda *a, **k: pytest.fail("a footer was read"))
    kept = source.where("k == 'b'")
    assert len(kept.parts) == 1
    assert kept.select("k").to_pandas()["k"].tolist() == ["b", "b"]


def test_neighbouring_files_under_one_key_are_combined_and_others_are_not(tmp_path: Path) -> None:
    for key, names in (("k=1", "ab"), ("k=2", "cde")):
        (tmp_path / key).mkdir()
        for name in names:
            pq.write_table(pa.table({"x": [1]}), tmp_path / key / f"{name}.parquet")
    source = bigml.read_parquet(tmp_path)
    assert [(part.n_rows, part.ref.keys) for part in source.parts] == [(2, (1,)), (3, (2,))]


def test_columns_may_name_keys_in_any_order(tmp_path: Path) -> None:
    source = bigml.read_parquet(tree(tmp_path, "k=a", "k=b"), columns=["k", "x"])
    assert source.columns == ("k", "x")
    assert bigml.read_parquet(tmp_path, columns=["x"]).columns == ("x",)
    assert bigml.read_parquet(tmp_path, columns=["k"]).to_pandas()["k"].tolist() == ["a", "a", "b", "b"]


def test_what_is_written_in_folders_is_read_back_in_its_types_and_order(tmp_path: Path) -> None:
    day = datetime.date(2014, 1, 1)
    table = pa.table(
        {
            "d": [day, day, None],
            "x": [1, 2, 3],
            "s": ["7", "../x", "a/b=c"],
            "b": [True, False, None],
        }
    )
    bigml.from_arrow(table).write_parquet(tmp_path, partition_by=["d", "s", "b"], progress=False)
    source = bigml.read_parquet(tmp_path)
    assert source.schema.equals(table.schema)
    assert sorted(source.to_arrow().to_pylist(), key=lambda row: row["x"]) == table.to_pylist()
    assert source.where("s == '7'").to_arrow().to_pylist() == table.slice(0, 1).to_pylist()
    assert not (tmp_path.parent / "x").exists()


def test_a_partitioned_folder_of_pandas_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": ["a", "b", "a"], "y": [1, 1, 2], "x": [1.0, 2.0, 3.0]})
    frame.to_parquet(tmp_path, partition_cols=["k", "y"])
    got = bigml.read_parquet(tmp_path).to_pandas().sort_values("x", ignore_index=True)
    assert got[["k", "y", "x"]].values.tolist() == frame.values.tolist()


def test_files_set_aside_do_not_count_for_keys(tmp_path: Path) -> None:
    tree(tmp_path, "k=1", "k=2")
    pq.write_table(pa.table({"x": ["odd"]}), tmp_path / "k=2" / "b.parquet")
    source = bigml.read_parquet(tmp_path, on_mismatch="quarantine")
    assert source.n_rows == 4
    assert isinstance(source, parquet.ParquetSource)
    assert len(source.quarantined) == 1
