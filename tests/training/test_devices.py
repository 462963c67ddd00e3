"""What a process that trains takes of its machine."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from bigml.training import devices

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
tf = pytest.importorskip("tensorflow", reason='TensorFlow is not installed: pip install "bigml[tensorflow]"')


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs that TensorFlow finds, and which of them take memory as they need it."""
    found = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
    growing = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: found)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: found[:1])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: growing.append((gpu, on)))
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    return SimpleNamespace(found=found, growing=growing)


def test_memory_of_a_gpu_is_taken_as_it_is_needed(gpus):
    devices.settle()
    assert gpus.growing == [(gpu, True) for gpu in gpus.found]


def test_a_worker_takes_the_first_of_its_gpus_and_its_threads_and_a_process_of_the_callers_stays(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    settled = []
    monkeypatch.setitem(devices._SETTLE, "tensorflow", settled.append)
    devices.settle()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"
    monkeypatch.setattr(devices, "_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=3)))
    devices.settle()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert settled == [3]


def test_ranks_sum_by_nccl_where_they_have_gpus_and_as_tensorflow_chooses_elsewhere(gpus, monkeypatch):
    from bigml.training.synchrony import communication

    ways = tf.distribute.experimental.CommunicationImplementation
    assert communication().implementation == ways.NCCL
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])
    assert communication().implementation == ways.AUTO


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_are_settled_by_what_they_offer(backend, monkeypatch):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    for name in ("XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "")
    devices._SETTLE[backend](1)
    if backend == "jax":
        assert "deterministic" in os.environ["XLA_FLAGS"]
    else:
        import torch

        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        torch.use_deterministic_algorithms(False)
