"""Grouped aggregations against pandas on the same rows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.groupby import grouped
from bigml.stats.histogram import histogram
from bigml.stats.keys import encode
from bigml.stats.reducer import PerColumn, reduce_chunks
from bigml.testing import check_reducer, same

EXACT = ["count", "size", "sum", "mean", "var", "std", "sem", "min", "max", "first", "last"]
ORDERED = ["count", "size", "min", "max", "first", "last", "nunique"]
RULES = settings(max_examples=25, deadline=None)


def chunks_of(table: pa.Table, size: int) -> list[Chunk]:
    return [Chunk.from_arrow(table.slice(start, size), start) for start in range(0, table.num_rows, size)]


def frame_of(table: pa.Table) -> pd.DataFrame:
    return Chunk.from_arrow(table).to_pandas()


def result(table: pa.Table, by: Any, aggregations: Any, size: int = 7, **options: Any) -> pd.DataFrame:
    return reduce_chunks(grouped(by, aggregations, schema=table.schema, **options), chunks_of(table, size))


def assert_like_pandas(table: pa.Table, by: Any, aggregations: Any, rtol: float = 1e-12, **options: Any) -> None:
    expected = frame_of(table).groupby(by, **options).agg(aggregations)
    pd.testing.assert_frame_equal(result(table, by, aggregations, **options), expected, rtol=rtol, atol=1e-12)


FLOATS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, float("nan")]), st.floats(-1e6, 1e6))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "é", "Z"]))
ROWS = st.lists(
    st.tuples(
        TEXTS,
        st.one_of(st.none(), st.integers(-3, 3)),
        FLOATS,
        st.one_of(st.none(), st.integers(-(2**40), 2**40)),
        st.integers(-(2**62), 2**62),
        TEXTS,
        st.booleans(),
    ),
    max_size=30,
)


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 7
    types = [pa.string(), pa.int32(), pa.float64(), pa.int64(), pa.int64(), pa.string(), pa.bool_()]
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["key", "number", "x", "gaps", "whole", "text", "flag"])


AGGREGATIONS = {
    "x": EXACT,
    "gaps": ["count", "sum", "mean", "min", "max", "first", "last"],
    "whole": ["sum", "min", "max", "first", "last", "count"],
    "text": ORDERED,
    "flag": ["sum", "mean", "min", "max", "first"],
}


@RULES
@given(rows=ROWS, dropna=st.booleans())
def test_any_table_groups_as_in_pandas(rows: list[Any], dropna: bool) -> None:
    table = table_of(rows)
    if not rows:
        table = table_of([("a", 1, 1.0, 1, 1, "", True)])
    assert_like_pandas(table, ["key"], AGGREGATIONS, dropna=dropna)


@RULES
@given(rows=ROWS.filter(bool), dropna=st.booleans())
def test_two_keys_group_as_in_pandas(rows: list[Any], dropna: bool) -> None:
    assert_like_pandas(table_of(rows), ["number", "key"], {"x": ["count", "mean", "min"], "whole": "sum"}, dropna=dropna)


@settings(max_examples=8, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 9))
def test_laws_hold_for_all_aggregations(rows: list[Any], seed: int) -> None:
    table = table_of(rows)
    wanted = {**AGGREGATIONS, "x": [*EXACT, "median", "p95", "nunique"]}
    reducer = grouped(["key", "flag"], wanted, schema=table.schema, dropna=bool(seed % 2))
    found = check_reducer(reducer, chunks_of(table, 1 + seed))
    assert list(found.columns[:2]) == [("x", "count"), ("x", "size")]


@RULES
@given(rows=ROWS.filter(bool), size=st.integers(1, 30))
def test_counts_extremes_and_sketches_are_bit_equal_for_any_chunking(rows: list[Any], size: int) -> None:
    table = table_of(rows)
    wanted = {"x": ["count", "min", "max", "first", "last", "median", "p99.9", "nunique"], "whole": ["sum", "first", "nunique"]}
    some, one = (result(table, "key", wanted, size=n) for n in (size, 100))
    assert same(some, one, rtol=0, atol=0)


def test_order_of_merges_does_not_change_first_and_last() -> None:
    table = pa.table({"k": ["a"] * 6, "x": [None, 1.0, 2.0, 3.0, float("nan"), None]})
    reducer = grouped("k", {"x": ["first", "last"]}, schema=table.schema)
    states = [reducer.update(reducer.start(), chunk) for chunk in chunks_of(table, 1)]
    state = reducer.start()
    for one in [states[i] for i in (3, 0, 5, 1, 4, 2)]:
        state = reducer.merge(state, one)
    assert reducer.finish(state).iloc[0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32"])
def test_result_has_the_dtype_of_pandas(name: str) -> None:
    values = pa.array([1, 2, 3, 100, 100, 100]).cast(getattr(pa, name)())
    table = pa.table({"k": ["a", "a", "b", "b", "b", "b"], "x": values})
    assert_like_pandas(table, "k", {"x": [*EXACT, "nunique"]}, rtol=1e-6 if name == "float32" else 1e-12)
    assert_like_pandas(table.slice(0, 3), "k", {"x": ["sum"]})


def test_unsigned_values_beyond_int64_are_exact() -> None:
    table = pa.table({"k": ["a", "a", "b"], "x": pa.array([2**63 + 5, 7, 2**64 - 1], pa.uint64())})
    assert_like_pandas(table, "k", {"x": ["sum", "min", "max", "first", "last", "nunique"]})


def times() -> pa.Table:
    stamps = pa.array([1_400_000_000_000_000, None, 1_500_000_000_000_000, 1_450_000_000_000_000], pa.timestamp("us"))
    table = pa.table({"k": ["a", "a", "a", "b"], "t": stamps, "z": stamps.cast(pa.timestamp("us", "UTC"))})
    table = table.append_column("d", pa.array([1, 5, None, 7], pa.duration("ms")))
    return table.append_column("day", pa.array([1, 5, None, 7], pa.date32()))


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.uint16(), pa.int32(), pa.uint32()], ids=str)
def test_sums_and_extremes_of_small_integers_are_exact_beside_their_mean(kind: pa.DataType) -> None:
    rng, limits = np.random.default_rng(0), np.iinfo("int8" if kind == pa.bool_() else kind.to_pandas_dtype())
    numbers = rng.integers(limits.min, limits.max, 5_000, endpoint=True)
    values = pa.array(numbers > 0 if kind == pa.bool_() else numbers, kind, mask=rng.random(5_000) < 0.1)
    table = pa.table({"k": rng.integers(0, 3, 5_000), "x": values})
    alone = ["count", "sum", "min", "max"]
    both = result(table, "k", {"x": [*alone, "mean", "std"]}, 700)
    pd.testing.assert_frame_equal(both["x"][alone], result(table, "k", {"x": alone}, 700)["x"], check_exact=True)


def test_times_group_as_in_pandas() -> None:
    wanted = ["count", "min", "max", "first", "last", "nunique"]
    assert_like_pandas(times(), "k", {"t": wanted, "z": wanted, "d": [*wanted, "sum"], "day": wanted})
    assert_like_pandas(times(), "k", {"t": "mean", "d": "mean"})


def test_spread_of_times_is_a_duration_as_in_pandas() -> None:
    assert_like_pandas(times(), "k", {name: ["std"] for name in "tzd"})
    for name in "td":
        with pytest.raises(TypeError):
            frame_of(times()).groupby("k").agg({name: "var"})
        with pytest.raises(SchemaError, match="has a `var`"):
            grouped("k", {name: "var"}, schema=times().schema)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ms"), pa.date32(), pa.bool_(), pa.float64(), pa.int8(), pa.uint64(), pa.float32()]
)
def test_keys_of_any_type_group_as_in_pandas(kind: pa.DataType) -> None:
    keys = pa.array([1, 0, 1, 0, 1], pa.int64() if pa.types.is_timestamp(kind) else pa.int32()).cast(kind)
    table = pa.table({"k": keys, "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert_like_pandas(table, "k", {"x": ["sum", "count"]})
    table = pa.table({"k": pa.concat_arrays([keys, pa.nulls(1, kind)]), "x": np.arange(6.0)})
    assert_like_pandas(table, "k", {"x": ["sum", "count"]})
    assert_like_pandas(table, ["k"], {"x": ["sum", "count"]}, dropna=False)
    table = table.append_column("j", pa.array(list("xxxyyy")))
    expected = frame_of(table).groupby(["j", "k"], dropna=False).agg({"x": "sum"})
    found = result(table, ["j", "k"], {"x": "sum"}, dropna=False)
    pd.testing.assert_frame_equal(found.reset_index(), expected.reset_index())


def test_objects_and_nullable_booleans_have_extremes_as_in_pandas() -> None:
    prices = pa.array([Decimal("1.20"), Decimal("0.30"), None, None])
    table = pa.table({"k": ["a", "a", "a", "b"], "p": prices, "f": [True, None, False, None], "b": [b"y", b"x", None, None]})
    assert_like_pandas(table, "k", {name: ["min", "max", "first", "last", "count", "nunique"] for name in "pfb"})


def test_dictionaries_of_numbers_are_numbers() -> None:
    plain = pa.table({"k": [1, 1, None, 2], "v": [1.5, None, 2.5, 2.5], "w": [1, None, 2, 2]})
    coded = pa.table({name: plain[name].combine_chunks().dictionary_encode() for name in plain.column_names})
    wanted = {"v": [*EXACT, "median", "nunique"], "w": ["sum", "min", "last", "count"]}
    pd.testing.assert_frame_equal(result(coded, "k", wanted, size=2), result(plain, "k", wanted, size=2))


def test_nan_in_a_dictionary_is_missing() -> None:
    values = [None, float("nan"), 1.5, -0.0, float("nan"), 1.5, 0.0]
    plain = pa.table({"k": values, "v": values, "x": np.arange(7.0)})
    coded = pa.table({**{name: plain[name].combine_chunks().dictionary_encode() for name in "kv"}, "x": plain["x"]})
    for by, wanted in (("k", {"x": "sum"}), ("x", {"v": ["count", "first", "last", "nunique", "skew"]})):
        expected = result(plain, by, wanted, dropna=False)
        pd.testing.assert_frame_equal(result(coded, by, wanted, dropna=False), expected)


def test_bytes_of_one_width_have_extremes_and_distinct_counts() -> None:
    ids = pa.array([b"\xff\xfe", b"aa", None, b"aa", b"\xff\xfe"], pa.binary(2))
    table = pa.table({"k": ids, "j": list("aabbb"), "id": ids})
    assert_like_pandas(table, "j", {"id": ["nunique", "min", "max", "first", "last", "count"]})
    assert_like_pandas(table, ["k"], {"id": ["size", "nunique"]}, dropna=False)


def test_zero_and_negative_zero_are_one_group_and_nan_is_null() -> None:
    table = pa.table({"k": [0.0, -0.0, float("nan"), None, 2.0], "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert_like_pandas(table, ["k"], {"x": ["sum"]}, dropna=False)


def test_dictionaries_that_differ_by_chunk_and_hold_nulls_are_one_column() -> None:
    def part(indices: list[int | None], values: list[str | None]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(values))

    parts = [part([0, 1, None, 2], ["b", "a", None]), part([1, 0, 1, 2], ["z", "b", "b"]), part([], [])]
    chunks, offset = [], 0
    for array in parts:
        table = pa.table({"k": array, "x": np.arange(offset, offset + len(array), dtype=float)})
        chunks.append(Chunk.from_arrow(table, offset))
        offset += len(array)
    plain = pa.table({"k": ["b", "a", None, None, "b", "z", "b", "b"], "x": np.arange(8.0)})
    for dropna in (True, False):
        reducer = grouped("k", {"x": ["count", "sum", "first"]}, schema=chunks[0].to_arrow().schema, dropna=dropna)
        expected = frame_of(plain).groupby("k", dropna=dropna).agg({"x": ["count", "sum", "first"]})
        pd.testing.assert_frame_equal(check_reducer(reducer, chunks), expected)


def test_dictionary_values_aggregate_as_strings() -> None:
    table = pa.table({"k": ["a", "a", "b"], "v": pa.array(["y", "x", None]).dictionary_encode()})
    assert_like_pandas(table, "k", {"v": ORDERED})


def test_variance_survives_a_mean_of_1e9_with_a_deviation_of_1() -> None:
    values = 1e9 + np.random.default_rng(3).normal(size=40_000)
    table = pa.table({"k": ["a"] * len(values), "x": values})
    found = result(table, "k", {"x": ["var", "mean"]}, size=997)
    shifted = values - 1e9
    assert found.iloc[0, 0] == pytest.approx(shifted.var(ddof=1), rel=1e-12)
    assert found.iloc[0, 1] == pytest.approx(values.mean(), rel=1e-15)


def test_sums_are_compensated() -> None:
    table = pa.table({"k": ["a"] * 5, "x": [1e16, 1.0, -1e16, 1e-3, 1.0]})
    for size in (1, 2, 5):
        assert result(table, "k", {"x": ["sum"]}, size=size).iloc[0, 0] == 2.001


def test_infinities_behave_as_in_pandas() -> None:
    inf = float("inf")
    table = pa.table({"k": list("aabbcd"), "x": [1.0, inf, inf, -inf, -inf, None]})
    with np.errstate(invalid="ignore"):
        assert_like_pandas(table, "k", {"x": EXACT})


def test_group_without_values_is_missing_and_its_sum_is_zero() -> None:
    table = pa.table({"k": ["a", "b"], "x": pa.array([None, 1.0]), "none": pa.nulls(2), "s": pa.nulls(2, pa.string())})
    assert_like_pandas(table, "k", {"x": EXACT, "s": ORDERED})
    assert result(table, "k", {"none": ["count", "sum", "mean"]}).loc["a"].tolist()[:2] == [0, 0]


def test_without_sorting_groups_come_by_first_appearance() -> None:
    table = pa.table({"k": ["b", "a", None, "b", "c"], "j": [1, 1, 2, 2, 1], "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert_like_pandas(table, "k", {"x": "sum"}, sort=False)
    assert_like_pandas(table, ["k", "j"], {"x": ["sum"]}, sort=False, dropna=False)


def test_columns_are_named_as_in_pandas() -> None:
    table = pa.table({"k": ["b", "a"], "x": [1, 2], "y": [1.0, 2.0]})
    assert_like_pandas(table, "k", {"y": "sum", "x": "max"})
    assert_like_pandas(table, "k", {"y": "sum", "x": ["max", "min"], "k": "count"})


def test_empty_source_gives_an_empty_frame_with_the_right_types() -> None:
    table = pa.table({"k": pa.array([], pa.string()), "j": pa.array([], pa.int32()), "x": pa.array([], pa.float64())})
    found = result(table, ["k", "j"], {"x": ["mean", "count"]})
    assert found.shape == (0, 2)
    assert found.dtypes.tolist() == [np.float64, np.int64]
    assert_like_pandas(table, "k", {"x": "mean", "j": "min"})


def test_many_sparse_keys_group_as_in_pandas() -> None:
    rng = np.random.default_rng(1)
    columns = {f"k{i}": rng.choice(rng.integers(-(2**62), 2**62, 40), 500) for i in range(5)}
    table = pa.table({**columns, "x": rng.normal(size=500)})
    assert_like_pandas(table, list(columns), {"x": ["sum", "count"]})


def test_quantiles_are_within_the_stated_error_and_exact_for_small_integers() -> None:
    rng = np.random.default_rng(5)
    table = pa.table({"k": rng.choice(["a", "b"], 5000), "x": rng.normal(3, 40, 5000), "i": rng.integers(-1000, 1000, 5000)})
    table = table.append_column("half", pa.array(rng.integers(-800, 800, 5000) / 2))
    found = result(table, "k", {"x": ["median", "p5", "p99.9"], "i": ["median", "p25"], "half": "median"}, size=611)
    groups = frame_of(table).groupby("k")
    for name, q in {"median": 0.5, "p5": 0.05, "p99.9": 0.999}.items():
        expected = groups["x"].quantile(q)
        assert np.all(np.abs(found["x", name] - expected) <= 2**-10 * np.abs(expected) + 1e-2)
    pd.testing.assert_series_equal(found["i", "p25"], groups["i"].quantile(0.25), check_names=False)
    pd.testing.assert_series_equal(found["i", "median"], groups["i"].median(), check_names=False)
    pd.testing.assert_series_equal(found["half", "median"], groups["half"].median(), check_names=False)
    assert "0.1 %" in found.attrs["error"]["x:median"]


def test_quantiles_lie_within_their_group_and_reach_its_extremes() -> None:
    rng = np.random.default_rng(6)
    table = pa.table({"k": np.arange(6000) % 3, "x": 1e6 + rng.normal(size=6000) + 10 * (np.arange(6000) % 3)})
    tiny = pa.table({"k": [3, 4, 4, 5, 5, 5], "x": [0.1, 1 / 3, 1.7, -np.inf, 2.2, np.inf]})
    table = pa.concat_tables([table, tiny])
    reducer = grouped("k", {"x": ["p0", "p25", "median", "p75", "p100", "min", "max"]}, schema=table.schema)
    found = check_reducer(reducer, chunks_of(table, 1000)).droplevel(0, axis=1)
    assert found["p0"].tolist() == found["min"].tolist()
    assert found["p100"].tolist() == found["max"].tolist()
    for name in ("p25", "median", "p75"):
        assert found[name].between(found["min"], found["max"])[:5].all()
        expected = frame_of(table).groupby("k")["x"].quantile({"p25": 0.25, "median": 0.5, "p75": 0.75}[name])
        assert np.all(np.abs(found[name] - expected)[:3] <= (found["max"] - found["min"])[:3] / 2)
    assert found.loc[[3, 4], "median"].tolist() == [0.1, np.median([1 / 3, 1.7])]
    assert found.loc[5, "median"] == pytest.approx(2.2, rel=2**-10)


def test_distinct_counts_are_exact_when_small_and_within_three_errors_when_large() -> None:
    rng = np.random.default_rng(6)
    values = rng.integers(0, 2**40, 200_000)
    table = pa.table({"k": np.where(np.arange(200_000) < 199_000, "large", "small"), "x": values, "s": values.astype(str)})
    found = result(table, "k", {"x": "nunique", "s": "nunique"}, size=30_000)
    expected = frame_of(table).groupby("k").agg({"x": "nunique", "s": "nunique"})
    assert found.loc["small"].tolist() == expected.loc["small"].tolist()
    assert np.all(np.abs(found.loc["large"] / expected.loc["large"] - 1) < 3 * 0.0082)
    assert "0.8 %" in found.attrs["error"]["x:nunique"]


class Span:
    """Largest minus smallest value: a user's reducer."""

    columns = ("value",)

    def start(self) -> tuple[float, float]:
        return np.inf, -np.inf

    def update(self, state: tuple[float, float], chunk: Chunk) -> tuple[float, float]:
        values = chunk.floats("value")
        return min(state[0], values.min(initial=np.inf)), max(state[1], values.max(initial=-np.inf))

    def merge(self, left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
        return min(left[0], right[0]), max(left[1], right[1])

    def finish(self, state: tuple[float, float]) -> float:
        return state[1] - state[0]


def test_a_users_reducer_is_an_aggregation() -> None:
    rng = np.random.default_rng(7)
    table = pa.table({"k": rng.choice(["a", "b", None], 60), "x": rng.normal(size=60)})
    reducer = grouped("k", {"x": ["mean", Span()]}, schema=table.schema)
    found = check_reducer(reducer, chunks_of(table, 11))
    expected = frame_of(table).groupby("k")["x"].agg(lambda x: x.max() - x.min())
    assert found["x", "Span"].tolist() == expected.tolist()


def test_numpy_chunks_with_strides_group_as_arrow_chunks() -> None:
    matrix = np.random.default_rng(8).normal(size=(50, 3))
    matrix[:, 0] = np.arange(50) % 4
    table = pa.table({name: matrix[:, i] for i, name in enumerate("kxy")})
    reducer = grouped("k", {"x": ["sum", "std"], "y": "median"}, schema=table.schema)
    chunk = Chunk.from_matrix(matrix, list("kxy"))
    pd.testing.assert_frame_equal(reduce_chunks(reducer, [chunk]), reduce_chunks(reducer, [Chunk.from_arrow(table)]))


def test_mistakes_are_named() -> None:
    schema = pa.schema({"carrier": pa.string(), "arr_delay": pa.float64(), "list": pa.list_(pa.int8())})
    with pytest.raises(ColumnError, match="Did you mean `carrier`"):
        grouped("carier", {"arr_delay": "mean"}, schema=schema)
    with pytest.raises(ColumnError, match="arr_delay"):
        grouped("carrier", {"arr_dely": "mean"}, schema=schema)
    with pytest.raises(ConfigError, match="Did you mean `median`"):
        grouped("carrier", {"arr_delay": "medain"}, schema=schema)
    with pytest.raises(SchemaError, match="has a `mean`, got type string - column `carrier`"):
        grouped("arr_delay", {"carrier": "mean"}, schema=schema)
    with pytest.raises(SchemaError, match="once"):
        grouped("carrier", {"arr_delay": ["mean", "mean"]}, schema=schema)
    with pytest.raises(SchemaError, match="key column"):
        grouped("list", {"arr_delay": "mean"}, schema=schema)
    wrong: Any
    for wrong in (np.mean, None, 3):
        with pytest.raises(ConfigError, match=r"aggregation or a Reducer, got .* - column `arr_delay`"):
            grouped("carrier", {"arr_delay": wrong}, schema=schema)
    source = bigml.from_arrow(schema.empty_table())
    for wrong in (None, 3, [None]):
        with pytest.raises(ConfigError, match=f"names of columns, got `{wrong if wrong != [None] else None}` of type"):
            source.groupby(wrong)
    with pytest.raises(ConfigError, match="at least one"):
        grouped("carrier", {}, schema=schema)
    with pytest.raises(ConfigError, match="Reducer"):
        grouped("carrier", {"arr_delay": [3]}, schema=schema)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("avg", "got `avg` - column `x`. Did you mean `mean`?"),
        ("stddev", "Did you mean `std`?"),
        ("q95", 'Use "p95".'),
        ("99.9%", 'Use "p99.9".'),
        ("0.05", 'Use "p5".'),
        ("quantile", '"p95" for the quantile 0.95'),
        ("mode", "most_frequent(column)"),
        ("idxmax", "top(n, by=column)"),
        ("nope", "a percentile such as p95, or a Reducer."),
        (0.95, 'got `0.95` of type float - column `x`. For this quantile use "p95".'),
        (95, 'Write names, such as "mean"'),
        (np.mean, 'got the function `mean` - column `x`. Write "mean": functions never'),
        ([np.std, len], 'got the function `std` - column `x`. Write "std"'),
        (["mean", len], 'got the function `len` - column `x`. Write "size"'),
        (lambda x: x, 'Write a name, such as "mean"'),
        (bigml.Reducer, "got the class `Reducer`"),
    ],
)
def test_aggregations_as_they_are_called_elsewhere_are_told_their_names(wanted: Any, told: str) -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": ["a"], "x": [1.0]}))
    for agg in (source.groupby("k").agg, source.agg):
        with pytest.raises(ConfigError) as error:
            agg(x=wanted)
        assert told in str(error.value)


