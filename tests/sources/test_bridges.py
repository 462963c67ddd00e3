"""Bridges: pandas, Arrow, polars and dask in and out; data sets written and read back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask.dataframe.utils import assert_eq

import bigml
from bigml.errors import BudgetError, ColumnError, DataError, SchemaError, SourceError, WriteError
from bigml.graph.scan import read
from bigml.sources.bridges import WritePart
from bigml.sources.manifest import Manifest
from bigml.sources.writing import dataset
from bigml.testing import CountingSource, check_source

FRAME = pd.DataFrame(
    {
        "x": [1, 2, 3, 4, 5],
        "y": [1.5, np.nan, 3.5, 4.5, 5.5],
        "s": ["a", None, "c", "a", "é"],
        "t": pd.date_range("2014-01-01", periods=5),
        "b": [True, False, True, True, False],
    }
)
TABLE = pa.Table.from_pandas(FRAME)


def source(part_rows: int = 2) -> bigml.Source:
    return bigml.from_pandas(FRAME, part_rows=part_rows)


def test_pandas_goes_in_and_comes_out() -> None:
    check_source(source())
    pd.testing.assert_frame_equal(source().to_pandas(), FRAME)
    index = FRAME.set_index("x")
    assert bigml.from_pandas(index).columns == ("y", "s", "t", "b")


def test_categories_come_out_as_text() -> None:
    made = bigml.from_pandas(FRAME.assign(s=FRAME.s.astype("category")), part_rows=2)
    check_source(made)
    assert made.to_arrow()["s"].type == pa.string()
    assert made.where("s == 'a'").count() == 2


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()),
        pl.from_arrow(TABLE),
        FRAME,
    ],
    ids=["table", "batch", "reader", "polars", "pandas"],
)
def test_anything_with_arrow_data_goes_in(data: Any) -> None:
    made = bigml.from_arrow(data, part_rows=3)
    assert made.to_pandas()["x"].tolist() == [1, 2, 3, 4, 5]
    assert made.to_pandas()["s"].isna().sum() == 1


def test_polars_goes_in() -> None:
    frame = pl.DataFrame({"x": [1, 2, None], "c": pl.Series(["a", "b", "a"], dtype=pl.Categorical), "l": [[1], [], None]})
    made = bigml.from_polars(frame, part_rows=2)
    check_source(made)
    assert made.to_arrow().to_pylist() == frame.to_dicts()
    assert made.where("c == 'a'").count() == 2


def test_what_holds_no_rows_is_refused() -> None:
    with pytest.raises(SourceError, match="Arrow C stream"):
        bigml.from_arrow([1, 2])
    with pytest.raises(SourceError, match=r"a dask\.dataframe"):
        bigml.from_dask(FRAME)


def test_a_source_too_large_for_memory_is_refused_unless_told() -> None:
    large = bigml.from_arrow(pa.table({"x": np.zeros(100_000)}), part_rows=1_000)
    with pytest.raises(BudgetError, match=r"at most 97.7 KiB in memory, got about 781.2 KiB"):
        large.to_pandas(limit=100_000)
    assert len(large.to_pandas(limit=1_000_000)) == 100_000
    assert len(large.sample(10).to_pandas(limit=100_000)) == 10


def test_chunks_come_one_at_a_time() -> None:
    assert [chunk.n_rows for chunk in source().iter_chunks(["x"])] == [2, 2, 1]
    with pytest.raises(ColumnError, match="`z`"):
        source().iter_chunks(["z"])


@pytest.fixture(autouse=True)
def _pool() -> Iterator[None]:
    """A pool that ends with the test: Dask's own would live as long as the process."""
    with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):
        yield


@pytest.fixture
def partitions() -> Any:
    return dd.from_pandas(FRAME, npartitions=3, sort=False)


def test_a_dask_dataframe_is_a_source(partitions: Any) -> None:
    made = bigml.from_dask(partitions)
    check_source(made)
    pd.testing.assert_frame_equal(made.to_pandas(), FRAME)
    assert [part.n_rows for part in made.parts] == partitions.map_partitions(len).compute().tolist()
    assert made.where("x > 3").count() == 2


def test_partitions_are_computed_only_when_they_are_read(partitions: Any) -> None:
    seen: list[int] = []

    def spying(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(frame))
        return frame

    made = bigml.from_dask(partitions.map_partitions(spying, meta=FRAME.iloc[:0]))
    opened = len(seen)
    assert opened >= 3
    made.read(made.parts[1], ["x"])
    assert len(seen) == opened + 1


