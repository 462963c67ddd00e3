"""Preprocessing from one scan equals scikit-learn's own fit on the concatenation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

import bigml
from bigml.errors import ColumnError, DataError, FitError
from bigml.learning import design, tally
from bigml.learning.preprocessing.encoding import infrequent
from bigml.learning.tally import RELATIVE_ERROR

NUMERIC, TEXT = ["a", "b", "i"], ["s", "t"]


def table(n: int, seed: int, holes: float) -> pd.DataFrame:
    """Floats, integers and strings; some floats and strings missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "a": rng.normal(1e6, 1, n),
        "b": rng.exponential(size=n).round(1),
        "i": rng.integers(-3, 4, n),
        "s": rng.choice(list("abcdef"), n, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]),
        "t": rng.choice(["x", "y", "long value"], n),
    })  # fmt: skip
    frame.loc[rng.random(n) < holes, "a"] = np.nan
    frame.loc[rng.random(n) < holes, "s"] = None
    return frame


def dense(matrix: Any) -> np.ndarray:
    """A matrix of any kind as a float array."""
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)


def assert_equals_scikit_learn(step: Any, frame: pd.DataFrame, part_rows: int, rtol: float = 1e-9) -> Any:
    """Fitted by bigml, the step transforms the frame as scikit-learn's fit does, with the same names and kind of matrix."""
    expected = clone(step).fit(frame)
    fitted = bigml.fit(step, bigml.from_pandas(frame, part_rows=part_rows))
    ours, theirs = fitted.transform(frame), expected.transform(frame)
    assert type(ours) is type(theirs)
    np.testing.assert_allclose(dense(ours), dense(theirs), rtol=rtol, atol=rtol)
    assert list(fitted.get_feature_names_out()) == list(expected.get_feature_names_out())
    assert list(fitted.feature_names_in_) == list(expected.feature_names_in_)
    return fitted


FILLED = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
CONSTANT = SimpleImputer(strategy="constant", fill_value=-7.5)
NAMED = SimpleImputer(strategy="constant", fill_value="?")
ALL_NUMBERS = make_column_selector(dtype_include="number")
DENSE = OneHotEncoder(sparse_output=False)
STEPS = {
    "scaled": make_column_transformer((StandardScaler(), NUMERIC)),
    "unit range": make_column_transformer((MinMaxScaler((-1, 2)), NUMERIC), remainder="drop"),
    "mean": make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), NUMERIC)),
    "median": make_column_transformer((make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMERIC)),
    "indicator": make_column_transformer((make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), NUMERIC)),
    "constant": make_column_transformer((make_pipeline(CONSTANT, MinMaxScaler()), NUMERIC)),
    "one-hot": make_column_transformer((OneHotEncoder(), [*TEXT, "i"]), ("passthrough", ["b"])),
    "one-hot, first dropped": make_column_transformer((OneHotEncoder(drop="first"), ["t", "i"])),
    "one-hot, binary dropped": make_column_transformer((OneHotEncoder(drop="if_binary", handle_unknown="ignore"), TEXT)),
    "one-hot, rare by share": make_column_transformer((OneHotEncoder(min_frequency=0.12), TEXT)),
    "one-hot, most": make_column_transformer((OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"), TEXT)),
    "ordinal": make_column_transformer((OrdinalEncoder(encoded_missing_value=-1), [*TEXT, "i"])),
    "ordinal, rare": make_column_transformer((OrdinalEncoder(max_categories=2), TEXT)),
    "text filled": make_column_transformer((FILLED, TEXT), (StandardScaler(), ["b"])),
    "named missing": make_column_transformer((make_pipeline(NAMED, OneHotEncoder()), TEXT)),
    "scaled one-hot": make_pipeline(make_column_transformer((OneHotEncoder(), TEXT)), StandardScaler(with_mean=False)),
    "scaled ordinal": make_pipeline(make_column_transformer((OrdinalEncoder(), ["t"]), ("passthrough", ["b"])), StandardScaler()),
    "scaled twice": make_pipeline(make_column_transformer((StandardScaler(with_std=False), ["b", "i"])), MinMaxScaler()),
    "everything": ColumnTransformer(
        [
            ("numbers", Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())]), ALL_NUMBERS),
            ("few", FILLED, slice("s", "t")),
            ("nothing", "drop", ["i"]),
            ("as is", "passthrough", [1]),
        ]
    ),
    "frames": make_column_transformer((DENSE, TEXT), (StandardScaler(), ["b"])).set_output(transform="pandas"),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_every_step_equals_scikit_learn(name: str) -> None:
    assert_equals_scikit_learn(STEPS[name], table(300, seed=1, holes=0.2), part_rows=70)


