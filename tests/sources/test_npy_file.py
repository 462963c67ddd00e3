"""NpyFile: matrices that numpy reads, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bigml.chunk import Chunk
from bigml.errors import DataError, SchemaError, WriteError
from bigml.sources.manifest import MANIFEST, Manifest
from bigml.sources.npy_file import NpyFile, write_matrices
from bigml.sources.writing import finished_files

TABLE = pa.table(
    {"a": [1.5, None, 3.0, 4.0, 5.0], "b": [1, 2, 3, 4, 5], "late": [True, False, True, True, False], "s": list("xyzxy")}
)


def chunks(*sizes: int) -> Iterator[Chunk]:
    start = 0
    for size in sizes:
        yield Chunk.from_arrow(TABLE.slice(start, size), start)
        start += size


def write(directory: Path, *sizes: int, target: str | None = "late", rows: int | None = None) -> Manifest:
    return write_matrices(directory, chunks(*sizes), TABLE.schema, columns=["a", "b"], target=target, rows=rows)


@pytest.mark.parametrize("sizes", [(5,), (2, 0, 3), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("rows", [None, 5])
def test_matrix_and_target_are_the_same_however_they_are_cut(tmp_path: Path, sizes: tuple[int, ...], rows: int | None) -> None:
    manifest = write(tmp_path, *sizes, rows=rows)
    x, y = np.load(tmp_path / "X.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r")
    np.testing.assert_array_equal(x, np.array([[1.5, 1], [np.nan, 2], [3, 3], [4, 4], [5, 5]], dtype=np.float32))
    assert (x.dtype, y.dtype, y.tolist()) == (np.float32, np.int64, [1, 0, 1, 1, 0])
    assert finished_files(tmp_path) == manifest
    manifest.verify(tmp_path)
    assert manifest.rows == 5
    assert manifest.columns == (("a", "float"), ("b", "float"), ("late", "int64"))


def test_rewriting_moves_both_links_and_leaves_no_old_file(tmp_path: Path) -> None:
    write(tmp_path, 5)
    manifest = write(tmp_path, 3)
    assert np.load(tmp_path / "X.npy").shape == (3, 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {MANIFEST, "X.npy", "y.npy", manifest.files[0].path, manifest.attachments[0].path}
    write(tmp_path, 4, target=None)
    assert not os.path.lexists(tmp_path / "y.npy")
    assert np.load(tmp_path / "X.npy").shape == (4, 2)


def test_no_rows_make_an_empty_matrix(tmp_path: Path) -> None:
    assert write(tmp_path).rows == 0
    assert np.load(tmp_path / "X.npy").shape == (0, 2)


def test_another_number_of_rows_than_announced_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 5)
    for sizes in [(3,), (3, 2, 1)]:
        with pytest.raises(WriteError, match="4 rows"):
            write(tmp_path, *sizes, rows=4)
    assert np.load(tmp_path / "X.npy").shape == (5, 2)


def test_columns_that_are_not_numbers_leave_nothing_behind(tmp_path: Path) -> None:
    for target in ("late", "s"):
        with pytest.raises(SchemaError, match="numeric"):
            write_matrices(tmp_path / "out", chunks(5), TABLE.schema, columns=["a", "s"], target=target)
    assert list(tmp_path.iterdir()) == []


def test_a_null_in_an_integer_target_is_refused(tmp_path: Path) -> None:
    table = pa.table({"a": [1.0, 2.0], "y": [1, None]})
    with pytest.raises(DataError, match="1 nulls - column `y`"):
        write_matrices(tmp_path / "out", [Chunk.from_arrow(table)], table.schema, columns=["a"], target="y")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16"])
def test_npy_file_equals_numpy_s_own(tmp_path: Path, dtype: str) -> None:
    matrix = np.arange(30).reshape(10, 3).astype(dtype)
    with NpyFile(tmp_path / "ours.npy", dtype, width=3) as out:
        out.append(matrix[:4])
        out.append(matrix[4:])
        out.finish()
    np.save(tmp_path / "theirs.npy", matrix)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
