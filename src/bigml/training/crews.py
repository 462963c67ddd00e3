"""Crews: the ranks of one generation, as processes of this machine or in the charge of Dask workers, asked all at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bigml.training import ranks
from bigml.training.channel import Failure
from bigml.training.rank import Pupil
from bigml.training.rounds import Lesson
from bigml.training.shards import Shard

if TYPE_CHECKING:
    from distributed import Client

PATIENCE_SECONDS = 60.0
"""For the other ranks, once one has answered: all end a leg at the same time."""
GRACE_SECONDS = 3.0
"""For the other ranks, once one has failed: the first cause may be another's."""


class RankError(Exception):
    """A rank failed; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


@dataclass(frozen=True)
class Place:
    """Where a rank runs.

    Attributes:
        host: As other ranks find it.
        n_threads: It may have.
        slot: Its number among the ranks of one process, which decides its device.
        worker: The address of the Dask worker that is in charge; empty for this process.
    """

    host: str
    n_threads: int
    slot: int
    worker: str = ""


class Caller(Protocol):
    """Calls a function of `ranks` at a place, and returns what it returns."""

    def __call__(self, place: Place, function: Callable[..., Any], *arguments: Any) -> Any: ...


def here(place: Place, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in this process."""
    del place
    return function(*arguments)


class There:
    """Calls on Dask workers.

    A task is not pinned, since it would wait for ever for a worker that died: it goes to any, which looks whether it is the one.
    """

    def __init__(self, client: Client) -> None:
        self._client, self.ended = client, False

    def __call__(self, place: Place, function: Callable[..., Any], *arguments: Any) -> Any:
        how: dict[str, Any] = {"workers": [place.worker], "allow_other_workers": True, "pure": False}
        future = self._client.submit(_called, place.worker, function, *arguments, **how)
        try:
            while not self.ended:
                with suppress(TimeoutError):
                    return future.result(timeout=1)
        finally:
            future.cancel()
        return None


def _called(address: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """On a worker: call, beside its other tasks, if it is the right one."""
    from distributed import get_worker, secede

    if get_worker().address != address:
        return Failure(-1, f"the worker {address} is gone")
    secede()
    return function(*arguments)


def places_of(client: Client | None, n: int) -> list[Place]:
    """Where so many ranks run, now."""
    if client is None:
        cores = len(os.sched_getaffinity(0))
        return [Place("127.0.0.1", max(1, cores // n), i) for i in range(n)]
    threads = sorted(client.nthreads().items())
    if not threads:
        raise RankError(Failure(-1, "there are no workers"))
    k = len(threads)
    dealt = [(i, *threads[i % k]) for i in range(n)]
    return [Place(_host(at), max(1, m // -(-n // k)), i // k, at) for i, at, m in dealt]


def _host(address: str) -> str:
    """Of the address of a worker; of one in this process, this machine's own."""
    protocol, _, place = address.rpartition("://")
    return "127.0.0.1" if protocol == "inproc" else place.rpartition(":")[0].strip("[]")


class Crew:
    """The ranks of a generation.

    Args:
        lesson: How a shard is learned from.
        shards: One of each rank.
        client: Whose workers have the ranks; None for this process.

    Raises:
        RankError: A rank did not start.
    """

    def __init__(self, lesson: Lesson, shards: tuple[Shard, ...], client: Client | None) -> None:
        self._places = places_of(client, len(shards))
        self._call: Caller = here if client is None else There(client)
        self._name, self._pool = secrets.token_hex(8), ThreadPoolExecutor(2 * len(shards), "bigml-ranks")
        try:
            addresses = self._all(ranks.start, [(pupil,) for pupil in self._pupils(lesson, shards)])
            self.ask("join", addresses, silence=ranks.START_SECONDS)
        except BaseException:
            self.end()
            raise

    def _pupils(self, lesson: Lesson, shards: tuple[Shard, ...]) -> list[bytes]:
        import cloudpickle

        places = enumerate(self._places)
        return [cloudpickle.dumps(Pupil(lesson, shards, i, one.host, one.n_threads, one.slot)) for i, one in places]

    def ask(self, name: str, *arguments: Any, silence: float | None = None) -> list[Any]:
        """What all ranks answer, in their order.

        Raises:
            RankError: One failed: the first cause, as far as that can be seen.
        """
        return self._all(ranks.ask, [(name, arguments, silence or ranks.SILENCE_SECONDS)] * len(self._places))

    def _all(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [self._pool.submit(self._one, i, function, *some) for i, some in enumerate(arguments)]
        wait(futures, return_when=FIRST_COMPLETED)
        wait(futures, timeout=PATIENCE_SECONDS, return_when=FIRST_EXCEPTION)
        if all(one.done() and one.exception() is None for one in futures):
            return [one.result() for one in futures]
        wait(futures, timeout=GRACE_SECONDS)
        raise RankError(_cause(futures))

    def _one(self, number: int, function: Callable[..., Any], *arguments: Any) -> Any:
        answer = self._call(self._places[number], function, self._key(number), number, *arguments)
        if isinstance(answer, Failure):
            raise RankError(answer)
        return answer

    def _key(self, number: int) -> str:
        return f"{self._name}-{number}"

    def end(self) -> None:
        """End all ranks, whatever they do."""
        ends = [self._pool.submit(self._call, one, ranks.end, self._key(i)) for i, one in enumerate(self._places)]
        wait(ends, timeout=GRACE_SECONDS if isinstance(self._call, There) else None)
        if isinstance(self._call, There):
            self._call.ended = True
        self._pool.shutdown()


def _cause(futures: Sequence[Future[Any]]) -> Failure:
    """Of all failures the one that does not follow from another."""
    errors = [one.exception() for one in futures if one.done() and one.exception() is not None]
    failures = [one.failure if isinstance(one, RankError) else Failure(-1, f"{one}") for one in errors]
    silent = Failure(next((i for i, one in enumerate(futures) if not one.done()), -1), "no answer, when others had ended")
    return min(failures, key=lambda one: (one.error is None, not one.first), default=silent)
