"""Shares and ranks of groups against pandas."""

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
from bigml.errors import ConfigError, SchemaError
from bigml.stats.groupby import grouped
from bigml.testing import check_reducer

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.one_of(st.none(), st.integers(-9, 9).map(float))),
    min_size=1,
    max_size=30,
)
SUMS = ["size", "count", "sum"]
METHODS = ["average", "min", "max", "first", "dense"]


@settings(max_examples=10, deadline=None)
@given(rows=ROWS, size=st.integers(1, 30), method=st.sampled_from(METHODS), options=st.tuples(*[st.booleans()] * 3))
def test_any_table_has_the_shares_and_ranks_of_pandas(rows: list[Any], size: int, method: str, options: tuple[bool, ...]) -> None:
    ascending, dropna, sort = options
    how: Any = method
    keys, values = zip(*rows, strict=True)
    table = pa.table({"k": pa.array(keys, pa.string()), "x": pa.array(values, pa.float64())})
    names = [*SUMS, "mean", "max"]
    ranks = [bigml.rank(name, ascending=ascending, method=method) for name in names]
    wanted: Any = {"x": [*names, *map(bigml.share, SUMS), *ranks]}
    reducer = grouped("k", wanted, schema=table.schema, dropna=dropna, sort=sort)
    found = check_reducer(reducer, [Chunk.from_arrow(table.slice(at, size), at) for at in range(0, len(rows), size)])["x"]
    groups = Chunk.from_arrow(table).to_pandas().groupby("k", dropna=dropna, sort=sort)["x"]
    for name in names:
        expected = groups.agg(name).rank(ascending=ascending, method=how)
        pd.testing.assert_series_equal(found[f"rank of {name}"], expected, check_names=False)
    for name in SUMS:
        total = groups.agg(name)
        expected = total / (total.sum() or np.nan)
        pd.testing.assert_series_equal(found[f"share of {name}"], expected, check_names=False, rtol=1e-12)


def test_shares_and_ranks_of_weighted_aggregates_stand_alone() -> None:
    frame = pd.DataFrame({"k": [1, 1, 2, 3], "x": [1, 2, 4, 3], "w": [1, 3, 5, 0]})
    plan = bigml.from_pandas(frame).groupby("k").agg(x=bigml.rank(bigml.weighted("sum", by="w")), w=bigml.share("sum"))
    assert plan.compute(progress=False).to_dict("list") == {"x": [2.0, 3.0, 1.0], "w": [4 / 9, 5 / 9, 0.0]}


def test_times_have_ranks_of_counts_alone() -> None:
    frame = pd.DataFrame({"k": [1, 1, 2], "t": pd.to_datetime(["2020-01-01", "2021-01-01", "2020-06-01"])})
    source = bigml.from_pandas(frame)
    assert source.groupby("k").agg(t=bigml.rank("count")).compute(progress=False)["t"].tolist() == [2.0, 1.0]
    with pytest.raises(SchemaError, match="numbers for `rank of max`, got type timestamp"):
        source.groupby("k").agg(t=bigml.rank("max"))


@pytest.mark.parametrize(("sums", "shares"), [([1.7e308, 1.7e308], [0.0, 0.0]), ([np.inf, -np.inf], [np.nan, np.nan])])
def test_a_total_that_no_float_holds_leaves_no_shares(sums: list[float], shares: list[float]) -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": [1, 2], "x": sums}))
    found = source.groupby("k").agg(x=bigml.share("sum")).compute(progress=False)["x"]
    np.testing.assert_array_equal(found, shares)


def test_mistakes_are_named(tmp_path: Any) -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": [1, 2], "x": [1.0, 2.0]}))
    with pytest.raises(ConfigError, match="one of size, count, sum, got `mean` - share"):
        bigml.share("mean")
    with pytest.raises(ConfigError, match="got `best` - method of rank"):
        bigml.rank("mean", method="best")
    with pytest.raises(ConfigError, match="Did you mean `mean`"):
        source.groupby("k").agg(x=bigml.rank("meen"))
    with pytest.raises(ConfigError, match="aggregations of all rows, got `share of sum`"):
        source.agg(x=bigml.share("sum"))
    with pytest.raises(ConfigError, match="group by group, got `share of sum`"):
        source.groupby("k").agg(x=bigml.share("sum")).write_parquet(tmp_path / "groups")
