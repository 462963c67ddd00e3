"""Chunks as matrices: whole and in blocks, from columns of any type of number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bigml.chunk import Chunk

TABLE = pa.table(
    {
        "single": pa.array([1.5, None, -2.0, np.nan, 4.0], pa.float32()),
        "double": pa.chunked_array([[0.1, 0.2], [None, 0.4, 0.5]], pa.float64()),
        "whole": pa.array([1, 2**40 + 1, -3, 4, 5], pa.int64()),
        "missing": pa.array([1, None, 3, 4, 5], pa.int8()),
        "truth": pa.array([True, False, None, True, True]),
    }
)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_rows", [1, 2, 5, 100])
def test_blocks_are_the_rows_of_the_matrix(dtype: type, n_rows: int) -> None:
    chunk = Chunk.from_arrow(TABLE)
    matrix = chunk.matrix(chunk.names, dtype)
    blocks = list(chunk.blocks(chunk.names, dtype, n_rows=n_rows))
    assert all(block.flags.f_contiguous and block.dtype == dtype for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), matrix)
    np.testing.assert_array_equal(matrix, TABLE.to_pandas().to_numpy(dtype))


def test_blocks_of_a_matrix_are_views_on_it() -> None:
    matrix = np.arange(12.0).reshape(6, 2)
    blocks = list(Chunk.from_matrix(matrix, ["a", "b"]).blocks(["a", "b"], n_rows=4))
    assert [len(block) for block in blocks] == [4, 2]
    assert all(np.shares_memory(block, matrix) for block in blocks)


def test_columns_of_whole_numbers_and_truth_values_in_arrays_become_floats() -> None:
    chunk = Chunk({"a": np.array([1, 2], np.int8), "b": np.array([True, False])}, range(2))
    np.testing.assert_array_equal(chunk.matrix(["a", "b"]), [[1.0, 1.0], [2.0, 0.0]])