def test_empty_partitions_and_all_null_ones_are_joined(partitions: Any) -> None:
    emptied = partitions[partitions.x > 2]
    made = bigml.from_dask(emptied)
    check_source(made)
    assert made.to_pandas()["x"].tolist() == [3, 4, 5]
    none = dd.from_map(lambda i: pd.DataFrame({"s": [None] if i else ["a"]}), [0, 1], meta=pd.DataFrame({"s": ["a"]}))
    assert bigml.from_dask(none).to_arrow()["s"].to_pylist() == ["a", None]


def test_partitions_that_do_not_fit_are_refused() -> None:
    odd = dd.from_map(lambda i: pd.DataFrame({"x": ["text"] if i else [1]}), [0, 1], meta=pd.DataFrame({"x": [1]}))
    with pytest.raises(SchemaError, match="as in partition 0, got string - in partition 1"):
        bigml.from_dask(odd)


def test_a_dask_dataframe_of_a_source_has_a_partition_a_part() -> None:
    frame = source().to_dask_dataframe()
    assert frame.npartitions == 3
    computed = frame.compute(scheduler="synchronous")
    pd.testing.assert_frame_equal(computed, FRAME, check_dtype=False)
    assert computed.dtypes.to_dict() == frame.dtypes.to_dict()
    assert float(frame.y.mean().compute(scheduler="synchronous")) == FRAME.y.mean()


EVERY_TYPE = pa.table(
    {
        **{f"i{i}": pa.array([1, None, 3, None, None], kind) for i, kind in enumerate((pa.int8(), pa.int64(), pa.uint16()))},
        "large": [2**60 + 1, None, 3, 2**62 + 1, 5],
        "f": pa.array([1.5, None, 2.5, None, None], pa.float32()),
        "b": [True, None, False, None, None],
        "s": pa.array(["a", None, "b", None, None]),
        "c": pa.array(["a", None, "b", None, None]).dictionary_encode(),
        "d": pa.array([0, None, 2, None, None], pa.date32()),
        "t": pa.array([0, None, 2, None, None], pa.timestamp("us")),
        "u": pa.array([0, None, 2, None, None], pa.timestamp("ns", "America/New_York")),
        "z": pa.array([0, None, 2, None, None], pa.duration("ms")),
        "n": pa.nulls(5),
    }
)


@pytest.mark.parametrize("part_rows", [1, 2, 5])
def test_partitions_have_the_types_that_the_dask_dataframe_promises(part_rows: int) -> None:
    made = bigml.from_arrow(EVERY_TYPE, part_rows=part_rows).assign(half="i1 / 2", more="i0 + 1")
    frame = made.to_dask_dataframe()
    for i in range(frame.npartitions):
        part = frame.partitions[i].compute(scheduler="synchronous")
        pd.testing.assert_series_equal(part.dtypes, frame.dtypes)
    wanted = made.to_pandas().astype(
        {"i0": "Int8", "i1": "Int64", "i2": "UInt16", "large": "Int64", "b": "boolean", "more": "Int64"}
    )
    wanted["large"] = pd.array(EVERY_TYPE["large"].to_pylist(), dtype="Int64")
    assert_eq(frame, wanted, scheduler="synchronous", check_index=False)
    assert frame.large.max().compute(scheduler="synchronous") == 2**62 + 1
    assert_eq(frame.where(frame.i0 > 1).i1.sum(), wanted.where(wanted.i0 > 1).i1.sum(), scheduler="synchronous")


def test_a_dask_array_knows_its_chunks() -> None:
    array = source().to_dask_array(["x", "y"])
    assert array.chunks == ((2, 2, 1), (2,))
    np.testing.assert_array_equal(array.compute(scheduler="synchronous"), FRAME[["x", "y"]].to_numpy())
    filtered = source().where("x != 3 and x != 4").to_dask_array(["x"], dtype="float32")
    assert filtered.chunks == ((2, 1), (1,))
    assert filtered.dtype == filtered.compute(scheduler="synchronous").dtype == np.float32
    assert source().where("x > 9").to_dask_array(["x"]).shape == (0, 1)


def test_a_dask_array_of_counted_rows_reads_nothing() -> None:
    counting = CountingSource(source())
    array = counting.head(3).to_dask_array(["x"])
    assert array.chunks == ((2, 1), (1,))
    assert counting.reads == []
    assert array.compute(scheduler="synchronous").ravel().tolist() == [1, 2, 3]


