"""The first rows of each group against pandas."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.reducer import reduce_chunks
from bigml.stats.top import top_rows
from bigml.testing import check_reducer

VALUES = {
    "real": (pa.float64(), st.sampled_from([None, 0.0, -0.0, 1.5, -1.5, float("nan"), float("inf"), float("-inf")])),
    "whole": (pa.int64(), st.sampled_from([None, -(2**63), 2**63 - 1, 0, 1])),
    "natural": (pa.uint64(), st.sampled_from([None, 0, 1, 2**63, 2**64 - 1])),
    "text": (pa.string(), st.sampled_from([None, "", "a", "b", "é"])),
    "flag": (pa.bool_(), st.sampled_from([None, True, False])),
    "time": (pa.timestamp("us"), st.sampled_from([None, dt.datetime(1969, 1, 1), dt.datetime(2020, 1, 1)])),
    "price": (pa.decimal128(5, 2), st.sampled_from([None, Decimal("1.20"), Decimal("-0.30")])),
}


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, pa.Table]:
    name = draw(st.sampled_from(list(VALUES)))
    kind, values = VALUES[name]
    rows = draw(st.lists(st.tuples(st.sampled_from(["a", "b", None]), values), min_size=1, max_size=25))
    keys, column = zip(*rows, strict=True)
    return name, pa.table({"k": pa.array(keys, pa.string()), name: pa.array(column, kind), "i": np.arange(len(rows))})


@settings(max_examples=20, deadline=None)
@given(
    made=tables(),
    n=st.sampled_from([1, 2, 70]),
    size=st.integers(1, 25),
    options=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_table_has_the_first_rows_that_pandas_tells(
    made: tuple[str, pa.Table], n: int, size: int, options: tuple[bool, bool, bool]
) -> None:
    (column, table), (ascending, dropna, sort) = made, options
    reducer = top_rows("k", n, column, schema=table.schema, ascending=ascending, dropna=dropna, sort=sort)
    found = check_reducer(reducer, chunks_of(table, size))
    frame = Chunk.from_arrow(table).to_pandas()
    values = table[column].to_pylist()
    known = [i for i, value in enumerate(values) if pd.notna(value)]
    # Python's sort keeps the order of equal ones in either direction.
    order = sorted(known, key=values.__getitem__, reverse=not ascending) + sorted({*range(len(values))} - {*known})
    expected = frame.iloc[order].groupby("k", dropna=dropna).head(n)
    expected = expected.sort_values("k", kind="stable", na_position="last") if sort else expected.sort_index()
    pd.testing.assert_frame_equal(found, expected, check_index_type=False)


@pytest.mark.parametrize("n", [3, 100])
def test_many_groups_have_the_rows_of_nlargest(n: int) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"a": rng.integers(0, 40, 3000), "b": rng.choice(["x", "y", "z"], 3000), "v": rng.normal(size=3000)})
    found = bigml.from_pandas(frame, part_rows=450).groupby(["b", "a"]).top(n, by="v").compute(progress=False)
    expected = frame.groupby(["b", "a"])[["v"]].apply(lambda group: group.nlargest(n, "v"))
    assert found.index.tolist() == expected.index.get_level_values(2).tolist()
    pd.testing.assert_frame_equal(found, frame.loc[found.index])


def test_dictionaries_that_differ_and_nested_columns_travel_along() -> None:
    parts = [pa.table({"k": pa.array(keys).dictionary_encode(), "x": x, "l": [[one] for one in x]}) for keys, x in PIECES]
    chunks = [Chunk.from_arrow(table, 10 * i) for i, table in enumerate(parts)]
    found = reduce_chunks(top_rows("k", 1, "x", schema=parts[0].schema), chunks)
    assert found.to_dict("list") == {"k": ["a", "b", "z"], "x": [5, 9, 7], "l": [[5], [9], [7]]}
    assert found.index.tolist() == [11, 1, 10]


PIECES = [(["b", "b", "a"], [1, 9, 3]), (["z", "a"], [7, 5])]


def test_a_filter_that_leaves_no_row_leaves_no_group() -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": [1, 2], "x": [1.0, 2.0]})).where("x > 5")
    assert source.groupby("k").top(2, by="x").compute(progress=False).shape == (0, 2)


def test_mistakes_are_named() -> None:
    table = pa.table({"k": [1], "x": [1.0], "l": [[1]]})
    groups = bigml.from_arrow(table).groupby("k")
    with pytest.raises(ConfigError, match="a number of rows from 1 on, got 0"):
        groups.top(0, by="x")
    with pytest.raises(ColumnError, match="named `y`"):
        groups.top(1, by="y")
    with pytest.raises(SchemaError, match="values can be ordered, got type list"):
        groups.top(1, by="l")
