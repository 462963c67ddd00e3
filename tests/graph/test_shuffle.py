"""Groups that do not fit in memory: rows are partitioned by key, and the result has the bits of an undivided scan."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import BudgetError, ConfigError, SourceError, WriteError
from bigml.graph import budget, scan, shuffle
from bigml.graph.shuffle import Partitionable, forecast_groups
from bigml.stats import leading

RULES = settings(max_examples=50, deadline=None)
AGGREGATIONS = {
    "x": ["count", "sum", "mean", "std", "min", "max", "median", "nunique"],
    "n": ["sum", "min", "first", "last"],
    "coded": ["count", "first", "last", "nunique", "skew"],
    "digest": ["nunique", "min", "first"],
}
TOGETHER = {"x": ["count", "sum", "mean", "std", "min", "max"], "n": ["size", "sum", "min"]}
"""Aggregations of which a partition's state is made at once."""
KEYS = {
    "text": st.one_of(st.none(), st.sampled_from(["", "a", "b", "é"])),
    "whole": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-2, 2)),
    "real": st.one_of(st.none(), st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 1.5])),
    "flag": st.one_of(st.none(), st.booleans()),
    "coded": st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5]),
    "natural": st.sampled_from([None, 0, 2**63 - 1, 2**63, 2**64 - 1]),
    "day": st.sampled_from([None, date(1969, 12, 31), date(2020, 2, 29)]),
    "time": st.sampled_from([None, datetime(2020, 10, 25, 0, 30, tzinfo=UTC), datetime(2020, 10, 25, 1, 30, tzinfo=UTC)]),
    "price": st.sampled_from([None, Decimal("-1.50"), Decimal("0.00")]),
    "digest": st.sampled_from([None, b"aa", b"\xff\xfe"]),
}
TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "real": pa.float64(),
    "flag": pa.bool_(),
    "coded": pa.dictionary(pa.int32(), pa.float64()),
    "natural": pa.uint64(),
    "day": pa.date32(),
    "time": pa.timestamp("us", "Europe/Berlin"),
    "price": pa.decimal128(8, 2),
    "digest": pa.binary(2),
    "x": pa.float64(),
    "n": pa.int32(),
}
ROWS = st.lists(
    st.tuples(*KEYS.values(), st.one_of(st.none(), st.floats(-1e9, 1e9)), st.one_of(st.none(), st.integers(-99, 99))), max_size=40
)


def row(**known: Any) -> tuple[Any, ...]:
    return tuple(known.get(name) for name in TYPES)


NEIGHBOURS = [row(whole=whole, x=1.0, n=i) for i, whole in enumerate([2**62 + 3, None, *range(2**62, 2**62 + 9)])]
"""Keys that are one number to a column of floats, which a missing key makes of them in pandas."""

FIRST = {
    "text": "b",
    "whole": 0,
    "real": 1.5,
    "flag": True,
    "coded": 1.5,
    "natural": 0,
    "day": date(2020, 2, 29),
    "x": 1.0,
    "n": 1,
}
FULL = row(**FIRST, time=datetime(2020, 10, 25, tzinfo=UTC), price=Decimal("0.00"), digest=b"aa")
SOME = ROWS.map(lambda rows: [*rows, FULL])
"""Rows of which at least one has all keys."""

BY = st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=3, unique=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Memory that holds hardly any groups, and a directory of temporary files, which is empty in the end."""
    monkeypatch.setattr(budget, "STATES_SHARE", 1e-9)
    monkeypatch.setattr(budget, "MOST_PARTITIONS", 4)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def many(n: int = 5_000, part_rows: int = 600) -> bigml.Source:
    """Rows of which nearly every other one has a key of its own."""
    draw = np.random.default_rng(0)
    text = pa.array(draw.choice(np.array(["a", "b", None]), n)).dictionary_encode()
    whole = pa.array(draw.integers(0, 2**62, n // 2)[draw.integers(0, n // 2, n)])
    return bigml.from_arrow(pa.table({"whole": whole, "text": text, "x": draw.normal(1e9, 1, n)}), part_rows=part_rows)


def shuffled(plan: Any, partitions: Collection[int] = (4,)) -> Any:
    """The result where memory holds hardly any groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "STATES_SHARE", 1e-9)
        patch.setattr(budget, "MOST_PARTITIONS", 4)
        assert plan.explain().partitions in partitions
        return plan.compute()


def source_of(rows: list[Any], part_rows: int) -> bigml.Source:
    columns = list(zip(*rows, strict=True)) or [()] * len(TYPES)
    table = pa.table(dict(zip(TYPES, map(pa.array, columns, TYPES.values()), strict=True)))
    return bigml.from_arrow(table, part_rows=part_rows)


