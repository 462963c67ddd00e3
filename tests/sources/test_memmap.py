"""Arrays on disk as sources: zero-copy, checked, never unpickled."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bigml
from bigml.errors import BigmlError, SchemaError, SourceError
from bigml.testing import check_source

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = (np.arange(20) % 2).astype(np.int64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    return tmp_path


def idx(path: Path, array: NDArray[Any], code: int) -> Path:
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = head + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("part_bytes", [1, 40, 1 << 20])
def test_sources_over_arrays_keep_the_contract(folder: Path, part_bytes: int) -> None:
    source = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy", part_bytes=part_bytes)
    check_source(source)
    assert source.columns == ("x0", "x1", "x2", "target")
    np.testing.assert_array_equal(source.to_pandas()[["x0", "x1", "x2"]].to_numpy(), X)
    np.testing.assert_array_equal(source.to_pandas()["target"], Y)


def test_columns_and_matrices_are_views_on_one_map(folder: Path) -> None:
    source = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy")
    chunk = source.read(source.parts[0])
    matrix = chunk.matrix(["x0", "x1", "x2"], np.float32)
    assert np.shares_memory(matrix, chunk.column("x1"))
    assert not matrix.flags.owndata
    assert not matrix.flags.writeable
    np.testing.assert_array_equal(matrix, X)
    inner = source.read(source.parts[0], ["x1", "x2", "target"])
    assert np.shares_memory(inner.matrix(["x1", "x2"], np.float32), inner.column("x2"))
    apart = source.read(source.parts[0], ["x2", "x0"])
    np.testing.assert_array_equal(apart.matrix(["x2", "x0"], np.float32), X[:, [2, 0]])


def test_only_what_is_asked_is_mapped(folder: Path) -> None:
    source = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy")
    os.truncate(folder / "X.npy", 10)
    assert source.read(source.parts[0], ["target"]).column("target").tolist() == Y.tolist()


@given(
    rows=st.integers(0, 9),
    width=st.integers(0, 3),
    kind=st.sampled_from(["f4", "f8", "i1", "u2", "i8", "?", ">f4", ">i2"]),
    order=st.sampled_from("CF"),
    part_bytes=st.integers(1, 100),
)
@settings(max_examples=40, deadline=None)
def test_any_array_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int, kind: str, order: Any, part_bytes: int
) -> None:
    shape = (rows, width) if width else (rows,)
    array = np.asarray(np.arange(rows * max(width, 1)).reshape(shape) % 2, dtype=kind, order=order)
    path = tmp_path_factory.mktemp("any") / "a.npy"
    np.save(path, array)
    source = bigml.read_memmap(path, part_bytes=part_bytes)
    check_source(source)
    got = [chunk.matrix(source.columns) for chunk in source.iter_chunks()]
    np.testing.assert_array_equal(np.concatenate([np.empty((0, max(width, 1))), *got]), array.reshape(rows, max(width, 1)))


def test_more_dimensions_are_flattened_and_remembered(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    np.save(tmp_path / "images.npy", images)
    source = bigml.read_memmap(tmp_path / "images.npy")
    assert source.item_shape == (2, 3)
    chunk = source.read(source.parts[0])
    np.testing.assert_array_equal(chunk.matrix(source.columns, np.uint8).reshape(-1, 2, 3), images)


def test_one_dimension_is_one_column_and_fields_are_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(4.0))
    assert bigml.read_memmap(tmp_path / "v.npy").columns == ("x0",)
    records = np.array([(1, 2.5), (3, 4.5)], dtype=[("k", "i4"), ("v", "f8")])
    np.save(tmp_path / "r.npy", records)
    source = bigml.read_memmap(tmp_path / "r.npy")
    check_source(source)
    assert source.to_pandas().to_dict("list") == {"k": [1, 3], "v": [2.5, 4.5]}


def test_bare_numbers_are_read_with_dtype_and_shape(tmp_path: Path) -> None:
    path = tmp_path / "numbers.bin"
    path.write_bytes(b"head" + X.tobytes())
    source = bigml.read_memmap(path, dtype="float32", shape=(20, 3), offset=4, columns=["a", "b", "c"])
    check_source(source)
    assert source.to_pandas()["b"].tolist() == X[:, 1].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64", "shape": (20, 3)}, r"480 bytes for shape \(20, 3\) of float64 from byte 0, got 240 bytes"),
        ({"dtype": "float32", "shape": (21, 3)}, "252 bytes .* got 240 bytes"),
        ({"dtype": "float16", "shape": (20, 3)}, "120 bytes .* got 240 bytes"),
        ({"dtype": "float32", "shape": (20, 3), "offset": 1}, "241 bytes .* got 240 bytes"),
        ({"dtype": "float32"}, "dtype= and shape= together"),
        ({"shape": (20, 3)}, "dtype= and shape= together"),
        ({"dtype": "object", "shape": (30,)}, "never unpickled"),
        ({"dtype": "float32", "shape": ()}, "one dimension or more"),
        ({}, "begins with"),
    ],
)
def test_a_file_that_is_not_what_it_is_said_to_be_is_refused_at_open(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "numbers.bin").write_bytes(X.tobytes())
    with pytest.raises(SourceError, match=message):
        bigml.read_memmap(tmp_path / "numbers.bin", **options)


def test_a_short_npy_file_is_refused_at_open_with_expected_and_got(folder: Path) -> None:
    os.truncate(folder / "X.npy", 200)
    with pytest.raises(SourceError, match=r"368 bytes for shape \(20, 3\) of float32 from byte 128, got 200 bytes"):
        bigml.read_memmap(folder / "X.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': broken"])
def test_a_damaged_header_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "X.npy").write_bytes(content)
    with pytest.raises(SourceError, match=r"X\.npy"):
        bigml.read_memmap(tmp_path / "X.npy")


def test_a_map_truncated_later_is_an_error_of_the_task_and_the_process_lives(folder: Path) -> None:
    source = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy", part_bytes=40)
    assert len(source.parts) > 4
    chunks = source.iter_chunks()
    next(chunks)
    os.truncate(folder / "X.npy", 250)
    with pytest.raises(SourceError, match="got 250 bytes"):
        next(chunks)
    with pytest.raises(SourceError, match="got 250 bytes"):
        source.to_pandas()
    (folder / "X.npy").unlink()
    with pytest.raises(SourceError, match="nothing there"):
        source.to_pandas()


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_python_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    sign = tmp_path / "payload ran"
    np.save(tmp_path / "X.npy", np.array([Payload(sign)], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="never unpickled"):
        bigml.read_memmap(tmp_path / "X.npy")
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Payload(sign)))
    with pytest.raises(SourceError, match=r"a .npy file"):
        bigml.read_memmap(tmp_path / "p.npy")
    with pytest.raises(SourceError):
        bigml.read_memmap(tmp_path / "p.npy", dtype=object, shape=(1,))
    assert not sign.exists()


def test_x_and_y_must_be_aligned(folder: Path) -> None:
    np.save(folder / "short.npy", Y[:-1])
    np.save(folder / "wide.npy", np.stack([Y, Y], axis=1))
    np.save(folder / "column.npy", Y[:, None])
    with pytest.raises(SourceError, match="as many rows in y as the 20 of X, got 19"):
        bigml.read_memmap(folder / "X.npy", y=folder / "short.npy")
    with pytest.raises(SourceError, match="one value of y a row"):
        bigml.read_memmap(folder / "X.npy", y=folder / "wide.npy")
    assert bigml.read_memmap(folder / "X.npy", y=folder / "column.npy").to_pandas()["target"].tolist() == Y.tolist()
    with pytest.raises(SchemaError, match="another name for y"):
        bigml.read_memmap(folder / "X.npy", y=folder / "y.npy", target="x1")
    with pytest.raises(SchemaError, match="3 different names"):
        bigml.read_memmap(folder / "X.npy", columns=["a", "b"])


def test_what_write_memmap_wrote_is_read_by_its_directory(tmp_path: Path) -> None:
    table = pa.table({"a": [1.5, None, 3.0], "b": [1, 2, 3], "late": [True, False, True]})
    bigml.from_arrow(table, part_rows=2).write_memmap(tmp_path / "m", target="late")
    source = bigml.read_memmap(tmp_path / "m")
    check_source(source)
    assert source.columns == ("a", "b", "late")
    assert source.to_pandas()["late"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(source.to_pandas()["a"], [1.5, np.nan, 3.0])
    with pytest.raises(SourceError, match="a directory alone"):
        bigml.read_memmap(tmp_path / "m", y=tmp_path / "m" / "y.npy")
    with pytest.raises(SourceError, match=r"written by write_memmap\(\)"):
        bigml.read_memmap(tmp_path)
    with pytest.raises(SourceError, match=r"read_memmap\(\)"):
        bigml.read_parquet(tmp_path / "m")


def test_filters_and_formulas_work_on_arrays(folder: Path) -> None:
    source = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy", part_bytes=40)
    view = source.where("target == 1 and x0 > 20").assign(z="x1 + x2")
    check_source(view)
    wanted = X[(Y == 1) & (X[:, 0] > 20)]
    np.testing.assert_array_equal(view.to_pandas()["z"], wanted[:, 1] + wanted[:, 2])
    assert source.where("target == 1").count() == 10


@pytest.mark.parametrize("suffix", ["idx", "idx.gz"])
def test_idx_files_of_every_type_are_read(tmp_path: Path, suffix: str) -> None:
    for code, kind in ((8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        array = np.arange(24).reshape(6, 2, 2).astype(kind)
        images, labels = idx(tmp_path / f"x{code}.{suffix}", array, code), np.arange(6, dtype=np.uint8)
        source = bigml.read_idx(images, y=idx(tmp_path / f"y.{suffix}", labels, 8), part_bytes=4 * array.itemsize)
        check_source(source)
        assert source.item_shape == (2, 2)
        assert len(source.parts) == 6
        np.testing.assert_array_equal(source.to_pandas().to_numpy()[:, :4], array.reshape(6, 4))


@pytest.mark.parametrize("suffix", ["idx", "idx.gz"])
def test_a_short_idx_file_is_refused_at_open(tmp_path: Path, suffix: str) -> None:
    path = idx(tmp_path / f"x.{suffix}", np.zeros((100, 7), np.uint8), 8)
    content = gzip.decompress(path.read_bytes()) if suffix.endswith("gz") else path.read_bytes()
    for cut in (0, 2, 9, 300):
        short = content[:cut]
        path.write_bytes(gzip.compress(short) if suffix.endswith("gz") else short)
        with pytest.raises(SourceError, match=r"x.idx"):
            bigml.read_idx(path)


def test_a_truncated_gzip_file_is_an_error(tmp_path: Path) -> None:
    path = idx(tmp_path / "x.gz", np.random.default_rng(0).integers(0, 255, (1_000, 7)).astype(np.uint8), 8)
    content = path.read_bytes()
    for kept in (1, 11, len(content) // 2, len(content) - 9):
        path.write_bytes(content[:kept])
        with pytest.raises(BigmlError, match=r"x.gz"):
            bigml.read_idx(path).to_pandas()


def test_what_is_no_idx_file_is_told_so(tmp_path: Path, folder: Path) -> None:
    for path in (folder / "X.npy", tmp_path / "nothing"):
        with pytest.raises(SourceError, match=str(path)):
            bigml.read_idx(path)


def test_mnist(data_dir: Path) -> None:
    images, labels = (data_dir / "mnist" / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    source = bigml.read_idx(images, y=labels, part_bytes=8 << 20)
    assert (source.n_rows, source.item_shape, len(source.parts)) == (60_000, (28, 28), 6)
    total = squares = 0.0
    for chunk in source.iter_chunks():
        pixels = chunk.matrix(source.columns[:-1], np.uint8) / 255
        total, squares = total + pixels.sum(), squares + (pixels**2).sum()
    mean = total / (60_000 * 784)
    assert round(mean, 4) == 0.1307
    assert round((squares / (60_000 * 784) - mean**2) ** 0.5, 4) == 0.3081
    assert source.select("target").head(5).to_pandas()["target"].tolist() == [5, 0, 4, 1, 9]
