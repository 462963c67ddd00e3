"""Columns that are read as codes: the same values as pyarrow reads, from any layout, and no harm from any bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.chunk import Chunk
from bigml.coded import Coded
from bigml.graph import reader
from bigml.sources import encoded, runs
from bigml.sources.stretch import Stretch, decoded, headers_of
from bigml.stats.kernels import frozen

KINDS = {
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "text": (pa.string(), st.text(max_size=5)),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A column of each kind, of few values and of nulls, alone and in runs."""
    n = draw(st.integers(1, 400))
    columns: dict[str, Any] = {}
    for name, (kind, values) in KINDS.items():
        few = pa.array([*draw(st.lists(values, min_size=1, max_size=draw(st.sampled_from([1, 3, 40])))), None], kind)
        seed, longest = draw(st.integers(0, 99)), draw(st.sampled_from([1, 2, 30, 300]))
        rng = np.random.default_rng(seed)
        places = np.repeat(rng.integers(0, len(few), n), rng.integers(1, longest + 1, n))[:n]
        columns[name] = few.take(pa.array(places))
    fields = [pa.field(name, column.type, draw(st.booleans()) or column.null_count > 0) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


LAYOUTS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
        "row_group_size": st.sampled_from([1, 50, 130, 400]),
        "data_page_size": st.sampled_from([1, 64, 1 << 20]),
        "write_batch_size": st.sampled_from([1, 7, 1024]),
        "dictionary_pagesize_limit": st.sampled_from([1, 100, 1 << 20]),
        "data_page_version": st.sampled_from(["1.0", "1.0", "2.0"]),
        "write_page_checksum": st.booleans(),
    }
)


