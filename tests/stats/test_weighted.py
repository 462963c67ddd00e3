"""Weighted aggregations against rows that are repeated, numpy, and exact fractions."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
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
from bigml.stats.groupby import grouped
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer, same

RULES = settings(max_examples=10, deadline=None)
FUNCTIONS = ("sum", "mean", "var", "std", "median", "p0", "p10", "p99.9", "p100")
WANTED = {"x": [bigml.weighted(name, by="w") for name in FUNCTIONS]}
VALUES = st.one_of(st.none(), st.just(float("nan")), st.integers(-1000, 1000).map(float))


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 3
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, KINDS, strict=True)], names=["k", "x", "w"])


KINDS = [pa.string(), pa.float64(), pa.float64()]


def rows_of(weights: Any) -> Any:
    return st.lists(st.tuples(st.sampled_from(["a", "b", None]), VALUES, weights), min_size=1, max_size=30)


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


@RULES
@given(rows=rows_of(st.one_of(st.none(), st.integers(0, 4).map(float))), size=st.integers(1, 30))
def test_whole_weights_are_rows_repeated(rows: list[Any], size: int) -> None:
    table = table_of(rows)
    found = check_reducer(grouped("k", WANTED, schema=table.schema), chunks_of(table, size))["x"]
    frame = Chunk.from_arrow(table).to_pandas()
    groups = frame.loc[frame.index.repeat(frame["w"].fillna(0).astype(int))].groupby("k")["x"]
    for name, q in {"median": 0.5, "p0": 0.0, "p10": 0.1, "p99.9": 0.999, "p100": 1.0}.items():
        expected = groups.apply(partial(least, q=q))
        pd.testing.assert_series_equal(found[f"{name} by w"], expected.reindex(found.index).astype(float), check_names=False)
    for name in ("sum", "mean", "var", "std"):
        expected = groups.agg(name).reindex(found.index)
        expected = expected.fillna(0.0) if name == "sum" else expected
        pd.testing.assert_series_equal(found[f"{name} by w"], expected, check_names=False, rtol=1e-12, atol=1e-12)


def least(values: pd.Series[Any], q: float) -> float:
    known = values.dropna().to_numpy()
    return float(np.quantile(known, q, method="inverted_cdf")) if len(known) else float("nan")


@RULES
@given(rows=rows_of(st.floats(0, 8, width=16)), one=st.integers(1, 30), seed=st.integers(0, 99))
def test_any_chunking_and_order_gives_the_same_bits(rows: list[Any], one: int, seed: int) -> None:
    table = table_of(rows)
    reducer = grouped("k", WANTED, schema=table.schema)
    shuffled = table.take(np.random.default_rng(seed).permutation(table.num_rows))
    found = [reduce_chunks(reducer, chunks_of(of, size)) for of, size in ((table, one), (table, 99), (shuffled, one))]
    assert same(found[0], found[1], rtol=0, atol=0)
    assert same(found[0], found[2], rtol=0, atol=0)


def test_weights_that_are_no_counts_give_the_unbiased_variance_of_numpy() -> None:
    rng = np.random.default_rng(1)
    values, weights = 1e9 + rng.normal(size=400), rng.gamma(1.0, size=400)
    source = bigml.from_pandas(pd.DataFrame({"x": values, "w": weights}), part_rows=37)
    found = source.agg(x=bigml.weighted("var", by="w", counts=False)).compute(progress=False)
    numbers, shares = [[Fraction(float(one)) for one in side] for side in (values, weights)]
    total = sum(shares)
    mean = sum(x * w for x, w in zip(numbers, shares, strict=True)) / total
    squares = sum(w * (x - mean) ** 2 for x, w in zip(numbers, shares, strict=True))
    assert found["x"] == pytest.approx(float(squares / (total - sum(w**2 for w in shares) / total)), rel=1e-15)
    assert found["x"] == pytest.approx(float(np.cov(values - 1e9, aweights=weights)), rel=1e-7)


def test_quantiles_are_within_the_stated_error_of_numpy() -> None:
    rng = np.random.default_rng(2)
    values, weights = rng.lognormal(size=3000), rng.gamma(1.0, size=3000)
    source = bigml.from_pandas(pd.DataFrame({"x": values, "w": weights}), part_rows=700)
    found = source.agg(x=[bigml.weighted(name, by="w") for name in ("p5", "median", "p99")]).compute(progress=False)
    expected = np.quantile(values, [0.05, 0.5, 0.99], weights=weights, method="inverted_cdf")
    np.testing.assert_allclose(found["x"], expected, rtol=2**-10)
    assert "0.1 %" in found.attrs["error"]["x:p99 by w"]


def test_infinities_equal_values_and_single_rows_behave_as_without_weights() -> None:
    inf = float("inf")
    table = pa.table({"k": list("aabbbcd"), "x": [1.0, inf, 0.1, 0.1, 0.1, 5.0, 2.0], "w": [1.0, 2.0, 0.3, 0.4, 0.5, 1.0, 0.0]})
    found = reduce_chunks(grouped("k", WANTED, schema=table.schema), chunks_of(table, 2))["x"]
    assert found.loc["a", ["mean by w", "p100 by w"]].tolist() == [inf, inf]
    assert np.isnan(found.loc["a", "var by w"])
    assert found.loc["b", ["mean by w", "var by w", "median by w"]].tolist() == pytest.approx([0.1, 0.0, 0.1], abs=0)
    assert np.isnan(found.loc["c", "std by w"])
    assert found.loc["c", "median by w"] == 5.0
    assert found.loc["d"].isna().tolist() == [False, *[True] * 8]


def test_weights_and_other_aggregations_are_asked_for_together() -> None:
    frame = pd.DataFrame({"k": [1, 1, 2], "x": [1, 2, 4], "w": [True, False, True]})
    source = bigml.from_pandas(frame, part_rows=2)
    found = source.groupby("k").agg(x=["mean", bigml.weighted("mean", by="w"), "max"], w="sum").compute(progress=False)
    names: list[Any] = list(found.columns)
    assert names == [("x", "mean"), ("x", "mean by w"), ("x", "max"), ("w", "sum")]
    assert found["x", "mean by w"].tolist() == [1.0, 4.0]
    flat = source.groupby("k").agg(x=bigml.weighted("mean", by="w")).compute(progress=False)
    assert flat["x"].tolist() == [1.0, 4.0]


@pytest.mark.parametrize(("weight", "got"), [(-1.0, "-1 in row 3"), (float("inf"), "inf in row 3")])
def test_negative_and_infinite_weights_are_refused_by_column_and_row(weight: float, got: str) -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": np.ones(4), "w": [1.0, 0.0, 2.0, weight]}), part_rows=2)
    for function in ("mean", "median"):
        with pytest.raises(DataError, match=f"{got} - column `w`"):
            source.agg(x=bigml.weighted(function, by="w")).compute(progress=False)


def test_mistakes_are_named() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": [1.0], "w": [1.0], "s": ["a"]}))
    with pytest.raises(ConfigError, match="takes weights, got `max`"):
        bigml.weighted("max", by="w")
    with pytest.raises(ConfigError, match="a percentile from p0 to p100, got `p101`"):
        bigml.weighted("p101", by="w")
    with pytest.raises(ColumnError, match="weights of `x`"):
        source.agg(x=bigml.weighted("mean", by="weight"))
    with pytest.raises(SchemaError, match="numbers for `weights`, got type large_string - column `s`"):
        source.agg(x=bigml.weighted("mean", by="s"))
    with pytest.raises(SchemaError, match="numbers for `mean by w`, got type large_string - column `s`"):
        source.agg(s=bigml.weighted("mean", by="w"))
