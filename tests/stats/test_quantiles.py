"""Quantiles of columns are those of pandas, exact for few distinct values, in any chunking."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats import ticks
from bigml.stats.quantiles import quantiles
from bigml.testing import check_reducer

VALUES = st.lists(st.none() | st.floats(-1e6, 1e6), max_size=12)
SHARES = [0.0, 0.1, 0.5, 0.75, 0.999, 1.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_they_are_those_of_pandas_however_the_rows_are_cut(parts):
    tables = [pa.table({"x": pa.array(part, pa.float64()), "n": pa.array(range(len(part)), pa.int8())}) for part in parts]
    reducer = quantiles(SHARES, schema=tables[0].schema)
    found = check_reducer(reducer, [Chunk.from_arrow(table) for table in tables])
    expected = pa.concat_tables(tables).to_pandas().astype(float).quantile(SHARES)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_many_distinct_values_are_off_by_as_much_as_is_told_at_most():
    frame = pd.DataFrame({"x": np.random.default_rng(0).lognormal(sigma=3, size=200_000)})
    found = bigml.from_pandas(frame, part_rows=70_000).quantile(SHARES).compute()
    bound = float(found.attrs["error"]["x"].split()[2]) / 100
    assert 0 < bound < 0.01
    np.testing.assert_allclose(found["x"], np.quantile(frame["x"], SHARES), rtol=bound)


def test_zeros_stay_zero_among_many_distinct_values():
    made = np.random.default_rng(0)
    values = np.where(made.random(100_000) < 0.7, 0.0, made.lognormal(sigma=5, size=100_000)) - (np.arange(100_000) == 7)
    rows = bigml.from_pandas(pd.DataFrame({"x": values}), part_rows=30_000)
    assert rows.quantile([0.1, 0.5]).compute()["x"].tolist() == [0.0, 0.0]
    assert rows.describe().compute().loc["50%", "x"] == 0.0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_negative_zero_is_no_value_of_its_own(size, monkeypatch):
    monkeypatch.setattr(ticks, "FEW", 4)
    monkeypatch.setattr(ticks, "CELLS", 4)
    rows = bigml.from_pandas(pd.DataFrame({"x": [-0.0, 0.0, 1.0, 1.3, 1.9]}), part_rows=size)
    assert rows.quantile([0.25, 0.5, 0.75]).compute()["x"].tolist() == [0.0, 1.0, 1.3]


def test_one_share_columns_without_values_and_booleans():
    frame = pd.DataFrame({"x": [np.nan, np.nan], "b": [True, False], "s": ["a", "b"]})
    found = bigml.from_pandas(frame).quantile(0.25).compute()
    assert found.index.tolist() == [0.25]
    assert found["b"].tolist() == [0.25]
    assert found["x"].isna().all()
    assert bigml.from_pandas(frame).quantile(np.float32(0.25)).compute().equals(found)


def test_what_lies_between_an_infinity_and_a_number_is_infinite():
    inf = np.inf
    frame = pd.DataFrame({"k": list("aabbccdddd"), "x": [-inf, 1.0, 1.0, inf, -inf, inf, 2.0, -inf, 1.0, -inf]})
    rows = bigml.from_pandas(frame)
    found = rows.groupby("k").agg(x=["p25", "median"]).compute()["x"]
    np.testing.assert_array_equal(found["p25"], [-inf, inf, np.nan, -inf])
    np.testing.assert_array_equal(found["median"], frame.groupby("k")["x"].median())
    for key, expected in (("a", -inf), ("b", inf), ("c", np.nan), ("d", -inf)):
        np.testing.assert_array_equal(rows.where(f"k == '{key}'").quantile(0.5, ["x"]).compute()["x"], expected)


def test_what_makes_no_sense_is_refused():
    rows = bigml.from_pandas(pd.DataFrame({"x": [1.0], "s": ["a"]}))
    for shares in (1.5, -0.1, [], float("nan"), None, "half", ["half"]):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            rows.quantile(shares)
    with pytest.raises(SchemaError, match="numbers"):
        rows.quantile(0.5, ["s"])
    with pytest.raises(ColumnError, match="nothing"):
        rows.quantile(0.5, ["nothing"])
    with pytest.raises(SchemaError, match="numbers"):
        rows.select("s").quantile(0.5)
