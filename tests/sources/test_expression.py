"""Formulas: built with operators or parsed from text, never executed."""

from __future__ import annotations

import datetime
import operator
import pickle
import re
from collections.abc import Callable
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
from bigml.errors import DataError, SchemaError
from bigml.sources.expression import Expression, col
from bigml.sources.formula import formula, parse

TABLE = pa.table(
    {
        "x": [1, 2, 3, None],
        "y": [0.5, float("nan"), -1.5, None],
        "k": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "t": pa.array([datetime.datetime(2014, 1, day) for day in (1, 2, 3, 4)]),
        "b": [True, False, None, True],
    }
)
CHUNK = Chunk.from_arrow(TABLE)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x > 1", [False, True, True, False]),
        ("x >= 2 and x < 3", [False, True, False, False]),
        ("x == 1 or x == 3", [True, False, True, False]),
        ("1 < x <= 3", [False, True, True, False]),
        ("not x == 1", [False, True, True, True]),
        ("x != 1", [False, True, True, True]),
        ("x in [1, 3]", [True, False, True, False]),
        ("x not in (1, 3)", [False, True, False, True]),
        ("k == 'a'", [True, False, False, True]),
        ("k != 'a'", [False, True, True, False]),
        ("'a' < k", [False, True, False, False]),
        ("k in ['a']", [True, False, False, True]),
        ("x + 1", [2, 3, 4, None]),
        ("1 - x", [0, -1, -2, None]),
        ("-x", [-1, -2, -3, None]),
        ("x * 2 - 1", [1, 3, 5, None]),
        ("x / 2", [0.5, 1.0, 1.5, None]),
        ("6 / x", [6.0, 3.0, 2.0, None]),
        ("x > -2", [True, True, True, False]),
        ("b and x > 0", [True, False, False, False]),
        ("not b", [False, True, True, False]),
        ("b or x > 2", [True, False, True, True]),
        ("b & (x > 0)", [True, False, False, False]),
        ("x // 2", [0, 1, 1, None]),
        ("-x // 2", [-1, -1, -2, None]),
        ("7 % x", [0, 1, 1, None]),
        ("x % -2", [-1, 0, -1, None]),
        ("x // (x - 2)", [-1, None, 3, None]),
        ("y // 1", [0.0, pytest.approx(float("nan"), nan_ok=True), -2.0, None]),
        ("-(x - 1)", [0, -1, -2, None]),
        ("x > y", [True, False, True, False]),
        ("x != y", [True, True, True, True]),
        ("y != 0.5", [False, True, True, True]),
        ("not y > 0", [False, True, True, True]),
        ("not (y > 0 or y <= 0)", [False, True, False, True]),
        ("x.is_null()", [False, False, False, True]),
        ("y.not_null() and x > 1", [False, False, True, False]),
        ("x in [1, None]", [True, False, False, True]),
        ("x in [0.5, 2.0]", [False, True, False, False]),
        ("x < 1" + "0" * 30, [True, True, True, False]),
        ("x != 1" + "0" * 30, [True, True, True, True]),
        ("1 + 1 == 2", [True] * 4),
        ("t >= '2014-01-03'", [False, False, True, True]),
        ("t in ['2014-01-02', '2014-01-04 00:00']", [False, True, False, True]),
    ],
)
def test_text_means_what_it_means_in_python(text: str, wanted: list[Any]) -> None:
    assert parse(text).evaluate(CHUNK).to_pylist() == wanted


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (col("y").is_null(), [False, True, False, True]),
        (col("y").not_null(), [True, False, True, False]),
        (col("x").cast("float64"), [1.0, 2.0, 3.0, None]),
        (col("x") // 2, [0, 1, 1, None]),
        (10 - col("x"), [9, 8, 7, None]),
        (2 * col("x"), [2, 4, 6, None]),
        (1 + col("x"), [2, 3, 4, None]),
        (~(col("x") > 1), [True, False, False, True]),
        (col("t") >= datetime.datetime(2014, 1, 3), [False, False, True, True]),
        (col("k").isin({"b"}), [False, True, False, False]),
        (col("y").isin([float("nan"), 0.5]), [True, True, False, True]),
        (10 // col("x"), [10, 5, 3, None]),
        (10 % col("x"), [0, 0, 1, None]),
        (-col("x"), [-1, -2, -3, None]),
        (1 / (col("x") - 1), [float("inf"), 1.0, 0.5, None]),
        (col("t") > datetime.date(2014, 1, 3), [False, False, False, True]),
    ],
)
def test_operators_make_formulas(made: Expression, wanted: list[Any]) -> None:
    assert made.evaluate(CHUNK).to_pylist() == wanted
    assert pickle.loads(pickle.dumps(made)).evaluate(CHUNK).to_pylist() == wanted


