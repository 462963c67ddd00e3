"""Rows are compared with those of training: what is new in them is found, and what is not new raises no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.chunk import Chunk
from bigml.errors import DataError, FitError, SourceError
from bigml.learning.keeping import distribution
from bigml.learning.keeping.checking import Check
from bigml.learning.keeping.distribution import BINS, Binned, Distribution, Numbers, psi, sketch
from bigml.stats.reducer import reduce_chunks
from bigml.testing import check_reducer


def table(n: int = 4000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "hour": rng.integers(0, 24, n), "s": rng.choice(list("abc"), n)})
    frame["gap"] = np.where(rng.random(n) < 0.2, np.nan, rng.gamma(2, size=n))
    frame["late"] = frame["x"] > 0.5
    return frame


FRAME = table()
OTHER = table(3000, seed=1)
FEATURES = make_column_transformer(
    (StandardScaler(), ["x", "gap"]), (OneHotEncoder(handle_unknown="ignore"), ["s"]), remainder="drop"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_pipeline(FEATURES, LogisticRegression()).fit(FRAME.fillna(0), FRAME["late"])
    path = tmp_path_factory.mktemp("models") / "late"
    return bigml.save(model, path, source=bigml.from_pandas(FRAME, part_rows=999))


def texts(found: Check) -> dict[str, str]:
    return {finding.column: finding.text for finding in found.findings}


def test_rows_of_the_same_distribution_are_fine(saved: Path) -> None:
    found = bigml.check(saved, bigml.from_pandas(OTHER, part_rows=700))
    assert found
    assert found.ok
    assert found.findings == ()
    assert (found.n_rows, found.n_rows_trained) == (3000, 4000)
    assert found.raise_for_problems() is found
    assert all(0 <= one.shift.psi < 0.05 for one in found.columns)


def test_the_rows_of_training_have_an_index_of_exactly_zero(saved: Path) -> None:
    assert [one.shift.psi for one in bigml.check(saved, FRAME).columns] == [0.0, 0.0, 0.0]


def test_a_column_that_the_model_does_not_read_is_of_no_interest(saved: Path) -> None:
    assert bigml.check(saved, OTHER.drop(columns=["hour", "late"])).ok


@pytest.mark.parametrize(
    ("frame", "column", "text"),
    [
        (OTHER.drop(columns="x"), "x", r"is missing \(it was of type double\)"),
        (OTHER.assign(x=OTHER["x"].astype(str)), "x", "is of type string, in training it was double"),
        (OTHER.assign(s=1.0), "s", "is of type double, in training it was string"),
        (OTHER.assign(s=OTHER["s"].where(OTHER.index > 2, "zz")), "s", r"training did not have: 'zz' \(3 rows\)"),
        (OTHER.assign(s=OTHER["s"].where(OTHER.index > 0, None)), "s", "has 1 missing value, in training it had none"),
        (OTHER.assign(x=OTHER["x"] + 1), "x", r"its values have drifted: PSI [01]\.\d{3}"),
        (
            OTHER.assign(gap=OTHER["gap"].where(OTHER.index % 2 == 0)),
            "gap",
            r"share of missing values went from .* to 5\d\.\d\d%",
        ),
        (OTHER.assign(s=np.where(OTHER.index % 9, "a", OTHER["s"])), "s", "its values have drifted"),
    ],
)
def test_what_is_new_is_a_problem_with_its_column(saved: Path, frame: pd.DataFrame, column: str, text: str) -> None:
    found = bigml.check(saved, bigml.from_pandas(frame, part_rows=512))
    assert not found
    assert {finding.column for finding in found.findings} == {column}
    with pytest.raises(DataError, match=rf"rows like those of training, got .*{text}.*column `{column}`"):
        found.raise_for_problems()


def test_a_moderate_drift_is_a_notice_and_no_problem(saved: Path) -> None:
    found = bigml.check(saved, OTHER.assign(x=OTHER["x"] + 0.4))
    assert found.ok
    assert [finding.is_problem for finding in found.findings] == [False]
    assert "drifted: PSI 0.1" in texts(found)["x"]


@pytest.mark.parametrize("seed", range(5))
def test_few_rows_raise_no_false_alarm(saved: Path, seed: int) -> None:
    assert bigml.check(saved, table(30, seed=10 + seed)).findings == ()


@pytest.mark.parametrize("kind", ["float32", "category"])
def test_types_that_mean_the_same_are_fine(saved: Path, kind: str) -> None:
    column = "x" if kind == "float32" else "s"
    assert bigml.check(saved, OTHER.astype({column: kind})).ok


def test_everything_is_found_in_one_scan_of_the_inputs(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = bigml.from_pandas(OTHER, part_rows=500)
    read: list[tuple[str, ...]] = []
    scan = type(source).scan

    def spied(self: Any, parts: Any, columns: Any) -> Any:
        read.extend(tuple(columns) for _ in parts)
        return scan(self, parts, columns)

    monkeypatch.setattr(type(source), "scan", spied)
    bigml.check(saved, source)
    assert len(read) == len(source.parts)
    assert {name for columns in read for name in columns} == {"x", "gap", "s"}


def test_a_loaded_model_is_known_by_itself(saved: Path) -> None:
    assert bigml.check(bigml.load(saved), OTHER).n_rows_trained == 4000


def test_a_model_that_was_never_saved_tells_its_columns_and_categories() -> None:
    model = make_pipeline(FEATURES, LogisticRegression()).fit(FRAME.fillna(0), FRAME["late"])
    found = bigml.check(model, OTHER.assign(s="new").drop(columns="x"))
    assert texts(found) == {"x": "is missing", "s": "has categories that training did not have: 'new' (3,000 rows)"}
    assert bigml.check(model, OTHER).ok


def test_numbers_that_are_encoded_are_categories() -> None:
    model = OneHotEncoder().fit(FRAME[["hour"]])
    assert bigml.check(model, FRAME.astype({"hour": float})).ok
    assert texts(bigml.check(model, FRAME.assign(hour=25)))["hour"].endswith("'25' (4,000 rows)")


def test_a_model_without_names_is_refused() -> None:
    with pytest.raises(FitError, match="names its inputs"):
        bigml.check(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), OTHER)


def test_a_path_without_a_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a saved model"):
        bigml.check(tmp_path, OTHER)


def test_a_check_prints_its_findings_and_tells_them_to_programs(saved: Path) -> None:
    found = bigml.check(saved, OTHER.assign(s="<script>").drop(columns="x"))
    lines = repr(found).splitlines()
    assert lines[0].startswith("not ok: 3 problems, 0 notices in 3 columns; compared 3,000 rows with 4,000 of training")
    assert len(lines) == 4
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
    assert found.to_pandas().loc["s", "unseen"] == 1
    assert found.to_dict()["columns"]["s"]["unseen"] == {"<script>": 3000}
    assert found.to_dict()["findings"][0] == {"column": "x", "text": "is missing (it was of type double)", "is_problem": True}


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_index_is_symmetric_never_negative_and_zero_for_equal_shares(rows: list[tuple[int, int]]) -> None:
    p, q = ([pair[i] for pair in rows] for i in (0, 1))
    if not sum(p) or not sum(q):
        assert np.isnan(psi(p, q))
        return
    assert psi(p, q) == pytest.approx(psi(q, p), abs=1e-12)
    assert psi(p, q) >= -1e-12
    assert psi(p, p) == 0.0


def test_the_index_is_the_textbooks_sum() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4])
    exact = float(((q - p) * np.log(q / p)).sum())
    assert psi((p * 1e7).astype(int).tolist(), (q * 1e7).astype(int).tolist()) == pytest.approx(exact, abs=1e-6)


NUMBERS = st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(width=32, allow_nan=True)), max_size=60)


@given(NUMBERS, st.integers(1, 10))
@settings(max_examples=80, deadline=None)
def test_bins_hold_every_row_and_other_rows_are_counted_in_the_same_bins(values: list[float], size: int) -> None:
    chunks = [
        Chunk({"x": np.array(values[i : i + size])}, range(i, i + len(values[i : i + size]))) for i in range(0, len(values), size)
    ]
    found = reduce_chunks(Numbers("x"), chunks)
    assert sum(found.counts) + found.missing == found.n_rows == len(values)
    assert list(found.edges) == sorted(set(found.edges))
    again = reduce_chunks(Binned("x", found.edges), chunks)
    assert (again.n_rows, again.missing, again.counts) == (found.n_rows, found.missing, found.counts)


def test_bins_of_many_numbers_have_about_equal_shares_and_exact_counts() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    found = reduce_chunks(Numbers("x"), [Chunk({"x": values}, range(len(values)))])
    assert len(found.counts) == BINS
    assert np.array(found.counts) == pytest.approx(20_000, rel=0.01)
    assert tuple(np.bincount(np.searchsorted(found.edges, values)).tolist()) == found.counts


def test_a_value_that_many_rows_share_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(700), np.arange(-150, 0), np.arange(1, 151)]).astype(float)
    found = reduce_chunks(Numbers("x"), [Chunk({"x": values}, range(1000))])
    assert 700 in found.counts


@pytest.mark.parametrize(("column", "encoded"), [("x", False), ("gap", False), ("s", False), ("hour", True), ("late", False)])
def test_sketches_keep_the_laws_of_reducers(column: str, encoded: bool) -> None:
    data = pa.Table.from_pandas(FRAME[:200])
    chunks = [Chunk.from_arrow(data.slice(start, 50), start) for start in range(0, 200, 50)]
    before: Distribution = check_reducer(sketch(column, data.schema.field(column).type, encoded), chunks)
    again = check_reducer(before.counter(column, data.schema.field(column).type), chunks)
    assert (again.n_rows, again.missing, again.counts) == (before.n_rows, before.missing, before.counts)


def test_a_column_of_too_many_categories_is_not_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distribution, "COUNTED", 50)
    frame = pd.DataFrame({"text": [f"row {i}" for i in range(200)]})
    model = LinearRegression()
    model.feature_names_in_ = np.array(["text"], dtype=object)
    bigml.save(model, tmp_path / "model", source=frame)
    found = bigml.check(tmp_path / "model", frame.assign(text=frame["text"] + "!"))
    assert found.ok
    assert np.isnan(found.columns[0].shift.psi)


def test_unseen_categories_are_not_guessed_where_not_all_were_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distribution, "KEPT", 30)
    frame = pd.DataFrame({"text": [f"{i % 60}" for i in range(600)]})
    model = LinearRegression()
    model.feature_names_in_ = np.array(["text"], dtype=object)
    bigml.save(model, tmp_path / "model", source=frame)
    assert bigml.check(tmp_path / "model", frame).ok
    shifted = bigml.check(tmp_path / "model", frame.assign(text="new"))
    assert shifted.columns[0].unseen == {}
    assert "drifted" in texts(shifted)["text"]