@RULES
@example(rows=NEIGHBOURS, by=["whole"], dropna=False, sort=True, together=True)
@given(rows=ROWS, by=BY, dropna=st.booleans(), sort=st.booleans(), together=st.booleans())
def test_a_shuffled_groupby_has_the_bits_of_an_undivided_one(
    rows: list[Any], by: list[str], dropna: bool, sort: bool, together: bool
) -> None:
    plan = source_of(rows, 4).groupby(by, dropna=dropna, sort=sort).agg(TOGETHER if together else AGGREGATIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "MERGE_FAN_IN", 2)
        expected = plan.compute()
        found = shuffled(plan, {4} if len(expected) else {0, 4})
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.usefixtures("short")
def test_keys_that_floats_cannot_tell_apart_keep_their_order() -> None:
    near = [None, *(2**62 + i for i in range(50))]
    plan = bigml.from_arrow(pa.table({"k": near * 2, "x": range(102)}), part_rows=30).groupby("k").agg(x="first")
    assert plan.explain().partitions == 4
    assert plan.compute()["x"].tolist() == list(range(1, 51))


class Longest:
    """The number of rows of the longest chunk: a user's reducer."""

    columns = ("x",)

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: Any) -> int:
        return max(state, chunk.n_rows)

    def merge(self, left: int, right: int) -> int:
        return max(left, right)

    def finish(self, state: int) -> int:
        return state


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sort", [True, False])
def test_partitions_without_groups_do_not_change_the_type_of_a_reducer(sort: bool) -> None:
    source = bigml.from_arrow(pa.table({"k": ["a", "a", "b"], "x": [1, 2, 3]}), part_rows=2)
    plan = source.groupby("k", sort=sort).agg(x=Longest())
    assert plan.explain().partitions == 4
    pd.testing.assert_frame_equal(plan.compute(), pd.DataFrame({"x": [2, 1]}, pd.Index(["a", "b"], name="k")))


@pytest.mark.parametrize("sort", [True, False])
def test_weighted_aggregates_shapes_shares_and_ranks_have_the_bits_of_an_undivided_groupby(sort: bool) -> None:
    of_x = [bigml.weighted(name, by="w") for name in ("mean", "std", "median")]
    wanted: Any = {"x": [*of_x, "skew", "kurt", bigml.rank("mean")], "w": [bigml.share("sum"), bigml.share("size")]}
    source = many(1_000, 170).assign(w="(x - 1e9) * (x - 1e9)", whole="whole % 150")
    plan = source.groupby(["text", "whole"], sort=sort).agg(wanted)
    expected = plan.compute()
    pd.testing.assert_frame_equal(shuffled(plan), expected, check_exact=True)


@pytest.mark.parametrize(("dropna", "sort"), [(True, True), (False, False), (False, True)])
def test_top_rows_of_groups_beyond_memory_are_those_of_an_undivided_scan(dropna: bool, sort: bool) -> None:
    plan = many(2_000, 170).groupby(["text", "whole"], dropna=dropna, sort=sort).top(2, by="x")
    expected = plan.compute()
    pd.testing.assert_frame_equal(shuffled(plan), expected, check_exact=True)


