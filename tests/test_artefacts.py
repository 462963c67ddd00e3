"""Artefacts: whatever a stage gives comes back bit for bit, and nothing else is taken."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

from bigml.errors import DataError, SourceError
from bigml.report import artefacts
from bigml.report.values import dumps, from_json, to_json
from bigml.sources.manifest import FileRecord, Manifest

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.datetimes(), st.dates(), st.timedeltas()
)
KEYS = st.one_of(st.text(), st.integers(), st.tuples(st.text(), st.integers()), st.just("$tuple"))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def there_and_back(value: Any, folder: Path) -> Any:
    """The value after it was on the disk."""
    artefacts.save(value, folder / "stage")
    return artefacts.load(folder / "stage")


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_tree_of_values_comes_back_equal_through_json_text(tree: object) -> None:
    assert from_json(json.loads(json.dumps(to_json(tree)))) == tree


@settings(max_examples=200, deadline=None)
@given(st.floats())
def test_every_float_keeps_its_bits(number: float) -> None:
    back = from_json(json.loads(json.dumps(to_json(number))))
    assert math.isnan(back) if math.isnan(number) else struct.pack("d", back) == struct.pack("d", number)


@pytest.mark.parametrize(
    "value",
    [
        (1, [2.5, None], {"a": Path("x/y")}),
        {"when": datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "day": date(2020, 1, 1), "took": timedelta(1, 2, 3)},
        {"moment": pd.Timestamp(1_600_000_000_123_456_789), "span": pd.Timedelta(5, "ns")},
        {("a", "mean"): 1, 7: "seven"},
        Manifest("parquet", "0a", (("x", "int64"),), (FileRecord("part", 3, 10, 7),), metadata={"seed": 1}),
    ],
)
def test_values_come_back_equal_and_of_the_same_type(value: object, tmp_path: Path) -> None:
    back = there_and_back(value, tmp_path)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.array([], dtype="int8"), np.array(["a", "bc"]), np.array(3)])
def test_arrays_come_back_with_shape_and_dtype(array: np.ndarray, tmp_path: Path) -> None:
    back = there_and_back({"array": array}, tmp_path)["array"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


FRAMES = {
    "plain": pd.DataFrame({"x": [1.5, np.nan, -0.0], "n": [1, 2, 3], "s": ["a", None, "c"]}),
    "named index": pd.DataFrame({"x": [1, 2]}, index=pd.Index(["AA", "UA"], name="carrier")),
    "two levels": pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([("AA", 1), ("UA", 2)], names=["carrier", None])),
    "aggregated": pd.DataFrame({"k": list("aab"), "x": [1.0, 2.0, 3.0]}).groupby("k").agg({"x": ["count", "mean"]}),
    "described": pd.DataFrame({"x": [1.0, 2.0], "s": ["a", "b"]}).describe(include="all"),
    "described times": pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2020-01-03"])}).describe(),
    "integer labels": pd.DataFrame(np.eye(3, dtype="float32")),
    "repeated labels": pd.DataFrame([[1, 2.5]], columns=["x", "x"]),
    "no columns": pd.DataFrame(index=pd.Index(["a", "b"])),
    "no rows": pd.DataFrame({"x": pd.Series(dtype="float32"), "s": pd.Series(dtype="str")}),
    "null keys": pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", np.nan], name="k", dtype=object)),
    "nullable": pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    "categories": pd.DataFrame({"c": pd.Categorical(["b", "a"], categories=["b", "a", "z"], ordered=True)}),
    "times": pd.DataFrame({"t": pd.date_range("2020-01-01", periods=2, tz="America/New_York")}),
    "mixed objects": pd.DataFrame({"o": [1, "two", 3.5, None, (4, 5)]}, dtype=object),
    "intervals": pd.DataFrame({"n": [1, 2]}, index=pd.IntervalIndex.from_breaks([0.0, 1.0, 2.0], name="bin")),
    "float labels": pd.DataFrame([[1, 2]], columns=pd.Index([0.1, 0.2], name="q")),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_come_back_equal_to_the_last_bit(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.attrs = {"rows": 10, "errors": {"p95": 0.01}, "shape": (1, 2)}
    back = there_and_back((frame, 1), tmp_path)[0]
    assert_frame_equal(back, frame, check_exact=True, check_freq=False, check_column_type=True, check_index_type=True)
    assert back.attrs == frame.attrs


@pytest.mark.parametrize("name", ["x", None, ("x", "mean"), 3])
def test_series_keep_their_name(name: Any, tmp_path: Path) -> None:
    series = pd.Series([1.5, 2.5], index=pd.Index([7, 8], name="hour"), name=name)
    assert_series_equal(there_and_back(series, tmp_path), series, check_exact=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(width=64), max_size=8), labels=st.lists(st.text(max_size=3), max_size=8))
def test_any_floats_under_any_labels_come_back(values: list[float], labels: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame([values[: len(labels)]] * 2, columns=labels[: len(values)], dtype="float64")
    assert_frame_equal(there_and_back(frame, tmp_path), frame, check_exact=True)


def test_fitted_model_comes_back_with_the_same_coefficients(tmp_path: Path) -> None:
    from sklearn.linear_model import SGDClassifier

    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    model = SGDClassifier(random_state=1).fit(X, X[:, 0] > 0)
    back, score = there_and_back((model, 0.5), tmp_path)
    assert back.coef_.tobytes() == model.coef_.tobytes()
    assert score == 0.5


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 3, np.array([object()]), pd.DataFrame({"o": [object()]})])
def test_other_types_are_refused_by_name_and_leave_nothing(value: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected numbers, text"):
        artefacts.save(value, tmp_path / "stage")
    assert list(tmp_path.iterdir()) == []


def test_stored_value_of_a_failed_save_still_stands(tmp_path: Path) -> None:
    artefacts.save(1, tmp_path / "stage")
    with pytest.raises(DataError):
        artefacts.save([pd.DataFrame({"x": [1]}), object()], tmp_path / "stage")
    assert artefacts.load(tmp_path / "stage") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"$frame": "../../x.parquet"}'])
def test_damaged_result_is_one_clear_error(damage: bytes, tmp_path: Path) -> None:
    artefacts.save(1, tmp_path / "stage")
    (tmp_path / "stage" / "value.json").write_bytes(damage)
    with pytest.raises(SourceError, match="the stored result of a stage"):
        artefacts.load(tmp_path / "stage")


def test_flipped_byte_in_a_stored_table_is_an_error_and_not_another_number(tmp_path: Path) -> None:
    artefacts.save(pd.DataFrame({"x": np.random.default_rng(0).normal(size=1000)}), tmp_path / "stage")
    path = tmp_path / "stage" / "1.parquet"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match="the stored result of a stage"):
        artefacts.load(tmp_path / "stage")


def test_record_of_another_library_is_not_built() -> None:
    with pytest.raises(DataError, match=r"a record of bigml, got `subprocess\.Popen`"):
        from_json({"$record": ["subprocess", "Popen", {"args": ["true"]}]})


def test_text_for_programs_is_strict_json() -> None:
    value = {"auc": np.float64(0.5), "bad": float("nan"), 3: (1, np.arange(2)), "path": Path("x"), "table": pd.Series([1])}
    assert json.loads(dumps(value)) == {"auc": 0.5, "bad": None, "3": [1, [0, 1]], "path": "x", "table": str(pd.Series([1]))}
