"""Models in directories: they come back the same, whole or not at all, and nothing in them runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import ColumnError, DataError, SourceError, WriteError
from bigml.learning.keeping import saving
from bigml.learning.keeping.card import Card
from bigml.sources.atomic import AtomicFile
from bigml.sources.claim import Claim

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"x": RNG.normal(size=400), "hour": RNG.integers(0, 24, 400), "s": RNG.choice(["a", "b"], 400)})
FRAME.loc[::10, "x"] = np.nan
FRAME["late"] = np.where(RNG.random(400) > 0.3, "yes", "no")
FRAME["id"] = np.arange(400)
SOURCE = bigml.from_pandas(FRAME, part_rows=64)
FEATURES = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["x"]), (OneHotEncoder(handle_unknown="ignore"), ["s", "hour"])
)
MODEL = make_pipeline(FEATURES, LogisticRegression()).fit(FRAME.drop(columns="late"), FRAME["late"])
LINE = LinearRegression().fit(FRAME[["hour"]], FRAME["id"])


def manifest(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "manifest.json").read_text()))


def test_a_loaded_model_predicts_the_same_bits(tmp_path: Path) -> None:
    path = bigml.save(MODEL, tmp_path / "late")
    assert bigml.load(path).predict_proba(FRAME).tobytes() == MODEL.predict_proba(FRAME).tobytes()


def test_the_manifest_tells_versions_inputs_classes_rows_and_metrics(tmp_path: Path) -> None:
    scores = bigml.score(MODEL, SOURCE, target="late", scoring=["accuracy", "roc_auc"])
    bigml.save(MODEL, tmp_path / "late", source=SOURCE, metrics=scores)
    told = manifest(tmp_path / "late")
    assert {"python", "scikit-learn", "numpy", "bigml"} <= told["versions"].keys()
    assert told["inputs"] == {"x": "double", "s": "string", "hour": "int64"}
    assert told["classes"] == ["no", "yes"]
    assert told["n_rows"] == 400
    assert told["metrics"] == dict(scores)
    assert told["distributions"]["x"]["missing"] == 40
    assert told["distributions"]["s"]["counts"] == FRAME["s"].value_counts().tolist()
    assert sorted(map(int, told["distributions"]["hour"]["values"])) == list(range(24))


def test_inputs_are_described_in_one_scan_of_their_columns_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, ...]] = []
    scan = type(SOURCE).scan

    def spied(self: Any, parts: Any, columns: Any) -> Any:
        read.extend(tuple(columns) for _ in parts)
        return scan(self, parts, columns)

    monkeypatch.setattr(type(SOURCE), "scan", spied)
    bigml.save(MODEL, tmp_path / "late", source=SOURCE)
    assert len(read) == len(SOURCE.parts)
    assert {name for columns in read for name in columns} == {"x", "s", "hour"}


def test_what_the_manifest_says_of_inputs_does_not_depend_on_the_chunks(tmp_path: Path) -> None:
    for part_rows in (7, 400):
        bigml.save(MODEL, tmp_path / f"{part_rows}", source=bigml.from_pandas(FRAME, part_rows=part_rows))
    assert manifest(tmp_path / "7")["distributions"] == manifest(tmp_path / "400")["distributions"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([1, 2], [1, 2]), ([False, True], [False, True]), ([np.datetime64("2020-01-01"), np.datetime64("2021-01-01")], None)],
)
def test_classes_of_any_type_are_told(labels: list[Any], classes: list[Any] | None, tmp_path: Path) -> None:
    model = LogisticRegression().fit(FRAME[["hour"]], np.array(labels)[np.arange(400) % 2])
    told = Card.parse(Card.of(model).dump(), "here").classes
    assert told == classes if classes is not None else len(told or []) == 2


def test_a_model_saved_without_a_source_still_names_its_inputs(tmp_path: Path) -> None:
    bigml.save(LINE, tmp_path / "line")
    assert manifest(tmp_path / "line")["inputs"] == {"hour": None}
    assert manifest(tmp_path / "line")["n_rows"] is None


def test_a_loaded_model_that_is_saved_again_keeps_what_is_known_of_its_rows(tmp_path: Path) -> None:
    bigml.save(MODEL, tmp_path / "first", source=SOURCE, metrics={"accuracy": 0.5})
    bigml.save(bigml.load(tmp_path / "first"), tmp_path / "second")
    first, second = manifest(tmp_path / "first"), manifest(tmp_path / "second")
    assert first["distributions"] == second["distributions"]
    assert second["metrics"] == {}


def test_a_metric_that_is_not_finite_is_null_and_one_that_is_no_number_is_refused(tmp_path: Path) -> None:
    bigml.save(LINE, tmp_path / "line", metrics={"r2": np.float64("nan"), "max_error": 3})
    assert manifest(tmp_path / "line")["metrics"] == {"r2": None, "max_error": 3.0}
    with pytest.raises(DataError, match="in metrics="):
        bigml.save(LINE, tmp_path / "other", metrics={"r2": "good"})  # type: ignore[dict-item]
    assert not (tmp_path / "other").exists()


def test_a_source_without_an_input_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="`hour`"):
        bigml.save(MODEL, tmp_path / "late", source=SOURCE.drop("hour"))
    assert list(tmp_path.iterdir()) == []


def test_a_new_model_replaces_the_old_one_and_leaves_two_files(tmp_path: Path) -> None:
    bigml.save(MODEL, tmp_path / "model")
    bigml.save(LINE, tmp_path / "model")
    assert isinstance(bigml.load(tmp_path / "model"), LinearRegression)
    assert len(os.listdir(tmp_path / "model")) == 2


@pytest.mark.parametrize("failing", [1, 2])
def test_a_save_that_fails_leaves_the_old_model_whole(failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bigml.save(LINE, tmp_path / "model")
    files = {name: (before / name).read_bytes() for name in os.listdir(before)}
    fail_at(failing, monkeypatch)
    with pytest.raises(WriteError, match="still stands"):
        bigml.save(MODEL, tmp_path / "model")
    assert {name: (before / name).read_bytes() for name in os.listdir(before)} == files


@pytest.mark.parametrize("failing", [1, 2])
def test_a_first_save_that_fails_leaves_nothing(failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(failing, monkeypatch)
    with pytest.raises(WriteError):
        bigml.save(MODEL, tmp_path / "deep" / "model")
    assert list(tmp_path.iterdir()) == []


def fail_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the disk refuse the file with this number."""
    publish, count = AtomicFile.publish, iter(range(1, 100))

    def failing(self: AtomicFile) -> None:
        if next(count) == number:
            raise WriteError("a disk that takes the data", got="none", do="What stood there before still stands.")
        publish(self)

    monkeypatch.setattr(AtomicFile, "publish", failing)


