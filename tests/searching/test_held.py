"""Rows of some cells: a view like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bigml
from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError
from bigml.searching.cells import Partition, Split
from bigml.searching.held import rows_of
from bigml.testing import CountingSource, check_source


@dataclass(frozen=True)
class Remainder:
    """A row's cell is what a column leaves when it is divided; 9 is in no cell."""

    column: str
    n: int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, chunk: Chunk) -> NDArray[np.int16]:
        values = chunk.floats(self.column)
        return np.where(values == 9, -1, values % self.n).astype(np.int16)


FRAME = pd.DataFrame({"k": np.arange(12) % 10, "x": np.arange(12) / 4})
THIRDS = Partition(Remainder("k", 3), 3, (Split((1, 2), (0,)),))


def test_a_view_holds_the_rows_of_its_cells_and_none_that_is_in_no_cell() -> None:
    source = bigml.from_pandas(FRAME, part_rows=5)
    wanted = FRAME[FRAME["k"].isin([1, 2, 4, 5, 7, 8])]
    found = rows_of(source, THIRDS, (1, 2))
    pd.testing.assert_frame_equal(found.to_pandas().reset_index(drop=True), wanted.reset_index(drop=True))
    assert rows_of(source, THIRDS, range(3)).count() == 11
    assert rows_of(source, THIRDS, ()).count() == 0


def test_a_view_keeps_the_contract_of_sources(tmp_path: Path) -> None:
    bigml.from_pandas(FRAME).write_parquet(tmp_path / "rows")
    check_source(rows_of(bigml.from_pandas(FRAME, part_rows=5), THIRDS, (0, 2)))
    check_source(rows_of(bigml.read_parquet(tmp_path / "rows"), THIRDS, (1,)))


def test_a_view_reads_the_columns_of_its_dealer_and_those_that_are_asked_for() -> None:
    source = CountingSource(bigml.from_pandas(FRAME.assign(z=0.0), part_rows=5))
    assert rows_of(source, THIRDS, (0,)).select("x").to_pandas().columns.tolist() == ["x"]
    assert source.columns_read == {"k", "x"}


def test_tokens_tell_cells_and_dealers_apart() -> None:
    source = bigml.from_pandas(FRAME)
    halves = Partition(Remainder("k", 2), 3, ())
    tokens = {rows_of(source, partition, cells).token for partition in (THIRDS, halves) for cells in [(0,), (1,), (0, 1)]}
    assert len(tokens) == 6
    again = Partition(Remainder("k", 3), 3, ())
    assert rows_of(source, again, (1, 0)).token == rows_of(source, THIRDS, (0, 1)).token


def test_an_unknown_cell_and_a_missing_column_are_refused() -> None:
    source = bigml.from_pandas(FRAME)
    with pytest.raises(ConfigError, match=r"Expected cells from 0 to 2, got 3 - in rows_of"):
        rows_of(source, THIRDS, (1, 3))
    with pytest.raises(ColumnError, match=r"a column of the source named `k`.* - in the folds"):
        rows_of(source.select("x"), THIRDS, (1,))
