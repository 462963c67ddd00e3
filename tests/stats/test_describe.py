"""Describe, value counts, correlation and histogram against pandas and numpy on the same rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, DataError, SchemaError
from bigml.stats.correlation import correlation, covariance
from bigml.stats.counts import Tally, value_counts
from bigml.stats.describe import QUARTILES, describe
from bigml.stats.histogram import histogram
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer, same

RULES = settings(max_examples=20, deadline=None)
LAWS = settings(max_examples=8, deadline=None)
FLOATS = st.one_of(st.none(), st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
SMALL = st.one_of(st.none(), st.integers(-1000, 1000))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab"]))
ROWS = st.lists(
    st.tuples(SMALL, st.integers(-1000, 1000), TEXTS, st.booleans(), st.one_of(st.none(), st.booleans())), max_size=30
)


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


def frame_of(table: pa.Table) -> pd.DataFrame:
    return Chunk.from_arrow(table).to_pandas()


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    types = [pa.float64(), pa.int64(), pa.string(), pa.bool_(), pa.bool_()]
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["x", "i", "text", "flag", "maybe"])


@RULES
@given(rows=ROWS, size=st.integers(1, 9))
def test_describe_equals_pandas_where_quartiles_are_exact(rows: list[Any], size: int) -> None:
    table = table_of(rows)
    found = reduce_chunks(describe(table.schema), chunks_of(table, size))
    expected = frame_of(table).describe(include="all")
    assert found.index.tolist() == expected.index.tolist()
    pd.testing.assert_frame_equal(found.drop(index="top"), expected.drop(index="top"), rtol=1e-12, atol=1e-12)
    assert found.attrs["nulls"] == {name: table[name].null_count for name in table.column_names}


@LAWS
@given(rows=ROWS, size=st.integers(1, 9))
def test_describe_keeps_the_laws(rows: list[Any], size: int) -> None:
    table = table_of(rows)
    assert check_reducer(describe(table.schema), chunks_of(table, size)).shape == (11, 5)


def test_describe_of_times_equals_pandas() -> None:
    start = 1_400_000_000_000_000
    micros = pa.array([start, None, start + 40_000, start + 1_000, start + 9], pa.timestamp("us"))
    table = pa.table(
        {"t": micros, "z": micros.cast(pa.timestamp("us", "UTC")), "d": pa.array([1, 2, 9, None, 4], pa.duration("s"))}
    )
    for part in (table, table.select(["t"]), table.slice(0, 0)):
        found = check_reducer(describe(part.schema), chunks_of(part, 2))
        pd.testing.assert_frame_equal(found, frame_of(part).describe(include="all"))
        assert found.attrs["error"] == {}


def test_quartiles_of_long_times_are_within_the_stated_error() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(1_300_000_000, 1_700_000_000, 50_000)
    table = pa.table({"t": pa.array(words, pa.timestamp("s")), "short": pa.array(words // 86_400, pa.timestamp("s"))})
    found = reduce_chunks(describe(table.schema), chunks_of(table, 7_000))
    off = int(found.attrs["error"]["t"].split()[3])
    for name, q in QUARTILES.items():
        assert abs(np.quantile(words, q) - found.loc[name, "t"].timestamp()) <= off
        assert int(np.quantile(words // 86_400, q)) == found.loc[name, "short"].timestamp()
    assert off <= 400_000_000 / 65_536
    assert list(found.attrs["error"]) == ["t"]


@pytest.mark.parametrize("name", ["normal", "far", "heavy", "hundredths", "whole", "wide"])
def test_quartiles_are_within_the_stated_error_for_any_chunking(name: str) -> None:
    rng = np.random.default_rng(1)
    values = {
        "normal": rng.normal(size=40_000),
        "far": 1e6 + rng.normal(size=40_000),
        "heavy": np.append(rng.lognormal(0, 5, 39_999), 1e300),
        "hundredths": np.round(rng.lognormal(3, 1, 40_000), 2),
        "whole": rng.integers(-50_000, 50_000, 40_000).astype(float),
        "wide": rng.integers(-(2**63), 2**63 - 1, 40_000).view(np.float64),
    }[name]
    values[:3] = np.nan, -0.0, values[5]
    table = pa.table({"x": values})
    found = check_reducer(describe(table.schema), chunks_of(table, 9_000))["x"]
    described = reduce_chunks(describe(table.schema), chunks_of(table, 40_000))
    assert described["x"].loc["min":].tolist() == found.loc["min":].tolist()
    stated = described.attrs["error"].get("x", "")
    error = 2.0 ** int(stated.split("2**")[1].split(")")[0]) if stated else 0.0
    for label, q in QUARTILES.items():
        around = [np.nanquantile(values, q, method=method) for method in ("lower", "higher")]
        low, high = (one - side * error * abs(one) for one, side in zip(around, (1, -1), strict=True))
        assert low <= found[label] <= high
    assert error <= {"wide": 2**-5, "far": 2**-30, "hundredths": 0}.get(name, 2**-10)


def test_describe_of_every_other_type_equals_pandas() -> None:
    table = pa.table(
        {
            "day": pa.array([date(2024, 1, 1), date(2024, 1, 1), None]),
            "price": pa.array([Decimal("1.20"), Decimal("1.20"), Decimal("3.00")]),
            "nothing": pa.nulls(3),
            "coded": pa.array(["b", "b", None]).dictionary_encode(),
            "small": pa.array([1, None, 3], pa.int8()),
            "half": pa.array([1.5, None, 3.5], pa.float32()),
        }
    )
    found = check_reducer(describe(table.schema), chunks_of(table, 1))
    pd.testing.assert_frame_equal(found, frame_of(table).describe(include="all"))


def test_lists_are_counted() -> None:
    table = pa.table({"l": pa.array([[1], None, [2, 3]]), "x": [1.0, 2.0, 3.0]})
    found = reduce_chunks(describe(table.schema), chunks_of(table, 2))
    assert found.loc["count"].tolist() == [2, 3.0]
    assert "counted" in found.attrs["error"]["l"]


def test_infinities_are_described_as_in_pandas() -> None:
    table = pa.table({"x": [1.0, float("inf"), 2.0, float("nan"), 4.0]})
    with np.errstate(invalid="ignore"):
        expected = frame_of(table).describe(include="all")
    pd.testing.assert_frame_equal(reduce_chunks(describe(table.schema), chunks_of(table, 2)), expected)


def test_too_many_distinct_values_are_estimated_and_that_is_said() -> None:
    tally = Tally("s", pa.large_string(), limit=100)
    texts = [f"text {i}" for i in range(300)]
    chunks = chunks_of(pa.table({"s": texts}), 60)
    states = [tally.update(tally.start(), chunk) for chunk in chunks]
    left = tally.merge(tally.merge(states[0], states[1]), tally.merge(states[2], tally.merge(states[3], states[4])))
    right = tally.start()
    for state in states[::-1]:
        right = tally.merge(right, state)
    assert same(left, right, rtol=0, atol=0)
    assert (tally.unique(left), left.known, len(left.values)) == (300, 300, 0)


@LAWS
@example(rows=[(None, 0, None, False, None)], dropna=False, normalize=False, column="maybe")
@given(rows=ROWS, dropna=st.booleans(), normalize=st.booleans(), column=st.sampled_from(["x", "i", "text", "flag", "maybe"]))
def test_value_counts_equal_pandas(rows: list[Any], dropna: bool, normalize: bool, column: str) -> None:
    table = table_of(rows)
    reducer = value_counts(column, schema=table.schema, dropna=dropna, normalize=normalize)
    found = check_reducer(reducer, chunks_of(table, 4))
    series = frame_of(table)[column]
    expected = series.value_counts(dropna=dropna, normalize=normalize)
    assert (found.name, found.dtype, found.index.name) == (expected.name, expected.dtype, column)
    assert found.tolist() == expected.tolist()
    by_value = {str(key): value for key, value in expected.items()}
    assert {str(key): value for key, value in found.items()} == by_value


def test_equal_counts_are_ordered_by_value_with_missing_last() -> None:
    table = pa.table({"s": ["c", "a", None, "b", "c", "a", None]})
    found = reduce_chunks(value_counts("s", schema=table.schema, dropna=False), chunks_of(table, 2))
    assert [key for key in found.index if isinstance(key, str)] == ["a", "c", "b"]
    assert (found.iloc[2], pd.isna(found.index[2])) == (2, True)
    unsorted = reduce_chunks(value_counts("s", schema=table.schema, sort=False), chunks_of(table, 2))
    assert unsorted.to_dict() == {"a": 2, "b": 1, "c": 2}


@RULES
@given(rows=st.lists(st.tuples(FLOATS, FLOATS, SMALL), min_size=2, max_size=40), size=st.integers(1, 9))
def test_covariance_and_correlation_equal_pandas(rows: list[Any], size: int) -> None:
    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(column, pa.float64()) for column in columns], names=["a", "b", "c"])
    frame = frame_of(table)
    scale = float(np.nanmax(np.abs(frame.to_numpy()), initial=1.0)) ** 2
    chunks = chunks_of(table, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = reduce_chunks(covariance(schema=table.schema), chunks)
        pd.testing.assert_frame_equal(found, frame.cov(), rtol=1e-12, atol=1e-12 * scale, check_dtype=False)


def test_correlation_equals_pandas_and_is_stable() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=5000)
    table = pa.table({"a": 1e9 + base, "b": 1e9 - 3 * base + rng.normal(size=5000), "c": rng.integers(0, 9, 5000)})
    holes = np.where(rng.random(5000) < 0.1, np.nan, base)
    table = table.append_column("d", pa.array(holes, from_pandas=True)).append_column("s", pa.array(["x"] * 5000))
    names = ["a", "b", "c", "d"]
    found = check_reducer(correlation(schema=table.schema), chunks_of(table, 611), rtol=1e-11)
    shifted = frame_of(table)[names] - [1e9, 1e9, 0, 0]
    pd.testing.assert_frame_equal(found, shifted.corr(), rtol=1e-12, atol=1e-12)
    found = reduce_chunks(covariance(names, schema=table.schema), chunks_of(table, 611))
    pd.testing.assert_frame_equal(found, shifted.cov(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_numbers_whose_squares_no_float_holds_correlate_as_in_pandas(size: int) -> None:
    frame = pd.DataFrame({"x": [1e300, -1e300, 3.0, 4.0], "y": [1.0, 2.0, 3.0, 5.0]})
    source = bigml.from_pandas(frame, part_rows=size)
    with np.errstate(all="ignore"):
        expected = frame.corr(), frame.cov()
    pd.testing.assert_frame_equal(source.corr().compute(), expected[0], rtol=1e-12)
    pd.testing.assert_frame_equal(source.cov().compute(), expected[1], rtol=1e-12)


def test_correlation_with_a_constant_is_missing() -> None:
    table = pa.table({"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0, 5.0]})
    pd.testing.assert_frame_equal(reduce_chunks(correlation(schema=table.schema), chunks_of(table, 2)), frame_of(table).corr())


@RULES
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.none(), st.sampled_from([0.1, 1 / 3, 7e9])), SMALL, st.booleans()), min_size=1, max_size=40
    ),
    size=st.integers(1, 9),
)
def test_a_column_that_is_constant_in_the_rows_of_a_pair_has_no_correlation(rows: list[Any], size: int) -> None:
    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(column, pa.float64()) for column in columns], names=["a", "b", "c"])
    found = reduce_chunks(correlation(schema=table.schema), chunks_of(table, size))
    frame = frame_of(table)
    for one in frame:
        for other in frame:
            both = frame[[one, other]].dropna()
            assert np.isnan(found.loc[one, other]) == (both.nunique().min() < 2 or both.empty), (one, other)


def test_a_value_beside_a_missing_one_takes_no_digits_from_the_pair() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 1000))
    y += x
    x[17], y[17] = 1e12, np.nan
    table = pa.table({"x": x, "y": y})
    found = reduce_chunks(correlation(schema=table.schema), chunks_of(table, 300))
    rest = np.delete(np.array([x, y]), 17, axis=1)
    np.testing.assert_allclose(found.loc["x", "y"], np.corrcoef(rest)[0, 1], rtol=1e-14)


def test_histogram_with_a_range_equals_numpy() -> None:
    rng = np.random.default_rng(4)
    values = np.append(rng.normal(size=999), [np.nan, np.inf, -2.0, 2.0])
    table = pa.table({"x": values})
    found = check_reducer(histogram("x", 20, schema=table.schema, range=(-2, 2)), chunks_of(table, 100))
    expected = np.histogram(values, 20, (-2, 2))
    assert same(found, expected)
    edges = [-1.0, 0.0, 0.5, 3.0]
    assert same(
        reduce_chunks(histogram("x", edges, schema=table.schema), chunks_of(table, 100)),
        np.histogram(values[np.isfinite(values)], edges),
    )


@pytest.mark.parametrize(
    ("name", "bins"), [("years", 10), ("integers", 7), ("tenths", 50), ("one", 4), ("flags", 2), ("decimals", 3), ("few", 1)]
)
def test_histogram_without_a_range_equals_numpy_for_few_distinct_values(name: str, bins: int) -> None:
    rng = np.random.default_rng(4)
    flags = rng.random(4000) < 0.3
    columns: dict[str, Any] = {
        "years": rng.integers(2000, 2011, 4000),
        "integers": rng.integers(-300, 300, 4000),
        "tenths": np.round(1e6 + rng.normal(size=4000), 1),
        "one": np.full(4000, 2010.5),
        "flags": flags,
        "decimals": pa.array([Decimal(int(i)).scaleb(-2) for i in rng.integers(0, 999, 4000)]),
        "few": np.append(rng.normal(size=2), [np.nan] * 3998),
    }
    table = pa.table({name: columns[name]})
    found = check_reducer(histogram(name, bins, schema=table.schema), chunks_of(table, 999))
    values = np.array(columns[name], dtype=float)
    assert same(found, np.histogram(values[~np.isnan(values)], bins), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["normal", "far", "skewed"])
def test_histogram_of_many_distinct_values_moves_only_those_next_to_an_edge(name: str) -> None:
    rng = np.random.default_rng(4)
    values = {"normal": rng.normal(size=40_000), "far": 1e6 + rng.normal(size=40_000), "skewed": rng.lognormal(0, 1, 40_000)}[
        name
    ]
    table = pa.table({"x": values})
    counts, edges = check_reducer(histogram("x", 30, schema=table.schema), chunks_of(table, 9_000))
    expected, expected_edges = np.histogram(values, 30)
    np.testing.assert_array_equal(edges, expected_edges)
    assert counts.sum() == 40_000
    off = np.minimum(np.abs(edges) * 2**-11, np.ptp(values) if name != "far" else np.ptp(values) / 65_536)
    near = np.array([np.sum(np.abs(values - edge) <= width) for edge, width in zip(edges, off, strict=True)])
    assert np.all(np.abs(np.cumsum(counts) - np.cumsum(expected)) <= near[1:])


def test_histogram_of_a_source_has_the_bins_of_numpy() -> None:
    years = np.random.default_rng(0).integers(2000, 2011, 500)
    found = bigml.from_arrow(pa.table({"year": years}), part_rows=90).histogram("year").compute(progress=False)
    assert same(found, np.histogram(years), rtol=0, atol=0)


def test_histogram_leaves_out_what_is_missing_or_infinite() -> None:
    table = pa.table({"none": pa.nulls(9), "x": [1.0, float("inf"), float("-inf"), float("nan"), None, 2.0, 2.5, 3.0, 3.0]})
    counts, edges = reduce_chunks(histogram("none", 3, schema=table.schema), chunks_of(table, 4))
    assert (counts.tolist(), edges[[0, -1]].tolist()) == ([0, 0, 0], [0.0, 1.0])
    found = reduce_chunks(histogram("x", 2, schema=table.schema), chunks_of(table, 4))
    assert same(found, np.histogram([1.0, 2.0, 2.5, 3.0, 3.0], 2), rtol=0, atol=0)


def test_a_number_of_bins_may_be_one_of_numpy() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 20.0, 3.0]}))
    counts, edges = source.histogram("x", bins=np.int64(3)).compute()
    expected = np.histogram([1.0, 20.0, 3.0], 3)
    assert (counts.tolist(), edges.tolist()) == (expected[0].tolist(), expected[1].tolist())


@pytest.mark.parametrize("bins", ["auto", [], [0], ["a", "b"], [0, np.nan, 2], [None, 1], 2.5])
def test_what_are_no_bins_is_refused(bins: Any) -> None:
    with pytest.raises(ConfigError, match="a number of bins or ascending edges"):
        histogram("x", bins, schema=pa.schema({"x": pa.float64()}))


@pytest.mark.parametrize("values", [[2.0**63], [-1.7e308, 1.7e308]])
def test_values_that_leave_no_room_for_bins_are_told(values: list[float]) -> None:
    with pytest.raises(DataError, match=r"values between which there are 3 bins.* histogram of `x`. Pass a range"):
        bigml.from_pandas(pd.DataFrame({"x": values})).histogram("x", 3).compute()


def test_mistakes_are_named() -> None:
    schema = pa.schema({"carrier": pa.string(), "arr_delay": pa.float64(), "list": pa.list_(pa.int8())})
    with pytest.raises(ColumnError, match="Did you mean `arr_delay`"):
        describe(schema, ["arr_dely"])
    with pytest.raises(SchemaError, match="one or more columns"):
        describe(schema, [])
    with pytest.raises(ColumnError, match="carrier"):
        value_counts("carier", schema=schema)
    with pytest.raises(SchemaError, match="plain values"):
        value_counts("list", schema=schema)
    with pytest.raises(SchemaError, match="numeric column"):
        correlation(["carrier"], schema=schema)
    with pytest.raises(ColumnError, match="arr_delay"):
        covariance(["arrdelay"], schema=schema)
    with pytest.raises(SchemaError, match="numeric columns"):
        covariance(schema=pa.schema({"s": pa.string()}))
    with pytest.raises(SchemaError, match="numeric column"):
        histogram("carrier", schema=schema)
    with pytest.raises(ConfigError, match="ascending"):
        histogram("arr_delay", [3.0, 1.0], schema=schema)
    with pytest.raises(ConfigError, match="bins"):
        histogram("arr_delay", 0, schema=schema)


def test_real_flights_are_described_as_in_pandas(data_dir: Path) -> None:
    table = pq.read_table(data_dir / "flights" / "sixteen_columns" / "nyc_2013.parquet")
    found = reduce_chunks(describe(table.schema), chunks_of(table, 60_000))
    expected = frame_of(table).describe(include="all")
    exact = [name for name in expected.index if "%" not in name and name != "top"]
    pd.testing.assert_frame_equal(found.loc[exact], expected.loc[exact], rtol=1e-12)
    numbers = expected.select_dtypes("number").columns
    near = np.abs(found.loc["25%":"75%", numbers] - expected.loc["25%":"75%", numbers])
    assert (near <= 2**-9 * np.abs(expected.loc["25%":"75%", numbers]) + 1e-9).all(axis=None)
    assert found.attrs["nulls"]["arr_delay"] == 9430
    assert found.attrs["nulls"]["tailnum"] == 2512
