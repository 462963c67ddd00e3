"""Worth: whether encoded rows are kept in files, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bigml.graph.budget import readable
from bigml.sources.memmap import ArraySource
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

WORTH = 16 << 20
"""Decoded bytes of a source from which on keeping its encoded rows is worth while."""


@dataclass(frozen=True)
class Verdict:
    """Where encoded rows are kept, and why there or why not.

    Attributes:
        cache: False for nowhere, True for a temporary directory that is removed at the end, or a directory.
        why: The reason, for people.
    """

    cache: bool | str | Path
    why: str


def verdict(cache: bool | str | Path | None, source: Source, *, raw: bool, scans: int, client: Client | None = None) -> Verdict:
    """Whether encoded rows are kept: as asked, or where it pays.

    Args:
        cache: What was asked for; None leaves it to what pays.
        source: The rows.
        raw: Whether there is no preprocessing.
        scans: About how often encoded rows are needed.
        client: Whose workers would share the files; None means threads of this process.
    """
    if cache is not None:
        return Verdict(cache, f"cache={cache if isinstance(cache, bool) else str(cache)!r}")
    against = _against(source, raw, scans, client)
    return Verdict(not against, against or f"about {scans} scans need them")


def _against(source: Source, raw: bool, scans: int, client: Client | None) -> str:
    """Why keeping does not pay; empty when it does."""
    nbytes = sum(part.nbytes for part in source.parts)
    if scans < 2:
        return "one scan needs them"
    if raw and isinstance(source, ArraySource):
        return "they are a matrix already"
    if nbytes < WORTH:
        return f"the source has {readable(nbytes)}, less than {readable(WORTH)}"
    return "" if local(client) else "there are workers on other machines, which do not see the files of this one"


def local(client: Client | None) -> bool:
    """Whether all workers are on this machine, so that they see its temporary files."""
    if client is None:
        return True
    addresses = client.scheduler_info(n_workers=-1)["workers"]
    return all(address.startswith(("tcp://127.0.0.1:", "tls://127.0.0.1:", "inproc://")) for address in addresses)
