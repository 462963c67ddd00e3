"""Clusters: settings that are checked, ports that stay on loopback, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bigml.clusters import Cuda, Local, Remote, Threads, cluster, settings
from bigml.errors import ClusterError, ConfigError

FOLDER = Path(__file__).parents[1] / "cluster"
BUSY = """
import threading, time
from bigml.clusters import cluster

if __name__ == "__main__":
    with cluster({"kind": "local", "n_workers": 2}) as client:
        running = client.map(time.sleep, [60, 60], pure=False)
        client.submit(int, 1, priority=10, pure=False)
        threading.Timer(0.5, print, ["working"], {"flush": True}).start()
        client.gather(running)
"""


def tree(pid: int) -> list[psutil.Process]:
    """The process and all its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def listening(processes: Sequence[psutil.Process]) -> list[str]:
    """The addresses of all listening sockets of the processes."""
    sockets = [socket for process in processes for socket in process.net_connections("inet")]
    return [socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN]


@contextmanager
def busy_driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver whose two workers are in the middle of a minute's work."""
    script = folder / "busy.py"
    script.write_text(BUSY)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        try:
            assert driver.stdout
            assert driver.stdout.readline() == "working\n"
            yield driver
        finally:
            driver.kill()


def survivors(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """The processes that still run after at most `seconds`; one that only waits to be reaped has ended."""
    deadline = time.monotonic() + seconds
    running = list(processes)
    while running and time.monotonic() < deadline:
        running = [process for process in psutil.wait_procs(running, timeout=0.05)[1] if not has_ended(process)]
    return running


def has_ended(process: psutil.Process) -> bool:
    """Whether the process is gone or a zombie."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def die_once(marker: str) -> str:
    """A task that takes its worker down the first time it runs."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


# What a settings file may say


@pytest.mark.parametrize(("name", "kind"), [("local", Local), ("threads", Threads), ("gpu", Cuda), ("scheduler", Remote)])
def test_every_shipped_file_is_read_as_its_kind_and_explains_every_key(name: str, kind: type) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert isinstance(settings(FOLDER / f"{name}.yaml", environment={}), kind)
    assert set(yaml.safe_load(text)) == set(kind.model_fields)
    assert all(" # " in line for line in text.splitlines()[1:])


def test_the_files_state_the_defaults() -> None:
    assert settings(FOLDER / "local.yaml", environment={}) == settings(None, environment={})
    assert settings(FOLDER / "threads.yaml", environment={}) == settings({"kind": "threads"}, environment={})
    assert settings(FOLDER / "gpu.yaml", environment={}) == settings({"kind": "cuda"}, environment={})


def test_environment_overrides_the_file() -> None:
    found = settings(FOLDER / "local.yaml", environment={"BIGML_CLUSTER_N_WORKERS": "3", "BIGML_CLUSTER_MEMORY_LIMIT": "1GiB"})
    assert isinstance(found, Local)
    assert (found.n_workers, found.memory_limit) == (3, "1GiB")


def test_environment_can_change_the_kind() -> None:
    assert isinstance(settings(None, environment={"BIGML_CLUSTER_KIND": "threads"}), Threads)


def test_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"`n_worker` - the cluster settings, key `n_worker`\. Did you mean `n_workers`\?"):
        settings({"kind": "local", "n_worker": 2}, environment={})


def test_unknown_environment_key_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="environment variable BIGML_CLUSTER_TREADS_PER_WORKER"):
        settings({"kind": "local"}, environment={"BIGML_CLUSTER_TREADS_PER_WORKER": "2"})