@settings(max_examples=80, deadline=None)
@given(table=tables(), layout=LAYOUTS, part_bytes=st.sampled_from([100, 1 << 20]))
def test_codes_stand_for_what_pyarrow_reads(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, layout: dict[str, Any], part_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("coded")
    half = len(table) // 2
    pq.write_table(table.slice(0, half), folder / "a.parquet", **layout)
    pq.write_table(table.slice(half), folder / "b.parquet", **layout)
    source = bigml.read_parquet(folder, part_bytes=part_bytes)
    chunks = list(source.coded().scan(source.parts, source.columns))
    found = pa.concat_tables([_plain(chunk, table.schema) for chunk in chunks])
    wanted = pa.concat_tables([pq.read_table(folder / f"{name}.parquet") for name in "ab"]).cast(found.schema)
    for name in table.column_names:
        assert _bits(found[name]) == _bits(wanted[name]), name


def _plain(chunk: Chunk, schema: pa.Schema) -> pa.Table:
    assert [chunk.nulls(name) for name in chunk.names] == [chunk.column(name).null_count for name in chunk.names]
    assert [chunk.kind(name) for name in chunk.names] == [chunk.column(name).type for name in chunk.names]
    return chunk.to_arrow().cast(pa.schema([field.with_nullable(True) for field in schema]))


def _bits(column: pa.ChunkedArray) -> list[Any]:
    """The values, by which NaN are equal and zeros of two signs are not."""
    return [value.hex() if isinstance(value, float) else value for value in column.to_pylist()]


@pytest.fixture(autouse=True)
def _few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MANY_ROWS", 1)


@pytest.mark.parametrize(("many", "is_coded"), [(600, True), (601, False)])
def test_only_many_rows_are_read_as_codes(flights: Path, monkeypatch: pytest.MonkeyPatch, many: int, is_coded: bool) -> None:
    monkeypatch.setattr(reader, "MANY_ROWS", many)
    source = bigml.read_parquet(flights)
    grouped, described = source.groupby("carrier").agg(delay="mean").reducer, source.describe().reducer
    assert [root.encoded for root in map(_root_of, [source, source], [grouped, described])] == [is_coded, False]


def _root_of(source: Any, reducer: Any) -> Any:
    return reader.decoding_least(source, [reducer], 600)


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """Two row groups with dictionaries of their own, 0 to 9 and 5 to 14."""
    delays = pa.array([float(i % 10 + 5 * (i >= 300)) if i % 7 else None for i in range(600)])
    carriers = pa.array(["AA", "UA", "DL"] * 200)
    pq.write_table(pa.table({"delay": delays, "carrier": carriers}), tmp_path / "f.parquet", row_group_size=300)
    return tmp_path / "f.parquet"


def test_what_a_scan_of_groups_reads_are_codes_of_one_dictionary(flights: Path) -> None:
    source = bigml.read_parquet(flights)
    [chunk] = source.coded().scan(source.parts, source.columns)
    delay, carrier = chunk.coded("delay"), chunk.coded("carrier")
    assert delay is not None
    assert carrier is not None
    assert sorted(delay.values.to_pylist()) == list(range(15))
    assert carrier.values.to_pylist() == ["AA", "UA", "DL"]
    assert (delay.nulls, carrier.nulls) == (86, 0)
    taken = chunk.take(np.array([8, 7, 599]))
    assert taken.column("delay").to_pylist() == [8.0, None, 14.0]
    assert taken.coded("delay") is not None
    assert chunk.slice(6, 9).select(["delay"]).column("delay").to_pylist() == [6.0, None, 8.0]
    assert chunk.slice(6, 9).nulls("delay") == 1
    assert isinstance(chunk.column("delay"), pa.ChunkedArray)
    assert chunk.filter(np.arange(600) % 2 == 0).column("carrier").to_pylist()[:3] == ["AA", "DL", "UA"]
    assert chunk.to_pandas()["carrier"].iloc[1] == "UA"
    [plain] = source.scan(source.parts, source.columns)
    assert plain.coded("delay") is None


@settings(max_examples=60, deadline=None)
@given(table=tables(), group_rows=st.sampled_from([30, 400]), dropna=st.booleans())
def test_groups_of_codes_get_the_bits_of_groups_of_values(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, group_rows: int, dropna: bool
) -> None:
    file = tmp_path_factory.mktemp("coded") / "f.parquet"
    pq.write_table(table, file, row_group_size=group_rows, compression="zstd")
    source = bigml.read_parquet(file)
    wanted = {"float64": ["count", "mean", "std", "sum", "median"], "int32": ["sum", "max", "std", "nunique"], "text": ["first"]}
    reducer = source.groupby(["text", "float32"], dropna=dropna).agg(wanted).reducer
    frames = []
    for opened in (source, source.coded()):
        state = reducer.start()
        for chunk in opened.scan(opened.parts, reducer.columns):
            state = reducer.update(state, chunk)
        frames.append(reducer.finish(state))
    assert frames[0].equals(frames[1])


def test_views_and_sources_that_are_joined_hand_codes_on(flights: Path) -> None:
    one, two = bigml.read_parquet(flights), bigml.read_parquet(flights).where("carrier == 'AA'").select(["delay", "carrier"])
    source = bigml.concat(one, two)
    chunks = list(source.coded().scan(source.parts, source.columns))
    assert [chunk.coded("delay") is not None for chunk in chunks] == [True, True]
    assert [chunk.n_rows for chunk in chunks] == [600, 200]
    alone, both = (each.groupby("carrier").agg(delay="sum").compute()["delay"] for each in (one, source))
    assert both.to_dict() == {"AA": 2 * alone["AA"], "DL": alone["DL"], "UA": alone["UA"]}


def test_columns_of_other_files_come_with_those_of_codes(tmp_path: Path) -> None:
    few, many = pa.array([1, 2] * 5_000), pa.array(range(10_000))
    pq.write_table(pa.table({"k": few, "x": few}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": many, "k": few}), tmp_path / "b.parquet", use_dictionary=["k"])
    source = bigml.read_parquet(tmp_path)
    [chunk] = source.coded().scan(source.parts, source.columns)
    assert chunk.coded("x") is None
    assert chunk.coded("k") is not None
    assert source.groupby("k").agg(x="sum").compute()["x"].tolist() == [
        5_000 + sum(range(0, 10_000, 2)),
        10_000 + sum(many.to_pylist()[1::2]),
    ]


def test_columns_of_many_values_are_decoded(tmp_path: Path) -> None:
    few, many = pa.array([i % 1_000 for i in range(20_000)]), pa.array([i % 10_000 for i in range(20_000)])
    pq.write_table(pa.table({"few": few, "many": many}), tmp_path / "f.parquet")
    source = bigml.read_parquet(tmp_path)
    [chunk] = source.coded().scan(source.parts, source.columns)
    assert [chunk.coded(name) is None for name in ("few", "many")] == [False, True]
    assert chunk.to_pandas()["many"].tolist() == many.to_pylist()


def stretch_of(file: Path) -> tuple[Stretch, np.ndarray[Any, Any]]:
    """The first column of a file's first row group, and its bytes."""
    column, leaf = pq.read_metadata(file).row_group(0).column(0), pq.read_metadata(file).schema.column(0)
    stretch = Stretch(
        column.dictionary_page_offset,
        column.total_compressed_size,
        column.num_values,
        leaf.max_definition_level == 1,
        encoded.CODECS[column.compression],
        encoded.KINDS[leaf.physical_type, str(leaf.logical_type)],
    )
    raw = np.frombuffer(file.read_bytes(), np.uint8)[stretch.start : stretch.start + stretch.nbytes]
    return stretch, raw


def _coded(stretch: Stretch, stored: bytes) -> Coded | None:
    found = np.frombuffer(stored, np.uint8)
    headers = headers_of([replace(stretch, nbytes=len(stored))], found)
    return None if headers is None else decoded([stretch], headers, found)


def harm(file: Path, tries: int) -> tuple[int, int]:
    """Read a column whose bytes are changed at random so many times: how often nothing and how often something was read."""
    rng = np.random.default_rng(0)
    refused = 0
    stretch, raw = stretch_of(file)
    for _ in range(tries):
        bytes_ = raw.copy()
        for at in rng.integers(0, len(raw), rng.integers(1, 4)):
            bytes_[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        stored = bytes_[: rng.choice([len(raw), rng.integers(len(raw) + 1)], p=[0.9, 0.1])].tobytes()
        found = _coded(stretch, stored)
        refused += found is None
        assert found is None or (len(found) == stretch.n_rows and found.codes.max() < len(found.values))
    return refused, tries - refused


def main() -> None:
    """Harm the file that the command line names."""
    refused, taken = harm(Path(sys.argv[1]), 300)
    sys.stdout.write(f"{refused} {taken}")


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_damaged_bytes_are_refused_or_read_within_their_bounds(tmp_path: Path, codec: str) -> None:
    """In a process whose loops are not compiled: there a place outside of an array is an error."""
    texts = pa.array([f"{'x' * (i % 4)}{i % 9}" if i % 5 else None for i in range(80)])
    numbers = pa.array([i % 11 if i % 3 else None for i in range(40)] + [3] * 30, pa.int32())
    for name, column in {"texts": texts, "numbers": numbers}.items():
        file = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"x": column}), file, compression=codec, data_page_size=64, write_batch_size=16)
        program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_encoded; test_encoded.main()"
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program, str(file)], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        refused, taken = map(int, done.stdout.split())
        assert refused > 30
        assert taken + refused == 300