def test_forecast_bounds_the_state() -> None:
    rng = np.random.default_rng(9)
    table = pa.table({"k": rng.integers(0, 500, 5000), "x": rng.normal(size=5000)})
    reducer = grouped("k", {"x": ["mean", "std", "median"]}, schema=table.schema)
    state = reducer.update(reducer.start(), Chunk.from_arrow(table))
    held = state.keys.nbytes + sum(field.nbytes for cell in state.cells for field in cell if isinstance(field, np.ndarray))
    assert held <= reducer.forecast_nbytes(5000)


@pytest.fixture(scope="module")
def flights(data_dir: Path) -> pa.Table:
    return pq.read_table(data_dir / "flights" / "sixteen_columns" / "nyc_2013.parquet")


def test_real_flights_group_as_in_pandas(flights: pa.Table) -> None:
    wanted = {"arr_delay": EXACT, "distance": ["sum", "mean", "max"], "tailnum": ["count", "first", "min", "nunique"]}
    reducer = grouped(["carrier", "month"], wanted, schema=flights.schema)
    found = reduce_chunks(reducer, chunks_of(flights, 50_000))
    expected = frame_of(flights).groupby(["carrier", "month"]).agg(wanted)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_real_flights_have_the_known_mean_and_nulls(flights: pa.Table) -> None:
    delays = flights.append_column("all", pa.array(["nyc"] * flights.num_rows).dictionary_encode())
    found = reduce_chunks(
        grouped("all", {"arr_delay": ["size", "count", "mean", "median"]}, schema=delays.schema), chunks_of(delays, 33_333)
    )
    size, count, mean, median = found.iloc[0]
    assert (size, size - count) == (336_776, 9_430)
    assert mean == pytest.approx(6.895377, abs=5e-7)
    assert median == -5


