"""Models on disk: equal predictions, no code, no unknown type."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from bigml.errors import DataError, SourceError
from bigml.learning.keeping.skops_file import load_model, save_model

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"x": RNG.normal(size=80), "y": RNG.normal(size=80), "c": RNG.choice(["a", "b"], 80)})
LABEL = (TABLE["x"] > 0).to_numpy()


def preprocessing() -> Any:
    """The steps that a table of numbers and words asks for."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["x", "y"]),
        (MinMaxScaler(), make_column_selector(dtype_include="number")),
        (KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["x"]),
        (OneHotEncoder(handle_unknown="ignore"), ["c"]),
        (OrdinalEncoder(), ["c"]),
        sparse_threshold=0,
    )


@pytest.mark.parametrize(
    "model",
    [SGDClassifier(random_state=0), SGDRegressor(random_state=0), MLPClassifier((4,), random_state=0, max_iter=400, tol=1e-2)],
)
def test_a_loaded_pipeline_predicts_the_same_bits(model: Any, tmp_path: Path) -> None:
    fitted = make_pipeline(preprocessing(), model).fit(TABLE, LABEL)
    loaded = load_model(save_model(fitted, tmp_path / "model.skops"))
    assert loaded.predict(TABLE).tobytes() == fitted.predict(TABLE).tobytes()


def test_a_type_that_is_not_trusted_is_refused_by_name_unless_it_is_listed(tmp_path: Path) -> None:
    path = save_model(RandomForestClassifier(2, random_state=0).fit(TABLE[["x"]], LABEL), tmp_path / "forest.skops")
    with pytest.raises(DataError, match=r"`sklearn\.tree\._tree\.Tree`"):
        load_model(path)
    assert load_model(path, trusted=["sklearn.tree._tree.Tree"]).n_estimators == 2


class Payload:
    """An object that would leave a mark if it were unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("wrap", ["bare", "zip"])
def test_the_payload_of_a_pickle_never_runs(wrap: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "model.skops", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Payload(mark)))
    if wrap == "zip":
        with zipfile.ZipFile(tmp_path / "wrapped.skops", "w") as archive:
            archive.write(path, "schema.json")
        path = tmp_path / "wrapped.skops"
    with pytest.raises(SourceError, match="a skops model"):
        load_model(path)
    assert not mark.exists()


def test_a_function_inside_a_model_is_refused_and_not_called(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    dump(FunctionTransformer(subprocess_call), tmp_path / "model.skops")
    with pytest.raises(DataError, match="subprocess_call"):
        load_model(tmp_path / "model.skops")


def subprocess_call(values: object) -> object:
    """Stands for whatever a stranger would like to have called."""
    return values


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_saved_and_the_step_is_named(bad: float, tmp_path: Path) -> None:
    fitted = make_pipeline(StandardScaler(), SGDClassifier(random_state=0)).fit(TABLE[["x"]], LABEL)
    fitted[-1].coef_[0, 0] = bad
    with pytest.raises(DataError, match=r"1 that are NaN or infinite - Pipeline\.steps\[1\]\[1\]\.coef_"):
        save_model(fitted, tmp_path / "model.skops")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        load_model(tmp_path / "none.skops")


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    path = save_model(SGDClassifier(random_state=0).fit(TABLE[["x"]], LABEL), tmp_path / "model.skops")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match="a skops model"):
        load_model(path)