KILLED = """
import os, sys
from sklearn.linear_model import LinearRegression
import bigml
from bigml.sources.atomic import AtomicFile
publish = AtomicFile.publish
def killed(self):
    if self.path.name == "manifest.json":
        os.kill(os.getpid(), 9)
    publish(self)
AtomicFile.publish = killed
bigml.save(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), sys.argv[1])
"""


def test_a_killed_save_leaves_the_old_model_and_the_next_save_sweeps(tmp_path: Path) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    done = subprocess.run([sys.executable, "-c", KILLED, f"{path}"], timeout=120, check=False)
    assert done.returncode == -9
    assert bigml.load(path).coef_ == LINE.coef_
    assert len(os.listdir(path)) > 2
    bigml.save(MODEL, path)
    assert len(os.listdir(path)) == 2


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    claim = Claim(path)
    with pytest.raises(WriteError, match="a writer at work"):
        bigml.save(MODEL, path)
    claim.release()
    assert isinstance(bigml.load(path), LinearRegression)


def test_a_reader_whose_model_is_replaced_meanwhile_reads_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    old = saving.card_at(path)
    bigml.save(MODEL, path)
    cards = iter([old])
    card_at = saving.card_at
    monkeypatch.setattr(saving, "card_at", lambda directory: next(cards, None) or card_at(directory))
    assert bigml.load(path).classes_.tolist() == ["no", "yes"]


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WriteError, match=r"other files \(thesis\.txt\).*another directory"):
        bigml.save(LINE, tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_manifest_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SourceError, match="the manifest of a model"):
        bigml.save(LINE, tmp_path)
    assert (tmp_path / "manifest.json").read_text() == "{}"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_any_flipped_byte_of_the_model_is_found_by_its_hash_and_the_file_is_named(tmp_path: Path) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    [model] = path.glob("*.skops")
    for at in range(0, model.stat().st_size, 97):
        flip(model, at)
        with pytest.raises(SourceError, match=rf"SHA-256 .* as its manifest says.*{model.name}"):
            bigml.load(path)
        flip(model, at)
    assert bigml.load(path).coef_ == LINE.coef_