def test_real_tail_numbers_kept_with_null_group_as_in_pandas(flights: pa.Table) -> None:
    reducer = grouped("tailnum", {"dep_delay": ["mean", "count"]}, schema=flights.schema, dropna=False)
    found = reduce_chunks(reducer, chunks_of(flights, 40_000))
    expected = frame_of(flights).groupby("tailnum", dropna=False).agg({"dep_delay": ["mean", "count"]})
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_a_reducer_lifted_to_columns_gives_each_columns_result() -> None:
    table = pa.table({"x": [3.0, None, 5.0], "y": [1.0, 2.0, 3.0]})
    lifted = PerColumn(lambda name: histogram(name, 2, schema=table.schema, range=(0, 6)), ("x", "y"))
    found = reduce_chunks(lifted, [Chunk.from_arrow(table)])
    assert {name: counts.tolist() for name, (counts, _) in found.items()} == {"x": [0, 2], "y": [2, 1]}


@pytest.mark.parametrize("by", ["k", ["k", "j"]])
@pytest.mark.parametrize("options", [{}, {"dropna": False}, {"sort": False}])
def test_sizes_of_groups_equal_pandas(by: str | list[str], options: dict[str, bool]) -> None:
    table = pa.table({"k": ["b", "a", None, "b"], "j": [1, 1, 2, 2], "size": [1, 2, 3, 4]})
    found = bigml.from_arrow(table, part_rows=2).groupby(by, **options).size().compute(progress=False)
    expected = frame_of(table).groupby(by, **options).size().to_frame("size")
    pd.testing.assert_frame_equal(found, expected)


