"""Several devices of one process are one process that learns from the same batches."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

import bigml
from bigml.errors import ConfigError, FitError
from bigml.training import mirrored

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
pytest.importorskip("tensorflow", reason='TensorFlow is not installed: pip install "bigml[tensorflow]"')
if keras.config.backend() != "tensorflow":
    pytest.skip("devices are mirrored by TensorFlow's strategy", allow_module_level=True)

TWO_DEVICES = """
import keras, numpy as np, pandas as pd, tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
import bigml
from bigml.training.state import State

rng = np.random.default_rng(0)
rows = pd.DataFrame(rng.normal(size=(460, 4)), columns=list("abcd")).assign(w=rng.random(460))
rows["late"] = np.where(rows["a"] > rows["b"], "yes", "no")

def build():
    regular = keras.regularizers.L2(0.01)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid", kernel_regularizer=regular)]
    model = keras.Sequential([keras.layers.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model

how = {"target": "late", "sample_weight": "w", "class_weight": {"yes": 3.0}, "progress": False, "local_steps": 3}
how |= {"batch_size": 51, "epochs": 2, "classes": ["no", "yes"]}
one, history = bigml.train(build, rows, engine="rounds", **how)
model, again = bigml.train(build, rows, engine="mirrored", **how)
for group, other in zip(State.of(one).groups, State.of(model).groups, strict=True):
    for mine, theirs in zip(group, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
for name, values in history.history.items():
    np.testing.assert_allclose(again.history[name], values, rtol=0.01)  # the last row of an epoch is counted by both devices
model.save("m.keras")
"""


def test_two_devices_are_one_on_the_same_batches_of_odd_sizes_and_of_a_single_row(tmp_path):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    how = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 180, "env": environment}
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], check=False, **how)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.keras").exists()


def build(optimizer="sgd"):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize(
    ("change", "n_devices", "error", "message"),
    [
        ({}, 1, ConfigError, r"two GPUs or more.*got 1 device.*engine='rounds'"),
        ({"client": object()}, 2, ConfigError, r"one process.*client=.*engine='sync'"),
        ({"shards": 2}, 2, ConfigError, r"one shard.*shards=2.*engine='sync'"),
        ({"momentum": 0.9}, 2, ConfigError, r"engine='mirrored'"),
        ({"optimizer": keras.optimizers.SGD(global_clipnorm=1.0)}, 2, FitError, r"`global_clipnorm`.*engine='sync'"),
    ],
)
def test_what_devices_cannot_do_is_refused_in_one_line(change, n_devices, error, message, monkeypatch):
    monkeypatch.setattr(mirrored, "devices", lambda: [f"GPU:{i}" for i in range(n_devices)])
    rows = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    how = {"target": "y", "engine": "mirrored", **change}
    with pytest.raises(error, match=message) as told:
        bigml.train(build(how.pop("optimizer", "sgd")), rows, **how)
    assert "\n" not in str(told.value)


def test_it_is_explained_which_gpus_take_part(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    monkeypatch.setattr(mirrored, "devices", lambda: ["GPU:0", "GPU:1"])
    told = bigml.explain_train(build, pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}), target="y", engine="mirrored")
    assert [seat.gpu for seat in told.seats] == ["1, 0"]
    assert "nothing: there is one" in str(told)