def test_key_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="a setting of a `threads` cluster, got `address`"):
        settings({"kind": "threads", "address": "tcp://127.0.0.1:1"}, environment={})


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"kind": "slurmy"}, "`kind` to be one of local, threads, cuda, scheduler, got `slurmy`"),
        ({"kind": "local", "n_workers": "many"}, "a right value for `n_workers`"),
        ({"kind": "local", "n_workers": 0}, "a right value for `n_workers`"),
        ({"kind": "local", "memory_limit": "2 gibblets"}, "a right value for `memory_limit`"),
        ({"kind": "scheduler"}, "the key `address` of a `scheduler` cluster, got none"),
    ],
)
def test_wrong_values_are_one_clear_error(given_settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(given_settings, environment={})


@pytest.mark.parametrize("content", [b"kind: [local", b"\xff\xfe\x00", b"- local", b"", b"!!python/object/apply:os.getcwd []"])
def test_unreadable_yaml_is_a_config_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a .*YAML.* - .*broken\.yaml"):
        settings(path, environment={})


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        settings(tmp_path / "nowhere.yaml", environment={})


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=12), st.one_of(st.none(), st.integers(), st.text(max_size=8)), max_size=4))
def test_any_mapping_is_either_settings_or_a_config_error(mapping: dict[str, object]) -> None:
    try:
        left_over = set(mapping) - set(type(settings(mapping, environment={})).model_fields)
    except ConfigError:
        left_over = set()
    assert left_over == set()


# Who may be connected to


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:8786", "tls://192.0.2.1:8786", "tcp://example.invalid:8786", "192.0.2.1:8786"]
)
def test_open_scheduler_elsewhere_is_refused_before_any_connection(address: str) -> None:
    with pytest.raises(ClusterError, match=r"insecure: true"), cluster({"kind": "scheduler", "address": address}):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"])
def test_loopback_scheduler_needs_no_tls(address: str) -> None:
    found = settings({"kind": "scheduler", "address": address}, environment={})
    assert isinstance(found, Remote)
    assert found.is_loopback


def test_missing_tls_file_is_named(tmp_path: Path) -> None:
    paths = {key: str(tmp_path / key) for key in ("tls_ca", "tls_cert", "tls_key")}
    with (
        pytest.raises(ConfigError, match="no file for tls_ca"),
        cluster({"kind": "scheduler", "address": "tls://192.0.2.1:1"} | paths),
    ):
        pass


def test_scheduler_that_does_not_answer_is_an_error_in_bounded_time() -> None:
    spec = {"kind": "scheduler", "address": "tcp://127.0.0.1:9", "start_timeout": 1}
    with pytest.raises(ClusterError, match=r"a Dask scheduler at `tcp://127\.0\.0\.1:9` within 1 s"), cluster(spec):
        pass


@pytest.mark.cluster
def test_running_scheduler_is_used_and_left_running() -> None:
    from distributed import LocalCluster

    local = {"n_workers": 1, "processes": False, "protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**local, worker_dashboard_address="127.0.0.1:0") as running:
        spec = {"kind": "scheduler", "address": running.scheduler_address, "start_timeout": 5}
        with cluster(spec) as client:
            assert client.submit(sum, [1, 2]).result(timeout=10) == 3
        with (
            pytest.raises(ClusterError, match="3 workers within 1 s, got 1"),
            cluster(spec | {"wait_for_workers": 3, "start_timeout": 1}),
        ):
            pass
        with cluster(spec) as client:
            assert client.submit(sum, [2, 2]).result(timeout=10) == 4


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate that is its own authority, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bigml-test -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)
    return {"tls_ca": f"{folder}/cert.pem", "tls_cert": f"{folder}/cert.pem", "tls_key": f"{folder}/key.pem"}


@pytest.mark.cluster
def test_tls_scheduler_takes_our_certificate_and_no_client_without_one(tls_files: dict[str, str]) -> None:
    from distributed import LocalCluster
    from distributed.security import Security

    names = ("scheduler", "worker", "client")
    pairs = {f"tls_{name}_{part}": tls_files[f"tls_{part}"] for name in names for part in ("cert", "key")}
    security = Security(tls_ca_file=tls_files["tls_ca"], require_encryption=True, **pairs)
    quiet = {
        "processes": False,
        "dashboard_address": "127.0.0.1:0",
        "worker_dashboard_address": "127.0.0.1:0",
        "silence_logs": 50,
    }
    with LocalCluster(n_workers=1, protocol="tls://", host="127.0.0.1", security=security, **quiet) as running:
        spec = {"kind": "scheduler", "address": running.scheduler_address, "start_timeout": 5}
        open_address = running.scheduler_address.replace("tls://", "tcp://")
        with cluster(spec | tls_files) as client:
            assert client.submit(sum, [1, 2]).result(timeout=10) == 3
        with pytest.raises(ConfigError, match="no file for tls_ca: None"), cluster(spec):
            pass
        with pytest.raises(ClusterError, match="a Dask scheduler"), cluster(spec | {"address": open_address, "start_timeout": 1}):
            pass


