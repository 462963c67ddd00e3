"""A trained model is saved and exported with its layers for raw columns, and what serves it needs no bigml."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import bigml

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason="SavedModel is TensorFlow's")
if keras.config.backend() != "tensorflow":
    pytest.skip("texts are inputs on TensorFlow alone", allow_module_level=True)

LOADED = """
import sys
sys.modules["bigml"] = None
import keras, numpy as np
given = np.load("given.npz")
inputs = {"mlp": given["X"], "wide": {"age": given["X"][:, :1], "job": keras.ops.convert_to_tensor(given["job"])}}
for name, rows in inputs.items():
    model = keras.saving.load_model(f"{name}.keras", safe_mode=True)
    np.testing.assert_allclose(model.predict(rows, batch_size=100, verbose=0), given[name], atol=1e-6)
"""


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.normal(40, 10, 200), "job": rng.choice(["a", "b"], 200)})


@pytest.fixture(scope="module")
def wide(frame):
    """A trained model of raw columns."""
    rows = bigml.from_pandas(frame.assign(rich=np.arange(200) % 2))
    layers = bigml.models.adapted(rows, {"age": keras.layers.Normalization(), "job": keras.layers.StringLookup()})
    model = bigml.models.wide_and_deep(rows.schema, wide=["job"], crosses=[("job", "job")], deep=["age", "job"], layers=layers)
    model, _ = bigml.train(model, rows, target="rich", progress=False)
    return bigml.models.with_classes(model, ["poor", "rich"])


@pytest.fixture(scope="module")
def mlp(frame):
    """A trained classifier of two numbers."""
    rows = frame[["age"]].assign(size=1.0, late=np.where(frame["age"] > 40, "yes", "no"))
    return bigml.train(bigml.models.mlp(2, 2, hidden=(4,)), rows, target="late", progress=False)[0]


def test_an_exported_model_takes_raw_columns_and_tells_what_the_trained_one_tells(wide, frame, tmp_path):
    wide.export(tmp_path / "served", format="tf_saved_model", verbose=False)
    told = bigml.predict(wide, bigml.from_pandas(frame), method="predict_proba").to_pandas().iloc[:, 1]
    served = tf.saved_model.load(str(tmp_path / "served"))
    columns = {"age": tf.constant(frame[["age"]].to_numpy(np.float32)), "job": tf.constant(frame["job"].tolist(), shape=(200, 1))}
    np.testing.assert_allclose(np.ravel(served.serve(columns)), told, atol=1e-6)


def test_a_saved_model_is_loaded_in_safe_mode_where_bigml_is_not_installed(wide, mlp, frame, tmp_path):
    X = frame[["age"]].assign(size=1.0).to_numpy(np.float32)
    given = {"X": X, "job": frame[["job"]].to_numpy(str), "mlp": mlp.predict(X, verbose=0)}
    columns = {"age": X[:, :1], "job": tf.constant(given["job"])}
    np.savez(tmp_path / "given.npz", wide=wide.predict(columns, batch_size=100, verbose=0), **given)
    for name, model in {"wide": wide, "mlp": mlp}.items():
        model.save(tmp_path / f"{name}.keras")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    how = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 180, "env": environment}
    done = subprocess.run([sys.executable, "-c", LOADED], check=False, **how)
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_models_of_numbers_are_exported_to_onnx(mlp, tmp_path):
    pytest.importorskip("tf2onnx", reason='tf2onnx is not installed: pip install "bigml[onnx]"')
    runtime = pytest.importorskip("onnxruntime", reason='onnxruntime is not installed: pip install "bigml[onnx]"')
    cnn = bigml.models.cnn((8, 8, 1), 2, filters=(2, 2), dense=4)
    rng = np.random.default_rng(0)
    for model, shape in ((mlp, (2,)), (cnn, (8, 8, 1))):
        path, X = tmp_path / f"{model.name}.onnx", rng.normal(size=(20, *shape)).astype(np.float32)
        expected = model.predict(X, verbose=0)  # Keras exports no model that was never called
        model.export(path, format="onnx", verbose=False)
        session = runtime.InferenceSession(path)
        (told,) = session.run(None, {session.get_inputs()[0].name: X})
        np.testing.assert_allclose(told, expected, atol=1e-5)
