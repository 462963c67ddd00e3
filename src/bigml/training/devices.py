"""Devices: what a process that trains takes of its machine: threads, one GPU, and operations that give the same bits twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bigml.errors import ConfigError

GPUS = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
"""Where the kernel shows a machine's GPUs."""


def check_installed() -> None:
    """Refuse to go on without Keras.

    Raises:
        ConfigError: It, or its backend, is not installed here.
    """
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        worker, backend = _worker(), os.environ.get("KERAS_BACKEND")
        where = "in this environment" if worker is None else f"on the worker {worker.address}"
        do = 'Install it there: pip install "bigml[tensorflow]".'
        if backend not in {None, "tensorflow"}:
            do = f"Install what KERAS_BACKEND={backend} names there, or unset KERAS_BACKEND for TensorFlow."
        raise ConfigError("Keras and its backend", got=f"{error}", where=where, do=do) from None


def settle() -> None:
    """In a worker process: as many threads for the backend as the worker has, one GPU, and the same bits twice.

    A process of the caller's is left as it is, but that TensorFlow takes a GPU's memory as it needs it and not all at once. What
    the backend has settled already, because it runs, stays as it is.
    """
    import keras

    worker, backend = _worker(), keras.config.backend()
    if worker is not None:
        first_gpu(os.environ)
        _SETTLE.get(backend, _nothing)(worker.state.nthreads)
    if backend == "tensorflow":
        _grow()


def first_gpu(environment: MutableMapping[str, str]) -> None:
    """Let a process see the first of its GPUs alone: dask-cuda gives each worker the list of all, its own first.

    >>> environment = {"CUDA_VISIBLE_DEVICES": "2,3,0,1"}
    >>> first_gpu(environment)
    >>> environment
    {'CUDA_VISIBLE_DEVICES': '2'}
    """
    if "," in environment.get(GPUS, ""):
        environment[GPUS] = environment[GPUS].partition(",")[0]


def gpus() -> list[str]:
    """The GPUs that this process may see, its own first, as CUDA names them: as the environment tells, or all of the machine."""
    told = os.environ.get(GPUS)
    if told is None:
        return sorted((file.name.removeprefix("nvidia") for file in DEVICES.glob("nvidia[0-9]*")), key=int)
    return [one for one in told.split(",") if one not in {"", "-1"}]


def _worker() -> Any:
    """The Dask worker whose process this is; None in a process that has others."""
    if "distributed" not in sys.modules:
        return None
    from distributed import Nanny, get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    return worker if isinstance(getattr(worker, "nanny", None), str | Nanny) else None


def _grow() -> None:
    import tensorflow as tf

    with suppress(RuntimeError):  # TensorFlow runs already
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def _tensorflow(n_threads: int) -> None:
    import tensorflow as tf

    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def _jax(n_threads: int) -> None:
    del n_threads  # JAX takes as many as there are cores, and has no public way to fewer
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def _torch(n_threads: int) -> None:
    import torch

    torch.set_num_threads(n_threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def _nothing(n_threads: int) -> None:
    del n_threads


_SETTLE: dict[str, Callable[[int], None]] = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