@given(
    st.sampled_from(["mean", "median", "indicator", "one-hot", "ordinal", "text filled", "everything"]),
    st.integers(20, 120), st.integers(0, 1000), st.sampled_from([0.0, 0.3]), st.integers(1, 50),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_chunking_equals_scikit_learn(name: str, n: int, seed: int, holes: float, part_rows: int) -> None:
    assert_equals_scikit_learn(STEPS[name], table(n, seed, holes), part_rows)


def test_attributes_of_the_scaler_are_those_of_all_rows() -> None:
    frame = table(500, seed=2, holes=0.3)[NUMERIC]
    fitted = bigml.fit(StandardScaler(), bigml.from_pandas(frame, part_rows=33))
    expected = StandardScaler().fit(frame)
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        np.testing.assert_allclose(getattr(fitted, name), getattr(expected, name), rtol=1e-9)


def test_a_large_mean_does_not_spoil_the_variance() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(1e9, 1, 10_000)})
    fitted = bigml.fit(StandardScaler(), bigml.from_pandas(frame, part_rows=100))
    np.testing.assert_allclose(fitted.var_, np.var(frame.to_numpy() - 1e9), rtol=1e-9)


@pytest.mark.parametrize("part_rows", [1, 2, 3])
def test_numbers_that_cancel_do_not_spoil_the_mean(part_rows: int) -> None:
    frame = pd.DataFrame({"x": [1e16, 1.0, -1e16]})
    source = bigml.from_pandas(frame, part_rows=part_rows)
    assert bigml.fit(StandardScaler(), source).mean_ == [1 / 3]
    assert bigml.fit(SimpleImputer(), source).statistics_ == [1 / 3]


def test_a_constant_column_is_scaled_by_one() -> None:
    frame = pd.DataFrame({"x": [0.1] * 1000, "y": np.arange(1000.0)})
    fitted = assert_equals_scikit_learn(StandardScaler(), frame, part_rows=7)
    assert fitted.scale_[0] == 1.0


def test_the_median_of_very_many_numbers_is_within_the_stated_error() -> None:
    values = np.random.default_rng(5).lognormal(size=5 * tally.MOST_EXACT)
    frame = pd.DataFrame({"x": values})
    frame.loc[0, "x"] = np.nan
    fitted = bigml.fit(SimpleImputer(strategy="median"), bigml.from_pandas(frame, part_rows=10_000))
    np.testing.assert_allclose(fitted.statistics_, np.nanmedian(frame.to_numpy()), rtol=RELATIVE_ERROR)


def test_an_empty_column_is_left_out_as_scikit_learn_does() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "none": [np.nan] * 3})
    with pytest.warns(UserWarning, match="Skipping features"):
        assert_equals_scikit_learn(SimpleImputer(), frame, part_rows=2)


def test_true_and_false_are_encoded() -> None:
    assert_equals_scikit_learn(OneHotEncoder(), pd.DataFrame({"x": [True, False, True, True]}), part_rows=3)


def test_dictionary_columns_are_encoded_as_their_values() -> None:
    frame = table(100, seed=3, holes=0.0)[["t"]]
    fitted = bigml.fit(OneHotEncoder(), bigml.from_pandas(frame.astype("category"), part_rows=9))
    np.testing.assert_array_equal(dense(fitted.transform(frame)), dense(OneHotEncoder().fit_transform(frame)))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.one_of(st.none(), st.integers(1, 9)),
    st.one_of(st.none(), st.integers(1, 8)),
)
@settings(max_examples=60, deadline=None)
def test_rare_categories_are_those_that_scikit_learn_groups(counts: list[int], least: int | None, most: int | None) -> None:
    column = np.repeat(np.arange(len(counts)), counts)[:, None]
    encoder = OneHotEncoder(min_frequency=least, max_categories=most).fit(column)
    grouped = encoder.infrequent_categories_[0] if least is not None or most is not None else None
    ours = np.flatnonzero(infrequent(np.array(counts), len(column), least, most))
    np.testing.assert_array_equal(ours, [] if grouped is None else grouped)


