"""What tests of folds look at: the rows of each split, by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bigml
from bigml.graph.plan import Plan
from bigml.learning.inquiry import conduct
from bigml.searching.cells import Partition
from bigml.searching.folds import partitions
from bigml.sources.source import Source

Rows = NDArray[np.int64]


def asked(cv: Any, source: Source, **how: Any) -> list[Partition]:
    """The partitions, each question answered by a scan."""
    given: dict[str, Any] = {"target": None, "classifier": False, "groups": None, "seed": 0, **how}
    return conduct(partitions(cv, source, **given), lambda reducer: Plan(source, reducer).compute())


def cells_of(source: Source, partition: Partition) -> tuple[Rows, Rows]:
    """Row numbers and their cells."""
    chunks = list(source.iter_chunks(partition.dealer.columns))
    cells = [partition.dealer(chunk) for chunk in chunks]
    return np.concatenate([chunk.row_numbers for chunk in chunks]), np.concatenate(cells)


def splits_of(cv: Any, source: Source, **how: Any) -> list[tuple[Rows, Rows]]:
    """Row numbers of training and of testing, for each split of each partition."""
    out = []
    for partition in asked(cv, source, **how):
        rows, cells = cells_of(source, partition)
        out += [(rows[np.isin(cells, split.train)], rows[np.isin(cells, split.test)]) for split in partition.splits]
    return out


def same(left: Sequence[tuple[Rows, Rows]], right: Sequence[tuple[Rows, Rows]]) -> bool:
    """Whether all splits have the same rows."""
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def stored(frame: pd.DataFrame, folder: Path) -> list[Source]:
    """The same numbers in memory, cut in two ways, as Parquet files and as a memory map."""
    bigml.from_pandas(frame, part_rows=97).write_parquet(folder / "rows")
    bigml.from_pandas(frame).write_memmap(folder / "map", dtype=np.float64)
    here = [bigml.from_pandas(frame), bigml.from_pandas(frame, part_rows=41)]
    return [*here, bigml.read_parquet(folder / "rows"), bigml.read_memmap(folder / "map")]
