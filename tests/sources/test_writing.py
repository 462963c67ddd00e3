"""Writing: all old or all new, whatever happens."""

from __future__ import annotations

import errno
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from bigml.errors import ColumnError, SchemaError, SourceError, WriteError
from bigml.sources.manifest import MANIFEST, MARKER, Manifest
from bigml.sources.writing import Layout, dataset, finished_files, write_part

TABLE = pa.table(
    {
        "k": pa.array(["a", "b", None, "a/../b", "b", "é =%", ""] * 20),
        "n": pa.array([*range(139), None], pa.int32()),
        "x": np.random.default_rng(0).normal(size=140),
    }
)
SMALL = Layout(row_group_rows=40)
CALLS = ("open", "write", "fsync", "replace", "unlink", "rmdir", "mkdir", "close")


def write(directory: Path, *tables: pa.Table, layout: Layout = SMALL, rows_per_file: int = 60) -> Manifest:
    with dataset(directory, TABLE.schema, layout=layout) as writer:
        writer.write(tables, rows_per_file)
    return writer.manifest()


def read(directory: Path) -> pa.Table:
    manifest = finished_files(directory)
    assert manifest is not None
    manifest.verify(directory)
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in manifest.paths(directory)])


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def files_of(manifest: Manifest) -> set[str]:
    return {MANIFEST, *(file.path for file in manifest.files)}


@contextmanager
def counted_calls(action: Callable[[str, int], None], names: tuple[str, ...] = CALLS) -> Iterator[None]:
    """Every file system call goes through `action(name, count)` first."""
    real = {name: getattr(os, name) for name in names}
    count = 0

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            action(name, count)
            return real[name](*args, **kwargs)

        return call

    try:
        for name in names:
            setattr(os, name, wrapped(name))
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def test_rows_come_back_in_order_with_their_types(tmp_path: Path) -> None:
    manifest = write(tmp_path / "out", TABLE, TABLE)
    assert read(tmp_path / "out").equals(pa.concat_tables([TABLE, TABLE]))
    assert manifest.rows == 280
    assert finished_files(tmp_path / "out") == manifest
    assert snapshot(tmp_path / "out").keys() == files_of(manifest)


