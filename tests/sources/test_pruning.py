"""Pruning by statistics and keys: fewer parts are read, and never a row is lost."""

from __future__ import annotations

import datetime
import math
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.sources import footers
from bigml.sources.bounds import Bounds, are_ordered, outcome, stored_bounds
from bigml.sources.expression import Expression, col
from bigml.sources.formula import parse
from bigml.testing import CountingSource, check_source

SPECIAL = st.sampled_from([0.0, -0.0, 1.0, 2.5, 0.1, math.nan, math.inf, -math.inf])
FLOATS = st.one_of(st.none(), SPECIAL, st.floats(-3, 3, width=32))
INTS = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([2**53, 2**53 + 1, -(2**62)]))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ba", "é", "\U0001f600"]))
DAYS = st.one_of(st.none(), st.dates(datetime.date(2014, 1, 1), datetime.date(2014, 1, 9)))
TIMES = st.datetimes(datetime.datetime(2014, 1, 1), datetime.datetime(2014, 1, 9))
ZONE = zoneinfo.ZoneInfo("America/New_York")
COLUMNS = {
    "i": (INTS, pa.int64()),
    "f": (FLOATS, pa.float64()),
    "g": (FLOATS.map(lambda v: v if v is None else float(np.float32(v))), pa.float32()),
    "s": (TEXTS, pa.string()),
    "d": (DAYS, pa.date32()),
    "b": (st.one_of(st.none(), st.booleans()), pa.bool_()),
    "t": (st.one_of(st.none(), TIMES), pa.timestamp("us")),
    "u": (st.one_of(st.none(), TIMES.map(lambda time: time.replace(tzinfo=ZONE))), pa.timestamp("us", str(ZONE))),
}
TEXT_TIMES = DAYS.filter(lambda day: day is not None).map(str)
OPERATORS = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from([*COLUMNS, "k"]))
    values = st.integers(-1, 3) if name == "k" else COLUMNS[name][0].filter(lambda value: value is not None)
    if name in "fg":
        values = values | st.integers(-2, 2)
    if name == "i":
        values = values | st.sampled_from([0.5, float(2**53), math.nan, math.inf])
    if name in "dtu":
        values = values | TEXT_TIMES
    kind = draw(st.sampled_from(["compare", "in", "null", "column"]))
    if kind == "null":
        return col(name).is_null()
    if kind == "in" and name != "i":
        listed = st.floats(-2, 2) | st.just(math.nan) if name in "fg" else values
        return col(name).isin(draw(st.lists(listed | st.none(), max_size=3)) or [draw(values)])
    if kind == "column" and name in "ifg":
        return col(name) + 1 > draw(st.integers(-2, 2))
    made: Expression = getattr(col(name), draw(st.sampled_from(OPERATORS)))(draw(values))
    return made


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> Expression:
    """A comparison, or a few of them combined."""
    kind = draw(st.sampled_from(["and", "or", "not", "leaf", "leaf"])) if depth else "leaf"
    if kind == "leaf":
        return draw(comparisons())
    left = draw(conditions(depth - 1))
    if kind == "not":
        return ~left
    right = draw(conditions(depth - 1))
    return left & right if kind == "and" else left | right


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pruned")