def test_columns_of_any_name_are_aggregated_by_keyword_and_by_mapping() -> None:
    table = pa.table({"k": ["b", "a", "b"], "columns": [1.0, 2.0, 4.0], "self": [1, 2, 3]})
    source = bigml.from_arrow(table)
    expected = frame_of(table).groupby("k").agg({"columns": "mean", "self": "max"})
    for plan in (
        source.groupby("k").agg({"columns": "mean", "self": "max"}),
        source.groupby("k").agg({"columns": "mean"}, self="max"),
        source.groupby("k").agg(columns="mean", self="max"),
    ):
        pd.testing.assert_frame_equal(plan.compute(progress=False), expected)


def test_aggregations_have_names_of_ones_own_as_in_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": ["b", "a", "b"], "x": [1.0, 2.0, 4.0], "n": [1, 2, 3]})
    groups = bigml.from_pandas(frame).groupby("k")
    wanted: Any = {"most": ("x", "max"), "x": ("n", "mean"), "again": ("x", "max"), "dev": pd.NamedAgg("x", "std")}
    plan = groups.agg(**wanted)
    pd.testing.assert_frame_equal(plan.compute(progress=False), frame.groupby("k").agg(**wanted))
    plan.write_parquet(tmp_path / "groups", progress=False)
    assert bigml.read_parquet(tmp_path / "groups").columns == ("k", "most", "x", "again", "dev")
    plan.keep().save(tmp_path / "named.bigml")
    pd.testing.assert_frame_equal(bigml.load_stats(tmp_path / "named.bigml").result(), plan.compute(progress=False))
    mixed = groups.agg({"n": "sum"}, most=("x", "max"), heavy=("x", bigml.weighted("mean", by="n"))).compute(progress=False)
    assert mixed.loc["b"].tolist() == [4, 4.0, 13 / 4]
    pd.testing.assert_frame_equal(groups.agg(x=("min", "max")).compute(), groups.agg(x=["min", "max"]).compute())


