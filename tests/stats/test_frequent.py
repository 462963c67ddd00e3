"""The most frequent values of columns, exact where few are distinct and within the stated bounds beyond."""

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
from bigml.stats import leading
from bigml.stats.leading import most_frequent
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer

KINDS: dict[str, Any] = {
    "text": (pa.string(), st.sampled_from([None, "", "a", "b", "é"])),
    "real": (pa.float64(), st.sampled_from([None, 0.0, -0.0, float("nan"), float("inf"), 1.5])),
    "whole": (pa.int64(), st.sampled_from([None, -(2**63), 2**63 - 1, 0])),
    "flag": (pa.bool_(), st.sampled_from([None, True, False])),
}


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, pa.Table]:
    name = draw(st.sampled_from(list(KINDS)))
    kind, values = KINDS[name]
    rows = draw(st.lists(st.tuples(st.sampled_from(["a", "b", None]), values), min_size=1, max_size=30))
    keys, column = zip(*rows, strict=True)
    return name, pa.table({"k": pa.array(keys, pa.string()), name: pa.array(column, kind)})


def counts_of(table: pa.Table, by: list[str], column: str, n: int) -> list[tuple[Any, ...]]:
    """Group, value and count of the most frequent values, from pandas."""
    frame = pd.DataFrame({name: table[name].to_pylist() for name in table.column_names}, dtype=object)
    frame = frame[frame[column].notna()].assign(count=1)
    counted = frame.groupby([*by, column])["count"].sum().reset_index()
    counted = counted.sort_values([*by, "count", column], ascending=[*[True] * len(by), False, True])
    best = counted.groupby(by, sort=False).head(n) if by else counted.head(n)
    return list(best.itertuples(index=False, name=None))


def told(found: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(found.reset_index().drop(columns="error").itertuples(index=False, name=None))


@settings(max_examples=10, deadline=None)
@given(made=tables(), n=st.integers(1, 4), size=st.integers(1, 30), grouped=st.booleans())
def test_few_distinct_values_are_counted_exactly(made: tuple[str, pa.Table], n: int, size: int, grouped: bool) -> None:
    column, table = made
    by = ["k"] if grouped else []
    found = check_reducer(most_frequent(column, n, schema=table.schema, by=by), chunks_of(table, size))
    assert told(found) == counts_of(table, by, column, n)
    assert not found["error"].any()


@settings(max_examples=10, deadline=None)
@given(made=tables(), sizes=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=st.integers(0, 99), grouped=st.booleans())
def test_beyond_the_limit_any_chunking_and_order_of_merges_gives_the_same(
    made: tuple[str, pa.Table], sizes: tuple[int, int], seed: int, grouped: bool
) -> None:
    column, table = made
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leading, "OF_ALL", (2, 2))
        patch.setattr(leading, "OF_GROUPS", (1, 2))
        reducer = most_frequent(column, 2, schema=table.schema, by=["k"] if grouped else [])
    expected = check_reducer(reducer, chunks_of(table, sizes[0]))
    states = [reducer.update(reducer.start(), chunk) for chunk in chunks_of(table, sizes[1])]
    state = reducer.start()
    for i in np.random.default_rng(seed).permutation(len(states)):
        state = reducer.merge(states[i], state)
    pd.testing.assert_frame_equal(reducer.finish(state), expected)


@pytest.mark.parametrize("as_text", [False, True])
def test_heavy_values_among_many_are_found_within_the_stated_bounds(as_text: bool) -> None:
    rng = np.random.default_rng(8)
    heavy = np.repeat(np.arange(1, 21), np.arange(1, 21) * 100)
    values = rng.permutation(np.concatenate([heavy, rng.integers(10**6, 10**9, 60_000)]))
    frame = pd.DataFrame({"x": values.astype(str) if as_text else values, "k": rng.integers(0, 2, len(values))})
    source = bigml.from_pandas(frame, part_rows=9_000)
    exact: Any = frame.groupby("k")["x"].value_counts()
    found, whole = bigml.compute(source.groupby("k").most_frequent("x", 5), source.most_frequent("x", 20), progress=False)
    for key in (0, 1):
        rows = found.loc[key]
        true = exact[key].reindex(rows.index)
        assert (true <= rows["count"]).all()
        assert (rows["count"] - rows["error"] <= true).all()
        assert set(rows.index) >= set(exact[key].index[:3])
    assert "missed with a probability below" in found.attrs["error"]
    pd.testing.assert_series_equal(whole["count"], frame["x"].value_counts().head(20), check_names=False)


def test_a_column_beyond_its_limit_keeps_what_the_sketch_promises() -> None:
    rng = np.random.default_rng(9)
    values = np.concatenate([np.repeat([7, 11], 3_000), rng.integers(10**6, 10**12, 90_000)])
    table = pa.table({"x": rng.permutation(values)})
    reducer = most_frequent("x", 2, schema=table.schema)
    found, other = (reduce_chunks(reducer, chunks_of(table, size)) for size in (96_000, 31_000))
    pd.testing.assert_frame_equal(found, other)
    assert sorted(found.index) == [7, 11]
    assert found["count"].between(3_000, 3_000 + found["error"]).all()
    assert found["error"].max() < 10


def test_columns_without_values_and_mistakes() -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": [1], "x": [None], "l": [[1]]}))
    assert source.most_frequent("x").compute(progress=False).empty
    assert source.groupby("k").most_frequent("x").compute(progress=False).empty
    with pytest.raises(ColumnError, match="named `y`"):
        source.most_frequent("y")
    with pytest.raises(SchemaError, match="plain values, got type list"):
        source.groupby("k").most_frequent("l")
    with pytest.raises(ConfigError, match="from 1 to 1,000, got 0"):
        source.most_frequent("k", 0)
