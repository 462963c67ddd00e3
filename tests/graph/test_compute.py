"""compute on threads: one reading of each part, a tree shaped by the parts alone, prices before work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallies import Fragile, Order, Total, failing, first_row, stopping

import bigml
from bigml.errors import BudgetError, ColumnError, ConfigError
from bigml.graph import budget
from bigml.graph.budget import Place
from bigml.graph.mapping import map_parts
from bigml.graph.scan import FOLDS, MOST_PARTS_A_FOLD, Scan, fold_parts
from bigml.graph.tree import scan_graph
from bigml.part import Part
from bigml.stats.reducer import DEFAULT_STATE_NBYTES
from bigml.testing import CountingSource

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"x": RNG.normal(1e9, 1, 1_000), "y": RNG.random(1_000), "k": RNG.choice(list("abc"), 1_000)})


def source(part_rows: int = 50) -> CountingSource:
    return CountingSource(bigml.from_pandas(FRAME, part_rows=part_rows))


def test_three_plans_read_each_part_once_and_only_their_columns() -> None:
    counting = source()
    a, b = counting.reduce(Total("x")), counting.where("y > 0.5").reduce(Total("y"))
    late = counting.assign(z="y * 2").split(test=0.5)[0].reduce(Total("z"))
    first, second, third = bigml.compute(a, b, late)
    assert counting.times_read == dict.fromkeys(range(20), 1)
    assert counting.columns_read == {"x", "y"}
    assert first[0] == 1_000
    assert second[0] == (FRAME.y > 0.5).sum()
    assert 400 < third[0] < 600


def test_plans_over_two_sources_take_a_scan_each_and_keep_their_order() -> None:
    one, two = source(), source(100)
    results = bigml.compute(two.reduce(Total("y")), one.reduce(Total("x")), two.reduce(Total("x")))
    assert [result[0] for result in results] == [1_000] * 3
    assert results[0][1] == pytest.approx(FRAME.y.sum())
    assert set(one.times_read.values()) == set(two.times_read.values()) == {1}


def test_nothing_is_read_before_compute() -> None:
    counting = source()
    plan = counting.reduce(Total("x"))
    text = f"{plan!r} {plan.explain()} {plan._repr_html_()} {plan.visualize()}"
    assert "not computed" in text
    assert counting.reads == []
    assert bigml.compute() == ()


def test_a_plan_over_no_rows_is_the_finished_empty_state() -> None:
    empty = bigml.from_pandas(FRAME.iloc[:0])
    assert empty.reduce(Total("x")).compute() == (0, 0.0, 0.0)
    assert bigml.compute(empty.where("x > 1").reduce(Total("x"))) == ((0, 0.0, 0.0),)


def test_plans_over_one_view_make_its_rows_once() -> None:
    seen: list[int] = []

    def doubled(frame: pd.DataFrame) -> Any:
        seen.append(len(frame))
        return frame["x"] * 2

    counted = bigml.from_pandas(FRAME, part_rows=100).assign(y=doubled)
    alone = [counted.groupby("k").agg(y="sum"), counted.describe(["y"]), counted.groupby("k").agg(y="mean", x="max")]
    del seen[:]
    apart = [plan.compute() for plan in alone]
    n = len(seen)
    for one, other in zip(bigml.compute(*alone), apart, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert len(seen) - n == n // 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    wanted = source(7).reduce(Total("x")).compute()
    monkeypatch.setenv("BIGML_THREADS", str(threads))
    assert source(7).reduce(Total("x")).compute() == wanted


def test_the_tree_depends_on_the_parts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = set()
    for threads in (1, 3):
        monkeypatch.setenv("BIGML_THREADS", str(threads))
        shapes.add(source(50).reduce(Order("x")).compute())
    assert len(shapes) == 1
    assert source(334).reduce(Order("x")).compute() == "[[(0.+(334.]+(668.]"


@given(runs=st.lists(st.integers(1, 5), max_size=300), sliced=st.booleans())
def test_folds_hold_every_part_once_in_order_and_never_cut_a_run(runs: list[int], sliced: bool) -> None:
    labels = [i if sliced else -1 for i, n in enumerate(runs) for _ in range(n)]
    parts = [Part(i, i, 1, 1, None, run) for i, run in enumerate(labels)]
    folds = fold_parts(parts)
    assert [part for fold in folds for part in fold] == parts
    for run in set(labels) - {-1}:
        assert sum(any(part.run == run for part in fold) for fold in folds) == 1
    if not sliced:
        assert all(len(fold) <= MOST_PARTS_A_FOLD for fold in folds)
        assert len(parts) > FOLDS or len(folds) == len(parts)


def test_progress_reaches_the_end_without_going_back() -> None:
    seen: list[tuple[int, int]] = []
    source().reduce(Total("x")).compute(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20, 20)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_is_no_plan_is_refused() -> None:
    plan = source().reduce(Total("x"))
    for wrong, kind in (([plan, plan], "list"), (source(), "CountingSource"), (None, "NoneType"), (FRAME, "DataFrame")):
        for asked in (bigml.compute, bigml.explain):
            with pytest.raises(ConfigError, match=rf"Expected plans, .* got `{kind}`\. .*`compute\(\*plans\)`.*`client=`"):
                asked(plan, wrong)
    assert bigml.compute() == ()


@pytest.mark.parametrize("wrong", ["tcp://127.0.0.1:8786", 4, FRAME], ids=["an address", "a number", "a table"])
def test_what_is_no_client_is_refused_before_anything_is_read(wrong: Any, tmp_path: Path) -> None:
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import SGDRegressor

    counting = source()
    numbers, plan = counting.select("x", "y"), counting.reduce(Total("x"))
    model = DummyRegressor().fit(FRAME[["x"]], FRAME["y"])
    uses: list[Callable[[], Any]] = [
        lambda: plan.compute(wrong),
        lambda: plan.explain(wrong),
        lambda: bigml.compute(plan, client=wrong),
        lambda: bigml.fit(SGDRegressor(), numbers, target="y", client=wrong),
        lambda: bigml.score(model, numbers, target="y", scoring="r2", client=wrong),
        lambda: bigml.predict(model, numbers, tmp_path / "out", client=wrong),
        lambda: counting.to_arrow(client=wrong),
        lambda: counting.write_parquet(tmp_path / "out", client=wrong),
    ]
    message = (
        rf"Expected a `distributed\.Client`, got `{type(wrong).__name__}` - in client=\. .*`Client\(address\)`.*bigml\.cluster"
    )
    for use in uses:
        with pytest.raises(ConfigError, match=message):
            use()
    assert counting.reads == []
    assert not (tmp_path / "out").exists()


def test_an_exception_of_the_progress_function_ends_the_work() -> None:
    counting = source()
    with pytest.raises(LookupError, match="at 3 of 20"):
        counting.reduce(Total("x")).compute(progress=stopping)
    assert len(counting.reads) < 20


def test_an_error_says_in_which_part_of_which_plan(tmp_path: Path) -> None:
    plan = source().reduce(Fragile("x", folder=str(tmp_path), row=120))
    with pytest.raises(OSError, match="after the state was changed") as caught:
        plan.compute()
    assert "in part 2 (rows 100 to 149)" in caught.value.__notes__
    assert "while computing reduce" in caught.value.__notes__


def test_a_second_try_after_a_fault_counts_every_row_once(tmp_path: Path) -> None:
    plan = source().reduce(Fragile("x", folder=str(tmp_path), row=120))
    with pytest.raises(OSError, match="after the state was changed"):
        plan.compute()
    assert plan.compute() == source().reduce(Total("x")).compute()


def test_unknown_columns_are_refused_before_anything_is_read() -> None:
    counting = source()
    with pytest.raises(ColumnError, match="Did you mean `x`"):
        counting.reduce(Total("xx"))
    assert counting.reads == []


def test_what_cannot_fit_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = source(1_000)
    monkeypatch.setattr(budget, "available_memory", lambda: 10_000)
    with pytest.raises(BudgetError, match=r"fits in 9.8 KiB a worker, got a forecast peak of .*part 0 .*part_bytes="):
        counting.reduce(Total("x")).compute()
    assert counting.reads == []


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


KERNEL = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    1000 kB\nHugePages_Total:   0\n", "proc/self/cgroup": "0::/a/b\n"}
GROUPS = {
    "sys/fs/cgroup/a/memory.max": "700000\n",
    "sys/fs/cgroup/a/memory.current": "400000\n",
    "sys/fs/cgroup/a/b/memory.max": "max\n",
    "sys/fs/cgroup/a/b/memory.current": "200000\n",
}


def test_available_memory_is_what_the_kernel_says_where_no_group_limits_it(tmp_path: Path) -> None:
    assert budget.available_memory(tmp_path) is None
    write(tmp_path, KERNEL)
    assert budget.available_memory(tmp_path) == 1_024_000
    write(tmp_path, {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"})
    assert budget.available_memory(tmp_path) == 1_024_000


def test_available_memory_is_the_least_that_any_group_of_this_process_leaves(tmp_path: Path) -> None:
    write(tmp_path, KERNEL | GROUPS)
    assert budget.available_memory(tmp_path) == 300_000
    write(tmp_path, {"sys/fs/cgroup/a/b/memory.max": "450000\n", "sys/fs/cgroup/other/memory.max": "1\n"})
    assert budget.available_memory(tmp_path) == 250_000
    write(tmp_path, {"sys/fs/cgroup/memory.max": "900000\n", "sys/fs/cgroup/memory.current": "800000\n"})
    assert budget.available_memory(tmp_path) == 100_000
    write(tmp_path, {"sys/fs/cgroup/memory.current": "900001\n"})
    assert budget.available_memory(tmp_path) == 0
    write(tmp_path, {"proc/self/cgroup": "4:memory:/a/b\n0::/\n", "sys/fs/cgroup/memory.max": "max\n"})
    assert budget.available_memory(tmp_path) == 1_024_000


def test_cached_pages_of_files_are_available(tmp_path: Path) -> None:
    stat = "anon 90000\nactive_file 30000\ninactive_file 70000\n"
    write(tmp_path, KERNEL | GROUPS | {"sys/fs/cgroup/a/memory.stat": stat})
    assert budget.available_memory(tmp_path) == 400_000
    write(tmp_path, {"sys/fs/cgroup/a/memory.current": "80000\n"})
    assert budget.available_memory(tmp_path) == 700_000


def test_smaller_parts_fit_where_a_large_one_does_not() -> None:
    whole, cut = (Scan.of([(one, Total("x"))]) for one in (source(1_000), source(10)))
    place = Place("cluster", 2, 1, 15 * DEFAULT_STATE_NBYTES)
    budget.check(cut, place)
    wide = Scan.of([(bigml.from_arrow(pa.table({"x": np.zeros(10**6)}), part_rows=10**6), Total("x"))])
    with pytest.raises(BudgetError, match="1 threads reading parts like part 0"):
        budget.check(wide, place)
    assert budget.forecast(cut, place) > 0
    assert budget.forecast(whole, Place("threads", 1, 8, None)) > budget.forecast(whole, Place("threads", 1, 1, None))
    budget.check(wide, Place("threads", 1, 8, None))


def test_explain_prices_one_scan_for_all_plans() -> None:
    counting = source()
    priced = bigml.explain(counting.reduce(Total("x")), counting.where("y > 0.5").reduce(Total("y")))
    assert (priced.scans, priced.parts, priced.rows, priced.columns) == (1, 20, 1_000, ("x", "y"))
    assert priced.nbytes == 16_000
    assert priced.tasks == 20 + 3 + 1
    assert priced.peak_nbytes > 0
    for word in ("scans", "20", "1,000", "15.6 KiB", "x, y", "peak memory"):
        assert word in repr(priced)
        assert word in priced._repr_html_()
    assert priced.to_dict()["plans"] == ("reduce", "reduce")


def test_explain_counts_only_the_parts_that_a_filter_keeps(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(1_000.0)}), tmp_path / "a.parquet", row_group_size=100)
    files = bigml.read_parquet(tmp_path, part_bytes=800)
    priced = files.where("x < 150").reduce(Total("x")).explain()
    assert (priced.parts, priced.rows) == (2, 200)


def test_visualize_draws_the_graph(tmp_path: Path) -> None:
    plan = source().reduce(Total("x"), title="<total>")
    svg = plan.visualize(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text() == svg
    root = ElementTree.fromstring(svg)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("fold") == 11
    assert "+9 fold" in texts
    assert texts[-1] == "finish"
    assert root[0].text == "<total>"


def test_graphs_of_a_scan_have_a_task_for_each_fold_and_each_merge() -> None:
    for part_rows, levels in ((1_000, [1]), (125, [8, 1]), (50, [20, 3, 1]), (10, [100, 13, 2, 1])):
        graph, (last,) = scan_graph(Scan.of([(source(part_rows), Total("x"))]))
        assert [len(level) for level in graph.levels] == levels
        assert last in graph.tasks


def test_map_gives_values_in_the_order_of_the_parts() -> None:
    assert map_parts(source(300), first_row, columns=["x"]) == [(0, 0, 300), (1, 300, 300), (2, 600, 300), (3, 900, 100)]
    assert map_parts(bigml.from_pandas(FRAME.iloc[:0]), first_row, columns=["x"]) == []
    with pytest.raises(ValueError, match="no good") as caught:
        map_parts(source(300), failing, columns=["x"])
    assert "in part 2 (rows 600 to 899)" in caught.value.__notes__


def test_map_decodes_a_sliced_row_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigml.sources import footers, pages

    pq.write_table(pa.table({"x": np.arange(1_000.0)}), tmp_path / "a.parquet")
    files = bigml.read_parquet(tmp_path, part_bytes=800)
    opened: list[Any] = []
    monkeypatch.setattr(pages, "opened", lambda *a, **k: opened.append(a) or footers.opened(*a, **k))
    assert [n for _, _, n in map_parts(files, first_row, columns=["x"])] == [100] * 10
    assert len(opened) == 1