def test_mistakes_in_names_of_ones_own_are_named() -> None:
    source = bigml.from_pandas(pd.DataFrame({"k": ["a"], "delay": [1.0]}))
    with pytest.raises(ColumnError, match=r"named `dely`, got no such column\. Did you mean `delay`"):
        source.groupby("k").agg(most=("dely", "max"))
    with pytest.raises(ConfigError, match=r"got `maxi` - column `delay`\. Did you mean `max`"):
        source.groupby("k").agg(most=("delay", "maxi"))
    with pytest.raises(ConfigError, match=r'got a list - agg of `delay`. Name each: agg\(delay_mean=\("delay", "mean"\)'):
        source.groupby("k").agg(most=("delay", "max"), delay=["mean", "max"])
    with pytest.raises(ConfigError, match="names of your own - agg of all rows"):
        source.agg(most=("delay", "max"))


@pytest.mark.parametrize("wanted", ["mean", ["mean", "max"]])
def test_aggregations_without_columns_are_refused_by_name(wanted: Any) -> None:
    source = bigml.from_arrow(pa.table({"k": ["a"], "x": [1.0]}))
    with pytest.raises(ConfigError, match="aggregations by column"):
        source.groupby("k").agg(wanted)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"])
@pytest.mark.parametrize("at", ["lowest", "highest", "both"])
def test_keys_at_the_limits_of_their_type_are_encoded(kind: str, at: str) -> None:
    whole = kind.removeprefix("u").startswith("int")
    limits = np.iinfo(kind) if whole else np.finfo(kind)
    lowest, highest = [limits.min, limits.min + 3], [limits.max - 3, limits.max]
    values = {"lowest": lowest, "highest": highest, "both": lowest + highest}[at] + [None]
    array = pa.array(values * 9, pa.from_numpy_dtype(np.dtype(kind)))
    codes, distinct = encode(array)
    assert distinct.take(pa.array(codes, mask=codes < 0)).equals(array)


def test_floats_that_are_whole_numbers_are_keys_as_any_others() -> None:
    for values in ([-0.0, 0.0, 2.0, None], [float("nan"), -3.0, None], [float("inf"), 1.0], [0.5, 1.0], [1e300, 2.0], [None], []):
        array = pa.array(values, pa.float64())
        codes, distinct = encode(array)
        found = [None if code < 0 else distinct[code].as_py() for code in codes]
        assert found == [None if value is None or np.isnan(value) else value for value in values]
        assert not any(np.signbit(one) for one in found if one == 0)
