"""Files of saved statistics that are damaged, of another kind, or make no sense."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import SourceError
from bigml.sources.leaf_file import DIGEST, MAGIC


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a saved statistic."""
    path = tmp_path_factory.mktemp("saved") / "kept.bigml"
    rows = bigml.from_arrow(pa.table({"k": ["a", "b", "a"], "x": [2.0, 0.5, None]}))
    rows.where("x > 0").groupby("k").agg(x=["p95", "nunique"], k="first").keep().save(path)
    return path.read_bytes()


def assert_refused(content: bytes, match: str = "statistic") -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "kept.bigml")
        path.write_bytes(content)
        with pytest.raises(SourceError, match=match) as error:
            bigml.load_stats(path)
        assert error.value.where == str(path)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused(saved: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(saved) - 1))
    flipped = bytearray(saved)
    flipped[at] ^= data.draw(st.integers(1, 255))
    assert_refused(bytes(flipped))
    assert_refused(saved[:at])
    assert_refused(saved + saved[at:])


def test_files_of_another_kind_are_refused(saved: bytes, tmp_path: Path) -> None:
    assert_refused(b"", "an empty file")
    assert_refused(b"PAR1" + saved, "another kind of file")
    with pytest.raises(SourceError, match="no such file"):
        bigml.load_stats(tmp_path / "none.bigml")
    with pytest.raises(SourceError, match="got a directory"):
        bigml.load_stats(tmp_path)


def signed(saved: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with another header, and a checksum that fits."""
    start = len(MAGIC) + 8
    stop = start + int.from_bytes(saved[len(MAGIC) : start], "little")
    header = json.loads(saved[start:stop])
    change(header)
    text = json.dumps(header).encode()
    content = MAGIC + len(text).to_bytes(8, "little") + text + saved[stop:-DIGEST]
    return content + hashlib.sha256(content).digest()


def test_a_file_of_a_newer_version_is_told_as_such(saved: bytes) -> None:
    assert_refused(signed(saved, lambda header: header.update(version=2)), "of version 1, got version 2 .* Update bigml")


@pytest.mark.parametrize(
    "change",
    [
        *(
            lambda header, key=key: header.pop(key)
            for key in ("version", "question", "needs", "files", "rows", "state", "arrays")
        ),
        lambda header: header["question"].__setitem__(0, "__getattr__"),
        lambda header: header["question"].__setitem__(1, header["question"][1].replace('["k"]', '["other"]')),
        lambda header: header["question"].__setitem__(1, header["question"][1].replace('"by"', '"schema"')),
        lambda header: header["question"].__setitem__(1, header["question"][1].replace('"p95"', '{"(aggregation)": "system"}')),
        lambda header: header["recipe"][0].__setitem__(0, "exec"),
        lambda header: header["recipe"][0].__setitem__(1, {"pickle": ""}),
        lambda header: header.update(state=[]),
        lambda header: header.update(state=None),
        lambda header: header["state"].__setitem__(1, {"array": 99}),
        lambda header: header["state"].__setitem__(1, {"array": 0}),
        lambda header: header["state"].__setitem__(1, {"float": "0x1p+0"}),
        lambda header: header["arrays"].pop(),
        lambda header: header["arrays"][2].update(dtype="|O"),
        lambda header: header["arrays"][2].update(dtype="<f8"),
        lambda header: header["arrays"][2].update(shape=[7]),
        lambda header: header["arrays"][2].update(nbytes=-8),
        lambda header: header["arrays"][2].pop("dtype"),
        lambda header: header["arrays"][0].update(nbytes=40),
        lambda header: header["arrays"][1].update(table=True),
    ],
)
def test_a_whole_file_that_makes_no_sense_is_refused(saved: bytes, change: Callable[[dict[str, Any]], Any]) -> None:
    assert_refused(signed(saved, change))
