"""read_parquet: what is read, how it is cut, and that nothing is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import BigmlError, ColumnError, SchemaError, SourceError
from bigml.sources import footers, pages
from bigml.sources.parquet import ParquetSource
from bigml.testing import check_source

ROWS = 60


def table(n: int = ROWS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "i": pa.array(rng.integers(-5, 5, n), pa.int64()),
            "f": pa.array(np.where(rng.random(n) < 0.2, None, rng.normal(size=n)), pa.float64()),
            "s": pa.array(rng.choice(["JFK", "LGA", "EWR", None], n), pa.string()),
            "u": pa.array([f"text number {k} of {seed}" for k in range(n)], pa.large_string()),
            "b": pa.array(rng.random(n) < 0.5),
            "d": pa.array(rng.integers(16_000, 16_400, n), pa.int32()).cast(pa.date32()),
            "t": pa.array(rng.integers(0, 10**15, n), pa.int64()).cast(pa.timestamp("us")),
            "l": pa.array([[1, 2], None, []] * (n // 3) + [[3]] * (n % 3), pa.list_(pa.int64())),
        }
    )


def write(folder: Path, tables: list[pa.Table], **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, one in enumerate(tables):
        pq.write_table(one, folder / f"{i:03d}.parquet", **options)
    return folder


def rows_of(source: bigml.Source) -> list[dict[str, Any]]:
    return source.to_arrow().to_pylist()


def same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> bool:
    """Equal, NaN for NaN."""
    return repr(left) == repr(right)


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    group=st.integers(1, 40),
    part_bytes=st.integers(1, 20_000),
)
@settings(max_examples=40, deadline=None)
def test_any_cutting_gives_the_rows_of_the_files_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, part_bytes: int
) -> None:
    tables = [table(n, seed) for seed, n in enumerate(sizes)]
    folder = write(tmp_path_factory.mktemp("cut"), tables, row_group_size=group)
    source = bigml.read_parquet(folder, part_bytes=part_bytes)
    wanted = pa.concat_tables(tables).to_pylist()
    assert source.n_rows == len(wanted)
    assert same([row for chunk in source.iter_chunks() for row in chunk.to_arrow().to_pylist()], wanted)


@pytest.mark.parametrize("part_bytes", [1, 300, 4_000, 1 << 26])
def test_source_keeps_the_contract(tmp_path: Path, part_bytes: int) -> None:
    check_source(bigml.read_parquet(write(tmp_path, [table(), table(7, 1), table(0)], row_group_size=13), part_bytes=part_bytes))


def test_parts_keep_the_byte_budget_and_small_row_groups_are_combined(tmp_path: Path) -> None:
    numbers = pa.table({"x": np.arange(100_000, dtype=np.int64)})
    folder = write(tmp_path, [numbers, numbers], row_group_size=1_000)
    source = bigml.read_parquet(folder, part_bytes=64_000)
    assert max(part.nbytes for part in source.parts) <= 64_000
    assert len(source.parts) == 25
    assert len(bigml.read_parquet(folder).parts) == 1


def test_slices_of_one_row_group_share_one_reading_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [pa.table({"x": np.arange(100_000.0)})], row_group_size=100_000)
    source = bigml.read_parquet(tmp_path, part_bytes=80_000)
    assert len(source.parts) == 10
    assert len({part.run for part in source.parts}) == 1
    opened: list[str] = []
    monkeypatch.setattr(pages, "opened", lambda *a, **k: opened.append("open") or footers.opened(*a, **k))
    values = np.concatenate([chunk.floats("x") for chunk in source.iter_chunks()])
    np.testing.assert_array_equal(values, np.arange(100_000.0))
    assert opened == ["open"]
    np.testing.assert_array_equal(source.read(source.parts[7]).floats("x"), np.arange(70_000.0, 80_000.0))


def test_a_giant_row_group_is_read_in_bounded_memory(tmp_path: Path) -> None:
    n = 4_000_000
    rng = np.random.default_rng(0)
    write(tmp_path, [pa.table({"x": rng.random(n), "y": rng.random(n)})], row_group_size=n, use_dictionary=False)
    source = bigml.read_parquet(tmp_path, part_bytes=2 << 20)
    default, pool = pa.default_memory_pool(), pa.system_memory_pool()
    pa.set_memory_pool(pool)
    try:
        total = sum(float(chunk.floats("x").sum()) for chunk in source.iter_chunks())
    finally:
        pa.set_memory_pool(default)
    assert total == pytest.approx(n / 2, rel=0.01)
    assert pool.max_memory() < 16 << 20 < 2 * 8 * n


def test_only_the_asked_columns_are_decoded(tmp_path: Path) -> None:
    source = bigml.read_parquet(write(tmp_path, [table()]), columns=["s", "i"])
    assert source.columns == ("s", "i")
    assert same(rows_of(source), table().select(["s", "i"]).to_pylist())
    with pytest.raises(ColumnError, match="Did you mean `i`"):
        bigml.read_parquet(tmp_path, columns=["ii"])
    with pytest.raises(ColumnError, match="`nope`"):
        source.read(source.parts[0], ["nope"])


def test_text_of_few_words_is_read_as_codes_and_shown_as_text(tmp_path: Path) -> None:
    n = 30_000
    words = pa.table({"few": ["JFK", "LGA", None] * (n // 3), "many": [f"a text of its own, number {i}" for i in range(n)]})
    source = bigml.read_parquet(write(tmp_path, [words]))
    chunk = next(source.iter_chunks())
    assert pa.types.is_dictionary(chunk.arrow("few").type)
    assert pa.types.is_string(chunk.arrow("many").type)
    assert [field.type for field in source.schema] == [pa.string(), pa.string()]
    assert source.where("few == 'JFK'").count() == n // 3
    assert source.where("few in ['LGA', 'EWR']").count() == n // 3


def test_directory_glob_list_file_and_url_give_the_same_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [table(), table(9, 1)])
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.parquet").write_text("not data")
    files = sorted(folder.glob("0*.parquet"))
    wanted = rows_of(bigml.read_parquet(folder))
    for path in (f"{folder}/*.parquet", files, [str(file) for file in files], f"file://{folder}", f"{tmp_path}/*", f"{folder}/"):
        assert same(rows_of(bigml.read_parquet(path)), wanted), path
    assert bigml.read_parquet(files[1]).n_rows == 9


def test_directories_are_read_recursively(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", [table()])
    write(tmp_path / "c", [table(3, 1)])
    assert bigml.read_parquet(tmp_path).n_rows == ROWS + 3


def test_files_behind_a_url_are_read_with_options(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for i in range(2):
        with memory.open(f"/bucket/key={i}/a.parquet", "wb") as file:
            pq.write_table(table(20, i), file, row_group_size=8)
    try:
        source = bigml.read_parquet("memory://bucket", storage_options={}, part_bytes=500)
        check_source(source)
        assert source.n_rows == 40
        assert source.where("key == 1").count() == 20
        assert bigml.read_parquet("memory://bucket/*/a.parquet").n_rows == 40
        with pytest.raises(SourceError, match="nothing there"):
            bigml.read_parquet("memory://nowhere")
    finally:
        memory.rm("/bucket", recursive=True)


def test_a_data_set_that_was_copied_behind_a_url_is_read_by_its_manifest(tmp_path: Path) -> None:
    import fsspec

    bigml.from_arrow(table(), part_rows=25).write_parquet(tmp_path, partition_by="b", progress=False)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/copied", recursive=True)
    try:
        with memory.open("/copied/stray.parquet", "wb") as file:
            pq.write_table(table(3), file)
        source = bigml.read_parquet("memory://copied")
        assert source.schema.equals(bigml.read_parquet(tmp_path).schema)
        assert same(rows_of(source), rows_of(bigml.read_parquet(tmp_path)))
        damaged = next(path for path in memory.find("/copied") if "part-" in path)
        memory.pipe(damaged, memory.cat(damaged)[:-9] + b"\x07" + memory.cat(damaged)[-8:])
        with pytest.raises(SourceError, match="checksum"):
            bigml.read_parquet("memory://copied")
    finally:
        memory.rm("/copied", recursive=True)


def test_nested_columns_are_read_as_they_are(tmp_path: Path) -> None:
    rows = [{"a": i, "b": [f"x{i}"]} for i in range(10)]
    nested = pa.table({"x": range(10), "st": rows, "a.b": range(10)})
    source = bigml.read_parquet(write(tmp_path, [nested], row_group_size=3), part_bytes=100)
    check_source(source)
    assert rows_of(source) == nested.to_pylist()
    assert source.where("x >= 8").to_arrow().column("st").to_pylist() == rows[8:]


def test_types_are_cast_when_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, [pa.table({"flight": [1, 2], "late": [1.0, 0.0]})])
    source = bigml.read_parquet(tmp_path, types={"flight": "string", "late": pa.bool_()})
    assert rows_of(source) == [{"flight": "1", "late": True}, {"flight": "2", "late": False}]
    with pytest.raises(SchemaError, match="Arrow type"):
        bigml.read_parquet(tmp_path, types={"flight": "text"})
    with pytest.raises(SchemaError, match="convertible to"):
        bigml.read_parquet(tmp_path, types={"flight": pa.list_(pa.int8())})
    with pytest.raises(ColumnError, match="Did you mean `flight`"):
        bigml.read_parquet(tmp_path, types={"flights": "string"})


def test_a_value_that_its_type_cannot_take_is_an_error_that_names_file_and_column(tmp_path: Path) -> None:
    write(tmp_path, [pa.table({"x": [1.5]})])
    source = bigml.read_parquet(tmp_path, types={"x": "int64"})
    with pytest.raises(SourceError, match=r"(?s)column `x` does not convert.*000.parquet, row group 0"):
        source.count() == 1 and rows_of(source)


def test_a_whole_number_beyond_53_bits_is_never_rounded_in_silence(tmp_path: Path) -> None:
    write(tmp_path, [pa.table({"x": [2**53 + 1]}), pa.table({"x": [0.5]})])
    with pytest.raises(SourceError, match="does not convert"):
        rows_of(bigml.read_parquet(tmp_path))


def test_empty_files_and_all_null_columns_equal_pandas_on_the_concatenation(tmp_path: Path) -> None:
    frames = [
        pa.table({"x": pa.array([], pa.int64()), "k": pa.array([], pa.null())}),
        pa.table({"x": pa.array([1, 2], pa.int64()), "k": ["a", None]}),
        pa.table({"x": pa.array([None, None], pa.int64()), "k": pa.nulls(2)}),
        pa.table({"x": pa.array([5], pa.int64()), "k": ["b"]}),
    ]
    source = bigml.read_parquet(write(tmp_path, frames))
    check_source(source)
    wanted = pd.concat([one.to_pandas() for one in frames[1:]], ignore_index=True)
    got = source.to_pandas()
    assert got["x"].astype("Float64").equals(wanted["x"].astype("Float64"))
    assert [None if pd.isna(v) else v for v in got["k"]] == ["a", None, None, None, "b"]


def test_a_source_without_rows_has_its_columns(tmp_path: Path) -> None:
    source = bigml.read_parquet(write(tmp_path, [table(0)]))
    check_source(source)
    assert (source.n_rows, source.parts, source.count()) == (0, (), 0)
    assert source.to_pandas().columns.tolist() == table().column_names
    assert source.where("i > 1").count() == 0
    assert source.head(3).to_pandas().empty


def test_one_row_is_a_source(tmp_path: Path) -> None:
    source = bigml.read_parquet(write(tmp_path, [table(1)]))
    check_source(source)
    assert same(rows_of(source), table(1).to_pylist())


def test_repr_and_html_read_nothing_and_escape_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [pa.table({"<script>": [1], "x": [1.5]})])
    source = bigml.read_parquet(tmp_path)
    monkeypatch.setattr(pages, "opened", lambda *a, **k: pytest.fail("a file was opened"))
    text, html = repr(source), source._repr_html_()
    assert text.startswith("ParquetSource: 1 rows, 1 parts, 16 B decoded")
    assert "<script>" in text
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert source.count() == 1


def test_parts_are_small_references(tmp_path: Path) -> None:
    import pickle

    source = bigml.read_parquet(write(tmp_path, [table()] * 4, row_group_size=5), part_bytes=2_000)
    sizes = [len(pickle.dumps(part)) for part in source.parts]
    assert max(sizes) < 1_000
    assert len(pickle.dumps(source.lean())) < 4_000


def test_tokens_tell_content_apart(tmp_path: Path) -> None:
    write(tmp_path, [table()])
    one = bigml.read_parquet(tmp_path)
    assert one.token == bigml.read_parquet(tmp_path).token
    assert one.token != bigml.read_parquet(tmp_path, part_bytes=1_000).token
    assert one.token != bigml.read_parquet(tmp_path, types={"i": "float64"}).token
    write(tmp_path, [table(seed=1)])
    assert one.token != bigml.read_parquet(tmp_path).token


@pytest.mark.parametrize(
    ("argument", "value"), [("part_bytes", 0), ("on_mismatch", "skip"), ("partitioning", "date"), ("path", [])]
)
def test_unknown_options_are_refused(tmp_path: Path, argument: str, value: Any) -> None:
    options = {"path": write(tmp_path, [table()]), argument: value}
    with pytest.raises(BigmlError, match="Expected"):
        bigml.read_parquet(**options)


def test_the_nineteen_column_files_are_one_source(data_dir: Path) -> None:
    source = bigml.read_parquet(data_dir / "flights/nineteen_columns/*.parquet")
    assert isinstance(source, ParquetSource)
    assert source.n_rows == source.select("year").reduce(_Rows()).compute() == 856_973
    frame = pd.concat(pd.read_parquet(path) for path in sorted((data_dir / "flights/nineteen_columns").glob("*.parquet")))
    got = source.to_pandas()
    for name in ("arr_delay", "flight", "distance"):
        np.testing.assert_array_equal(got[name].to_numpy(), frame[name].to_numpy())
    assert got["tailnum"].isna().sum() == frame["tailnum"].isna().sum()


class _Rows:
    """Counts rows by reading them."""

    columns = ("year",)

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: bigml.Chunk) -> int:
        return state + len(chunk.arrow("year"))

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, state: int) -> int:
        return state


def test_groups_of_equal_leaves_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for name in "ab":
        table = pa.table({name: [{"x": 1, "y": 2}], "z": [3]})
        pq.write_table(table, tmp_path / f"{name}.parquet", store_schema=False)
    for name in "ab":
        assert bigml.read_parquet(tmp_path / f"{name}.parquet").columns == (name, "z")
    with pytest.raises(SchemaError, match="column `a`"):
        bigml.read_parquet(tmp_path)
