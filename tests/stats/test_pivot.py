"""Crosstabs and pivot tables against pandas."""

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
from bigml.errors import ColumnError, ConfigError, DataError, SchemaError
from bigml.stats.pivot import crosstab, pivot_table
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer

KEYS = (st.sampled_from(["", "a", "b", None]), st.sampled_from([None, 1, 2]), st.sampled_from(["x", "y", "z"]))
ROWS = st.lists(st.tuples(*KEYS, st.integers(-9, 9), st.sampled_from([None, 0.5, 1.5, float("nan")])), min_size=1, max_size=25)
TYPES = [pa.string(), pa.int32(), pa.string(), pa.int64(), pa.float64()]


def table_of(rows: list[Any]) -> pa.Table:
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), TYPES, strict=True)], names=[*"abcnv"]
    )


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


def frame_of(table: pa.Table) -> pd.DataFrame:
    return Chunk.from_arrow(table).to_pandas()


def with_keys(table: pa.Table, keys: list[str]) -> pd.DataFrame:
    """The rows that belong to groups; where others are among them, pandas may not sort what it unstacks."""
    return frame_of(table).dropna(subset=keys)


SIDES = st.sampled_from([(["a"], ["c"]), (["b"], ["a", "c"]), (["c", "a"], ["b"]), (["c", "b"], ["a"])])


@settings(max_examples=15, deadline=None)
@given(
    rows=ROWS,
    sides=SIDES,
    size=st.integers(1, 25),
    normalize=st.sampled_from([False, True, "all", "index", "columns"]),
    margins=st.booleans(),
)
def test_any_table_is_counted_as_in_pandas(rows: list[Any], sides: Any, size: int, normalize: Any, margins: bool) -> None:
    (index, columns), table = sides, table_of(rows)
    frame = with_keys(table, [*index, *columns])
    reducer = crosstab(index, columns, schema=table.schema, normalize=normalize, margins=margins)
    found = reduce_chunks(reducer, chunks_of(table, size))
    if frame.empty:
        assert found.empty
        return
    expected = pd.crosstab([frame[k] for k in index], [frame[k] for k in columns], normalize=normalize, margins=margins)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, sides=SIDES, size=st.integers(1, 25), aggfunc=st.sampled_from(["mean", "max", "count", "std"]))
def test_any_table_pivots_as_in_pandas(rows: list[Any], sides: Any, size: int, aggfunc: Any) -> None:
    (index, columns), table = sides, table_of(rows)
    frame = with_keys(table, [*index, *columns])
    if frame.empty:
        return
    for values in ("n", ["v", "n"]):
        reducer = pivot_table(values, index, columns, schema=table.schema, aggfunc=aggfunc)
        found = reduce_chunks(reducer, chunks_of(table, size))
        pd.testing.assert_frame_equal(found, frame.pivot_table(values, index, columns, aggfunc), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, sides=SIDES, size=st.integers(1, 25), aggfunc=st.sampled_from(["mean", "sum", "max", "count"]))
def test_margins_of_any_table_are_those_of_pandas(rows: list[Any], sides: Any, size: int, aggfunc: Any) -> None:
    (index, columns), table = sides, table_of(rows)
    frame = with_keys(table, [*index, *columns])
    if frame.empty:
        return
    reducer = pivot_table("n", index, columns, schema=table.schema, aggfunc=aggfunc, fill_value=0, margins=True)
    found = reduce_chunks(reducer, chunks_of(table, size))
    expected = frame.pivot_table("n", index, columns, aggfunc, fill_value=0, margins=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, check_dtype=False)


WANTED: list[Any] = ["count", ["mean", "count"], ["max"], {"n": ["min", "max"]}]


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, sides=SIDES, size=st.integers(1, 25), aggfunc=st.sampled_from(WANTED), fill=st.sampled_from([None, 0]))
def test_lists_of_aggregations_and_all_combinations_of_keys_are_those_of_pandas(
    rows: list[Any], sides: Any, size: int, aggfunc: Any, fill: Any
) -> None:
    (index, columns), table = sides, table_of(rows)
    frame = with_keys(table, [*index, *columns])
    for dropna in [True, False] if len(frame) else []:
        values = ["n"] if isinstance(aggfunc, dict) else ["v", "n"]
        options: Any = {"aggfunc": aggfunc, "fill_value": fill, "dropna": dropna}
        found = bigml.from_pandas(frame, part_rows=size).pivot_table(values, index, columns, **options).compute(progress=False)
        pd.testing.assert_frame_equal(found, frame.pivot_table(values, index, columns, **options), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, size=st.integers(1, 25), margins=st.booleans())
def test_rows_with_a_missing_key_are_kept_on_request_as_in_pandas(rows: list[Any], size: int, margins: bool) -> None:
    table = table_of(rows)
    options: Any = {"aggfunc": "count", "fill_value": 0, "dropna": False, "margins": margins}
    found = reduce_chunks(pivot_table("n", ["a"], ["c"], schema=table.schema, **options), chunks_of(table, size))
    pd.testing.assert_frame_equal(found, frame_of(table).pivot_table("n", "a", "c", **options))


