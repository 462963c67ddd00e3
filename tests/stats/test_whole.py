"""Aggregations of whole sources against pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.whole import aggregated
from bigml.testing import check_reducer

ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(-50, 50)), st.sampled_from(["", "a", "b", None])), min_size=1, max_size=30
)


def table_of(rows: list[Any]) -> pa.Table:
    numbers, texts = zip(*rows, strict=True)
    return pa.table({"x": pa.array(numbers, pa.float64()), "s": pa.array(texts, pa.string())})


@settings(max_examples=10, deadline=None)
@given(rows=ROWS, size=st.integers(1, 30))
def test_any_table_aggregates_as_in_pandas(rows: list[Any], size: int) -> None:
    table = table_of(rows)
    chunks = [Chunk.from_arrow(table.slice(at, size), at) for at in range(0, len(rows), size)]
    wanted = {"x": ["count", "sum", "mean", "std", "min", "size"], "s": ["count", "nunique"]}
    frame = Chunk.from_arrow(table).to_pandas()
    found = check_reducer(aggregated(wanted, schema=table.schema), chunks)
    pd.testing.assert_frame_equal(found, frame.agg(wanted), rtol=1e-12)
    flat = {"x": "mean", "s": "count"}
    pd.testing.assert_series_equal(check_reducer(aggregated(flat, schema=table.schema), chunks), frame.agg(flat), rtol=1e-12)


def test_what_pandas_has_for_groups_only_is_there_too() -> None:
    source = bigml.from_arrow(table_of([(3, "b"), (None, None), (1, "a")]), part_rows=2)
    found = source.agg({"x": ["first", "last", "p25"]}, s="max").compute(progress=False)
    assert found["x"].tolist()[:3] == [3.0, 1.0, 1.5]
    assert found.loc["max", "s"] == "b"
    assert "0.1 %" in found.attrs["error"]["x:p25"]


def test_a_source_without_rows_gives_what_pandas_gives_for_an_empty_frame() -> None:
    source = bigml.from_arrow(table_of([(3, "b")])).where("x > 5")
    found = source.agg(x=["count", "sum", "mean", "min", "skew"]).compute(progress=False)["x"]
    assert found.tolist()[:2] == [0, 0]
    assert np.isnan(found.tolist()[2:]).all()


def test_mistakes_are_named() -> None:
    source = bigml.from_arrow(table_of([(3, "b")]))
    with pytest.raises(ColumnError, match="`y`"):
        source.agg(y="mean")
    with pytest.raises(ConfigError, match="at least one"):
        source.agg()
    with pytest.raises(ConfigError, match="aggregations by column"):
        source.agg("mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["p101", "p100.5", "p-1", "p995"])
def test_percentiles_beyond_0_and_100_are_refused(name: str) -> None:
    source = bigml.from_arrow(table_of([(3, "b")]))
    for plan in (source.agg, source.groupby("s").agg):
        with pytest.raises(ConfigError, match=f"a percentile from p0 to p100, got `{name}` - column `x`"):
            plan(x=["mean", name])


@pytest.mark.parametrize("name", ["mean", "sum", "median", "skew", "kurt", "p95", "var"])
def test_aggregates_that_make_no_sense_for_text_are_refused_with_those_that_do(name: str) -> None:
    source = bigml.from_arrow(table_of([(3, "b")]))
    with pytest.raises(
        SchemaError, match=f"a column that has a `{name}`, got type .*string - column `s`. Use one of: size, count"
    ):
        source.agg(s=name)
