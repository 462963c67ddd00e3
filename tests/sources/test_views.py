"""Views: select, where, assign, rename, take, head, sample, split: lazy, and the same whatever the chunking."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import BudgetError, ColumnError, DataError, SchemaError
from bigml.testing import CountingSource, check_source

N = 500


def table(n: int = N) -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "x": rng.integers(0, 50, n),
            "y": pa.array(np.where(rng.random(n) < 0.1, None, rng.normal(size=n)), pa.float64()),
            "k": rng.choice(["a", "b", "c"], n),
        }
    )


FRAME = table().to_pandas()


def memory(part_rows: int = 64) -> bigml.Source:
    return bigml.from_arrow(table(), part_rows=part_rows)


def frames_equal(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    return left.reset_index(drop=True).equals(right.reset_index(drop=True))


VIEWS: dict[str, Any] = {
    "select": lambda s: s.select("k", "x"),
    "drop": lambda s: s.drop("k"),
    "rename": lambda s: s.rename(x="z"),
    "where": lambda s: s.where("x > 25 and k != 'a'"),
    "where, function": lambda s: s.where((bigml.col("x") > 25) | bigml.col("y").is_null()),
    "dropna": lambda s: s.dropna(),
    "assign": lambda s: s.assign(z="x * 2 + y", x="x - 1"),
    "assign, function": lambda s: s.assign(z=lambda frame: frame["x"] % 7),
    "head": lambda s: s.head(70),
    "head, filtered": lambda s: s.where("x == 3").head(4),
    "take": lambda s: s.take([499, 0, 64, 63]),
    "sample": lambda s: s.sample(40, seed=3),
    "sample, filtered": lambda s: s.where("x > 10").sample(40, seed=3),
    "sample by share": lambda s: s.sample(frac=0.3, seed=3),
    "train": lambda s: s.split(test=0.3, seed=5)[0],
    "test": lambda s: s.split(test=0.3, seed=5)[1],
    "test by key": lambda s: s.split(test=0.3, seed=5, by="x")[1],
    "nested": lambda s: s.assign(z="x + 1").where("z > 10").rename(z="w").select("w", "k").sample(frac=0.5),
}
WANTED: dict[str, Any] = {
    "select": lambda f: f[["k", "x"]],
    "drop": lambda f: f[["x", "y"]],
    "rename": lambda f: f.rename(columns={"x": "z"}),
    "where": lambda f: f[(f.x > 25) & (f.k != "a")],
    "where, function": lambda f: f[(f.x > 25) | f.y.isna()],
    "dropna": lambda f: f.dropna(),
    "assign": lambda f: f.assign(z=f.x * 2 + f.y, x=f.x - 1)[["x", "y", "k", "z"]],
    "assign, function": lambda f: f.assign(z=f.x % 7),
    "head": lambda f: f.head(70),
    "head, filtered": lambda f: f[f.x == 3].head(4),
    "take": lambda f: f.iloc[[0, 63, 64, 499]],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_keep_the_contract(name: str) -> None:
    check_source(VIEWS[name](memory()))


@pytest.mark.parametrize("name", WANTED)
def test_views_equal_pandas(name: str) -> None:
    assert frames_equal(VIEWS[name](memory()).to_pandas(), WANTED[name](FRAME))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("views")


@given(
    name=st.sampled_from(sorted(VIEWS)),
    cuts=st.lists(st.integers(1, N - 1), max_size=3),
    group=st.integers(20, N),
    part_bytes=st.integers(500, 20_000),
)
@settings(max_examples=60, deadline=None)
def test_any_chunking_gives_the_same_rows(folder: Path, name: str, cuts: list[int], group: int, part_bytes: int) -> None:
    for old in folder.iterdir():
        old.unlink()
    edges = sorted({0, N, *cuts})
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        pq.write_table(table().slice(start, stop - start), folder / f"{i}.parquet", row_group_size=group)
    files = bigml.read_parquet(folder, part_bytes=part_bytes)
    assert frames_equal(VIEWS[name](files).to_pandas(), VIEWS[name](memory(N)).to_pandas())


@given(share=st.floats(0.01, 0.99), seed=st.integers(), part_rows=st.integers(10, N), by=st.sampled_from(["", "k", "x"]))
@settings(max_examples=30, deadline=None)
def test_train_and_test_hold_every_row_once(share: float, seed: int, part_rows: int, by: str) -> None:
    train, test = memory(part_rows).split(test=share, seed=seed, by=by or ())
    rows = [np.concatenate([chunk.row_numbers for chunk in side.iter_chunks(())]) for side in (train, test)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(N))
    if by:
        assert set(train.to_pandas()[by]).isdisjoint(test.to_pandas()[by])


def test_a_split_has_about_the_asked_share_and_another_seed_gives_another() -> None:
    source = bigml.from_arrow(pa.table({"x": np.arange(100_000)}))
    first, second = (source.split(test=0.2, seed=seed)[1] for seed in (0, 1))
    assert first.count() == pytest.approx(20_000, rel=0.03)
    assert set(first.to_pandas()["x"]) != set(second.to_pandas()["x"])
    assert len(set(first.to_pandas()["x"]) & set(second.to_pandas()["x"])) == pytest.approx(4_000, rel=0.1)


def test_a_sample_has_exactly_n_rows_spread_over_the_source() -> None:
    source = bigml.from_arrow(pa.table({"x": np.arange(100_000)}), part_rows=9_999)
    drawn = source.sample(1_000, seed=0).to_pandas()["x"]
    assert len(drawn) == len(set(drawn)) == 1_000
    assert drawn.is_monotonic_increasing
    assert drawn.mean() == pytest.approx(50_000, rel=0.1)
    assert source.sample(10**6).n_rows == 100_000
    assert source.sample(0).n_rows == 0


def test_a_split_of_a_sample_is_the_sample_of_a_split() -> None:
    source = memory()
    one = source.sample(frac=0.5, seed=1).split(test=0.5, seed=2)[0]
    other = source.split(test=0.5, seed=2)[0].sample(frac=0.5, seed=1)
    assert frames_equal(one.to_pandas(), other.to_pandas())


def test_nothing_is_read_until_it_is_needed() -> None:
    source = CountingSource(memory())
    view = source.where("x > 10").assign(z="x + y").rename(z="w").select("w").split(test=0.2)[0]
    assert repr(view).startswith("CountingSource: at most 500 rows, 8 parts")
    assert "<table>" in view._repr_html_()
    assert source.head(3).n_rows == 3
    assert source.sample(3).n_rows == 3
    assert source.take([1, 2]).n_rows == 2
    assert source.reads == []
    view.count()
    assert source.times_read == dict.fromkeys(range(8), 1)


def test_only_the_columns_that_a_view_needs_are_read() -> None:
    source = CountingSource(memory())
    source.assign(z="x + 1", w="y").select("z").to_pandas()
    assert source.columns_read == {"x"}
    source.reads.clear()
    source.where("k == 'a'").select("y").to_pandas()
    assert source.columns_read == {"k", "y"}


def test_the_first_rows_after_a_filter_stop_at_the_part_that_has_them() -> None:
    source = CountingSource(bigml.from_arrow(pa.table({"x": np.arange(1_000)}), part_rows=100))
    first = source.where("x >= 150").head(3)
    assert source.times_read == {0: 1, 1: 1}
    assert first.to_pandas()["x"].tolist() == [150, 151, 152]
    assert source.times_read == {0: 1, 1: 2}


def test_rows_taken_read_only_their_parts() -> None:
    source = CountingSource(bigml.from_arrow(pa.table({"x": np.arange(1_000)}), part_rows=100))
    assert source.take([5, 995]).to_pandas()["x"].tolist() == [5, 995]
    assert source.times_read == {0: 1, 9: 1}


def test_rows_are_taken_of_what_is_counted_already() -> None:
    source = memory()
    late = FRAME[FRAME.x > 40]
    for view, wanted in (
        (source.head(100).rename(x="z"), FRAME.head(100).rename(columns={"x": "z"})),
        (source.where("x > 40").head(20), late.head(20)),
        (bigml.concat(source.head(70), source), pd.concat([FRAME.head(70), FRAME])),
    ):
        taken = view.take([0, 9, 3, view.n_rows - 1])
        check_source(taken)
        assert frames_equal(taken.to_pandas(), wanted.iloc[[0, 3, 9, len(wanted) - 1]])


def test_counts_known_are_not_counted_again() -> None:
    source = CountingSource(memory())
    both = bigml.concat(source.head(100), source.take([1, 2, 450]))
    assert (both.n_rows, both.row_counts, both.count()) == (103, (64, 36, 2, 1), 103)
    assert source.reads == []
    assert bigml.concat(source, source.where("x > 1")).n_rows is None


def test_assign_makes_columns_from_earlier_ones() -> None:
    view = memory().assign(a="x + 1", b="a * 2", x="b - a")
    check_source(view)
    wanted = FRAME.assign(a=FRAME.x + 1)
    wanted["b"] = wanted.a * 2
    wanted["x"] = wanted.b - wanted.a
    assert frames_equal(view.to_pandas(), wanted[["x", "y", "k", "a", "b"]])


def test_a_constant_is_a_column() -> None:
    view = memory().assign(one=bigml.sources.expression.lift(1))
    assert view.select("one").to_pandas()["one"].tolist() == [1] * N


def test_views_without_functions_are_picklable_by_pickle_and_all_by_cloudpickle() -> None:
    for name, make in VIEWS.items():
        view = make(memory())
        dump = cloudpickle.dumps if "function" in name else pickle.dumps
        assert frames_equal(pickle.loads(dump(view)).to_pandas(), view.to_pandas()), name


def test_tokens_tell_views_apart() -> None:
    source = memory()
    tokens = {name: make(source).token for name, make in VIEWS.items()}
    assert len(set(tokens.values())) == len(tokens)
    again = {name: make(source).token for name, make in VIEWS.items()}
    assert tokens == again
    long = [source.where(bigml.col("x").isin([*range(500), last])).token for last in (1_000, 1_001)]
    middle = [source.where(bigml.col("x").isin([*range(200), 10_000 + i, *range(200)])).token for i in (0, 1)]
    assert len({*long, *middle}) == 4


CAST = "values of type {}, as for an empty DataFrame, got {} .*- column `z` of assign, rows [0-9]+ to [0-9]+.*astype"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s: s.select("xx"), ColumnError, "Did you mean `x`"),
        (lambda s: s.select("x", "x"), SchemaError, "each column once"),
        (lambda s: s.rename(x="y"), SchemaError, "each column once"),
        (lambda s: s.rename(nope="y"), ColumnError, "`nope`"),
        (lambda s: s.drop("nope"), ColumnError, "`nope`"),
        (lambda s: s.where("nope > 1"), ColumnError, "`nope`"),
        (lambda s: s.where("x + 1"), SchemaError, "true or false"),
        (lambda s: s.where("k > 1"), SchemaError, "types fit the formula"),
        (lambda s: s.where(3), SchemaError, "a formula"),
        (lambda s: s.assign(z="nope + 1"), ColumnError, "`nope`"),
        (lambda s: s.split(test=1.5), DataError, "between 0 and 1"),
        (lambda s: s.split(by="nope"), ColumnError, "`nope`"),
        (lambda s: s.sample(), DataError, "neither"),
        (lambda s: s.sample(3, frac=0.5), DataError, "both"),
        (lambda s: s.take([N]), DataError, "positions from 0 to 499"),
        (lambda s: s.take([-1]), DataError, "positions from 0 to 499, got -1 to -1"),
        (lambda s: s.take([0.5]), DataError, "positions as integers, got values of type float64"),
        (lambda s: s.head(0).take([0]), DataError, "the source has no rows"),
        (lambda s: s.where("x > 1").take([0]), DataError, "Take before filtering"),
        (lambda s: s.sample(-5), DataError, "a number of rows from 0 on, got -5"),
        (lambda s: s.sample(0.5), DataError, r"a number of rows from 0 on, got 0\.5"),
        (lambda s: s.sample(frac=2), DataError, "a share from 0 to 1, got 2"),
        (lambda s: s.sample(frac=-1), DataError, "a share from 0 to 1, got -1"),
        (lambda s: s.sample(frac=float("nan")), DataError, "a share from 0 to 1, got nan"),
        (lambda s: s.head(-1), DataError, "a number of rows from 0 on, got -1"),
        (lambda s: s.read(s.parts[0], ["nope"]), ColumnError, "`nope`"),
        (lambda s: s.assign(z=lambda f: f["x"].iloc[:1]).to_pandas(), SchemaError, "one value for each"),
        (
            lambda s: s.assign(z=lambda f: f["x"] / 2 if f.size else f["x"]).to_pandas(),
            SchemaError,
            CAST.format("int64", "double"),
        ),
        (lambda s: s.assign(z=lambda f: [str(v) for v in f["x"]]).to_pandas(), SchemaError, CAST.format("null", "string")),
        (lambda s: s.assign(z=lambda f: f["x"].astype(str) if f.size else f["x"]).to_pandas(), SchemaError, "string is no int64"),
    ],
)
def test_what_cannot_be_is_refused_at_once(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(memory())


def test_an_empty_source_stays_empty_in_every_view() -> None:
    empty = bigml.from_arrow(table(0))
    for name, make in VIEWS.items():
        if name != "take":
            view = make(empty)
            check_source(view)
            assert view.to_pandas().empty, name


def test_late_departures_of_the_real_flights_equal_pandas(data_dir: Path) -> None:
    path = data_dir / "flights/sixteen_columns/nyc_2013.parquet"
    source = bigml.read_parquet(path, part_bytes=1 << 20)
    frame = pd.read_parquet(path)
    view = source.where("origin == 'JFK' and dep_delay > 60").assign(gain="dep_delay - arr_delay")
    wanted = frame[(frame.origin == "JFK") & (frame.dep_delay > 60)]
    assert view.count() == len(wanted)
    np.testing.assert_allclose(view.to_pandas()["gain"], wanted.dep_delay - wanted.arr_delay)


def test_a_split_of_a_split_or_of_a_sample_with_the_same_seed_is_a_fresh_choice() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": np.arange(4_000.0)}), part_rows=300)
    joined = bigml.concat(source.split(test=0.25)[0], source.select("x"))
    for first in (source.split(test=0.25)[0], source.sample(frac=0.5), source.sample(2_000), joined):
        train, test = first.split(test=0.25)
        assert train.count() + test.count() == first.count()
        assert 0.2 < test.count() / first.count() < 0.3


def test_a_function_sees_what_was_assigned_before_it_even_when_only_its_result_is_read() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": [1, 2]}))
    made = source.assign(a="x + 1", b=lambda frame: frame["a"] * 2)
    assert made.select("b").to_pandas()["b"].tolist() == [4, 6]


def test_what_a_function_returns_has_one_type_in_all_chunks() -> None:
    table = pa.table({"i": pa.array([1, 2, None, 4], pa.int32()), "k": ["a", "b", None, "a"], "b": [True, None, False, None]})
    functions: dict[str, Any] = {
        "mod": lambda f: f["i"] % 3,
        "half": lambda f: f["i"] / 2,
        "text": lambda f: f["k"].str.upper(),
        "flag": lambda f: f["b"],
        "day": lambda f: pd.Timestamp("2014-01-01") + pd.to_timedelta(f["i"], unit="D"),
        "none": lambda f: [None] * len(f),
        "number": lambda f: np.arange(len(f), dtype="int8"),
    }
    whole = bigml.from_arrow(table).assign(**functions)
    kinds = {"mod": "int32", "half": "double", "text": "string", "flag": "bool", "none": "null", "number": "int8"}
    assert {name: str(whole.schema.field(name).type) for name in kinds} == kinds
    for part_rows in (1, 2, 3):
        made = bigml.from_arrow(table, part_rows=part_rows).assign(**functions).drop("number")
        check_source(made)
        assert made.to_arrow().equals(whole.drop("number").to_arrow())
    check_source(whole)


def test_a_function_that_changes_its_type_is_an_error_with_the_part() -> None:
    source = bigml.from_arrow(table(), part_rows=64).assign(z=lambda f: f["x"] / 2 if 64 in f.index else f["x"])
    with pytest.raises(SchemaError, match="column `z` of assign, rows 64 to 127") as caught:
        source.describe().compute()
    assert any("part 1" in note for note in caught.value.__notes__)


def test_wide_text_is_refused_above_the_limit() -> None:
    source = bigml.from_pandas(pd.DataFrame({"text": ["x" * 1_000] * 100}))
    with pytest.raises(BudgetError, match="at most"):
        source.to_pandas(limit=1_000)
    assert len(source.head(2).to_pandas(limit=10_000)) == 2
