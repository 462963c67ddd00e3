"""A worker for each GPU where there are GPUs, and one clear line where there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from bigml.clusters import cluster
from bigml.errors import ClusterError, ConfigError

CUDA = {"kind": "cuda", "start_timeout": 20}


def stand_in(monkeypatch, n, made=()):
    """A dask-cuda that finds so many GPUs, and whose workers are threads."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def started(**options):
        made.append(options)
        options |= {"processes": False, "protocol": "inproc://", "host": None, "n_workers": options["n_workers"] or n}
        return LocalCluster(**options)

    def counted():
        if n is None:
            raise RuntimeError("NVML Shared Library Not Found")
        return n

    monkeypatch.setitem(sys.modules, "dask_cuda", SimpleNamespace(LocalCUDACluster=started))
    monkeypatch.setitem(sys.modules, "dask_cuda.utils", SimpleNamespace(get_n_gpus=counted))


def refused(spec=CUDA):
    """The line by which a cluster is refused."""
    with pytest.raises((ClusterError, ConfigError)) as told, cluster(spec):
        pass
    assert "\n" not in str(told.value)
    return str(told.value)


def test_without_dask_cuda_the_install_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    assert "pip install 'bigml[gpu]'" in refused()


def test_without_a_gpu_another_cluster_is_named(monkeypatch):
    stand_in(monkeypatch, None)
    assert "1 GPU or more, got none" in refused()
    stand_in(monkeypatch, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "cluster/local.yaml" in refused()


def test_more_workers_than_gpus_are_refused(monkeypatch):
    stand_in(monkeypatch, 2)
    assert "3 GPUs or more, got 2" in (line := refused(CUDA | {"n_workers": 3}))
    assert "`n_workers` to 2" in line


def test_a_worker_is_started_for_each_gpu_and_listens_on_loopback_alone(monkeypatch):
    made = []
    stand_in(monkeypatch, 2, made)
    with cluster(CUDA) as client:
        assert len(client.nthreads()) == 2
    assert made[0]["n_workers"] is None or made[0]["n_workers"] == 2
    assert made[0]["dashboard_address"] == made[0]["worker_dashboard_address"] == "127.0.0.1:0"


@pytest.mark.gpu
@pytest.mark.cluster
def test_workers_have_gpus_of_their_own():
    pytest.importorskip("dask_cuda", reason="dask-cuda is not installed: pip install 'bigml[gpu]'")
    if subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode if os.path.exists("/dev/nvidia0") else True:
        pytest.skip("there is no GPU")
    with cluster(CUDA) as client:
        seen = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])
    assert len(set(seen.values())) == len(seen)
