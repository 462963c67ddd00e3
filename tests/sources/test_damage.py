"""Damaged and missing files: one error that names the file, never a skipped row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bigml
from bigml.errors import SourceError
from bigml.sources.manifest import MANIFEST

N = 4_000


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A data set that bigml wrote: the only data file of it."""
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=N), "k": rng.choice(["a", "b"], N)})
    bigml.from_arrow(table).write_parquet(tmp_path / "data", progress=False)
    return next((tmp_path / "data").glob("*.parquet"))


@pytest.fixture(params=["with its manifest", "as a bare file"])
def opened_as(request: pytest.FixtureRequest, written: Path) -> Path:
    return written.parent if request.param == "with its manifest" else written


def damaged(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        content = content[: len(content) // 2]
    elif kind == "0 bytes":
        content = bytearray()
    elif kind == "bad footer length":
        content[-8:-4] = b"\xff\xff\xff\x7f"
    elif kind == "bad footer":
        content[-400:-8] = b"\x7f" * 392
    elif kind == "bad magic":
        content[-4:] = b"PARX"
    elif kind == "page byte":
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["truncated", "0 bytes", "bad footer length", "bad footer", "bad magic", "page byte"])
def test_a_damaged_file_is_named(opened_as: Path, written: Path, kind: str) -> None:
    damaged(written, kind)
    with pytest.raises(SourceError, match=written.name):
        bigml.read_parquet(opened_as).to_arrow()


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_byte_in_a_page_is_found_or_harmless(written: Path, seed: int) -> None:
    wanted = bigml.read_parquet(written).to_arrow()
    content = bytearray(written.read_bytes())
    content[int(np.random.default_rng(seed).integers(4, int(len(content) * 0.9)))] ^= 0xFF
    written.write_bytes(content)
    try:
        outcome: Any = bigml.read_parquet(written).to_arrow().equals(wanted)
    except SourceError as error:
        outcome = str(error)
    assert outcome is True or written.name in outcome


def test_any_flipped_byte_of_a_footer_is_found_before_it_is_parsed(written: Path) -> None:
    content = written.read_bytes()
    length = int.from_bytes(content[-8:-4], "little") + 8
    for at in range(1, length + 1, 7):
        changed = bytearray(content)
        changed[-at] ^= 1
        written.write_bytes(changed)
        with pytest.raises(SourceError, match=written.name):
            bigml.read_parquet(written.parent)


def test_the_row_group_of_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"x": np.random.default_rng(0).normal(size=N)}),
        path,
        row_group_size=1_000,
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = bytearray(path.read_bytes())
    offset = pq.read_metadata(path).row_group(2).column(0).data_page_offset
    content[offset + 3_000] ^= 1
    path.write_bytes(content)
    source = bigml.read_parquet(path, part_bytes=8_000)
    assert len(source.read(source.parts[1])) == 1_000
    with pytest.raises(SourceError, match="row group 2"):
        source.read(source.parts[2])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.parquet", "nothing there"),
        ("nowhere/*.parquet", "at least one file that matches, got none"),
        ("empty", "no file"),
        ("notes.parquet", "a text file of 12 bytes"),
        ("*.csv", r"bigml.ingest\(\)"),
        ("binary.parquet", "another kind of file"),
        ("zero.parquet", r"an empty file \(0 bytes\)"),
    ],
)
def test_what_is_no_data_is_one_error_with_its_path(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.parquet").write_text("only a text\n")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "binary.parquet").write_bytes(bytes(range(128, 256)))
    (tmp_path / "zero.parquet").touch()
    with pytest.raises(SourceError, match=message) as caught:
        bigml.read_parquet(tmp_path / path)
    assert str(tmp_path) in str(caught.value)


def test_a_misspelt_path_is_told_the_nearest_name(written: Path) -> None:
    with pytest.raises(SourceError, match="Did you mean `data`"):
        bigml.read_parquet(written.parents[1] / "dta")


def test_a_stray_text_file_in_a_directory_is_not_skipped(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    (tmp_path / "readme.txt").write_text("about the data")
    with pytest.raises(SourceError, match=r"readme.txt"):
        bigml.read_parquet(tmp_path)


def test_a_file_changed_or_removed_after_opening_is_an_error_of_the_task(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    source = bigml.read_parquet(path)
    pq.write_table(pa.table({"x": [1, 2, 3, 4], "more": ["a"] * 4}), path)
    with pytest.raises(SourceError, match="open it again"):
        source.to_arrow()
    path.unlink()
    with pytest.raises(SourceError, match="no such file"):
        source.to_arrow()


def test_a_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for rows in ([1, 2, 3], [4, 5, 6], [7, 8]):
        # Many row groups, and another order of them each time: a footer that was kept would not fit.
        pq.write_table(pa.table({"x": rows * 100}), path, row_group_size=len(rows) * 10)
        source = bigml.read_parquet(path)
        assert source.to_pandas()["x"].tolist() == rows * 100
        assert source.where(f"x >= {rows[-1]}").to_pandas()["x"].tolist() == rows[-1:] * 100


def test_a_rewritten_data_set_is_read_all_old_or_all_new(tmp_path: Path) -> None:
    bigml.from_arrow(pa.table({"x": [1, 2, 3]})).write_parquet(tmp_path, progress=False)
    old = bigml.read_parquet(tmp_path)
    bigml.from_arrow(pa.table({"x": [4, 5]})).write_parquet(tmp_path, progress=False)
    assert bigml.read_parquet(tmp_path).to_pandas()["x"].tolist() == [4, 5]
    with pytest.raises(SourceError, match="open it again"):
        old.to_arrow()


def test_files_that_vanish_while_the_manifest_is_read_are_looked_for_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigml.sources import parquet

    bigml.from_arrow(pa.table({"x": [1, 2, 3]})).write_parquet(tmp_path, progress=False)
    read = parquet.read_footers
    calls: list[int] = []

    def rewriting(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            bigml.from_arrow(pa.table({"x": [4, 5]})).write_parquet(tmp_path, progress=False)
        return read(*arguments)

    monkeypatch.setattr(parquet, "read_footers", rewriting)
    assert bigml.read_parquet(tmp_path).to_pandas()["x"].tolist() == [4, 5]
    assert len(calls) == 2


def test_a_stray_file_beside_a_manifest_is_not_read(tmp_path: Path) -> None:
    bigml.from_arrow(pa.table({"x": [1, 2, 3]})).write_parquet(tmp_path, progress=False)
    pq.write_table(pa.table({"x": [9]}), tmp_path / "stray.parquet")
    assert bigml.read_parquet(tmp_path).n_rows == 3


def test_a_file_of_the_manifest_that_is_gone_is_named(written: Path) -> None:
    written.unlink()
    with pytest.raises(SourceError, match=written.name):
        bigml.read_parquet(written.parent)


def test_an_unreadable_manifest_is_an_error(written: Path) -> None:
    (written.parent / MANIFEST).write_text("{not json")
    with pytest.raises(SourceError, match="manifest"):
        bigml.read_parquet(written.parent)
