"""Threads, one worker and two workers give the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tallies import Order, Total, failing, first_row, step, stopping, values

import bigml
from bigml.errors import BudgetError, SourceError
from bigml.graph import budget
from bigml.graph.budget import Place
from bigml.graph.chain import Chain
from bigml.graph.mapping import map_parts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(n_workers=request.param, **options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> bigml.Source:
    """Three files with slices, combined row groups and keys; values whose sums depend on their order."""
    folder = tmp_path_factory.mktemp("agree")
    rng = np.random.default_rng(0)
    for i, (n, group) in enumerate([(9_000, 9_000), (5_000, 100), (7_777, 2_000)]):
        table = pa.table(
            {
                "x": rng.normal(1e9, 1, n),
                "k": pa.array(rng.choice(["a", "b", "c", None], n)),
                "i": rng.integers(0, 1_000, n),
            }
        )
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=group)
    return bigml.read_parquet(folder, part_bytes=20_000)


def test_a_scan_has_the_same_bits(files: bigml.Source, client: Any) -> None:
    assert len(files.parts) > 15
    plans = [
        files.reduce(Total("x")),
        files.reduce(Order("x")),
        files.where("i < 500").assign(z="x / 3").reduce(Total("z")),
        files.split(test=0.3, seed=1)[0].reduce(Total("x")),
    ]
    assert bigml.compute(*plans, client=client) == bigml.compute(*plans)


def test_grouped_statistics_and_describe_have_the_same_bits(files: bigml.Source, client: Any) -> None:
    grouped = files.groupby("k", dropna=False).agg(x=["count", "mean", "std", "min", "max", "p95"], i=["nunique", "sum"])
    for plan in (grouped, files.describe()):
        pd.testing.assert_frame_equal(plan.compute(client), plan.compute(), check_exact=True)


def test_weights_tables_and_frequent_values_have_the_same_bits(files: bigml.Source, client: Any) -> None:
    weighted = bigml.weighted("std", by="i")
    plans = [
        files.groupby("k").agg(x=["skew", "kurt", weighted, bigml.rank("mean")], i=bigml.share("sum")),
        files.agg(x=[weighted, "skew", bigml.weighted("p90", by="i")]),
        files.groupby("k").top(3, by="x"),
        files.pivot_table("x", "k", columns=[], aggfunc="skew", margins=True),
        files.most_frequent("i"),
        files.groupby("k").most_frequent("i"),
    ]
    results = [bigml.compute(*plans, client=where) for where in (client, None)]
    for found, expected in zip(*results, strict=True):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_chain_has_the_same_bits(files: bigml.Source, client: Any) -> None:
    order = [files.parts[i] for i in np.random.default_rng(1).permutation(len(files.parts))]
    chain = Chain(files, ("x",), values, step)
    runs = []
    for where in (None, client):
        saved: dict[int, Any] = {}
        runs.append((chain.run((0, 0.0), order, every=6, save=saved.__setitem__, client=where), saved[6]))
    assert runs[0] == runs[1]
    loop: Any = (0, 0.0)
    for part in order:
        loop = step(loop, values(part, files.read(part, ["x"])))
    assert runs[0][0] == loop


def test_a_map_has_the_same_values_and_writes_the_same_files(files: bigml.Source, client: Any, tmp_path: Path) -> None:
    assert map_parts(files, first_row, columns=["x"], client=client) == map_parts(files, first_row, columns=["x"])
    one = files.write_parquet(tmp_path / "cluster", client=client, progress=False)
    two = files.write_parquet(tmp_path / "threads", progress=False)
    assert [(file.rows, file.crc32) for file in one.files] == [(file.rows, file.crc32) for file in two.files]
    assert bigml.read_parquet(tmp_path / "cluster").to_arrow(client=client).equals(files.to_arrow())


def test_progress_reaches_the_end(files: bigml.Source, client: Any) -> None:
    seen: list[tuple[int, int]] = []
    files.reduce(Total("x")).compute(client, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    n_tasks = len(bigml.graph.scan.fold_parts(files.parts))
    assert {total for _, total in seen} == {n_tasks}
    assert seen[-1] == (n_tasks, n_tasks)


def test_progress_is_told_in_the_thread_of_the_caller(files: bigml.Source, client: Any) -> None:
    threads: set[int] = set()
    files.reduce(Total("x")).compute(client, progress=lambda done, total: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_an_exception_of_the_progress_function_ends_the_work_as_on_threads(files: bigml.Source, client: Any) -> None:
    plan = files.reduce(Total("x"))
    chain = Chain(files, ("x",), values, step)
    for where in (None, client):
        with pytest.raises(LookupError, match=r"at 3 of \d+") as caught:
            plan.compute(where, progress=stopping)
        assert caught.value.__notes__ == ["while computing reduce"]
        with pytest.raises(LookupError, match=r"at 3 of \d+"):
            map_parts(files, first_row, columns=["x"], client=where, progress=stopping)
        with pytest.raises(LookupError, match=r"at 3 of 6"):
            chain.run((0, 0.0), files.parts[:6], every=3, save=lambda *_: None, client=where, progress=stopping)
    assert plan.compute(client) == plan.compute()


def test_an_error_of_a_task_comes_back_whole(files: bigml.Source, client: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no good") as caught:
        map_parts(files, failing, columns=["x"], client=client)
    assert any(note.startswith("in part 2") for note in caught.value.__notes__)
    pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / "a.parquet")
    gone = bigml.read_parquet(tmp_path)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(SourceError, match="no such file"):
        gone.reduce(Total("x")).compute(client)


def test_the_workers_of_a_client_are_priced(files: bigml.Source, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.of(client)
    assert (place.name, place.threads_per_worker) == ("cluster", 1)
    assert place.n_workers == len(client.scheduler_info()["workers"])
    assert place.memory_limit is not None
    assert f"{place.n_workers} workers of 1 threads" in str(files.reduce(Total("x")).explain(client))
    monkeypatch.setattr(budget, "forecast", lambda scan, place: place.memory_limit + 1)
    with pytest.raises(BudgetError, match="a worker"):
        files.reduce(Total("x")).compute(client)


def test_a_map_truncated_under_a_worker_is_an_error_and_the_worker_lives(client: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.arange(1_000.0).reshape(500, 2))
    arrays = bigml.read_memmap(tmp_path / "X.npy", part_bytes=800)
    workers = set(client.scheduler_info()["workers"])
    with (tmp_path / "X.npy").open("rb+") as file:
        file.truncate(4_000)
    with pytest.raises(SourceError, match="got 4,000 bytes"):
        arrays.reduce(Total("x0")).compute(client)
    assert set(client.scheduler_info()["workers"]) == workers
    np.save(tmp_path / "X.npy", np.arange(1_000.0).reshape(500, 2))
    assert bigml.read_memmap(tmp_path / "X.npy").reduce(Total("x0")).compute(client)[0] == 500
