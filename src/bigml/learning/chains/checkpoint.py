"""Checkpoint: the state of a chain on disk, found again after a kill, never trusted when its hash is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigml.errors import FitError
from bigml.learning.keeping.shelf import Shelf
from bigml.learning.keeping.trust import loaded, untrusted

MAGIC = b"bigml checkpoint 3\n"


@dataclass(frozen=True)
class Position:
    """How far a chain is: `done` parts of `epoch` are learned from, and `n_rows` rows in all epochs."""

    epoch: int = 0
    done: int = 0
    n_rows: int = 0


class Checkpoints:
    """The checkpoints of one fit in a directory of their own.

    A checkpoint is one file: a SHA-256, the position, the fingerprint of the fit, and the estimator (with the best one so far,
    where epochs are judged) as skops wrote it: nothing is ever unpickled. It is written under a temporary name, flushed and
    renamed, so a kill leaves the one before.

    Args:
        directory: Made when it is not there.
        fingerprint: Of everything that decides the result; a directory of another fit is refused.
        trusted: Full names of the caller's own types that may be loaded.
    """

    def __init__(self, directory: str | Path, fingerprint: str, trusted: tuple[str, ...] = ()) -> None:
        self._shelf = Shelf(directory, "chain", MAGIC)
        self._fingerprint, self._trusted = fingerprint, trusted

    def save(self, position: Position, number: int, estimator: Any) -> None:
        """Write the checkpoint with this (growing) number; older ones than the one before are removed.

        Raises:
            FitError: The estimator holds a type that could not be loaded again safely.
        """
        import skops.io

        payload = skops.io.dumps(estimator)
        self._check(payload)
        self._shelf.put(number, {"position": astuple(position), "fingerprint": self._fingerprint}, payload)

    def load(self) -> tuple[Position, Any] | None:
        """The newest checkpoint that is whole; None when there is none.

        A corrupt one is passed over with a warning that names it.

        Raises:
            FitError: The checkpoints belong to another fit.
        """
        for path, head, payload in self._shelf.whole():
            self._check_fingerprint(path, head)
            return Position(*head["position"]), self._loaded(payload)
        return None

    def clear(self) -> None:
        """Remove the checkpoints, and the directory when nothing else is in it."""
        self._shelf.clear()

    def _check(self, payload: bytes) -> None:
        unknown = untrusted(payload, self._trusted)
        if unknown:
            got, do = ", ".join(unknown), "Fit without checkpoint=."
            raise FitError("an estimator of types that can be loaded safely", got=got, where="in checkpoint=", do=do)

    def _check_fingerprint(self, path: Path, head: Mapping[str, Any]) -> None:
        if head["fingerprint"] == self._fingerprint:
            return
        do = "Give the same source, estimator, seed, epochs and target again, or another (or an emptied) directory."
        raise FitError("a checkpoint of this fit", got="one of another fit", where=f"{path}", do=do)

    def _loaded(self, payload: bytes) -> Any:
        self._check(payload)
        return loaded(payload, self._trusted)


def fingerprint(**parts: Any) -> str:
    """A hash of values, estimators among them, that is the same in every process."""
    text = json.dumps({name: described(value) for name, value in parts.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def described(value: Any) -> Any:
    """A value as JSON that tells it from others: estimators by type and parameters, functions by name, arrays by content."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return [f"{type(value).__module__}.{type(value).__qualname__}", described(value.get_params(deep=False))]
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, described(value.tolist())]
    if isinstance(value, np.generic):
        return described(value.item())
    if isinstance(value, np.random.RandomState):
        return described(value.get_state())
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value)
