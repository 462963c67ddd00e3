"""concat: several sources as one, with unified types and stable row numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import SchemaError
from bigml.sources.rows import NumberOfRows
from bigml.testing import CountingSource, check_source

ONE = pa.table({"x": pa.array([1, 2, None], pa.int32()), "k": ["a", "b", "a"]})
TWO = pa.table({"k": pa.array(["c", None]).dictionary_encode(), "x": [2.5, 3.5]})


def source(table: pa.Table, part_rows: int = 2) -> bigml.Source:
    return bigml.from_arrow(table, part_rows=part_rows)


def test_rows_follow_each_other_under_unified_types() -> None:
    both = bigml.concat(source(ONE), source(TWO), source(ONE))
    check_source(both)
    assert [(field.name, str(field.type)) for field in both.schema] == [("x", "double"), ("k", "string")]
    assert both.to_arrow().to_pydict() == {
        "x": [1.0, 2.0, None, 2.5, 3.5, 1.0, 2.0, None],
        "k": ["a", "b", "a", "c", None, "a", "b", "a"],
    }


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4), part_rows=st.integers(1, 5), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_splits_of_a_concatenation_do_not_depend_on_how_it_was_cut(sizes: list[int], part_rows: int, seed: int) -> None:
    ends = np.cumsum(sizes)
    tables = [pa.table({"x": np.arange(end - n, end)}) for n, end in zip(sizes, ends, strict=True)]
    pieces = bigml.concat(*(source(table, part_rows) for table in tables))
    whole = source(pa.concat_tables(tables), 1_000)
    check_source(pieces)
    for one, other in zip(pieces.split(test=0.4, seed=seed), whole.split(test=0.4, seed=seed), strict=True):
        assert one.to_pandas()["x"].tolist() == other.to_pandas()["x"].tolist()


def test_views_can_be_concatenated_and_concatenations_seen_through_views() -> None:
    filtered = source(ONE).where("x >= 1").rename(x="z").rename(z="x")
    both = bigml.concat(filtered, source(TWO)).assign(y="x + 1").where("y > 2.5")
    check_source(both)
    assert both.to_pandas()["y"].tolist() == [3.0, 3.5, 4.5]
    nested = bigml.concat(bigml.concat(source(ONE), source(TWO)), source(ONE))
    check_source(nested)
    assert nested.n_rows == 8


def test_row_numbers_count_stored_rows_through_all_sources() -> None:
    both = bigml.concat(source(ONE).where("x == 2"), source(TWO))
    assert np.concatenate([chunk.row_numbers for chunk in both.iter_chunks()]).tolist() == [1, 3, 4]
    assert both.n_rows is None
    assert both.count() == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (pa.table({"x": [1]}), "column `k` of type string as in source 0, got no such column - in source 1"),
        (pa.table({"x": [1], "k": ["a"], "z": [1]}), "no column `z`, as in source 0, got one of type int64 - in source 1"),
        (pa.table({"x": ["1"], "k": ["a"]}), "column `x` of type int32 as in source 0, got string - in source 1"),
    ],
)
def test_sources_that_do_not_fit_are_refused(other: pa.Table, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        bigml.concat(source(ONE), source(other))


def test_common_columns_are_kept_when_asked() -> None:
    wide = pa.table({"z": [9], "k": ["z"], "x": [7]})
    assert bigml.concat(source(ONE), source(wide), columns="common").columns == ("x", "k")
    with pytest.raises(SchemaError, match="same"):
        bigml.concat(source(ONE), columns="all")
    with pytest.raises(SchemaError, match="at least one source"):
        bigml.concat()


def test_lists_of_sources_are_concatenated_too() -> None:
    one, two = source(ONE), source(TWO)
    assert bigml.concat([one, two]).token == bigml.concat(one, two).token == bigml.concat(part for part in (one, two)).token
    assert bigml.concat([one], columns="common").n_rows == 3
    with pytest.raises(SchemaError, match="at least one source, got none"):
        bigml.concat([])
    with pytest.raises(SchemaError, match="sources, got `Table`"):
        bigml.concat(one, TWO)  # type: ignore[arg-type]


def test_one_scan_serves_plans_over_a_concatenation() -> None:
    counting = CountingSource(bigml.concat(source(ONE), source(TWO)))
    assert bigml.compute(counting.reduce(NumberOfRows()), counting.where("x > 2").reduce(NumberOfRows())) == (5, 2)
    assert counting.times_read == {0: 1, 1: 1, 2: 1}


def test_slices_of_row_groups_keep_their_runs_apart(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(100)}), tmp_path / "a.parquet")
    sliced = bigml.read_parquet(tmp_path, part_bytes=200)
    both = bigml.concat(sliced, sliced, source(ONE.select(["x"])))
    check_source(both)
    assert len({part.run for part in both.parts}) == 3


def test_sixteen_and_nineteen_column_files_share_their_columns(data_dir: Path) -> None:
    old = bigml.read_parquet(data_dir / "flights/sixteen_columns")
    new = bigml.read_parquet(data_dir / "flights/nineteen_columns")
    both = bigml.concat(old, new, columns="common")
    assert both.n_rows == 336_776 + 162_049 + 193_809 + 856_973
    assert set(both.columns) == set(old.columns)
    frames = [
        pd.read_parquet(path, columns=["carrier", "arr_delay"]) for path in sorted((data_dir / "flights").glob("*_columns/*"))
    ]
    wanted = pd.concat(frames).groupby("carrier")["arr_delay"].count()
    got = both.select("carrier", "arr_delay").to_pandas().groupby("carrier")["arr_delay"].count()
    pd.testing.assert_series_equal(got, wanted, check_index_type=False)