def test_a_flipped_byte_is_told_as_pyarrow_tells_it(tmp_path: Path) -> None:
    table = pa.table({"k": ["a", "b"] * 5_000, "x": [1.0, 2.0, 3.0, 4.0, 5.0] * 2_000})
    bigml.from_arrow(table).write_parquet(tmp_path / "data", progress=False)
    [file] = (tmp_path / "data").glob("*.parquet")
    column = pq.read_metadata(file).row_group(0).column(1)
    content = bytearray(file.read_bytes())
    content[column.dictionary_page_offset + column.total_compressed_size - 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(bigml.errors.SourceError, match=r"(?i)corrupt|checksum"):
        bigml.read_parquet(tmp_path / "data").groupby("k").agg(x="mean").compute(progress=False)


def test_a_file_in_whose_place_came_one_of_fewer_row_groups_is_told_as_pyarrow_tells_it(tmp_path: Path) -> None:
    table, file = pa.table({"k": ["a", "b"] * 500, "x": [1, 2, 3, 4] * 250}), tmp_path / "f.parquet"
    pq.write_table(table, file, row_group_size=100)
    source, size = bigml.read_parquet(file), file.stat().st_size
    for more in range(size, 0, -1):
        filled = table.append_column("filler", pa.array(["x" * more] + [None] * 999))
        pq.write_table(filled, file, use_dictionary=["k", "x"], compression={"filler": "none"}, write_statistics=False)
        if file.stat().st_size <= size:
            break
    assert file.stat().st_size == size
    with pytest.raises(bigml.errors.SourceError, match="readable rows"):
        source.groupby("k").agg(x="sum").compute(progress=False)


def test_no_page_is_larger_than_a_header_of_32_bits_says() -> None:
    for size, found in ((runs.MOST_BYTES, 1), (runs.MOST_BYTES + 1, -1)):
        pages = np.zeros((1, runs.FIELDS), np.int64)
        stored = bytes([0x15, 0, 0x15]) + _varint(2 * size) + bytes([0x15, 0, 0])
        raw = np.frombuffer(stored, np.uint8)
        assert runs.find_pages(frozen(raw), frozen(np.array([len(raw)])), np.zeros(runs.DEEPEST, np.int64), pages) == found


@settings(max_examples=100, deadline=None)
@given(
    widths=st.integers(0, 20),
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_runs_of_any_width_are_unpacked(widths: int, lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers, stored = [], bytearray([widths])
    for i, length in enumerate(lengths):
        if i % 2:
            number = int(rng.integers(0, 1 << widths))
            numbers += [number] * length
            stored += _varint(length << 1) + number.to_bytes((widths + 7) // 8, "little")
        else:
            group = rng.integers(0, 1 << widths, 8 * length).tolist()
            numbers += group
            packed = sum(number << (widths * at) for at, number in enumerate(group))
            stored += _varint(length << 1 | 1) + packed.to_bytes(widths * length, "little")
    n = len(numbers)
    room = np.zeros((len(stored) + 2 * runs.SLACK) // 8 * 8, np.uint8)
    room[: len(stored)] = stored
    both = frozen(room), frozen(room.view(np.uint64))
    values = np.arange(1 << widths, dtype=np.int32)[::-1]
    out, lookup, scratch = np.empty(n, np.int32), values.copy(), (np.empty(n, np.int32), np.empty(n + 8, np.int32))
    pages = np.array([[0, len(stored), n, 0, widths, 0]])
    assert runs.decode_pages(both, frozen(pages), frozen(lookup), scratch, out) == 0
    assert out.tolist() == values[numbers].tolist()
    lookup[max(numbers)] = -1
    assert runs.decode_pages(both, frozen(pages), frozen(lookup), scratch, out) == -1
    pages[0, 4] = widths - 1
    assert runs.decode_pages(both, frozen(pages), frozen(lookup), scratch, out) == -1


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def test_codes_are_cut_and_told_as_columns_are() -> None:
    column = Coded(np.array([0, -1, 1, 1], np.int32), pa.array([2.5, 3.5]), 1)
    assert (len(column), column.kind, column.nbytes) == (4, pa.float64(), 32)
    for a, b in pairwise([0, 2, 4]):
        assert column.slice(a, b).nulls == (a == 0)
    chunk = Chunk({"x": column}, range(4)).rename({"x": "y"}).with_columns({"z": np.arange(4)})
    assert chunk.nbytes == 64
    assert chunk.floats("y")[2:].tolist() == [3.5, 3.5]
    assert chunk.to_arrow().to_pydict() == {"y": [2.5, None, 3.5, 3.5], "z": [0, 1, 2, 3]}
