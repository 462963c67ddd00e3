"""Keras models predict and are scored like any other model."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import bigml
from bigml.errors import BigmlError, DataError, FitError

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

N = 300


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)).astype(np.float32)
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    table["place"] = np.array(["x", "y", "z"])[np.arange(N) % 3]
    table["label"] = np.where(X @ [2.0, -1.0, 0.5] + rng.normal(size=N) > 0, "yes", "no")
    return table.assign(kind=np.array(["p", "q", "r"])[np.arange(N) % 3], t=X[:, 0] * 2)


def made(units=1, activation="sigmoid", loss="binary_crossentropy", n_inputs=3):
    model = keras.Sequential([keras.layers.Input((n_inputs,)), keras.layers.Dense(units, activation=activation)])
    model.compile("adam", loss)
    return model


def columns(found):
    return found.to_pandas().filter(like="proba").to_numpy()


def train(build, rows, **how):
    return bigml.train(build, rows, batch_size=50, progress=False, **how)[0]


def test_a_trained_classifier_predicts_its_classes_and_is_scored(frame, tmp_path):
    rows = bigml.from_pandas(frame[["a", "b", "c", "label"]], part_rows=70)
    model = train(made, rows, target="label", epochs=3)
    yes = model.predict(frame[["a", "b", "c"]].to_numpy(), verbose=0).ravel()
    np.testing.assert_allclose(columns(bigml.predict(model, rows, method="predict_proba"))[:, 1], yes, atol=1e-6)
    bigml.predict(model, frame, tmp_path / "predictions", columns=["label"])
    written = bigml.read_parquet(tmp_path / "predictions").to_pandas()
    assert written["prediction"].tolist() == np.where(yes > 0.5, "yes", "no").tolist()
    scores = bigml.score(model, rows, target="label", scoring=["accuracy", "roc_auc", "neg_log_loss"])
    assert scores["accuracy"] == pytest.approx(accuracy_score(frame["label"], written["prediction"]))
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(frame["label"] == "yes", yes), abs=1e-4)
    assert scores["neg_log_loss"] == pytest.approx(-log_loss(frame["label"] == "yes", yes.astype(float)), abs=1e-6)


def test_a_loaded_model_has_numbers_for_classes_until_it_is_told_them(frame, tmp_path):
    made(3, "softmax", "sparse_categorical_crossentropy").save(tmp_path / "m.keras")
    model = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    rows = bigml.from_pandas(frame[["a", "b", "c"]], part_rows=70)
    told = model.predict(rows.to_pandas().to_numpy(), verbose=0)
    assert bigml.predict(model, rows).to_pandas()["prediction"].tolist() == told.argmax(axis=1).tolist()
    named = bigml.models.with_classes(model, ["p", "q", "r"])
    assert bigml.predict(named, rows, method="predict_proba").columns == ("proba_p", "proba_q", "proba_r")
    rows = bigml.from_pandas(frame[["a", "b", "c", "kind"]])
    expected = accuracy_score(frame["kind"], np.array(["p", "q", "r"])[told.argmax(axis=1)])
    assert bigml.score(named, rows, target="kind") == pytest.approx(expected)
    with pytest.raises(FitError, match="3, got 2"):
        bigml.models.with_classes(model, ["p", "q"])


def test_logits_are_made_probabilities(frame):
    rows = frame[["a", "b", "c"]]
    for units, loss in ((1, keras.losses.BinaryCrossentropy), (3, keras.losses.SparseCategoricalCrossentropy)):
        model = made(units, None, loss(from_logits=True))
        logits = model.predict(rows.to_numpy(), verbose=0).astype(float)
        logits = np.hstack([0 * logits, logits]) if units == 1 else logits
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(columns(bigml.predict(model, rows, method="predict_proba")), expected, atol=1e-6)


def test_models_of_numbers_predict_them(frame):
    rows = frame[["a", "b", "c", "t"]]
    model = train(lambda: made(1, None, "mse"), rows, target="t")
    told = model.predict(frame[["a", "b", "c"]].to_numpy(), verbose=0).ravel()
    np.testing.assert_allclose(bigml.predict(model, rows).to_pandas()["prediction"], told, atol=1e-6)
    found = bigml.score(model, rows, target="t", scoring="neg_mean_squared_error")
    assert found == pytest.approx(-mean_squared_error(frame["t"], told), rel=1e-5)
    several = bigml.predict(made(4, None, "mse"), frame[["a", "b", "c"]])
    assert several.columns == ("prediction_0", "prediction_1", "prediction_2", "prediction_3")


def test_a_pipeline_before_a_network_predicts_from_raw_columns(frame):
    before = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["place"]), sparse_threshold=1.0)
    rows = frame[["a", "b", "place", "label"]]
    fitted = bigml.fit(before, rows.drop(columns="label"))
    model = train(lambda: made(n_inputs=5), rows, target="label", preprocessor=fitted)
    whole = make_pipeline(fitted, model)
    yes = model.predict(fitted.transform(rows).toarray(), verbose=0).ravel()
    np.testing.assert_allclose(columns(bigml.predict(whole, rows, method="predict_proba"))[:, 1], yes, atol=1e-6)
    assert bigml.score(whole, rows, target="label") == pytest.approx(np.mean((yes > 0.5) == (frame["label"] == "yes")))


def test_the_token_of_predictions_is_that_of_the_weights(frame):
    rows, model = frame[["a", "b", "c"]], made()
    first = bigml.predict(model, rows).token
    assert bigml.predict(model, rows).token == first
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert bigml.predict(model, rows).token != first


def test_a_view_of_predictions_is_sent_to_workers_with_its_model(frame):
    view = bigml.predict(made(), frame[["a", "b", "c"]])
    assert pickle.loads(pickle.dumps(view)).to_pandas().equals(view.to_pandas())


def test_what_cannot_be_predicted_is_told_with_its_place(frame):
    rows = frame[["a", "b", "c"]]
    with pytest.raises(FitError, match=r"3 features, got 2 columns"):
        bigml.predict(made(), rows[["a", "b"]])
    holes = rows.copy()
    holes.loc[200, "b"] = np.nan
    with pytest.raises(DataError, match=r"`b`, row 200"):
        bigml.predict(made(), holes).to_pandas()
    with pytest.raises(BigmlError, match="predict_proba"):
        bigml.predict(made(2, None, "mse"), rows, method="predict_proba")


def test_save_tells_how_a_keras_model_is_saved(tmp_path):
    with pytest.raises(DataError, match=r"model\.save\(\"model\.keras\"\)"):
        bigml.save(made(), tmp_path / "m")