def test_a_changed_manifest_is_found_and_named(tmp_path: Path) -> None:
    path = bigml.save(MODEL, tmp_path / "model", source=SOURCE)
    text = (path / "manifest.json").read_text()
    for changed in (text.replace('"n_rows": 400', '"n_rows": 401', 1), text[:200], "[]", ""):
        (path / "manifest.json").write_text(changed)
        with pytest.raises(SourceError, match=r"the manifest of a model.*manifest\.json"):
            bigml.load(path)


def test_a_model_file_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    [model] = path.glob("*.skops")
    model.unlink()
    with pytest.raises(SourceError, match=rf"No such file.*{model.name}"):
        bigml.load(path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_saved_model_is_one_clear_error(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "none")
    with pytest.raises(SourceError, match=r"a directory with a saved model.*bigml\.load_model"):
        bigml.load(tmp_path / "none")


class Own(BaseEstimator):
    """An estimator of one's own."""

    def fit(self, X: Any, y: Any = None) -> Own:
        self.mean_ = float(np.mean(X))
        return self


def test_types_that_are_not_known_are_refused_by_name_unless_they_are_trusted(tmp_path: Path) -> None:
    bigml.save(Own().fit([1.0, 2.0]), tmp_path / "own")
    name = f"{Own.__module__}.Own"
    with pytest.raises(DataError, match=rf"`{name}`.*trusted=\[\.\.\.\]"):
        bigml.load(tmp_path / "own")
    assert bigml.load(tmp_path / "own", trusted=[name]).mean_ == 1.5
    forest = RandomForestClassifier(2, random_state=0).fit(FRAME[["hour"]], FRAME["late"])
    with pytest.raises(DataError, match=r"sklearn\.tree\._tree\.Tree"):
        bigml.load(bigml.save(forest, tmp_path / "forest"))


def test_another_version_of_scikit_learn_is_warned_of_and_the_same_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bigml.save(LINE, tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bigml.load(path)
    here = saving.versions()
    monkeypatch.setattr(saving, "versions", lambda: here | {"scikit-learn": "1.0.2"})
    with pytest.warns(UserWarning, match=rf"saved with scikit-learn {here['scikit-learn']}, this is 1\.0\.2"):
        bigml.load(path)


def test_the_file_of_the_model_is_one_that_skops_reads_by_itself(tmp_path: Path) -> None:
    from skops.io import load

    [model] = bigml.save(LINE, tmp_path / "model").glob("*.skops")
    assert load(model).coef_ == LINE.coef_


def test_diverged_models_are_not_saved(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME[["hour"]], FRAME["id"])
    model.coef_[0] = np.nan
    with pytest.raises(DataError, match="finite weights"):
        bigml.save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_columns_of_every_type_are_described(tmp_path: Path) -> None:
    table = pa.table(
        {
            "hour": pa.array([1, 2, None]),
            "when": pa.array([1, 2, 3], pa.timestamp("us", tz="UTC")),
            "list": [[1], [], None],
            "flag": [True, None, False],
            "word": pa.array(["a", None, "a"]).dictionary_encode(),
            "none": pa.nulls(3),
        }
    )
    model = Own()
    model.feature_names_in_ = np.array(table.column_names, dtype=object)
    bigml.save(model, tmp_path / "own", source=table)
    told = manifest(tmp_path / "own")
    assert told["inputs"]["when"] == "timestamp[us, tz=UTC]"
    assert {name: one["missing"] for name, one in told["distributions"].items()} == {
        "hour": 1, "when": 0, "list": 1, "flag": 1, "word": 1, "none": 3,
    }  # fmt: skip
    assert bool(bigml.check(tmp_path / "own", table))
