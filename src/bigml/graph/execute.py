"""Execute: the one place where graphs are run, on threads or on a cluster."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bigml.errors import BigmlError, ClusterError, ConfigError
from bigml.graph.progress import Progress
from bigml.graph.tree import Graph

if TYPE_CHECKING:
    from distributed import Client, KilledWorker

    from bigml.part import Part

PATIENCE_SECONDS = 60.0
"""How long a cluster may be without any worker before the work is given up."""
POLL_SECONDS = 0.5


def n_threads() -> int:
    """Threads that bigml uses where no client is given: the processors of this process, or `BIGML_THREADS`."""
    given = os.environ.get("BIGML_THREADS", "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


def run(graph: Graph, keys: Sequence[str], *, client: Client | None, progress: Progress, counted: Sequence[str]) -> list[Any]:
    """The results of the keys, in order.

    Args:
        client: Where to run; None means threads of this process.
        progress: Told how many of the `counted` tasks are done, always in the thread of the caller; what it raises ends
            the work and is raised here.
        counted: The keys that progress counts.

    Raises:
        ConfigError: The client is no `distributed.Client`.
        ClusterError: The scheduler was lost, no worker was left for a minute, or a task killed every worker that ran it.
    """
    if client is None:
        return _on_threads(graph, keys, progress, frozenset(counted))
    check_client(client)
    return _on_cluster(graph, keys, client, progress, counted)


def _on_threads(graph: Graph, keys: Sequence[str], progress: Progress, counted: frozenset[str]) -> list[Any]:
    import dask.threaded
    from dask.callbacks import Callback

    done = 0

    def posttask(key: str, *_: object) -> None:
        nonlocal done
        if key in counted:
            done += 1
            progress(done, len(counted))

    # A pool of our own: after a failure it waits for the tasks that still run, so that none writes behind our back.
    with Callback(posttask=posttask), ThreadPoolExecutor(n_threads(), thread_name_prefix="bigml-scan") as pool:
        return list(dask.threaded.get(graph.tasks, list(keys), pool=pool))


def _on_cluster(graph: Graph, keys: Sequence[str], client: Client, progress: Progress, counted: Sequence[str]) -> list[Any]:
    from distributed import KilledWorker

    topic = f"bigml-{graph.prefix}"
    announced: deque[str] = deque()
    seen: set[str] = set()

    def tell() -> None:
        while announced:
            seen.add(announced.popleft())
            progress(len(seen), len(counted))

    tasks = {key: _announcing(task, topic, key) if key in set(counted) else task for key, task in graph.tasks.items()}
    # Events come in the client's own thread, where an exception would only be logged: there they are noted and no more.
    client.subscribe_topic(topic, lambda event: announced.append(event[1]))
    try:
        futures = client.get(tasks, list(keys), sync=False)
        results = _gather(client, futures, tell)
        for future in futures:
            # A result that the cluster still held would be computed again, from the start, when its worker dies.
            future.release()
        return results
    except KilledWorker as error:
        raise _deadly(error, graph.parts(error.task)) from error
    finally:
        if client.status == "running":
            client.unsubscribe_topic(topic)


def _deadly(error: KilledWorker, parts: Sequence[Part]) -> BigmlError:
    """Where workers hold tasks that they do not run yet, the scheduler may blame one of those: hence "was given"."""
    reading = f" ({parts[0]}{f' and {len(parts) - 1} more' if len(parts) > 1 else ''})" if parts else ""
    return ClusterError(
        "workers that survive the task",
        got=f"every worker that was given `{error.task}`{reading} died",
        where=f"last on {error.last_worker.address}" if error.last_worker else "",
        do="Give workers more memory, or read smaller parts (part_bytes=); the worker's log tells more.",
    )


def _announcing(task: Any, topic: str, key: str) -> Any:
    from dask.task_spec import Task

    return Task(key, _announced, topic, key, task.func, *task.args)


def _announced(topic: str, key: str, function: Callable[..., Any], *arguments: Any) -> Any:
    from distributed import get_worker

    result = function(*arguments)
    get_worker().log_event(topic, key)
    return result


def _gather(client: Client, futures: Sequence[Any], tell: Callable[[], None]) -> list[Any]:
    """Results of the futures, given up with a reason when the cluster is gone; `tell` is called now and then, and at last."""
    from distributed import CancelledError

    lonely_since: float | None = None
    try:
        while not all(future.done() for future in futures):
            lonely_since = _check_cluster(client, lonely_since)
            _wait_a_moment(futures)
            tell()
        tell()
        return [_result(future) for future in futures]
    except CancelledError as error:
        raise _lost("a scheduler that is gone") from error
    except BaseException:
        if client.status == "running":
            client.cancel(list(futures), force=True)
        raise


def _wait_a_moment(futures: Sequence[Any]) -> None:
    # Not `distributed.wait`, which needs a default client: ours may be another.
    pending = next((future for future in futures if not future.done()), None)
    with suppress(TimeoutError):
        if pending is not None:
            pending.exception(timeout=POLL_SECONDS)


def _result(future: Any) -> Any:
    try:
        return future.result(timeout=PATIENCE_SECONDS)
    except TimeoutError as error:
        raise _lost("a result that does not arrive") from error


def _check_cluster(client: Client, lonely_since: float | None) -> float | None:
    """Since when there has been no worker; raises when that is too long or the scheduler is gone."""
    _check_connected(client)
    if client.scheduler_info(n_workers=1).get("workers"):
        return None
    now = time.monotonic()
    if lonely_since is not None and now - lonely_since > PATIENCE_SECONDS:
        raise _lost(f"no worker for {PATIENCE_SECONDS:.0f} s")
    return now if lonely_since is None else lonely_since


def check_client(client: object) -> None:
    """Refuse what is no client, and a client that was closed.

    Raises:
        ConfigError: It is no `distributed.Client`.
        ClusterError: It has no scheduler.
    """
    from distributed import Client

    if not isinstance(client, Client):
        raise ConfigError(
            "a `distributed.Client`",
            got=f"`{type(client).__name__}`",
            where="in client=",
            do='Make one by `Client(address)` or `with bigml.cluster("file.yaml") as client`.',
        )
    _check_connected(client)


def _check_connected(client: Client) -> None:
    if client.status not in ("running", "connecting"):
        raise _lost(f"a client that is {client.status}")


def _lost(got: str) -> BigmlError:
    do = "Restart the cluster; `bigml run ... --resume` goes on from the last stage."
    return ClusterError("a running cluster", got=got, do=do)
