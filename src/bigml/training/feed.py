"""Feed: how encoded rows become what a Keras model is given, and where they are found."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bigml.graph.reader import Reader
from bigml.graph.scan import read
from bigml.learning.batch import Batch, Encoder
from bigml.learning.blocks import Block, mapped, written
from bigml.learning.cache import PREFIX
from bigml.learning.inputs import Input, InputDesign, fields_of
from bigml.part import Part
from bigml.training.contract import Contract

Fed = tuple[Any, NDArray[Any], NDArray[np.float32] | None]
"""Inputs, targets, and weights of rows or None."""


class Blocks(Protocol):
    """Encoded rows in blocks: called with the number of one it gives its rows."""

    def __call__(self, number: int, /) -> Batch: ...

    def part(self, number: int) -> int:
        """The index of the part that the rows of a block are from; -1 when that is not known."""
        ...


@dataclass(frozen=True, eq=False)
class Kept:
    """Encoded rows in files that every worker sees; called with the number of a block it gives its rows, mapped."""

    directory: str
    blocks: tuple[Block, ...]

    def __call__(self, number: int) -> Batch:
        return _opened(self.directory, self.blocks[number])

    def part(self, number: int) -> int:
        return self.blocks[number].part


@lru_cache(maxsize=256)
def _opened(directory: str, block: Block) -> Batch:
    return _plain(mapped(directory, block))


def _plain(batch: Batch) -> Batch:
    """The same rows in plain arrays: views of mapped ones are dearer to take from, and row numbers would need memory."""
    X = batch.X if hasattr(batch.X, "tocoo") else np.asarray(batch.X)
    y, weights = (None if values is None else np.asarray(values) for values in (batch.y, batch.weights))
    return Batch(np.broadcast_to(np.int64(-1), batch.n_rows), X, y, weights)


@dataclass(frozen=True, eq=False)
class Far:
    """Encoded rows where workers share no files: each process encodes the parts that it is given once, into files of its own."""

    reader: Reader
    parts: tuple[Part, ...]
    encoder: Encoder
    token: str

    def __call__(self, number: int) -> Batch:
        place = (self.token, self.parts[number].index)
        if place not in _OWN:
            batch = self.encoded(self.parts[number])
            folder = process_folder()
            block = written(folder, batch, dtype_of(self.encoder), self.parts[number].index)
            _OWN[place] = _plain(mapped(folder, block))
        return _OWN[place]

    def part(self, number: int) -> int:
        return self.parts[number].index

    def encoded(self, part: Part) -> Batch:
        """The rows of a part."""
        (chunk,) = read(self.reader, (part,), self.encoder.columns)
        return self.encoder.checked(self.encoder(chunk, str(part)))

    def width(self) -> int:
        """Features, as the first part has them."""
        return int(self.encoded(self.parts[0]).X.shape[1])


def dtype_of(encoder: Encoder) -> str | None:
    """The type that features are kept in; None where each column has its own."""
    return None if isinstance(encoder.design, InputDesign) else "float32"


_OWN: dict[tuple[str, int], Batch] = {}


@cache
def process_folder() -> str:
    """A directory of this process, removed when it ends."""
    folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")
    atexit.register(folder.cleanup)
    return folder.name


@dataclass(frozen=True, eq=False)
class Feed:
    """How a batch becomes inputs, targets and weights.

    Attributes:
        shape: Of one row's inputs; columns are laid out in it, the last axis first.
        targets: "codes" of classes, "one-hot" rows of them, "numbers", or "inputs" where a model learns to give back its inputs,
            "next" where it learns the next code of each in a window.
        n_classes: Where there are classes.
        class_weights: By code of the class what its rows count, beside their own weights; None counts all alike.
        inputs: Of a model with named inputs; empty for one input.
    """

    shape: tuple[int, ...]
    targets: str = "codes"
    n_classes: int = 0
    class_weights: NDArray[np.float32] | None = None
    inputs: tuple[Input, ...] = ()

    @classmethod
    def of(cls, contract: Contract, encoder: Encoder, class_weights: NDArray[np.float32] | None) -> Feed:
        """What a model asks for, of batches of an encoder."""
        if contract.windows:
            return cls(contract.shape, "next")
        if encoder.target is None:
            return cls(contract.shape, "inputs")
        n_classes = 0 if encoder.target.classes is None else len(encoder.target.classes)
        return cls(contract.shape, contract.targets, n_classes, class_weights, contract.inputs)

    def __call__(self, batch: Batch) -> Fed:
        if self.targets == "next":
            return np.ascontiguousarray(batch.X[:, :-1]), np.ascontiguousarray(batch.X[:, 1:]), None
        x = self._inputs(batch.X)
        weights = None if batch.weights is None else batch.weights.astype(np.float32)
        if self.targets == "inputs" or batch.y is None:
            return x, x, weights
        if self.class_weights is not None:
            own = self.class_weights[batch.y]
            weights = own if weights is None else weights * own
        return x, self._targets(batch.y), weights

    def _inputs(self, X: Any) -> Any:
        if self.inputs:
            return fields_of(X, self.inputs)
        dense = X.toarray() if hasattr(X, "tocoo") else np.asarray(X)
        return np.ascontiguousarray(dense, dtype=np.float32).reshape(len(dense), *self.shape)

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        if self.targets == "one-hot":
            return np.eye(self.n_classes, dtype=np.float32)[y]
        return y.astype(np.int32 if self.targets == "codes" else np.float32).reshape(-1, 1)


def batches(fed: Fed, size: int) -> Iterator[Fed]:
    """Rows, so many at a time; the last are perhaps fewer."""
    x, y, weights = fed
    for at in range(0, len(y), size):
        cut = slice(at, at + size)
        some = {name: values[cut] for name, values in x.items()} if isinstance(x, dict) else x[cut]
        yield some, y[cut], None if weights is None else weights[cut]
