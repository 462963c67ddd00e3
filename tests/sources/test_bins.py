"""Bins are those of pandas.cut, whatever the edges; by quantiles they are about equally large."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import ConfigError, SchemaError

NUMBERS = st.none() | st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 1.0, 1.5, 2.0, 7.0, np.inf]) | st.floats(allow_nan=True)
EDGES = st.lists(st.sampled_from([-np.inf, -2.0, 0.0, 1.0, 1.5, 7.0, np.inf]), min_size=2, unique=True).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=20), EDGES, st.booleans())
def test_bins_are_those_of_pandas(values, edges, right):
    rows = bigml.from_arrow(pa.table({"x": pa.array(values, pa.float64())}))
    found = rows.assign(k=bigml.col("x").cut(edges, right=right)).to_pandas()["k"]
    series = pd.Series([np.nan if value is None else value for value in values], dtype=float)
    expected = pd.cut(series, edges, right=right, labels=False)
    np.testing.assert_array_equal(found.astype(float), expected.astype(float))


@pytest.mark.parametrize(("right", "values", "expected"), [(True, [0, 1, 2], [0, 0, 1]), (False, [0, 1, 2], [0, 1, 1])])
def test_the_outermost_edge_can_belong_to_its_bin(right, values, expected):
    rows = bigml.from_arrow(pa.table({"x": values}))
    found = rows.assign(k=bigml.col("x").cut([0, 1, 2], right=right, include_lowest=True)).to_pandas()["k"]
    assert found.tolist() == expected


def test_bins_by_quantiles_have_about_as_many_rows_each():
    frame = pd.DataFrame({"x": np.random.default_rng(0).lognormal(size=4000)})
    rows = bigml.from_pandas(frame, part_rows=900)
    edges = rows.quantile([0, 0.25, 0.5, 0.75, 1], ["x"]).compute()["x"]
    sizes = rows.groupby(quarter=bigml.col("x").cut(edges, include_lowest=True)).size().compute()["size"]
    assert sizes.index.tolist() == [0, 1, 2, 3]
    assert sizes.sum() == 4000
    assert (abs(sizes - 1000) <= 1).all()


def test_edges_that_make_no_bins_and_columns_that_are_no_numbers_are_refused():
    for edges in ([1], [], [2, 1], [1, 1], [0, np.nan]):
        with pytest.raises(ConfigError, match="ascending"):
            bigml.col("x").cut(edges)
    with pytest.raises(SchemaError, match="numbers"):
        bigml.from_arrow(pa.table({"x": ["a"]})).assign(k=bigml.col("x").cut([0, 1]))