# What runs, and what is left


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["local", "threads"])
@pytest.mark.parametrize("dashboard", [False, True])
def test_only_loopback_listens_while_a_cluster_is_up(kind: str, dashboard: bool) -> None:
    if dashboard:
        pytest.importorskip("bokeh")
    with cluster({"kind": kind, "n_workers": 2, "threads_per_worker": 1, "dashboard": dashboard}) as client:
        assert client.submit(sum, [1, 2]).result(timeout=20) == 3
        addresses = listening(tree(os.getpid()))
        assert addresses
        assert set(addresses) == {"127.0.0.1"}
    assert listening(tree(os.getpid())) == []


def test_dashboard_without_bokeh_carries_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'bigml\[dashboard\]'"):
        settings({"kind": "local", "dashboard": True}, environment={})


@pytest.mark.cluster
def test_allowed_failures_and_scratch_reach_the_cluster(tmp_path: Path) -> None:
    spec = {"kind": "threads", "allowed_failures": 7, "scratch": str(tmp_path)}
    with cluster(spec) as client:
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures) == 7
        folders = client.run(lambda dask_worker: dask_worker.local_directory).values()
        assert all(str(tmp_path) in folder for folder in folders)


@pytest.mark.cluster
def test_a_worker_holds_only_the_tasks_that_it_runs() -> None:
    with cluster({"kind": "threads"}) as client:
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.WORKER_SATURATION) == 1.0


@pytest.mark.cluster
def test_killed_worker_is_restarted_and_its_task_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the environment says counts more than the configuration, and Dask leaves its own default there.
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    with cluster({"kind": "local", "n_workers": 2}) as client:
        before = set(client.run(os.getpid).values())
        kept = client.run(lambda: [os.environ.get(name) for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")])
        assert set(map(tuple, kept.values())) == {("67108864", "33554432")}
        assert client.submit(die_once, str(tmp_path / "died")).result(timeout=30) == "done"
        client.wait_for_workers(2, timeout=30)
        assert len(set(client.run(os.getpid).values()) - before) == 1


@pytest.mark.cluster
@pytest.mark.parametrize("to_group", [False, True], ids=["driver alone", "whole group"])
def test_interrupt_leaves_no_process_and_no_port_after_ten_seconds(tmp_path: Path, to_group: bool) -> None:
    with busy_driver(tmp_path) as driver:
        processes = tree(driver.pid)
        assert len(processes) >= 3
        if to_group:
            os.killpg(driver.pid, signal.SIGINT)
        else:
            driver.send_signal(signal.SIGINT)
        _, errors = driver.communicate(timeout=10)
        assert survivors(processes, 1) == []
        assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.cluster
def test_interrupt_while_workers_start_leaves_nothing_and_says_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "starting.py"
    script.write_text(
        BUSY.replace("    with cluster", "    import distributed\n    print('starting', flush=True)\n    with cluster")
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "starting\n"
        driver.send_signal(signal.SIGINT)
        _, errors = driver.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors
    assert survivors([process for process in psutil.process_iter() if session_of(process) == driver.pid], 5) == []


def session_of(process: psutil.Process) -> int:
    """The session of a process, 0 when it has ended."""
    try:
        return 0 if has_ended(process) else os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return 0


@pytest.mark.cluster
def test_workers_end_when_the_driver_is_killed(tmp_path: Path) -> None:
    with busy_driver(tmp_path) as driver:
        processes = tree(driver.pid)
        driver.kill()
        driver.wait(timeout=5)
        assert survivors(processes, 10) == []


@pytest.mark.cluster
def test_closing_a_cluster_says_nothing(tmp_path: Path) -> None:
    script = tmp_path / "quiet.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from bigml.clusters import cluster
        if __name__ == "__main__":
            with cluster({"kind": "local", "n_workers": 2}) as client:
                client.submit(time.sleep, 30)
                print(client.submit(sum, [1, 2]).result(timeout=20))
    """)
    )
    done = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")
