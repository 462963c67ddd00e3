"""A trained model is exported with its layers for raw columns, and what serves it needs neither Keras nor bigml."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bigml

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason="SavedModel is TensorFlow's")
if keras.config.backend() != "tensorflow":
    pytest.skip("texts are inputs on TensorFlow alone", allow_module_level=True)


def test_an_exported_model_takes_raw_columns_and_tells_what_the_trained_one_tells(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 200), "job": rng.choice(["a", "b"], 200)})
    rows = bigml.from_pandas(frame.assign(rich=rng.integers(0, 2, 200)))
    layers = bigml.models.adapted(rows, {"age": keras.layers.Normalization(), "job": keras.layers.StringLookup()})
    model = bigml.models.wide_and_deep(rows.schema, wide=["job"], crosses=[("job", "job")], deep=["age", "job"], layers=layers)
    model, _ = bigml.train(model, rows, target="rich", progress=False)
    model.export(tmp_path / "served", format="tf_saved_model", verbose=False)
    told = bigml.predict(model, rows.drop("rich"), method="predict_proba").to_pandas().iloc[:, 1]
    served = tf.saved_model.load(str(tmp_path / "served"))
    columns = {"age": tf.constant(frame[["age"]].to_numpy(np.float32)), "job": tf.constant(frame["job"].tolist(), shape=(200, 1))}
    np.testing.assert_allclose(np.ravel(served.serve(columns)), told, atol=1e-6)