@given(data=st.data(), condition=conditions(), group=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_row_that_qualifies_is_never_dropped(files: Path, data: st.DataObject, condition: Expression, group: int) -> None:
    for key in range(3):
        folder = files / f"k={key if key else '__HIVE_DEFAULT_PARTITION__'}"
        folder.mkdir(exist_ok=True)
        n = data.draw(st.integers(0, 6))
        columns = {
            name: pa.array(data.draw(st.lists(values, min_size=n, max_size=n)), kind) for name, (values, kind) in COLUMNS.items()
        }
        pq.write_table(pa.table(columns), folder / "a.parquet", row_group_size=group)
    source = bigml.read_parquet(files, part_bytes=1)
    try:
        wanted = [chunk.row_numbers for chunk in bigml.sources.source.View(source, _where(condition)).iter_chunks(())]
    except bigml.BigmlError:
        return
    got = source.where(condition)
    numbers = [number for chunk in got.iter_chunks(()) for number in chunk.row_numbers.tolist()]
    assert numbers == [number for chunk in wanted for number in chunk.tolist()]
    assert {part.index for part in got.parts} <= {part.index for part in source.parts}


def _where(condition: Expression) -> Any:
    from bigml.sources.operations import Where

    return Where(condition)


KINDS = [pa.int32(), pa.int64(), pa.float32(), pa.float64()]


@given(
    data=st.data(),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    name=st.sampled_from(OPERATORS),
    value=st.one_of(st.integers(-3, 3), st.floats(-3, 3), st.sampled_from([0.1, 2.0**24 + 1, 2.0**53])),
)
@settings(max_examples=150, deadline=None)
def test_bounds_of_a_cast_column_hold_after_the_cast(
    files: Path, data: st.DataObject, kinds: tuple[pa.DataType, pa.DataType], name: str, value: float
) -> None:
    stored, kind = kinds
    numbers = st.integers(-3, 3) if pa.types.is_integer(stored) else st.one_of(st.just(0.1), st.floats(-3, 3, width=32))
    table = pa.table({"x": pa.array(data.draw(st.lists(numbers, min_size=1, max_size=5)), stored)})
    pq.write_table(table, files / "cast.parquet")
    condition: Expression = getattr(col("x"), name)(value)
    try:
        cast = table["x"].cast(kind)
    except pa.ArrowInvalid:
        return
    found = condition.evaluate(bigml.Chunk.from_arrow(pa.table({"x": cast}))).to_pylist()
    statistics = pq.read_metadata(files / "cast.parquet").row_group(0).column(0).statistics
    (files / "cast.parquet").unlink()
    possible = outcome(condition, {"x": stored_bounds(statistics, stored, kind)})
    assert possible.true or True not in found
    assert possible.false or False not in found


@pytest.mark.parametrize(
    ("condition", "possible"),
    [
        ("x > 5", False), ("x > 2", True), ("x >= 3", True), ("x < 1", False), ("x <= 1", True), ("5 < x", False),
        ("3 <= x", True), ("x == 0", False), ("x == 2", True), ("x != 2", True), ("c != 7", False), ("c == 7", True),
        ("not c == 7", False), ("x in [0, 9]", False), ("x in [0, 3]", True), ("x not in [1]", True),
        ("x > 5 or c == 7", True), ("x > 5 and c == 7", False), ("not (x <= 5)", False), ("x + 10 > 5", True),
        ("y == 1", True), ("x > 2 and x < 2", True), ("1 < x < 3", True), ("x > c", True), ("x > 'text'", True),
    ],
)  # fmt: skip
def test_outcomes_of_formulas_over_bounds(condition: str, possible: bool) -> None:
    bounds = {"x": Bounds(1, 3, nulls=False, nan=False), "c": Bounds(7, 7, nulls=False, nan=False)}
    assert outcome(parse(condition), bounds).true is possible


@pytest.mark.parametrize(
    ("condition", "possible"),
    [
        ("x != 7", True), ("not x == 7", True), ("x == 7", True), ("x > 7", False), ("not x <= 7", True), ("x != x", True),
        ("x in [1]", False), ("x in [1, None]", True), ("n > 1", False), ("n != 1", True), ("not n in [1]", True),
        ("d >= '2014-03-02'", False), ("d == '2014-03-01'", True), ("not d < '2014-03-05'", False), ("g == 0.1", True),
        ("g > 0.1", False), ("g in [0.1]", True), ("'2014-02-01' > d", False), ("d in ['2014-03-02']", False),
    ],
)  # fmt: skip
def test_missing_values_and_types_count_in_outcomes(condition: str, possible: bool) -> None:
    day, single = datetime.date(2014, 3, 1), float(np.float32(0.1))
    bounds = {
        "x": Bounds(7, 7, nan=False),
        "n": Bounds(values=False, nan=False),
        "d": Bounds(day, day, nulls=False, nan=False, kind=pa.date32()),
        "g": Bounds(single, single, nulls=False, kind=pa.float32()),
    }
    assert outcome(parse(condition), bounds).true is possible


def test_null_conditions_are_pruned_by_null_counts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2, None, None], "f": [1.0, 2.0, None, None]}), tmp_path / "a.parquet", row_group_size=2)
    source = bigml.read_parquet(tmp_path, part_bytes=1)
    assert [part.index for part in source.where(col("x").is_null()).parts] == [2, 3]
    assert [part.index for part in source.where(col("x").not_null()).parts] == [0, 1]
    assert source.where(col("f").is_null()).count() == 2


def numbered(folder: Path, files: int = 4, groups: int = 5, rows: int = 20) -> Path:
    """Files whose column `x` counts from 0 through all of them."""
    folder.mkdir(exist_ok=True)
    for i in range(files):
        start = i * groups * rows
        table = pa.table({"x": np.arange(start, start + groups * rows), "y": np.arange(groups * rows) % 3})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=rows)
    return folder


def test_row_groups_that_are_ruled_out_are_not_read(tmp_path: Path) -> None:
    source = CountingSource(bigml.read_parquet(numbered(tmp_path), part_bytes=20 * 16))
    assert len(source.parts) == 20
    view = source.where("x >= 150 and x < 170")
    assert view.to_pandas()["x"].tolist() == list(range(150, 170))
    assert source.times_read == {7: 1, 8: 1}