def test_the_dense_or_sparse_form_follows_all_rows_not_the_witness() -> None:
    frame = pd.DataFrame({"k": np.arange(40) % 4, "x": np.arange(40.0), "y": 1.0})
    step = make_column_transformer((OneHotEncoder(), ["k"]), ("passthrough", ["x", "y"]))
    for threshold in (0.2, 0.49, 0.51, 0.9):
        step.set_params(sparse_threshold=threshold)
        fitted = assert_equals_scikit_learn(step, frame, part_rows=11)
        assert fitted.sparse_output_ == clone(step).fit(frame).sparse_output_


def test_the_callers_object_is_not_changed() -> None:
    scaler = StandardScaler()
    bigml.fit(make_pipeline(scaler), bigml.from_pandas(table(20, 0, 0)[NUMERIC]))
    assert not hasattr(scaler, "mean_")


def test_columns_that_are_dropped_are_not_read() -> None:
    source = bigml.from_pandas(table(30, 0, 0)).assign(bad=lambda frame: 1 / 0 if len(frame) else frame["a"])
    fitted = bigml.fit(make_column_transformer((StandardScaler(), ["b"])), source)
    assert list(fitted.feature_names_in_) == ["a", "b", "i", "s", "t", "bad"]


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (DictVectorizer(), FitError, "`DictVectorizer`.*source.sample"),
        (make_column_transformer((make_pipeline(DictVectorizer()), ["s"])), FitError, "`DictVectorizer`"),
        (make_column_transformer((StandardScaler(), ["bb"])), ColumnError, "`bb`.*Did you mean `b`"),
        (SimpleImputer(strategy="constant", missing_values=-1), FitError, "missing_values"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_name(step: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bigml.fit(step, bigml.from_pandas(table(20, 0, 0)))


def test_infinity_is_refused_with_column_and_row() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, np.inf, 3.0]})
    with pytest.raises(DataError, match=r"infinity.*column `x`, row 2"):
        bigml.fit(StandardScaler(), bigml.from_pandas(frame, part_rows=3))


def test_too_many_categories_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"x": np.arange(200_001).astype(str)})
    with pytest.raises(DataError, match=r"at most 100,000 distinct values.*column `x`"):
        bigml.fit(OneHotEncoder(), bigml.from_pandas(frame))


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="rows to learn from"):
        bigml.fit(StandardScaler(), bigml.from_pandas(pd.DataFrame({"x": [1.0]})).where("x > 2"))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
def test_classes_and_categories_of_a_memory_map_are_found(tmp_path, kind):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 4, (300, 2)).astype(kind), rng.integers(0, 3, 300).astype(kind)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    source = bigml.read_memmap(tmp_path / "X.npy", y=tmp_path / "y.npy", part_bytes=900)
    found = bigml.fit(make_pipeline(OneHotEncoder(), SGDClassifier(random_state=0)), source, target="target")
    assert found[-1].classes_.tolist() == [0, 1, 2]
    assert [one.tolist() for one in found[0].categories_] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_rows_encoded_some_after_others_are_those_encoded_at_once(monkeypatch: pytest.MonkeyPatch, threshold: float) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=500), "k": rng.choice(list("abc"), 500)})
    step = make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["k"]), sparse_threshold=threshold)
    monkeypatch.setattr(design, "SLICE_ROWS", 64)
    source = bigml.from_pandas(frame)
    made = design.Design(source.columns, step.fit(frame)).matrix(source.read(source.parts[0]))
    expected = step.transform(frame)
    assert sparse.issparse(made) == bool(threshold)
    assert (abs(made - expected) if threshold else np.abs(made - expected)).max() == 0
