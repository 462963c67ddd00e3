"""Layers adapted by one scan are what Keras's own `adapt` makes of all rows in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.errors import ColumnError, FitError

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason="texts are inputs on TensorFlow alone")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    job = rng.choice(["clerk", "sales", "tech", "tie", "toe"], 1000, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    return pd.DataFrame({"age": rng.normal(1e3, 2.0, 1000), "job": job, "level": rng.integers(-3, 4, 1000)})


def test_layers_learn_what_they_would_learn_in_memory(frame):
    layers = {
        "age": [keras.layers.Normalization(), keras.layers.Discretization(num_bins=8), keras.layers.Hashing(5)],
        "job": keras.layers.StringLookup(max_tokens=4),
        "level": keras.layers.IntegerLookup(output_mode="multi_hot"),
    }
    reads = []
    found = bigml.models.adapted(bigml.from_pandas(frame, part_rows=130), layers, progress=lambda done, total: reads.append(done))
    assert reads[-1] == 8
    own = keras.layers.Normalization()
    own.adapt(frame["age"].to_numpy()[:, None])
    values = frame["age"].to_numpy()[:, None]
    np.testing.assert_allclose(found["age"][0](values), own(values), atol=1e-3)
    edges = np.quantile(frame["age"], np.arange(1, 8) / 8)
    np.testing.assert_allclose(found["age"][1].bin_boundaries, edges, rtol=1e-12)
    assert found["age"][2] is layers["age"][2]
    for name, tensor in (("job", tf.constant(frame["job"].tolist())), ("level", tf.constant(frame["level"]))):
        own = type(layers[name]).from_config(layers[name].get_config())
        own.adapt(tensor)
        assert found[name].get_vocabulary() == own.get_vocabulary()
        assert np.array_equal(found[name](tensor[:, None]), own(tensor[:, None]))
    assert layers["job"].get_vocabulary() == ["[UNK]"]


def test_layers_that_cannot_learn_from_a_column_are_told(frame):
    with pytest.raises(ColumnError, match="jobs"):
        bigml.models.adapted(frame, {"jobs": keras.layers.StringLookup()})
    with pytest.raises(FitError, match=r"numbers for Normalization.*`job`"):
        bigml.models.adapted(frame, {"job": keras.layers.Normalization()})


def test_missing_values_count_for_nothing(frame):
    holes = frame.copy()
    holes.loc[:9, ["age", "job"]] = None
    found = bigml.models.adapted(holes, {"age": keras.layers.Normalization(), "job": keras.layers.StringLookup()})
    assert found["age"].get_config()["mean"] == pytest.approx([holes["age"].mean()])
    assert sorted(found["job"].get_vocabulary()[1:]) == sorted(holes["job"].dropna().unique())