def test_margins_stand_beside_each_of_several_aggregations() -> None:
    frame = flights()
    source = bigml.from_pandas(frame, part_rows=70)
    wanted: Any = {"aggfunc": ["mean", "max"], "margins": True, "margins_name": "Total"}
    found = source.pivot_table("delay", "day", "carrier", **wanted).compute(progress=False)
    pd.testing.assert_frame_equal(found, frame.pivot_table("delay", "day", "carrier", **wanted), rtol=1e-12)
    by_name: Any = {"delay": ["mean", "max"], "distance": "sum"}  # pandas has no margins of these
    whole = source.pivot_table(["delay", "distance"], "day", "carrier", aggfunc=by_name, margins=True).compute(progress=False)
    assert whole.loc["All", ("delay", "max", "All")] == frame.delay.max()
    assert whole.loc["All", ("distance", "sum", "UA")] == frame.distance[frame.carrier == "UA"].sum()
    assert whole.loc[3, ("delay", "mean", "All")] == pytest.approx(frame.delay[frame.day == 3].mean())


@pytest.mark.parametrize("dropna", [True, False])
def test_a_table_without_rows_is_empty(dropna: bool) -> None:
    nothing = bigml.from_pandas(flights()).where("distance < 0")
    for columns in ([], ["carrier"]):
        plan = nothing.pivot_table("delay", "day", columns, aggfunc=["mean", "max"], margins=True, dropna=dropna)
        assert plan.compute(progress=False).empty


def flights() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"day": rng.integers(1, 8, 600), "carrier": rng.choice(["AA", "UA", "DL"], 600)})
    return frame.assign(delay=rng.normal(size=600), distance=rng.integers(1, 3000, 600))


def test_methods_of_a_source_give_what_pandas_gives() -> None:
    frame = flights()
    source = bigml.from_pandas(frame, part_rows=70)
    plans = {
        source.crosstab("day", "carrier"): pd.crosstab(frame.day, frame.carrier),
        source.crosstab("day", "carrier", "delay", "mean", margins=True): pd.crosstab(
            frame.day, frame.carrier, frame.delay, aggfunc="mean", margins=True
        ),
        source.pivot_table("delay", "day", "carrier"): frame.pivot_table("delay", "day", "carrier"),
        source.pivot_table("delay", "day", aggfunc="max"): frame.pivot_table("delay", "day", aggfunc="max"),
        source.pivot_table(["distance", "delay"], "day", aggfunc="sum", margins=True): frame.pivot_table(
            ["distance", "delay"], "day", aggfunc="sum", margins=True
        ),
    }
    for found, expected in zip(bigml.compute(*plans, progress=False), plans.values(), strict=True):
        pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_each_value_may_have_its_own_aggregation_and_margins_fold_sketches() -> None:
    frame = flights()
    source = bigml.from_pandas(frame, part_rows=70)
    wanted: Any = {"delay": "std", "distance": "nunique"}
    found = source.pivot_table(["delay", "distance"], "day", "carrier", aggfunc=wanted, margins=True).compute(progress=False)
    expected = frame.pivot_table(["delay", "distance"], "day", "carrier", wanted, margins=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, check_dtype=False)
    weighted = bigml.weighted("median", by="distance")
    margin = source.pivot_table("delay", "day", "carrier", aggfunc=weighted, margins=True).compute(progress=False)
    whole = source.agg(delay=weighted).compute(progress=False)
    assert margin.loc["All", "All"] == whole["delay"]
    assert "0.1 %" in margin.attrs["error"]["delay:median by distance"]


def test_laws_hold_for_tables_with_margins() -> None:
    table = pa.Table.from_pandas(flights()[:60], preserve_index=False)
    reducer = pivot_table("delay", ["day"], ["carrier"], schema=table.schema, aggfunc="skew", margins=True)
    assert check_reducer(reducer, chunks_of(table, 13)).shape[1] == 4


def test_margins_tell_of_the_same_rows_as_the_cells() -> None:
    frame = pd.DataFrame({"k": [1, 1, 2], "c": ["x", "x", "y"], "v": [1.0, None, None], "n": [1, 2, 4]})
    found = bigml.from_pandas(frame).pivot_table(["v", "n"], "k", "c", aggfunc="sum", margins=True).compute(progress=False)
    assert found["n", "All"].tolist() == [3, 4, 7]
    assert found["v", "All"].tolist() == [1.0, 0.0, 1.0]


def test_mistakes_are_named() -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": [1], "c": ["All"], "v": [1.0]}))
    with pytest.raises(ConfigError, match="together, or neither, got values alone"):
        source.crosstab("k", "c", "v")
    with pytest.raises(ConfigError, match="got 'rows' - normalize"):
        source.crosstab("k", "c", normalize="rows")
    with pytest.raises(ConfigError, match="each of the values, got none - aggfunc of `v`"):
        source.pivot_table("v", "k", "c", aggfunc={})
    with pytest.raises(ConfigError, match="got one of another column - aggfunc of `k`"):
        source.pivot_table("v", "k", "c", aggfunc={"v": "mean", "k": "mean"})
    with pytest.raises(ConfigError, match="text, got 1 - margins_name"):
        source.pivot_table("v", "k", "c", margins_name=1)  # type: ignore[arg-type]
    with pytest.raises(ColumnError, match="named `w`"):
        source.pivot_table("w", "k", "c")
    with pytest.raises(SchemaError, match="has a `mean`"):
        source.pivot_table("c", "k")
    with pytest.raises(ConfigError, match="for the index"):
        source.pivot_table("v", [], "c")
    with pytest.raises(DataError, match=r"keys other than `All`.* column `c`"):
        source.crosstab("k", "c", margins=True).compute(progress=False)
    assert source.crosstab("k", "c", margins=True, margins_name="Sum").compute(progress=False).loc["Sum", "Sum"] == 1
