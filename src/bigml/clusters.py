"""Where work runs: a YAML file becomes a plain `distributed.Client` in a context manager."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib.util
import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from bigml.errors import ClusterError, ConfigError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Nanny, Worker
    from distributed.security import Security

ENVIRONMENT = "BIGML_CLUSTER_"
LOOPBACK = "127.0.0.1"
HURRY_SECONDS = 5
KEPT_BYTES = {"MALLOC_TRIM_THRESHOLD_": 64 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
"""What the system's allocator keeps for the next array, in variables of glibc: Dask would have it give all back at once, which
takes up to half of a worker's time in page faults."""

PRE_SPAWN = "distributed.nanny.pre-spawn-environ"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start_timeout: float = Field(60.0, gt=0)


class _Owned(_Settings):
    n_workers: int | None = Field(None, ge=1)
    threads_per_worker: int | None = Field(1, ge=1)
    memory_limit: str | int = "auto"
    dashboard: bool = False
    scratch: Path | None = None
    allowed_failures: int = Field(3, ge=0)

    @field_validator("memory_limit")
    @classmethod
    def _parses_as_bytes(cls, value: str | int) -> str | int:
        from dask.utils import parse_bytes

        if value != "auto" and parse_bytes(value) < 0:
            raise ValueError("a size cannot be negative")
        return value

    @field_validator("dashboard")
    @classmethod
    def _dashboard_is_installed(cls, value: bool) -> bool:
        if value and importlib.util.find_spec("bokeh") is None:
            raise ValueError("the dashboard needs bokeh: pip install 'bigml[dashboard]'")
        return value


class Local(_Owned):
    """Worker processes on this machine, each watched by a nanny that restarts it."""

    kind: Literal["local"] = "local"


class Threads(_Owned):
    """Workers that are threads of this process: no start-up, no isolation."""

    kind: Literal["threads"] = "threads"
    n_workers: int | None = Field(1, ge=1)
    threads_per_worker: int | None = Field(None, ge=1)


class Cuda(_Owned):
    """Worker processes on this machine, each with a GPU of its own, by dask-cuda."""

    kind: Literal["cuda"] = "cuda"
    threads_per_worker: int = Field(1, ge=1)


class Remote(_Settings):
    """A scheduler that somebody else has started."""

    kind: Literal["scheduler"] = "scheduler"
    address: str
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    wait_for_workers: int = Field(1, ge=0)

    @property
    def has_tls(self) -> bool:
        """Whether the address and all three files ask for an encrypted, mutually checked connection."""
        return self.address.startswith("tls://") and None not in (self.tls_ca, self.tls_cert, self.tls_key)

    @property
    def is_loopback(self) -> bool:
        """Whether the scheduler is on this machine's loopback interface."""
        host = urlsplit(self.address).hostname or ""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host).is_loopback
        return host == "localhost"


Settings = Local | Threads | Cuda | Remote
_KINDS: dict[str, type[Settings]] = {"local": Local, "threads": Threads, "cuda": Cuda, "scheduler": Remote}
_ADAPTER: TypeAdapter[Settings] = TypeAdapter(Annotated[Settings, Field(discriminator="kind")])