@RULES
@example(rows=NEIGHBOURS, column="whole", dropna=False, normalize=False, sizes=(3, 7))
@given(
    rows=SOME,
    column=st.sampled_from([*KEYS, "x", "n"]),
    dropna=st.booleans(),
    normalize=st.booleans(),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_shuffled_value_counts_have_the_bits_of_undivided_ones_in_any_chunking(
    rows: list[Any], column: str, dropna: bool, normalize: bool, sizes: tuple[int, int]
) -> None:
    one, other = (source_of(rows, size).value_counts(column, dropna=dropna, normalize=normalize) for size in sizes)
    pd.testing.assert_series_equal(shuffled(one), other.compute(), check_exact=True)


@RULES
@example(rows=NEIGHBOURS, by=["whole", "text"], column="n", dropna=False, few=False, sizes=(3, 7))
@given(
    rows=SOME,
    by=BY,
    column=st.sampled_from([*KEYS, "x", "n"]),
    dropna=st.booleans(),
    few=st.booleans(),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_shuffled_most_frequent_values_have_the_bits_of_undivided_ones_in_any_chunking(
    rows: list[Any], by: list[str], column: str, dropna: bool, few: bool, sizes: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leading, "OF_GROUPS", (1, 2) if few else leading.OF_GROUPS)
        one, other = (source_of(rows, size).groupby(by, dropna=dropna).most_frequent(column, 2) for size in sizes)
    pd.testing.assert_frame_equal(shuffled(one), other.compute(), check_exact=True)


@RULES
@given(rows=SOME, by=BY, across=st.sampled_from(["n", "x"]), normalize=st.sampled_from([False, "all", "index", "columns"]))
def test_shuffled_pivots_have_the_bits_of_undivided_ones(rows: list[Any], by: list[str], across: str, normalize: Any) -> None:
    source = source_of(rows, 4)
    table = source.pivot_table(["x", "n"], by, across, aggfunc={"x": "std", "n": "p95"}, fill_value=0)
    for plan in (table, source.crosstab(by, across, normalize=normalize)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scan, "MERGE_FAN_IN", 2)
            pd.testing.assert_frame_equal(shuffled(plan), plan.compute(), check_exact=True)


def test_a_pivot_with_margins_holds_all_its_groups() -> None:
    plan = many(200).crosstab("whole", "text", margins=True)
    pd.testing.assert_frame_equal(shuffled(plan, [0]), plan.compute())


def test_one_scan_serves_shuffled_plans_and_others(short: Path) -> None:
    source = many()
    plans = [
        source.groupby("whole").agg(x="sum"),
        source.describe(["x"]),
        source.where("x > 1e9").groupby(["text", "whole"]).size(),
    ]
    together = bigml.compute(*plans)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "STATES_SHARE", 1.0)
        for plan, found in zip(plans, together, strict=True):
            pd.testing.assert_frame_equal(found, plan.compute(), check_exact=True)


def test_groups_are_written_without_being_held(short: Path, tmp_path: Path) -> None:
    source = many()
    plan = source.groupby(["text", "whole"], dropna=False).agg(x=["count", "mean"])
    manifest = plan.write_parquet(tmp_path / "groups")
    assert len(manifest.files) == 4
    expected = source.to_pandas().groupby(["text", "whole"], dropna=False)["x"].agg(["count", "mean"]).reset_index()
    expected.columns = pd.Index(["text", "whole", "x_count", "x_mean"])
    found = bigml.read_parquet(tmp_path / "groups").to_pandas().sort_values(["text", "whole"], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)


def test_what_is_written_keeps_its_type_whatever_is_missing(tmp_path: Path) -> None:
    largest = 2**63 - 1
    table = pa.table(
        {"k": ["a", "b", "b"], "n": pa.array([None, largest, 1], pa.int64()), "day": pa.array([0, 1, None], pa.date32())}
    )
    bigml.from_arrow(table).groupby("k").agg(n=["max", "std"], day="first").write_parquet(tmp_path / "groups")
    found = bigml.read_parquet(tmp_path / "groups").to_arrow()
    assert found.column("n_max").to_pylist() == [None, largest]
    assert found.column("n_std").null_count == 1
    assert found.schema.field("day_first").type == pa.date32()


def test_what_is_made_of_nothing_but_nulls_is_written(tmp_path: Path) -> None:
    table = pa.table({"k": ["a", "b"], "none": pa.nulls(2)})
    names = ["min", "max", "first", "mean", "sum", "count"]
    bigml.from_arrow(table).groupby("k").agg(none=names).write_parquet(tmp_path / "groups")
    found = bigml.read_parquet(tmp_path / "groups").to_arrow().drop_columns("k")
    assert [column.to_pylist() for column in found.columns] == [[None] * 2] * 4 + [[0.0] * 2, [0] * 2]


def test_columns_of_one_name_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`k` twice"):
        many().assign(k="x").groupby("k").agg(k="count").write_parquet(tmp_path / "groups")
    assert not (tmp_path / "groups").exists()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("dropna", [True, False])
def test_value_counts_are_written_without_being_held(tmp_path: Path, dropna: bool) -> None:
    source = many()
    plan = source.value_counts("text", dropna=dropna)
    assert plan.explain().partitions == 4
    assert plan.write_parquet(tmp_path / "texts").rows == 2 + (not dropna)
    found = bigml.read_parquet(tmp_path / "texts").to_pandas().sort_values("text")
    assert found["count"].tolist() == source.to_pandas()["text"].value_counts(dropna=dropna).sort_index().tolist()


@pytest.mark.usefixtures("short")
def test_most_frequent_values_of_groups_are_written_without_being_held(tmp_path: Path) -> None:
    plan = many().groupby("whole").most_frequent("text", 2)
    assert len(plan.write_parquet(tmp_path / "texts").files) == 4
    found = bigml.read_parquet(tmp_path / "texts").to_pandas()
    found = found.sort_values("whole", kind="stable").set_index(["whole", "text"])
    pd.testing.assert_frame_equal(found, plan.compute(), check_dtype=False)


def test_shares_and_columns_called_as_the_counts_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = many().assign(count="x")
    for plan, told in [
        (source.value_counts("x", normalize=True), "Expected counts, got normalize=True"),
        (source.value_counts("count"), "`count` twice"),
        (source.groupby("whole").most_frequent("count"), "`count` twice"),
    ]:
        with pytest.raises(ConfigError, match=told):
            plan.write_parquet(tmp_path / "counts")
    assert not (tmp_path / "counts").exists()


@pytest.mark.usefixtures("short")
def test_a_full_disk_is_told_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pa, "OSFile", full)
    with pytest.raises(WriteError, match=r"No space left on device.*TMPDIR"):
        many().groupby("whole").agg(x="mean").write_parquet(tmp_path / "groups")
    assert not list((tmp_path / "groups").glob("*.parquet"))


