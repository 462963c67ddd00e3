"""Formulas: built with operators or parsed from text, never executed."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.errors import SchemaError
from bigml.sources.expression import Expression, col, formula, parse

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
        ("x > 1", [False, True, True, None]),
        ("x >= 2 and x < 3", [False, True, False, None]),
        ("x == 1 or x == 3", [True, False, True, None]),
        ("1 < x <= 3", [False, True, True, None]),
        ("not x == 1", [False, True, True, None]),
        ("x != 1", [False, True, True, None]),
        ("x in [1, 3]", [True, False, True, False]),
        ("x not in (1, 3)", [False, True, False, True]),
        ("k == 'a'", [True, False, None, True]),
        ("k in ['a']", [True, False, False, True]),
        ("x + 1", [2, 3, 4, None]),
        ("1 - x", [0, -1, -2, None]),
        ("-x", [-1, -2, -3, None]),
        ("x * 2 - 1", [1, 3, 5, None]),
        ("x / 2", [0.5, 1.0, 1.5, None]),
        ("6 / x", [6.0, 3.0, 2.0, None]),
        ("x > -2", [True, True, True, None]),
        ("b and x > 0", [True, False, None, None]),
        ("b & (x > 0)", [True, False, None, None]),
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
        (~(col("x") > 1), [True, False, False, None]),
        (col("t") >= datetime.datetime(2014, 1, 3), [False, False, True, True]),
        (col("k").isin({"b"}), [False, True, False, False]),
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
    frame = pd.DataFrame({"a": pd.array(a, dtype="Int64")})
    got = parse(f"a > {low} and not a == {high} or a < {low} - 2").evaluate(
        Chunk.from_arrow(pa.table({"a": pa.array(a, pa.int64())}))
    )
    wanted = ((frame.a > low) & ~(frame.a == high)) | (frame.a < low - 2)
    assert got.to_pylist() == [None if pd.isna(value) else bool(value) for value in wanted]


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
