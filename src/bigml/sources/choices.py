"""Choices: the operations that keep some rows of a source: the first, those at given positions, random ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.graph.plan import Plan
from bigml.sources.operations import Hashed, Operation, Rows, draws
from bigml.sources.rows import SampledRows, first_rows, numbered, numbers_at
from bigml.sources.sized import Sized
from bigml.stats.reducer import reduce_chunks


def first(source: Sized, n: int) -> Rows:
    """The first n rows; parts are read until they are found when a filter is in the way."""
    return Rows(first_rows(_bare(source), _number(n, "in head")))


def at(source: Sized, positions: Sequence[int]) -> Rows:
    """The rows at these positions.

    Raises:
        DataError: A position is outside the source, or a filter makes positions unknown.
    """
    if source.n_rows is None:
        do = "Take before filtering, or use head(n)."
        raise DataError("a source whose rows are counted", got="a filtered source", where="in take", do=do)
    wanted = np.unique(np.asarray(positions))
    if len(wanted) and wanted.dtype.kind not in "iu":
        raise DataError("positions as integers", got=f"values of type {wanted.dtype}", where="in take")
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= source.n_rows):
        expected = f"positions from 0 to {source.n_rows - 1:,}" if source.n_rows else "no positions: the source has no rows"
        raise DataError(expected, got=f"{wanted[0]:,} to {wanted[-1]:,}", where="in take")
    return Rows(numbers_at(_bare(source), wanted.astype(np.int64)))


def sampled(source: Sized, n: int | None, *, frac: float | None, seed: int) -> Operation:
    """Exactly n random rows, or each row with probability frac.

    Raises:
        DataError: Both or neither is given, or one is out of its range.
    """
    if (n is None) == (frac is None):
        raise DataError("either n= or frac=", got="both" if n is not None else "neither", where="in sample")
    if frac is not None:
        if not 0 <= frac <= 1:
            raise DataError("a share from 0 to 1", got=f"{frac}", where="in sample(frac=)")
        return Hashed(0.0, frac, _salted(source, seed))
    reducer = SampledRows(_number(n, "in sample(n=)"), _salted(source, seed))
    if source.counts_known:
        return Rows(reduce_chunks(reducer, numbered(source.parts)))
    return Rows(Plan(source, reducer, "sample").compute())


def halves(source: Sized, test: float, *, seed: int, by: tuple[str, ...]) -> tuple[Hashed, Hashed]:
    """The rows for training and those for testing.

    Raises:
        DataError: The share of the test is not between 0 and 1.
    """
    if not 0 < test < 1:
        raise DataError("a share between 0 and 1", got=f"{test}", where="in split(test=)")
    salted = _salted(source, seed)
    return Hashed(test, 1.0, salted, by), Hashed(0.0, test, salted, by)


def _salted(source: Sized, seed: int) -> int:
    # Without it, a split of a split with the same seed would find all its rows on one side.
    return seed + (sum(draws(operation, seed) for operation in source.operations) << 64)


def _bare(source: Sized) -> Iterable[Chunk]:
    """Chunks without columns, which tell the numbers of their rows; read only when a filter is in the way."""
    return numbered(source.parts) if source.counts_known else source.iter_chunks(())


def _number(n: Any, where: str) -> int:
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 0:
        raise DataError("a number of rows from 0 on", got=f"{n!r}", where=where)
    return int(n)