def test_row_groups_are_bounded_by_rows_and_by_bytes(tmp_path: Path) -> None:
    by_rows = write(tmp_path / "a", TABLE, rows_per_file=1000).paths(tmp_path / "a")[0]
    by_bytes = write(tmp_path / "b", TABLE, layout=Layout(row_group_bytes=TABLE.nbytes // 5)).paths(tmp_path / "b")[0]
    groups = [pq.ParquetFile(by_rows).metadata.row_group(i).num_rows for i in range(4)]
    assert groups == [40, 40, 40, 20]
    assert pq.ParquetFile(by_bytes).num_row_groups in {5, 6}


def test_a_flipped_byte_in_a_page_is_found_by_page_checksums(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE, rows_per_file=1000).paths(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|deserialize"):
        pq.read_table(path, page_checksum_verification=True)
    with pytest.raises(SourceError, match="checksum"):
        Manifest.load(tmp_path).verify(tmp_path)


def test_rewriting_replaces_the_files_and_keeps_a_stranger_s(tmp_path: Path) -> None:
    first = write(tmp_path, TABLE)
    (tmp_path / "notes.txt").write_text("mine")
    second = write(tmp_path, TABLE.slice(10))
    assert snapshot(tmp_path).keys() == files_of(second) | {"notes.txt"}
    assert files_of(first) & files_of(second) == {MANIFEST}


def test_a_reader_sees_the_old_rows_while_new_ones_are_written(tmp_path: Path) -> None:
    old = write(tmp_path, TABLE)
    with dataset(tmp_path, TABLE.schema) as writer:
        writer.write([TABLE.slice(100)])
        assert finished_files(tmp_path) == old
        assert read(tmp_path).equals(TABLE)
    assert read(tmp_path).equals(TABLE.slice(100))


def test_an_unfinished_first_write_is_refused_by_readers(tmp_path: Path) -> None:
    with dataset(tmp_path / "out", TABLE.schema) as writer:
        writer.write([TABLE])
        with pytest.raises(SourceError, match="writing has not ended"):
            finished_files(tmp_path / "out")
    assert finished_files(tmp_path / "out") is not None


def test_a_directory_of_other_files_has_no_manifest_and_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("dear")
    assert finished_files(tmp_path) is None
    with pytest.raises(WriteError, match=r"other files \(photo.jpg\)"):
        write(tmp_path, TABLE)
    assert snapshot(tmp_path) == {"photo.jpg": b"dear"}


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with dataset(tmp_path, TABLE.schema) as writer:
        with pytest.raises(WriteError, match="a writer at work"):
            write(tmp_path, TABLE)
        writer.write([TABLE])
    assert read(tmp_path).equals(TABLE)


def test_an_exception_leaves_the_old_data_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "old", TABLE)
    before = snapshot(tmp_path)

    def failing() -> Iterator[pa.Table]:
        yield TABLE
        raise KeyError("in the middle")

    for directory in ("old", "new/deep"):
        with pytest.raises(KeyError, match="in the middle"), dataset(tmp_path / directory, TABLE.schema, layout=SMALL) as writer:
            writer.write(failing(), 60)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_no_rows_make_a_data_set_with_columns(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    assert manifest.rows == 0
    assert read(tmp_path).schema.equals(TABLE.schema)


def test_a_changed_or_missing_file_is_named_at_open(tmp_path: Path) -> None:
    manifest = write(tmp_path, TABLE)
    path = manifest.paths(tmp_path)[0]
    os.truncate(path, 100)
    with pytest.raises(SourceError, match="100 bytes"):
        finished_files(tmp_path)
    path.unlink()
    with pytest.raises(SourceError, match=f"no such file.*{path.name}"):
        finished_files(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "bigml data set", "version": 99}'])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SourceError, match=MANIFEST):
        finished_files(tmp_path)


@pytest.mark.parametrize("path", ["../outside.parquet", "/etc/passwd", "a/../../b"])
def test_a_manifest_cannot_name_files_outside_its_directory(tmp_path: Path, path: str) -> None:
    manifest = write(tmp_path, TABLE)
    text = (tmp_path / MANIFEST).read_text().replace(manifest.files[0].path, path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SourceError, match="outside the data set"):
        finished_files(tmp_path)


def test_partitions_are_hive_folders_that_pyarrow_reads(tmp_path: Path) -> None:
    manifest = write(tmp_path, TABLE, TABLE, layout=Layout(partition_by=("k",)))
    flavor = pads.partitioning(pa.schema([("k", pa.string())]), flavor="hive")
    found = pads.dataset([str(path) for path in manifest.paths(tmp_path)], partitioning=flavor, partition_base_dir=str(tmp_path))
    rows = found.to_table().select(TABLE.column_names).to_pylist()
    assert sorted(map(str, rows)) == sorted(map(str, TABLE.to_pylist() * 2))
    assert {Path(file.path).parent.name for file in manifest.files} >= {"k=a%2F..%2Fb", "k=__HIVE_DEFAULT_PARTITION__"}
    assert all(len(Path(file.path).parts) == 2 for file in manifest.files)


def test_rewriting_partitions_removes_folders_that_are_empty(tmp_path: Path) -> None:
    write(tmp_path, TABLE, layout=Layout(partition_by=("k",)))
    manifest = write(tmp_path, TABLE.slice(0, 1), layout=Layout(partition_by=("k",)))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["k=a"]
    assert manifest.rows == 1


def test_more_partitions_than_open_files_are_written_in_several_rounds(tmp_path: Path) -> None:
    table = pa.table({"k": np.arange(500) % 200, "x": np.arange(500)})
    with dataset(tmp_path, table.schema, layout=Layout(partition_by=("k",))) as writer:
        writer.write([table.slice(i, 100) for i in range(0, 500, 100)])
    manifest = writer.manifest()
    assert manifest.rows == 500
    found = pa.concat_tables([pq.read_table(path, partitioning=None) for path in manifest.paths(tmp_path)])
    assert sorted(found["x"].to_pylist()) == list(range(500))


@pytest.mark.parametrize(
    ("keys", "error"), [(("kk",), ColumnError), (("x",), SchemaError), (("k", "n", "x"), SchemaError), (("a/b",), ColumnError)]
)
def test_impossible_partition_keys_are_refused_before_anything_is_made(
    tmp_path: Path, keys: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        write(tmp_path / "out", TABLE, layout=Layout(partition_by=keys))
    assert not (tmp_path / "out").exists()


def test_a_task_run_twice_gives_the_files_and_rows_of_one(tmp_path: Path) -> None:
    for layout in (SMALL, Layout(partition_by=("k",))):
        with dataset(tmp_path, TABLE.schema, layout=layout) as writer:
            target = pickle.loads(pickle.dumps(writer.target))
            once = write_part(target, 0, [TABLE])
            after_one = snapshot(tmp_path)
            twice = write_part(target, 0, [TABLE])
            assert once == twice
            assert snapshot(tmp_path) == after_one
            writer.add(twice)
        assert finished_files(tmp_path) == writer.manifest()
        assert snapshot(tmp_path).keys() == files_of(writer.manifest())
        assert writer.manifest().rows == TABLE.num_rows


def test_a_task_that_ends_after_an_abort_leaves_orphans_that_the_next_write_removes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), dataset(tmp_path, TABLE.schema) as writer:
        raise RuntimeError
    tmp_path.mkdir(exist_ok=True)
    write_part(writer.target, 3, [TABLE])
    (tmp_path / MARKER).write_text("")
    manifest = write(tmp_path, TABLE)
    assert snapshot(tmp_path).keys() == files_of(manifest)


def test_a_table_of_another_type_is_converted_or_refused(tmp_path: Path) -> None:
    write(tmp_path, TABLE.set_column(1, "n", TABLE["n"].cast(pa.int64())))
    assert read(tmp_path).equals(TABLE)
    with pytest.raises(WriteError, match="rows of the data set's schema"):
        write(tmp_path, TABLE.set_column(1, "n", TABLE["x"]))
    assert read(tmp_path).equals(TABLE)


def write_with_full_disk(directory: Path, name: str, n: int) -> WriteError | None:
    """Rewrite the directory, with ENOSPC at the n-th call of that name; the error, if any."""

    def full(_: str, count: int) -> None:
        if count == n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    try:
        with counted_calls(full, (name,)):
            write(directory, TABLE.slice(7), layout=Layout(partition_by=("k",)))
    except WriteError as error:
        return error
    return None


@pytest.mark.parametrize("name", ["write", "replace"])
def test_a_full_disk_at_every_nth_write_keeps_the_old_data_byte_for_byte(tmp_path: Path, name: str) -> None:
    write(tmp_path / "out", TABLE)
    before = snapshot(tmp_path)
    n = 1
    while error := write_with_full_disk(tmp_path / "out", name, n):
        assert "No space left" in str(error)
        assert snapshot(tmp_path) == before
        n += 1
    assert n > 7
    assert finished_files(tmp_path / "out").rows == 133


@pytest.mark.parametrize("name", ["fsync", "open"])
def test_a_failing_flush_leaves_all_old_or_all_new(tmp_path: Path, name: str) -> None:
    n, seen = 1, []
    write(tmp_path, TABLE)
    while write_with_full_disk(tmp_path, name, n):
        manifest = finished_files(tmp_path)
        manifest.verify(tmp_path)
        assert snapshot(tmp_path).keys() == files_of(manifest)
        seen.append(manifest.rows)
        write(tmp_path, TABLE)
        n += 1
    assert len(seen) > 10
    assert set(seen[:-1]) == {140}, "only the very last flush, after the rename, may fail with the new data in place"


def test_a_full_disk_in_a_fresh_directory_leaves_no_directory(tmp_path: Path) -> None:
    def full(_: str, count: int) -> None:
        if count > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(WriteError), counted_calls(full, ("write",)):
        write(tmp_path / "a" / "b", TABLE)
    assert list(tmp_path.iterdir()) == []


def kill_while_writing(directory: Path, n: int, **options: Any) -> bool:
    """Fork, write, and SIGKILL the writer at its n-th file system call; whether it lived to the end."""
    child = os.fork()
    if child == 0:

        def kill(_: str, count: int) -> None:
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with counted_calls(kill):
                write(directory, TABLE.slice(7), **options)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


@pytest.mark.parametrize("partition_by", [(), ("k",)])
def test_a_writer_killed_at_any_point_shows_all_old_or_all_new(tmp_path: Path, partition_by: tuple[str, ...]) -> None:
    directory, layout = tmp_path / "out", Layout(row_group_rows=40, partition_by=partition_by)
    outcomes = []
    for n in range(1, 400, 2 if partition_by else 1):
        old = write(directory, TABLE)
        content = snapshot(directory)
        lived = kill_while_writing(directory, n, layout=layout)
        manifest = finished_files(directory)
        assert manifest is not None
        manifest.verify(directory)
        outcomes.append(manifest == old)
        if manifest == old:
            assert {path: snapshot(directory)[path] for path in content} == content
        else:
            assert manifest.rows == 133
        after = write(directory, TABLE.slice(3))
        assert snapshot(directory).keys() == files_of(after)
        assert not (directory / MARKER).exists()
        if lived:
            break
    assert lived
    assert len(outcomes) >= 50
    assert outcomes == sorted(outcomes, reverse=True), "old until one moment, new ever after"


def test_a_first_write_killed_at_any_point_shows_nothing_or_all(tmp_path: Path) -> None:
    for n in range(1, 100):
        directory = tmp_path / f"out{n}"
        lived = kill_while_writing(directory, n)
        unfinished = (directory / MARKER).exists() and not (directory / MANIFEST).exists()
        if unfinished:
            with pytest.raises(SourceError, match="writing has not ended"):
                finished_files(directory)
        else:
            manifest = finished_files(directory) if directory.exists() else None
            assert manifest is None or manifest.rows == 133
        after = write(directory, TABLE)
        assert snapshot(directory).keys() == files_of(after)
        if lived:
            break
    assert lived
    assert n > 30