def test_footers_are_read_once_to_open_and_not_again_to_prune_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = footers.opened
    monkeypatch.setattr(footers, "opened", lambda storage, path, **k: read.append(Path(path).name) or real(storage, path, **k))
    source = bigml.read_parquet(numbered(tmp_path))
    assert sorted(read) == [f"{i}.parquet" for i in range(4)]
    read.clear()
    text = f"{source!r} {source.n_rows} {source.nbytes} {source.head(3)!r} {source.sample(3)!r} {source.select('x').widths}"
    assert "400 rows" in text
    assert read == []
    source.where("x < 5")
    assert read == []
    monkeypatch.setattr(footers, "PARSED_BYTES", 0)
    footers.read_footer(source.storage, source.files[3].path, None)
    source.where("x < 5")
    assert sorted(set(read)) == [f"{i}.parquet" for i in range(4)]


def test_row_numbers_are_those_of_the_whole_source(tmp_path: Path) -> None:
    source = bigml.read_parquet(numbered(tmp_path), part_bytes=20 * 16)
    view = source.where("x >= 333")
    check_source(view)
    numbers = np.concatenate([chunk.row_numbers for chunk in view.iter_chunks()])
    assert numbers.tolist() == list(range(333, 400))
    train, test = view.split(test=0.3, seed=1)
    whole_train, _ = source.split(test=0.3, seed=1)
    assert whole_train.where("x >= 333").to_pandas()["x"].tolist() == train.to_pandas()["x"].tolist()
    assert train.count() + test.count() == 67


def test_pruned_and_unpruned_views_share_one_scan(tmp_path: Path) -> None:
    source = CountingSource(bigml.read_parquet(numbered(tmp_path), part_bytes=20 * 16))
    counter = bigml.sources.rows.NumberOfRows()
    late, early, whole = source.where("x >= 390"), source.where("x < 5"), source
    assert bigml.compute(*(view.reduce(counter) for view in (late, early, whole))) == (10, 5, 400)
    assert set(source.times_read.values()) == {1}


def test_conditions_pass_through_views_that_keep_their_columns(tmp_path: Path) -> None:
    source = bigml.read_parquet(numbered(tmp_path), part_bytes=20 * 16)
    assert len(source.select("x").where("x < 20").parts) == 1
    assert len(source.assign(z="y + 1").where("x < 20 and z > 1").parts) == 20
    assert len(source.assign(z="y + 1").where("x < 20").parts) == 1
    assert len(source.where("y >= 0").where("x < 20").parts) == 1
    assert len(source.rename(x="z").where("z < 20").parts) == 1
    moved = source.rename(x="y", y="x")
    assert len(moved.where("x >= 2").parts) == 20
    assert len(moved.where("y < 20").parts) == 1
    assert moved.where("x > 2").count() == 0


def test_conditions_prune_the_members_of_a_concatenation(tmp_path: Path) -> None:
    one = bigml.read_parquet(numbered(tmp_path / "one"), part_bytes=20 * 16)
    both = bigml.concat(one, one.where("x < 100"), one)
    view = both.where("x >= 380")
    assert [part.index for part in view.parts] == [19, 59]
    assert view.to_pandas()["x"].tolist() == [*range(380, 400)] * 2
    assert [chunk.row_numbers[0] for chunk in view.iter_chunks()] == [380, 1180]
    check_source(view)


def test_a_member_that_is_cast_is_not_pruned_by_its_own_type(tmp_path: Path) -> None:
    whole = bigml.read_parquet(numbered(tmp_path / "one"), part_bytes=20 * 16)
    both = bigml.concat(whole, bigml.from_arrow(pa.table({"x": [0.5], "y": [1]})))
    assert both.where("x == 0.5").count() == 1
    assert both.where("x < 1").count() == 2


def test_types_whose_order_python_does_not_share_are_not_used() -> None:
    unknown = [pa.binary(), pa.timestamp("ns"), pa.float16(), pa.decimal128(5, 2), pa.list_(pa.int8()), pa.time64("us")]
    ordered = [pa.uint64(), pa.float32(), pa.timestamp("us", "UTC"), pa.large_string(), pa.bool_()]
    assert not any(are_ordered(kind) for kind in unknown)
    assert all(are_ordered(kind) for kind in ordered)


def test_times_are_pruned(tmp_path: Path) -> None:
    start = datetime.datetime(2014, 1, 1)
    for zone, name in ((None, "naive"), (datetime.UTC, "aware")):
        times = [(start + datetime.timedelta(days=i)).replace(tzinfo=zone) for i in range(10)]
        kind = pa.timestamp("us", "UTC" if zone else None)
        pq.write_table(pa.table({"t": pa.array(times, kind)}), tmp_path / f"{name}.parquet", row_group_size=2)
        source = bigml.read_parquet(tmp_path / f"{name}.parquet", part_bytes=1)
        for view in (source.where(col("t") >= times[8]), source.where("t >= '2014-01-09'")):
            assert (view.count(), len(view.parts)) == (2, 2)


def test_the_real_files_are_pruned_by_year(data_dir: Path) -> None:
    source = bigml.read_parquet(data_dir / "flights/nineteen_columns/*.parquet", part_bytes=4 << 20)
    view = source.where("year == 2014")
    assert view.count() == 317_882
    assert view.stored_rows < source.stored_rows / 2