def test_partitions_of_many_rows_are_reduced_chunk_by_chunk(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = many().groupby(["whole", "text"], dropna=False).agg(x=["mean", "std"])
    whole = plan.compute()
    monkeypatch.setattr(shuffle, "TOGETHER_BYTES", 0)
    pd.testing.assert_frame_equal(plan.compute(), whole, check_exact=True)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("harm", [os.unlink, partial(os.truncate, length=100)], ids=["gone", "cut short"])
def test_rows_that_were_harmed_while_they_waited_are_told(harm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    divided = shuffle.Sorter.divided

    def harmed(sorter: Any) -> Any:
        found = divided(sorter)
        harm(found.partitions[0][0].file)
        return found

    monkeypatch.setattr(shuffle.Sorter, "divided", harmed)
    with pytest.raises(SourceError, match=r"rows that wait in a temporary file, got .*\.arrow\. Run it again, with TMPDIR"):
        many().groupby("whole").agg(x="mean").write_parquet(tmp_path / "groups")
    assert not list((tmp_path / "groups").glob("*.parquet"))


def test_rows_are_moved_to_files_as_they_become_many(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = many().groupby("whole").agg(x=["mean", "last"])
    whole = plan.compute()
    monkeypatch.setattr(shuffle, "HELD_BYTES", 1)
    pd.testing.assert_frame_equal(plan.compute(), whole, check_exact=True)


@pytest.mark.parametrize(
    ("keys", "low", "high"),
    [
        (np.arange(4_000_000), 4_000_000, 4_000_000),
        (np.arange(4_000_000) % 1_000, 1_000, 4_000),
        (np.random.default_rng(0).integers(0, 1_000_000, 4_000_000), 1_000_000, 4_000_000),
    ],
    ids=["sorted", "few", "a million"],
)
def test_groups_are_forecast_from_both_ends(keys: Any, low: int, high: int) -> None:
    source = bigml.from_arrow(pa.table({"k": keys}), part_rows=250_000)
    reducer = source.groupby("k").size().reducer
    assert isinstance(reducer, Partitionable)
    assert low <= forecast_groups(source, reducer) <= high * 1.05


def test_explain_tells_of_partitions_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = many().groupby("whole").size()
    assert "shuffled" not in str(plan.explain())
    monkeypatch.setattr(budget, "STATES_SHARE", 1e-9)
    assert "shuffled by key       1,024 partitions" in str(plan.explain())


def test_where_no_memory_is_left_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGML_MEMORY", "1B")
    with pytest.raises(BudgetError, match="a scan that fits in 0 B a worker"):
        many().value_counts("whole").compute()


@pytest.mark.parametrize("cap", ["much", "1e400"])
def test_a_cap_of_memory_that_is_no_number_of_bytes_is_refused(monkeypatch: pytest.MonkeyPatch, cap: str) -> None:
    monkeypatch.setenv("BIGML_MEMORY", cap)
    with pytest.raises(ConfigError, match=rf"`{cap}`.*in BIGML_MEMORY"):
        many().groupby("whole").size().compute()


def test_a_cap_below_what_the_process_holds_already_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGML_MEMORY", "1MB")
    plan = many().groupby("whole").agg(x="mean")
    assert "of 0 B" in repr(plan.explain())
    with pytest.raises(BudgetError, match=r"fits in 0 B.* holds all that BIGML_MEMORY allows already: raise it"):
        plan.compute()


@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_shuffle_to_the_same_bits(monkeypatch: pytest.MonkeyPatch, n_workers: int) -> None:
    from distributed import Client, LocalCluster

    source = many()
    plans: list[Any] = [
        source.groupby(["whole", "text"], sort=False).agg(x=["sum", "std"]),
        source.value_counts("whole"),
        source.groupby("whole").most_frequent("x", 1),
        source.pivot_table("x", "whole", "text"),
    ]
    expected = bigml.compute(*plans)
    monkeypatch.setattr(budget, "STATES_SHARE", 1e-9)
    monkeypatch.setattr(budget, "MOST_PARTITIONS", 4)
    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(n_workers=n_workers, **options) as cluster, Client(cluster, set_as_default=False) as client:
        assert all(plan.explain(client).partitions == 4 for plan in plans)
        for found, wanted in zip(bigml.compute(*plans, client=client), expected, strict=True):
            same = pd.testing.assert_series_equal if isinstance(wanted, pd.Series) else pd.testing.assert_frame_equal
            same(found, wanted, check_exact=True)
