"""Statistics that are kept, saved, loaded, updated from new files and asked for more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import ColumnError, ConfigError, SchemaError, SourceError, WriteError
from bigml.sources.kept import Statistic
from bigml.sources.parquet import ParquetSource
from bigml.stats.leaves import flattened
from bigml.testing import CountingSource, same

KINDS = pa.schema({"k": pa.string(), "w": pa.int64(), "x": pa.float64(), "t": pa.timestamp("us", "UTC"), "b": pa.bool_()})
ROW = st.tuples(
    st.sampled_from([None, "", "a", "b", "é"]),
    st.one_of(st.none(), st.integers(-50, 50)),
    st.one_of(st.none(), st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 1e9]), st.integers(-99, 99).map(float)),
    st.one_of(st.none(), st.integers(0, 10**15)),
    st.one_of(st.none(), st.booleans()),
)
TABLES = st.lists(st.lists(ROW, max_size=12), min_size=1, max_size=4)
AGGREGATIONS: dict[str, Any] = {
    "x": ["count", "sum", "min", "max", "median", "p90", "nunique", "first", "last"],
    "w": ["sum", "mean", "min", "max"],
    "t": ["min", "last"],
    "b": "sum",
}
PLANS: dict[str, Callable[[Any], Any]] = {
    "groups": lambda rows: rows.groupby("k").agg(AGGREGATIONS),
    "groups with null": lambda rows: rows.groupby(["b", "k"], dropna=False, sort=False).agg(x="p95", w="first"),
    "groups by formula": lambda rows: rows.where("w > -20").groupby(hour=bigml.col("t").dt.hour).agg(x="max", k="min"),
    "aggregates with arguments": lambda rows: rows.groupby("k").agg(
        w=["skew", bigml.share("size"), bigml.rank("max", ascending=False), bigml.rank(bigml.weighted("p90", by="b"))]
    ),
    "top rows": lambda rows: rows.groupby("k").top(2, by="w"),
    "whole": lambda rows: rows.agg(x=["min", "p90"], k="nunique"),
    "crosstab": lambda rows: rows.crosstab("k", "b", margins=True),
    "pivot table": lambda rows: rows.pivot_table("w", "k", "b", aggfunc="max", fill_value=0),
    "most frequent": lambda rows: rows.most_frequent("k", 2),
    "most frequent of groups": lambda rows: rows.groupby("b").most_frequent("w"),
    "sizes": lambda rows: rows.groupby("k").size(),
    "describe": lambda rows: rows.describe(),
    "quantile": lambda rows: rows.quantile([0.25, 0.9]),
    "value_counts": lambda rows: rows.value_counts("k", dropna=False),
    "histogram": lambda rows: rows.histogram("w", bins=3),
    "histogram of a range": lambda rows: rows.histogram("w", bins=3, range=(-10, 10)),
    "corr": lambda rows: rows.corr(["w", "b"]),
    "cov": lambda rows: rows.cov(["w", "b"]),
}
ROUNDED = {"groups", "describe", "corr", "cov"}
"""Those with sums of floats, whose last bits depend on how rows are put together."""
EVERY = pytest.mark.parametrize("name", list(PLANS))
LAW = settings(max_examples=5, deadline=None)


def table(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(KINDS)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, KINDS, strict=True)], schema=KINDS)


def write(folder: str | Path, tables: list[list[Any]]) -> list[str]:
    paths = [f"{folder}/{i}.parquet" for i in range(len(tables))]
    for path, rows in zip(paths, tables, strict=True):
        pq.write_table(table(rows), path)
    return paths


def bits(statistic: Statistic[Any]) -> Any:
    tree, arrays = flattened(statistic.state)
    return tree, [one.tobytes() if isinstance(one, np.ndarray) else (type(one), repr(one.to_pylist())) for one in arrays]


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """A folder of three files."""
    folder = tmp_path / "flights"
    folder.mkdir()
    for seed in range(3):
        add(folder, seed)
    return folder


def add(folder: Path, seed: int, rows: int = 200) -> str:
    made = np.random.default_rng(seed)
    path = folder / f"{seed}.parquet"
    routes = made.choice(["AB", "BC", "CA"], rows)
    pq.write_table(pa.table({"route": routes, "delay": made.normal(size=rows), "n": made.integers(0, 9, rows)}), path)
    return str(path)


def by_route(folder: Path | str) -> Any:
    return bigml.read_parquet(folder).groupby("route").agg(delay=["count", "min", "max", "p95", "nunique"], n="sum")


@EVERY
@LAW
@given(tables=TABLES)
def test_saving_and_loading_is_the_identity(name: str, tables: list[list[Any]]) -> None:
    with TemporaryDirectory() as folder:
        kept = PLANS[name](bigml.read_parquet(write(folder, tables))).keep()
        kept.save(f"{folder}/kept.bigml")
        loaded = bigml.load_stats(f"{folder}/kept.bigml")
        loaded.save(f"{folder}/again.bigml")
        assert bits(loaded) == bits(kept)
        assert same(loaded.result(), kept.result(), rtol=0, atol=0)
        assert (loaded.seen, loaded.title, loaded.schema) == (kept.seen, kept.title, kept.schema)
        assert Path(folder, "again.bigml").read_bytes() == Path(folder, "kept.bigml").read_bytes()


@EVERY
@LAW
@given(tables=TABLES)
def test_updates_in_pieces_are_one_scan(name: str, tables: list[list[Any]]) -> None:
    with TemporaryDirectory() as folder:
        first, *others = write(folder, tables)
        kept = PLANS[name](bigml.read_parquet(first)).keep()
        for path in others:
            kept = kept.update(path)
        expected = PLANS[name](bigml.read_parquet([first, *others])).compute()
        error = 1e-12 if name in ROUNDED else 0
        assert same(kept.result(), expected, rtol=error, atol=error)


@LAW
@given(tables=TABLES, order=st.randoms())
def test_the_order_of_files_does_not_matter_to_what_has_no_order(tables: list[list[Any]], order: Any) -> None:
    def plan(path: str) -> Any:
        return bigml.read_parquet(path).groupby("k").agg(x=["count", "min", "max", "p90", "nunique"], w="sum")

    with TemporaryDirectory() as folder:
        paths = write(folder, tables)
        shuffled = order.sample(paths, len(paths))
        one, other = plan(paths[0]).keep(), plan(shuffled[0]).keep()
        for path, elsewhere in zip(paths[1:], shuffled[1:], strict=True):
            one, other = one.update(path), other.update(elsewhere)
        assert bits(one) == bits(other)


def test_an_update_scans_only_new_files(flights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_route(flights).keep().save(tmp_path / "kept.bigml")
    add(flights, 3)
    read: list[str] = []
    scan = ParquetSource.scan

    def noted(self: Any, parts: Any, columns: Any) -> Any:
        read.extend(piece.path for part in parts for piece in part.ref.pieces)
        return scan(self, parts, columns)

    monkeypatch.setattr(ParquetSource, "scan", noted)
    updated = bigml.load_stats(tmp_path / "kept.bigml").update(flights)
    assert [Path(path).name for path in read] == ["3.parquet"]
    assert [Path(path).name for path in updated.skipped] == ["0.parquet", "1.parquet", "2.parquet"]
    assert [Path(path).name for path in updated.files] == ["0.parquet", "1.parquet", "2.parquet", "3.parquet"]
    pd.testing.assert_frame_equal(updated.result(), by_route(flights).compute(), check_exact=True)
    assert "files seen: 4, 3 skipped" in repr(updated)


def test_an_update_without_new_files_reads_nothing_and_says_so(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = by_route(flights).keep()
    monkeypatch.setattr(ParquetSource, "scan", None)
    again = kept.update(flights)
    assert len(again.skipped) == 3
    assert bits(again) == bits(kept)


def test_a_file_that_changed_is_named(flights: Path) -> None:
    kept = by_route(flights).keep()
    changed = add(flights, 1, rows=201)
    with pytest.raises(SourceError, match=r"the file as it was seen, of .* bytes with checksum") as error:
        kept.update(flights)
    assert error.value.where == changed


def test_a_file_with_one_other_byte_is_named_though_its_size_is_the_same(flights: Path) -> None:
    kept = by_route(flights).keep()
    path = flights / "2.parquet"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match="checksum") as error:
        kept.update(str(path))
    assert error.value.where == str(path)


def test_a_file_that_changes_while_it_is_read_is_named(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = ParquetSource.scan

    def meddling(self: Any, parts: Any, columns: Any) -> Any:
        for chunk in scan(self, parts, columns):
            with open(flights / "1.parquet", "ab") as file:
                file.write(b"!")
            yield chunk

    monkeypatch.setattr(ParquetSource, "scan", meddling)
    with pytest.raises(SourceError, match=r"1\.parquet"):
        by_route(flights).keep()


def test_a_file_that_was_touched_or_moved_is_still_known(flights: Path, tmp_path: Path) -> None:
    kept = by_route(flights).keep()
    os.utime(flights / "0.parquet")
    assert len(kept.update(flights).skipped) == 3
    (tmp_path / "link").symlink_to(flights)
    assert len(kept.update(tmp_path / "link").skipped) == 3
    shutil.move(flights, tmp_path / "elsewhere")
    assert len(kept.update(tmp_path / "elsewhere").skipped) == 3


def test_a_copy_counts_as_new_rows(flights: Path) -> None:
    kept = by_route(flights).keep()
    copy = shutil.copy(flights / "0.parquet", flights / "copy.parquet")
    assert kept.update(copy).result()["n"]["sum"].sum() > kept.result()["n"]["sum"].sum()


def test_a_copy_of_a_file_that_was_moved_counts_as_new_rows(flights: Path) -> None:
    kept = by_route(flights / "0.parquet").keep()
    moved = shutil.move(flights / "0.parquet", flights / "moved.parquet")
    copy = shutil.copy(moved, flights / "copy.parquet")
    twice = 2 * kept.result()["n"]["sum"].sum()
    known = kept.update(moved)
    assert known.files == known.skipped == (str(moved),)
    for updated in (kept.update([moved, copy]), known.update(copy), known.update([moved, copy])):
        assert len(updated.files) == 2
        assert updated.result()["n"]["sum"].sum() == twice


def test_a_column_of_another_type_is_named(flights: Path) -> None:
    kept = by_route(flights).keep()
    path = flights / "other.parquet"
    pq.write_table(pa.table({"route": ["AB"], "delay": ["late"], "n": [1.5]}), path)
    with pytest.raises(SchemaError, match="column `delay` of type double, as the statistic has it, got type string"):
        kept.update(path)
    pq.write_table(pa.table({"route": ["AB"], "n": [1]}), path)
    with pytest.raises(ColumnError, match="`delay`"):
        kept.update(path)
    with pytest.raises(SchemaError, match=r"column `delay` .* got no such column"):
        kept.update(bigml.read_parquet(path))


def test_a_source_is_seen_through_the_operations_of_the_first(flights: Path) -> None:
    def late(path: Any) -> Any:
        return bigml.read_parquet(path).where("delay > 0").rename(delay="d").assign(twice=bigml.col("d") * 2)

    plan = late(flights).groupby("route").agg(twice=["count", "max"])
    kept, new = plan.keep(), add(flights, 3)
    for fresh in (new, bigml.read_parquet(new), late(new), late(flights)):
        expected = late(flights).groupby("route").agg(twice=["count", "max"]).compute()
        pd.testing.assert_frame_equal(kept.update(fresh).result(), expected, check_exact=True)
    with pytest.raises(ConfigError, match="the operations of the statistic"):
        kept.update(bigml.read_parquet(new).where("delay > 1"))


def test_a_column_is_never_taken_for_the_one_that_was_made_in_its_place(flights: Path) -> None:
    kept = bigml.read_parquet(flights).assign(delay=bigml.col("delay") * bigml.col("n")).groupby("route").agg(delay="sum").keep()
    with pytest.raises(SchemaError, match=r"column `delay` .* got no such column"):
        kept.update(bigml.read_parquet(add(flights, 3), columns=["route", "delay"]))


def test_every_kind_of_formula_comes_back_from_the_file(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "t": pd.Series(["2024-02-29 13:05", "2024-03-01", None], dtype="datetime64[us]"),
            "x": [1.5, None, 3.0],
            "s": ["a", "b", None],
        }
    )
    rows.iloc[:2].to_parquet(tmp_path / "one.parquet")
    rows.iloc[2:].to_parquet(tmp_path / "two.parquet")

    def plan(*names: str) -> Any:
        t, x, s = map(bigml.col, "txs")
        kept = bigml.read_parquet([tmp_path / name for name in names]).where(
            (t < pd.Timestamp("2024-03-02")) | s.is_null() & (x != 0.1) & (x > np.int64(-5))
        )
        kept = kept.assign(
            hour=t.dt.hour, day=t.dt.floor("1d"), bin=(-x).cut([-9, -2.0, 0]), y=(x + 1) // 2, is_a=s.isin(["a", None])
        )
        return kept.groupby(["is_a", "bin"], dropna=False).agg(y="sum", hour="max", day="min")

    plan("one.parquet").keep().save(tmp_path / "kept.bigml")
    updated = bigml.load_stats(tmp_path / "kept.bigml").update(tmp_path / "two.parquet")
    pd.testing.assert_frame_equal(updated.result(), plan("one.parquet", "two.parquet").compute())


def test_any_quantile_can_be_asked_for(flights: Path) -> None:
    rows = bigml.read_parquet(flights)
    kept = rows.groupby("route", sort=False).agg(delay=["mean", "p95"], n="max").keep()
    expected = rows.groupby("route", sort=False).agg(delay=["p10", "median"]).compute()["delay"]
    pd.testing.assert_series_equal(kept.quantile(0.1), expected["p10"].rename("delay"))
    assert kept.quantile(np.float32(0.5)).equals(kept.quantile(0.5))
    several = kept.quantile([0.1, 0.5], "delay")
    assert several.to_numpy().tolist() == expected.to_numpy().tolist()
    assert list(several.columns) == [0.1, 0.5]
    for plan in (rows.describe(), rows.quantile(0.3)):
        pd.testing.assert_frame_equal(plan.keep().quantile([0.2, 1]), rows.quantile([0.2, 1]).compute())
        assert list(plan.keep().quantile(0.2, "n").columns) == ["n"]


def test_a_quantile_that_was_not_kept_is_refused(flights: Path) -> None:
    rows = bigml.read_parquet(flights)
    kept = rows.groupby("route").agg(delay="p95", n="median").keep()
    for statistic, column in ((kept, None), (kept, "other"), (rows.corr().keep(), None)):
        with pytest.raises(ConfigError, match="quantiles"):
            statistic.quantile(0.5, column)
    for q in (1.5, [], [0.5, float("nan")], None, "half"):
        with pytest.raises(ConfigError, match="shares from 0 to 1"):
            kept.quantile(q, "n")
    with pytest.raises(ColumnError, match="other"):
        rows.describe().keep().quantile(0.5, "other")


def test_tables_in_memory_are_known_by_what_they_hold() -> None:
    one, two = (bigml.from_pandas(pd.DataFrame({"k": ["a", "b"], "x": x})) for x in ([1.0, 2.0], [3.0, 5.0]))
    kept = one.groupby("k").agg(x=["sum", "first", "last"]).keep()
    both = kept.update(two)
    assert both.result()["x"].to_numpy().tolist() == [[4.0, 1.0, 3.0], [7.0, 2.0, 5.0]]
    assert len(both.update(two).skipped) == 1
    with pytest.raises(SourceError, match="for rows of a MemorySource"):
        both.update("new.parquet")


def test_an_update_takes_paths_or_a_source(flights: Path) -> None:
    rows = bigml.read_parquet(flights)
    kept = rows.describe().keep()
    wrong: Any
    for wrong in (rows.to_pandas(), [rows, rows], None):
        with pytest.raises(ConfigError, match="paths or a source"):
            kept.update(wrong)
    with pytest.raises(SourceError, match="nothing there"):
        kept.update([flights / "other.parquet"])


def test_files_of_joined_sources_and_of_memory_maps_are_known(flights: Path, tmp_path: Path) -> None:
    joined = bigml.concat(*(bigml.read_parquet(flights / f"{i}.parquet") for i in range(2)))
    kept = joined.groupby("route").agg(n="sum").keep()
    assert len(kept.files) == 2
    more = bigml.concat(joined, bigml.read_parquet(flights / "2.parquet"))
    pd.testing.assert_frame_equal(kept.update(more).result(), more.groupby("route").agg(n="sum").compute())
    np.save(tmp_path / "X.npy", np.arange(6.0).reshape(3, 2))
    mapped = bigml.read_memmap(tmp_path / "X.npy").describe().keep()
    assert mapped.files == (str(tmp_path / "X.npy"),)
    with pytest.raises(ConfigError, match="joined as they were opened"):
        bigml.concat(joined.where("n > 1"), joined).describe().keep()


class Longest:
    """A reducer of one's own."""

    columns = ("route",)

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: Any) -> int:
        return max(state, *map(len, chunk.arrow("route").to_pylist()))

    def merge(self, left: int, right: int) -> int:
        return max(left, right)

    def finish(self, state: int) -> int:
        return state


def test_what_cannot_be_written_down_is_refused_before_anything_is_read(flights: Path) -> None:
    rows = CountingSource(bigml.read_parquet(flights))
    doubled = rows.assign(d=lambda frame: frame["delay"] * 2)
    plans = [rows.reduce(Longest()), rows.groupby("n").agg(route=Longest()), doubled.describe(), rows.sample(frac=0.5).describe()]
    rows.reads.clear()
    for plan in plans:
        with pytest.raises(ConfigError, match=r"of your own|by formulas alone|Longest"):
            plan.keep()
    assert rows.reads == []


def test_a_notebook_shows_the_result(flights: Path) -> None:
    shown = by_route(flights).keep()._repr_html_()
    assert "<table" in shown
    assert "files seen: 3" in shown
    assert "<pre>" in bigml.read_parquet(flights).histogram("n").keep()._repr_html_()


def test_what_stood_there_before_still_stands_when_a_statistic_cannot_be_written(flights: Path, tmp_path: Path) -> None:
    kept, path = by_route(flights).keep(), tmp_path / "taken"
    path.mkdir()
    for where in (path, tmp_path / "nowhere" / "kept.bigml"):
        with pytest.raises(WriteError):
            kept.save(where)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["flights", "taken"]