@given(
    a=st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=8),
    low=st.integers(-5, 5),
    high=st.integers(-5, 5),
)
@settings(max_examples=40, deadline=None)
def test_comparisons_equal_pandas(a: list[int | None], low: int, high: int) -> None:
    frame = pd.DataFrame({"a": pd.array(a, dtype="float64")})
    got = parse(f"a > {low} and not a == {high} or a < {low} - 2").evaluate(
        Chunk.from_arrow(pa.table({"a": pa.array(a, pa.int64())}))
    )
    wanted = ((frame.a > low) & ~(frame.a == high)) | (frame.a < low - 2)
    assert got.to_pylist() == wanted.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "x.real", "x[0]", "lambda: 1", "[x for x in k]", "f'{x}'", "x if b else y",
        "open('a')", "x ** 2", "x >", "", "x = 1", "(x := 1)", "x is None", "k == 'a",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_not_executed(text: str) -> None:
    with pytest.raises(SchemaError, match="a formula such as"):
        parse(text)


@pytest.mark.parametrize(
    "made",
    [
        parse("x > 1 and not (k in ['a'] or y < 2)"),
        col("x").is_null() | (col("y").cast("float32") / 3 + 1 - col("x") * 2 != 0),
        (col("x") // 2 >= 1) & (col("y") <= col("x")),
    ],
)
def test_a_renamed_formula_is_the_same_over_renamed_columns(made: Expression) -> None:
    names = {"x": "y", "y": "z", "k": "kk"}
    renamed = made.renamed(names)
    assert renamed.columns == {names[name] for name in made.columns}
    assert renamed.evaluate(CHUNK.rename(names)).equals(made.evaluate(CHUNK))
    assert made.renamed({}).token == made.token


def test_columns_of_a_formula_are_known() -> None:
    assert parse("x > 1 and (k in ['a'] or y < 2)").columns == {"x", "k", "y"}
    assert parse("1 + 2").columns == frozenset()


def test_a_formula_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(col("x") > 1)


def test_formulas_with_the_same_words_have_the_same_token() -> None:
    assert parse("x > 1 and k == 'a'").token == ((col("x") > 1) & (col("k") == "a")).token
    assert hash(parse("x > 1")) == hash(col("x") > 1)
    assert parse("x > 1").token != parse("x > 1.0").token
    assert (col("x") == 1).token != (col("x") == "1").token


def test_formula_takes_formulas_and_text_alone() -> None:
    made = col("x") > 1
    assert formula(made) is made
    with pytest.raises(SchemaError, match=r"bigml\.col"):
        formula(["x"])


def test_types_that_do_not_fit_are_an_error_with_the_formula() -> None:
    with pytest.raises(SchemaError, match=r"in `\(k > 1\)`"):
        parse("k > 1").type(TABLE.schema)


def test_arrays_of_numpy_are_evaluated_too() -> None:
    chunk = Chunk.from_matrix(np.arange(6.0).reshape(3, 2), ["a", "b"])
    assert (col("a") + col("b")).evaluate(chunk).to_pylist() == [1.0, 5.0, 9.0]
    assert bigml.col("a").columns == {"a"}


FORMULAS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: (x != y) & ~(x > 0.1),
    lambda x, y: ~((x <= y) | (y == 0.5)),
    lambda x, y: (x + y * 2 - 1 >= 0.3) | ~(x / y < 1),
    lambda x, y: (x // 0.5 == y % 0.25) | (-x > y),
    lambda x, y: (x == 0.1) | (y != 0.1),
    lambda x, y: (x <= 0.3) & ~(y // 3 != x),
    lambda x, y: ~(~(x > y) & (x * 1 != x)),
]
VALUES = st.one_of(st.none(), st.sampled_from([0.1, 0.3, 0.5, 0.0, -0.0, float("inf"), 3.0]), st.floats(-2, 2, width=32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formulas")


@given(
    rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12),
    made=st.sampled_from(FORMULAS),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=80, deadline=None)
def test_every_source_gives_the_rows_that_pandas_gives(folder: Path, rows: list[Any], made: Any, dtype: str) -> None:
    """Nulls in Arrow and Parquet, NaN in a memory map: the same rows."""
    frame = pd.DataFrame(rows, columns=["x", "y"]).astype(dtype)
    table = pa.table({name: pa.array(frame[name], from_pandas=True) for name in frame})
    np.save(folder / "X.npy", frame.to_numpy())
    pq.write_table(table, folder / "a.parquet", row_group_size=2)
    wanted = np.flatnonzero(made(frame.x, frame.y)).tolist()
    for source in (
        bigml.from_arrow(table, part_rows=3),
        bigml.read_memmap(folder / "X.npy", columns=["x", "y"]),
        bigml.read_parquet(folder / "a.parquet", part_bytes=1),
    ):
        chunks = source.where(made(col("x"), col("y"))).iter_chunks(["x"])
        assert [number for chunk in chunks for number in chunk.row_numbers.tolist()] == wanted, source


@given(
    values=st.lists(st.integers(-128, 127), min_size=1, max_size=9),
    other=st.integers(-9, 9).filter(bool),
    small=st.sampled_from(["int8", "int16", "int64"]),
)
@settings(max_examples=60, deadline=None)
def test_integers_are_divided_as_pandas_does_and_added_without_wrapping(values: list[int], other: int, small: str) -> None:
    frame = pd.DataFrame({"x": values}, dtype=small)
    chunk = Chunk.from_arrow(pa.Table.from_pandas(frame))
    wide = frame.x.astype("int64")
    for made, wanted in (
        (col("x") // other, wide // other),
        (col("x") % other, wide % other),
        (col("x") / other, wide / other),
        (col("x") * 100 + 100 - other, wide * 100 + 100 - other),
    ):
        assert made.evaluate(chunk).to_pylist() == wanted.tolist()
    assert (col("x") * 100).type(pa.schema({"x": small})) == pa.int64()
    assert (col("x") > 1_000).evaluate(chunk).to_pylist() == (frame.x > 1_000).tolist()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("float32", 0.1),
        ("float32", "float64"),
        ("float32", "int32"),
        ("float32", "int8"),
        ("int8", 2),
        ("int64", 0.5),
        ("bool", 1),
    ],
)
def test_types_of_results_are_numpys_and_integers_64_bits(left: str, right: Any) -> None:
    a = np.ones(1, dtype=left)
    b = np.ones(1, dtype=right) if isinstance(right, str) else right
    columns = {"a": pa.array(a)} | ({"b": pa.array(b)} if isinstance(right, str) else {})
    made = col("a") + (col("b") if isinstance(right, str) else right)
    wanted = (a + b).dtype
    assert made.type(pa.table(columns).schema) == (pa.int64() if wanted.kind in "bi" else pa.from_numpy_dtype(wanted))


def test_integers_beyond_64_bits_are_an_error() -> None:
    chunk = Chunk.from_arrow(pa.table({"x": [2**62]}))
    for made in (col("x") + 2**62, col("x") * 4, col("x") + 2**70):
        with pytest.raises(DataError, match=r"integers of at most 64 bits, got more .* in `\(x .*cast\(\"float64\"\)"):
            made.evaluate(chunk)


@pytest.mark.parametrize(
    "made",
    [
        lambda: operator.eq(col("x"), None),
        lambda: parse("x != None"),
        lambda: parse("None < x"),
        lambda: col("x") + pd.NaT,
    ],
)
def test_a_comparison_with_nothing_says_how_to_ask(made: Any) -> None:
    with pytest.raises(SchemaError, match=r"a value, got a missing one - in `.*\.is_null\(\)` or `\.not_null\(\)`"):
        made()


ZONE = "America/New_York"
TIMES = pd.date_range("2014-03-08 20:00", periods=40, freq="2h")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", ZONE, "+02:00"])
@pytest.mark.parametrize("text", ["2014-03-10", "2014-03-09 02:00", "2014-03-09T18:30:00"])
def test_times_are_written_as_text_in_the_zone_of_the_column(unit: str, zone: str | None, text: str) -> None:
    times = TIMES.tz_localize(zone, nonexistent="shift_forward") if zone else TIMES
    if zone == ZONE and text == "2014-03-09 02:00":
        text += "-05:00"
    chunk = Chunk.from_arrow(pa.table({"t": pa.array(times).cast(pa.timestamp(unit, zone))}))
    wanted = pd.Timestamp(text) if zone is None or "-05" in text else pd.Timestamp(text, tz=zone)
    for symbol in (">=", "<", "==", "!="):
        compare = {">=": operator.ge, "<": operator.lt, "==": operator.eq, "!=": operator.ne}[symbol]
        assert parse(f"t {symbol} '{text}'").evaluate(chunk).to_pylist() == compare(times, wanted).tolist()
    assert parse(f"t in ['{text}']").evaluate(chunk).to_pylist() == parse(f"t == '{text}'").evaluate(chunk).to_pylist()


def test_dates_are_written_as_text() -> None:
    days = pa.array([datetime.date(2014, 3, day) for day in (1, 2, 3)])
    for kind in (pa.date32(), pa.date64()):
        chunk = Chunk.from_arrow(pa.table({"d": days.cast(kind)}))
        assert parse("'2014-03-02' <= d").evaluate(chunk).to_pylist() == [False, True, True]
        assert parse("d > '2014-03-02 12:00'").evaluate(chunk).to_pylist() == [False, False, True]
        assert parse("d in ['2014-03-03', '2014-03-01']").evaluate(chunk).to_pylist() == [True, False, True]


@pytest.mark.parametrize("text", ["soon", "2014-13-01", "2014-03-01 00:00+01:00"])
def test_text_that_is_no_time_of_the_column_is_refused(text: str) -> None:
    message = rf"a date or time such as .*, got '{re.escape(text)}' - for a column of type .* in `\(t < "
    with pytest.raises(SchemaError, match=message):
        parse(f"t < '{text}'").type(TABLE.schema)


def test_formulas_print_as_they_are_written() -> None:
    text = "(((x > 1) and (not (k in ['a', 'b']))) or (((-x) // 2) == (y % 3)))"
    assert repr(parse(text)) == text
    assert parse(repr(parse(text))).token == parse(text).token
    assert repr(col("x").isin(range(20))).endswith("...])")
    assert repr(col("x").cast("int8").not_null()) == "(not x.cast('int8').is_null())"


def test_sets_of_values_have_one_token() -> None:
    assert col("k").isin({"a", "b"}).token == col("k").isin(["b", "a"]).token == col("k").isin(("a", "b")).token
    assert col("k").isin(["a"]).token != col("k").isin(["a", None]).token