def settings(spec: str | Path | Mapping[str, Any] | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """The checked settings of a YAML file, a mapping, or None for the defaults of `local`.

    Variables `BIGML_CLUSTER_<KEY>` of `environment` (by default `os.environ`) override keys; their
    values are read as YAML. Raises ConfigError for an unreadable file, an unknown key, a wrong type.

    >>> settings({"kind": "threads", "n_workers": 2}, environment={"BIGML_CLUSTER_N_WORKERS": "3"}).n_workers
    3
    """
    where = str(spec) if isinstance(spec, str | Path) else "the cluster settings"
    given = {"kind": "local"} | (_read(Path(spec)) if isinstance(spec, str | Path) else dict(spec or {}))
    override = _overrides(os.environ if environment is None else environment)
    try:
        return _ADAPTER.validate_python(given | override)
    except ValidationError as error:
        raise _explain(error, kind=str((given | override)["kind"]), where=where, override=override) from None


@contextlib.contextmanager
def cluster(spec: str | Path | Mapping[str, Any] | None = None) -> Iterator[Client]:
    """A `distributed.Client` for the YAML file or mapping `spec`, closed with all it started on leaving.

    Listens on loopback only, dashboard included. A worker that dies is restarted. On leaving, also by Ctrl-C, workers and
    ports are gone within about five seconds; if this process is killed, its workers end by themselves. Raises ConfigError
    for bad settings and ClusterError when nothing answers within `start_timeout` seconds, or GPUs are asked for and there are
    none or too few.

    >>> with cluster({"kind": "threads"}) as client:
    ...     client.submit(sum, [1, 2]).result(timeout=10)
    3
    """
    chosen = settings(spec)
    with _connect(chosen) if isinstance(chosen, Remote) else _start(chosen) as client:
        yield client


@contextlib.contextmanager
def _start(chosen: Local | Threads | Cuda) -> Iterator[Client]:
    import dask
    from distributed import Client

    _forget_defaults()
    with (
        dask.config.set(_dask_config(chosen)),
        _local_cluster(chosen) as started,
        Client(started, timeout=chosen.start_timeout) as client,
    ):
        try:
            yield client
        except BaseException:
            started.sync(_end_now, list(started.workers.values()), callback_timeout=HURRY_SECONDS)
            raise


def _local_cluster(chosen: Local | Threads | Cuda) -> LocalCluster:
    """Start workers in a thread: an interrupt here waits until they are up, as half a cluster could not be closed."""
    from distributed import LocalCluster

    processes = not isinstance(chosen, Threads)
    kind = _with_gpus(chosen) if isinstance(chosen, Cuda) else LocalCluster
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(
            kind,
            n_workers=chosen.n_workers,
            threads_per_worker=chosen.threads_per_worker,
            processes=processes,
            protocol="tcp://" if processes else "inproc://",
            host=LOOPBACK if processes else None,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": chosen.dashboard},
            memory_limit=chosen.memory_limit,
            silence_logs="CRITICAL",
        )
        try:
            return starting.result(chosen.start_timeout)
        except (OSError, RuntimeError) as error:
            raise ClusterError("workers that start", got=f"{type(error).__name__}: {error}", where="on this machine") from error
        except BaseException:
            if starting.exception(chosen.start_timeout) is None:
                starting.result().close()
            raise


def _with_gpus(chosen: Cuda) -> type[LocalCluster]:
    """The cluster that gives each worker a GPU.

    Raises:
        ConfigError: dask-cuda is not installed.
        ClusterError: There are fewer GPUs than workers, or none.
    """
    where = "in a cluster of kind `cuda`"
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        do = "Run pip install 'bigml[gpu]', or take cluster/local.yaml."
        raise ConfigError("dask-cuda", got=f"none ({error})", where=where, do=do) from None
    n, wanted = n_gpus(), chosen.n_workers or 1
    if n < wanted:
        do = "Take cluster/local.yaml." if not n else f"Set `n_workers` to {n} or fewer, or to null."
        raise ClusterError(f"{wanted} GPU{'s' if wanted > 1 else ''} or more", got=f"{n or 'none'}", where=where, do=do)
    return LocalCUDACluster


def n_gpus() -> int:
    """How many GPUs this process may use, as dask-cuda counts them."""
    from dask_cuda.utils import get_n_gpus

    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return 0
    try:
        return int(get_n_gpus())
    except Exception:  # of NVIDIA's library, which has a class of errors for each of many ways in which there is no GPU
        return 0


async def _end_now(workers: Sequence[Nanny | Worker]) -> None:
    """End workers whose results nobody waits for any more: without this, a busy one is given four seconds to finish."""
    await asyncio.gather(*(worker.close(timeout=1) for worker in workers), return_exceptions=True)


def _forget_defaults() -> None:
    """Take out of the environment what Dask left there when it started workers: it would count more than our configuration."""
    import dask

    for name in KEPT_BYTES:
        default = dask.config.get(f"{PRE_SPAWN}.{name}", None)
        if default is not None and os.environ.get(name) == str(default):
            del os.environ[name]


def _dask_config(chosen: Local | Threads | Cuda) -> dict[str, Any]:
    config: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": chosen.allowed_failures,
        # A worker holds only what it runs: when it dies, no task that merely waited there is blamed.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.dashboard.link": f"{{scheme}}://{LOOPBACK}:{{port}}/status",
        "distributed.comm.timeouts.connect": chosen.start_timeout,
        **{f"{PRE_SPAWN}.{name}": nbytes for name, nbytes in KEPT_BYTES.items()},
    }
    if not chosen.dashboard:
        config |= {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    if chosen.scratch:
        config["temporary-directory"] = str(chosen.scratch.expanduser())
    return config


@contextlib.contextmanager
def _connect(chosen: Remote) -> Iterator[Client]:
    from distributed import Client

    _refuse_open_port(chosen)
    security = _security(chosen)
    _knock(chosen, security)
    with Client(chosen.address, security=security, timeout=chosen.start_timeout) as client:
        _await_workers(client, chosen)
        yield client


def _knock(chosen: Remote, security: Security) -> None:
    """Open and close one connection: a Client that cannot connect would leave its event loop's thread running."""
    from distributed.comm import connect

    async def knock() -> None:
        await (await connect(chosen.address, chosen.start_timeout, **security.get_connection_args("client"))).close()

    with ThreadPoolExecutor(1) as thread:  # its own thread, since a notebook has a running loop in this one
        error = thread.submit(asyncio.run, knock()).exception()
    if isinstance(error, OSError):
        raise ClusterError(
            f"a Dask scheduler at `{chosen.address}` within {chosen.start_timeout:g} s",
            got=str(error) or type(error).__name__,
            do="Check the address and that the scheduler runs.",
        )
    if error:
        raise error


def _refuse_open_port(chosen: Remote) -> None:
    if not (chosen.has_tls or chosen.is_loopback or chosen.insecure):
        raise ClusterError(
            "a scheduler on loopback or one reached by `tls://` with `tls_ca`, `tls_cert` and `tls_key`",
            got=f"`{chosen.address}` without them",
            do="Whoever reaches an open scheduler can run code on it. Set `insecure: true` if your network is closed.",
        )


def _security(chosen: Remote) -> Security:
    from distributed.security import Security

    files = {"tls_ca": chosen.tls_ca, "tls_cert": chosen.tls_cert, "tls_key": chosen.tls_key}
    if not (any(files.values()) or chosen.address.startswith("tls://")):
        return Security()
    missing = [f"{key}: {path}" for key, path in files.items() if path is None or not path.expanduser().is_file()]
    if missing:
        raise ConfigError("three readable TLS files", got=f"no file for {', '.join(missing)}", where=chosen.address)
    paths = {key: str(path.expanduser()) for key, path in files.items() if path}
    return Security(
        tls_ca_file=paths["tls_ca"], tls_client_cert=paths["tls_cert"], tls_client_key=paths["tls_key"], require_encryption=True
    )


def _await_workers(client: Client, chosen: Remote) -> None:
    if not chosen.wait_for_workers:
        return
    try:
        client.wait_for_workers(chosen.wait_for_workers, timeout=chosen.start_timeout)
    except TimeoutError:
        raise ClusterError(
            f"{chosen.wait_for_workers} workers within {chosen.start_timeout:g} s",
            got=f"{len(client.scheduler_info(n_workers=-1)['workers'])}",
            where=chosen.address,
            do="Start workers, or lower `wait_for_workers`.",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        got = " ".join(str(error).split())
        raise ConfigError("a readable YAML file", got=got, where=str(path), do="See cluster/local.yaml.") from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ConfigError("a YAML mapping of settings", got=f"`{kind}`", where=str(path), do="See cluster/local.yaml.")
    return content


def _overrides(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(ENVIRONMENT).lower(): _scalar(name, text)
        for name, text in environment.items()
        if name.startswith(ENVIRONMENT)
    }


def _scalar(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError("a YAML value", got=repr(text), where=f"environment variable {name}") from None


def _explain(error: ValidationError, *, kind: str, where: str, override: Mapping[str, Any]) -> ConfigError:
    first = error.errors()[0]
    if kind not in _KINDS:
        return ConfigError(f"`kind` to be one of {', '.join(_KINDS)}", got=f"`{kind}`", where=where)
    key = str(first["loc"][-1])
    place = f"environment variable {ENVIRONMENT}{key.upper()}" if key in override else f"{where}, key `{key}`"
    known = list(_KINDS[kind].model_fields)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1)
        do = f"Did you mean `{near[0]}`?" if near else f"The keys are: {', '.join(known)}."
        return ConfigError(f"a setting of a `{kind}` cluster", got=f"`{key}`", where=place, do=do)
    if first["type"] == "missing":
        return ConfigError(f"the key `{key}` of a `{kind}` cluster", got="none", where=where)
    return ConfigError(f"a right value for `{key}`: {first['msg']}", got=repr(first["input"]), where=place)