def test_a_dask_array_feeds_what_needs_known_sizes() -> None:
    array = source().to_dask_array(["x", "b"])
    with dask.config.set(scheduler="synchronous"):
        gram = (array.T @ array).compute()
        assert array[array[:, 0] > 2].compute().shape == (3, 2)
    wanted = FRAME[["x", "b"]].astype(float).to_numpy()
    np.testing.assert_allclose(gram, wanted.T @ wanted)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = source().write_parquet(tmp_path / "out", progress=False)
    assert isinstance(manifest, Manifest)
    assert (manifest.rows, len(manifest.files)) == (5, 3)
    back = bigml.read_parquet(tmp_path / "out")
    check_source(back)
    pd.testing.assert_frame_equal(back.to_pandas(), FRAME, check_dtype=False)


def test_views_are_written_and_empty_parts_make_no_file(tmp_path: Path) -> None:
    manifest = source(1).where("x in [2, 4]").assign(z="x * 2").select("z").write_parquet(tmp_path, progress=False)
    assert (manifest.rows, len(manifest.files)) == (2, 2)
    assert bigml.read_parquet(tmp_path).to_pandas()["z"].tolist() == [4, 8]
    source().where("x > 9").write_parquet(tmp_path, progress=False)
    assert bigml.read_parquet(tmp_path).n_rows == 0
    assert bigml.read_parquet(tmp_path).columns == ("x", "y", "s", "t", "b")


def test_a_data_set_can_be_rewritten_from_itself(tmp_path: Path) -> None:
    source().write_parquet(tmp_path, progress=False)
    bigml.read_parquet(tmp_path).where("x > 2").write_parquet(tmp_path, progress=False)
    assert bigml.read_parquet(tmp_path).to_pandas()["x"].tolist() == [3, 4, 5]


def test_a_failure_in_a_part_leaves_the_old_data(tmp_path: Path) -> None:
    source().write_parquet(tmp_path, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def failing(frame: pd.DataFrame) -> pd.Series[Any]:
        if (frame.x > 4).any():
            raise RuntimeError("no")
        return frame.x

    with pytest.raises(RuntimeError, match="no"):
        source().assign(z=failing).write_parquet(tmp_path, progress=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_part_written_twice_leaves_the_files_and_rows_of_one(tmp_path: Path) -> None:
    made = source()
    with dataset(tmp_path, made.schema) as writer:
        write = WritePart(writer.target)
        for part in made.parts:
            chunk = next(read(made, (part,), made.columns))
            first, second = write(part, chunk), write(part, chunk)
            assert first == second
            writer.add(second)
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    assert bigml.read_parquet(tmp_path).count() == 5


def test_progress_counts_the_parts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source().write_parquet(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


def test_partitioned_data_is_pruned_by_its_folders(tmp_path: Path) -> None:
    source().write_parquet(tmp_path, partition_by="s", progress=False)
    back = bigml.read_parquet(tmp_path)
    assert sorted(back.to_pandas()["x"]) == [1, 2, 3, 4, 5]
    view = back.where("s == 'a'")
    assert view.stored_rows == 2
    assert sorted(view.to_pandas()["x"]) == [1, 4]
    with pytest.raises(ColumnError, match="`nope`"):
        source().write_parquet(tmp_path, partition_by="nope")


def test_other_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(WriteError, match="thesis"):
        source().write_parquet(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_arrays_are_written_part_after_part(tmp_path: Path) -> None:
    made = source().where("x != 2")
    manifest = made.write_memmap(tmp_path, columns=["x", "y"], target="b", dtype="float64")
    assert manifest.rows == 4
    back = bigml.read_memmap(tmp_path)
    np.testing.assert_array_equal(back.to_pandas()[["x", "y"]], FRAME.drop(index=1)[["x", "y"]].astype(float))
    assert back.to_pandas()["b"].tolist() == [1, 1, 1, 0]
    with pytest.raises(SchemaError, match="numeric"):
        source().write_memmap(tmp_path, columns=["s"])
    with pytest.raises(DataError, match="target without nulls"):
        bigml.from_arrow(pa.table({"x": [1.0], "y": pa.array([None], pa.int64())})).write_memmap(tmp_path, target="y")
    assert bigml.read_memmap(tmp_path).n_rows == 4


def test_pandas_and_polars_read_what_is_written(tmp_path: Path) -> None:
    source().write_parquet(tmp_path, progress=False)
    files = [str(path) for path in bigml.sources.manifest.Manifest.load(tmp_path).paths(tmp_path)]
    assert pl.read_parquet(files)["x"].to_list() == [1, 2, 3, 4, 5]
    assert pd.concat(pd.read_parquet(file) for file in files)["x"].tolist() == [1, 2, 3, 4, 5]
    assert pq.ParquetFile(files[0]).schema_arrow.names == list(FRAME.columns)
