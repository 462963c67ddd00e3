"""Blocks: encoded batches kept in plain .npy files, mapped back without a copy."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bigml.learning.batch import Batch
from bigml.sources.atomic import disk

# CPython 3.11 now and then fails where threads parse literals at the same time, as headers of arrays are: gh-106905.
_HEADERS = threading.Lock()


@dataclass(frozen=True)
class Block:
    """One batch on disk: `<stem>.<field>.npy` for every field.

    Attributes:
        first: The number of its first row.
        n_rows: How many rows it has.
        width: Features.
        nbytes: Bytes of its files.
        fields: What there is a file for.
        part: The index of the part that they are from; -1 when that is not known.
    """

    first: int
    n_rows: int
    width: int
    nbytes: int
    fields: tuple[str, ...]
    part: int = -1

    @property
    def stem(self) -> str:
        return f"block-{self.first:015d}"


def written(directory: str, batch: Batch, dtype: str | None, part: int = -1) -> Block:
    """Write a batch, X as `dtype` (None: as it is); every file appears whole, so that a task may run twice."""
    arrays = dict(_arrays(batch, dtype)) if batch.n_rows else {}
    nbytes = sum(array.nbytes for array in arrays.values())
    block = Block(int(batch.rows[0]) if batch.n_rows else 0, batch.n_rows, batch.X.shape[1], nbytes, tuple(arrays), part)
    for name, array in arrays.items():
        path = _path(directory, block, name)
        temporary = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
        with disk(path), open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, path)
    return block


def mapped(directory: str, block: Block) -> Batch:
    """The batch of a block, as views on its files."""
    with _HEADERS:
        arrays = {name: np.load(_path(directory, block, name), mmap_mode="r", allow_pickle=False) for name in block.fields}
    rows = arrays.get("rows")
    if not block.n_rows:
        return Batch(np.empty(0, np.int64), np.empty((0, block.width)))
    return Batch(
        np.arange(block.first, block.first + block.n_rows) if rows is None else rows,
        _features(arrays, (block.n_rows, block.width)),
        arrays.get("y"),
        arrays.get("weights"),
        f"rows {block.first:,} to {block.first + block.n_rows - 1:,}" if rows is None else f"rows from {block.first:,}",
    )


def _path(directory: str, block: Block, name: str) -> Path:
    return Path(directory, f"{block.stem}.{name}.npy")


def _arrays(batch: Batch, dtype: str | None) -> Iterable[tuple[str, NDArray[Any]]]:
    if sparse.issparse(batch.X):
        X = batch.X.tocsr()
        yield "data", np.asarray(X.data, dtype=dtype)
        yield "indices", X.indices
        yield "indptr", X.indptr
    else:
        yield "X", np.ascontiguousarray(batch.X, dtype=dtype)
    if batch.y is not None:
        yield "y", batch.y
    if batch.weights is not None:
        yield "weights", batch.weights
    if (np.diff(batch.rows) != 1).any():
        yield "rows", batch.rows


def _features(arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int]) -> Any:
    if "X" in arrays:
        return arrays["X"]
    return sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
