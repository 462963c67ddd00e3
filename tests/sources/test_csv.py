"""CSV ingest: every row is written or rejected with its line; the rest equals pandas."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.errors import ColumnError, ConfigError, SchemaError, SourceError
from bigml.sources import blocks as blocks_module
from bigml.sources import csv as csv_module
from bigml.sources.blocks import count_lines, last_row_end, read_blocks
from bigml.sources.csv import IngestResult, ingest
from bigml.sources.dialect import Dialect
from bigml.sources.misfits import convert, unconvertible
from bigml.sources.writing import finished_files


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(csv_module, "read_blocks", partial(read_blocks, size=64))
    return 64


def table_of(directory: Path) -> pa.Table:
    manifest = finished_files(directory)
    manifest.verify(directory)
    return pa.concat_tables([pq.read_table(path) for path in manifest.paths(directory)])


def ingested(folder: Path, content: bytes | str, **options: Any) -> tuple[IngestResult, pa.Table]:
    path = folder / "in.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = ingest(path, folder / "out", progress=False, **options)
    table = table_of(folder / "out")
    assert result.rows_in == result.rows_written + result.rows_rejected
    assert result.rows_written == table.num_rows
    assert result.schema.equals(table.schema)
    return result, table


def rejected(result: IngestResult) -> list[tuple[int, str, str]]:
    with open(result.rejects, newline="") as file:
        return [(int(row["line"]), row["reason"], row["text"]) for row in csv.DictReader(file)]


def test_flights_of_2014_come_out_as_they_are_known(data_dir: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = data_dir / "flights/other/flights14.csv.bz2"
    result = ingest(path, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    frame = table_of(tmp_path / "out").to_pandas()
    june = frame[(frame.origin == "JFK") & (frame.month == 6)]
    assert (result.rows_in, result.rows_written, result.rows_rejected, result.rejects) == (253_316, 253_316, 0, None)
    assert (len(june), round(june.dep_delay.mean(), 6), round(june.arr_delay.mean(), 6)) == (8_422, 9.807884, 5.839349)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert seen == sorted(seen)


def test_flights_since_1987_with_na_and_latin_1_come_out_as_they_are_known(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "flights/other/allyears2k_headers.csv.gz"
    result = ingest(path, tmp_path / "out", encoding="latin-1", progress=False)
    frame = table_of(tmp_path / "out").to_pandas()
    known = pd.read_csv(path, encoding="latin-1", low_memory=False)
    assert (result.rows_in, result.rows_rejected, len(frame)) == (43_978, 0, 43_978)
    assert frame.IsDepDelayed.value_counts().to_dict() == {"YES": 23_091, "NO": 20_887}
    assert frame.isna().sum().to_dict() == known.isna().sum().to_dict()
    for name in known.select_dtypes("number"):
        np.testing.assert_array_equal(frame[name].astype(float), known[name].astype(float))


def test_types_are_inferred_and_can_be_given(tmp_path: Path) -> None:
    text = "i,f,b,d,t,s,n,z\n1,1.5,true,2014-01-31,2014-01-31 10:00:00,x,NA,007\n,NaN,,,,,,1\n"
    result, table = ingested(tmp_path, text, types={"z": "string", "i": "int16", "n": "float32", "s": pa.large_string()})
    kinds = ["int16", "double", "bool", "date32[day]", "timestamp[ms]", "large_string", "float", "string"]
    assert [str(kind) for kind in result.schema.types] == kinds
    assert table.slice(1).to_pylist() == [{"i": None, "f": None, "b": None, "d": None, "t": None, "s": None, "n": None, "z": "1"}]
    assert table["z"][0].as_py() == "007"


def test_rows_that_do_not_fit_are_rejected_with_line_reason_and_text(tmp_path: Path) -> None:
    text = 'k,x\r\n\r\na,1\r\n"b\nb",2\r\n\r\nc\r\nd,4,5\r\ne,late\r\n"f,f",6\r\n'
    result, table = ingested(tmp_path, text, types={"x": "int64"})
    assert table.to_pydict() == {"k": ["a", "b\nb", "f,f"], "x": [1, 2, 6]}
    assert rejected(result) == [
        (7, "1 fields instead of 2", "c"),
        (8, "3 fields instead of 2", "d,4,5"),
        (9, "column `x`: 'late' is not int64", "e,late"),
    ]
    assert result.reasons == {"": 2, "x": 1}
    assert "6 rows in = 3 written + 3 rejected" in repr(result)
    assert "&#x27;" not in repr(result)
    assert "<pre>" in result._repr_html_()
    assert finished_files(tmp_path / "out").metadata["rows_rejected"] == 3


def test_a_value_that_the_sample_did_not_foretell_is_rejected_wherever_it_is(tmp_path: Path, small_blocks: int) -> None:
    rows = [f"{i},{i / 4}" for i in range(200)]
    rows[100], rows[150], rows[199] = "1.5,2.0", "7,seven", "x,y"
    result, table = ingested(tmp_path, "\n".join(["a,b", *rows]))
    assert [line for line, _, _ in rejected(result)] == [102, 152, 201]
    assert result.reasons == {"a": 2, "b": 1}
    assert table["a"].to_pylist() == [i for i in range(200) if i not in {100, 150, 199}]


def test_a_whole_column_that_does_not_fit_is_told_quickly(tmp_path: Path) -> None:
    rows = [f"{i}.5,{i}" for i in range(30_000)]
    result, _ = ingested(tmp_path, "\n".join(["a,b", *rows]), types={"a": "int64"})
    assert (result.rows_written, result.rows_rejected) == (0, 30_000)
    assert result.seconds < 20


FIELD = st.one_of(
    st.integers(-99, 99).map(str), st.text(st.sampled_from(' ab"\n\r,;é.1'), max_size=6), st.sampled_from(["", "NA", "1.5"])
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(FIELD, min_size=2, max_size=4), max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(8, 100),
    always=st.booleans(),
    cut=st.booleans(),
)
def test_any_rows_cut_anywhere_are_written_or_rejected_with_their_line(
    rows: list[list[str]], end: str, size: int, always: bool, cut: bool
) -> None:
    text, lines = f"a,b,c{end}", []
    for row in rows:
        lines.append(count_lines(text.encode()) + 1)
        text += ",".join(_quoted(item, always) for item in row) + end
    text = text.removesuffix(end) if cut else text
    fits = [len(row) == 3 and row[0] not in {"1.5"} and _is_integer(row[0]) for row in rows]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_module, "read_blocks", partial(read_blocks, size=size))
        types = {"a": "int64", "b": "string", "c": "string"}
        result, table = ingested(Path(folder), text, types=types, na_values=["NA"])
        assert [row["b"] for row in table.to_pylist()] == [_na(row[1]) for row, fit in zip(rows, fits, strict=True) if fit]
        assert [row["c"] for row in table.to_pylist()] == [_na(row[2]) for row, fit in zip(rows, fits, strict=True) if fit]
        found = [line for line, _, _ in rejected(result)] if result.rejects else []
        assert found == [line for line, fit in zip(lines, fits, strict=True) if not fit]


def _quoted(text: str, always: bool) -> str:
    return '"' + text.replace('"', '""') + '"' if always or set(text) & set('",\r\n') else text


def _na(text: str) -> str | None:
    return None if text == "NA" else text


def _is_integer(text: str) -> bool:
    return text == "NA" or text.strip(" ").removeprefix("-").isdigit()


@settings(max_examples=200, deadline=None)
@given(data=st.text(st.sampled_from('a",\n\r'), max_size=40).map(str.encode))
def test_the_cut_is_where_a_reader_of_characters_would_cut(data: bytes) -> None:
    end = state = 0  # 0: at the start of a field, 1: in plain text, 2: inside quotes
    position = 0
    while position < len(data):
        character = data[position : position + 1]
        if state == 2 and data[position : position + 2] == b'""':
            position += 1
        elif state == 2:
            state = 1 if character == b'"' else 2
        elif character in b"\r\n":
            position += data[position : position + 2] == b"\r\n"
            state, end = 0, position + 1
        else:
            state = 2 if character == b'"' and state == 0 else int(character != b",")
        position += 1
    assert last_row_end(data, Dialect(), final=True) == end


@pytest.mark.parametrize("kind", ["int8", "int64", "float64", "bool", "date32", "timestamp[ms]", "string"])
def test_texts_that_do_not_convert_are_found_exactly(kind: str) -> None:
    texts = [
        "1",
        " 2 ",
        "0x1F",
        "300",
        "1.5",
        "1e3",
        "nan",
        "NA",
        " NA ",
        "",
        "inf",
        "true",
        "2014-01-01",
        "2014-13-01",
        "x",
        "é",
        "-",
        "9" * 30,
    ]
    arrow = pa.type_for_alias(kind)
    alone = []
    for i, text in enumerate(texts):
        try:
            convert(pa.array([text]), arrow, Dialect())
        except pa.ArrowInvalid:
            alone.append(i)
    assert unconvertible(pa.array(texts * 2), arrow, Dialect()).tolist() == [*alone, *(i + len(texts) for i in alone)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_compression_is_told_by_content_not_by_name(tmp_path: Path, pack: Any) -> None:
    _, table = ingested(tmp_path, pack(b"a,b\n1,x\n2,y\n"))
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_joined_compressed_files_are_read_to_the_end(tmp_path: Path) -> None:
    for pack in (gzip.compress, bz2.compress):
        _, table = ingested(tmp_path, pack(b"a\n1\n") + pack(b"2\n"))
        assert table.to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_truncated_file_is_an_error_and_leaves_nothing(tmp_path: Path, pack: Any) -> None:
    data = pack("\n".join(["a,b", *(f"{i},{i * 7919 % 10007}" for i in range(5000))]).encode())
    with pytest.raises(SourceError, match=r"damaged|closing"):
        ingested(tmp_path, data[: len(data) // 2])
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_and_byte_order_marks(tmp_path: Path, encoding: str, small_blocks: int) -> None:
    names = ["Zürich", "Málaga", 'Orly "Sud"\nSouth'] * 20
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["café", "n"], *([name, i] for i, name in enumerate(names))])
    _, table = ingested(tmp_path, out.getvalue().encode(encoding), encoding=encoding)
    assert table.to_pydict() == {"café": names, "n": list(range(60))}


@pytest.mark.parametrize(("row", "line"), [(b"a,caf\xe9\n", 4), (b"caf\xe9,1,2,3\n", 4)])
def test_bytes_of_another_encoding_are_an_error_with_line_and_remedy(tmp_path: Path, row: bytes, line: int) -> None:
    with pytest.raises(SourceError, match=rf'0xe9 - .*in.csv, line {line}. Pass encoding="latin-1"'):
        ingested(tmp_path, b'k,s\n"a\nb",x\n' + row)
    with pytest.raises(SourceError, match=rf"text in ascii, .*line {line}"):
        ingested(tmp_path, b'k,s\n"a\nb",x\n' + row, encoding="ascii")
    assert not (tmp_path / "out").exists()


def test_an_open_quote_is_an_error_with_its_line_unless_quotes_are_text(tmp_path: Path) -> None:
    text = 'k,s\na,x\nb,"open\nc,y\n'
    with pytest.raises(SourceError, match=r"closing quote.*the row that starts on line 3"):
        ingested(tmp_path, text)
    _, table = ingested(tmp_path, text, quote=None)
    assert table.to_pydict() == {"k": ["a", "b", "c"], "s": ["x", '"open', "y"]}


def test_a_row_longer_than_any_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: int) -> None:
    monkeypatch.setattr(blocks_module, "LONGEST_ROW", 1 << 10)
    with pytest.raises(SourceError, match="a row of more than"):
        ingested(tmp_path, 'a,b\n1,"' + "x\n" * 5000)


def test_stray_quotes_in_plain_fields_are_text(tmp_path: Path, small_blocks: int) -> None:
    rows = [('5" pipe', "1"), ("a", '6" x 7"'), ('"q" then', 'end"')] * 10
    _, table = ingested(tmp_path, "a,b\n" + "\n".join(",".join(row) for row in rows), quote='"')
    assert table["a"].to_pylist() == ['5" pipe', "a", "q then"] * 10
    assert table["b"].to_pylist() == ["1", '6" x 7"', 'end"'] * 10


def test_headers_can_be_absent_given_or_below_other_lines(tmp_path: Path) -> None:
    assert ingested(tmp_path, "1,2\n3,4\n", header=False)[1].to_pydict() == {"f0": [1, 3], "f1": [2, 4]}
    assert ingested(tmp_path, "1;2\n", header=["a", "b"], delimiter=";")[1].to_pydict() == {"a": [1], "b": [2]}
    result, table = ingested(tmp_path, 'made "by\r\n\r\n\r\n"",x\r\n1,2\r\n3\r\n', skip_lines=2)
    assert table.to_pydict() == {"unnamed_0": [1], "x": [2]}
    assert rejected(result) == [(6, "1 fields instead of 2", "3")]


def test_tabs_without_quoting_as_in_the_sms_collection(data_dir: Path, tmp_path: Path) -> None:
    path = next(path for path in (data_dir / "sms_spam").iterdir() if "SMS" in path.name)
    ingest(path, tmp_path / "out", delimiter="\t", quote=None, header=["label", "text"], progress=False)
    assert table_of(tmp_path / "out").to_pandas().label.value_counts().to_dict() == {"ham": 4827, "spam": 747}


def test_several_files_with_columns_in_another_order_become_one(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "2.csv").write_text("b,a\nz,3\nw,four\n")
    result = ingest(tmp_path / "*.csv", tmp_path / "out", progress=False)
    assert table_of(tmp_path / "out").to_pydict() == {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    assert rejected(result) == [(3, "column `a`: 'four' is not int64", "w,four")]
    assert str(tmp_path / "2.csv") in result.rejects.read_text()
    (tmp_path / "3.csv").write_text("a,c\n1,x\n")
    with pytest.raises(SchemaError, match=r"others \(b, c\) - .*3.csv"):
        ingest(tmp_path / "*.csv", tmp_path / "out", progress=False)
    assert table_of(tmp_path / "out").num_rows == 3


def test_rows_are_spread_over_files(tmp_path: Path, small_blocks: int) -> None:
    result, table = ingested(tmp_path, "a\n" + "\n".join(map(str, range(500))), rows_per_file=100)
    assert table["a"].to_pylist() == list(range(500))
    assert 4 <= len(finished_files(tmp_path / "out").files) <= 5
    assert result.rows_written == 500


def test_a_file_of_a_header_alone_becomes_a_data_set_without_rows(tmp_path: Path) -> None:
    for text in ("a,b\n", "a,b"):
        result, table = ingested(tmp_path, text, types={"a": "int64"})
        assert result.rows_in == 0
        assert table.schema.equals(pa.schema({"a": pa.int64(), "b": pa.string()}))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["empty", "blank", "mark", "gzip"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError, match="an empty file"):
        ingested(tmp_path, content)
    assert not (tmp_path / "out").exists()


def test_bad_arguments_are_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none - .*nowhere"):
        ingest(tmp_path / "nowhere*.csv", tmp_path / "out")
    with pytest.raises(ColumnError, match="Did you mean `delay`"):
        ingested(tmp_path, "delay\n1\n", types={"dela": "int64"})
    with pytest.raises(SchemaError, match="an Arrow type"):
        ingested(tmp_path, "delay\n1\n", types={"delay": "number"})
    with pytest.raises(SchemaError, match="a, b more than once"):
        ingested(tmp_path, "a,b,a,b\n")
    with pytest.raises(ConfigError, match="one ASCII character as delimiter"):
        ingested(tmp_path, "a\n", delimiter=", ")
    with pytest.raises(ConfigError, match="an encoding that Python knows"):
        ingested(tmp_path, "a\n", encoding="latin-0")
    assert not (tmp_path / "out").exists()
