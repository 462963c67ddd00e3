"""Workers that die, and clusters that are lost: the same bits, or one clear error in bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tallies import Fragile, Gate, Total, deadly, stopping

import bigml
from bigml.errors import ClusterError
from bigml.graph import execute
from bigml.graph.mapping import map_parts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

FRAME = pd.DataFrame({"x": np.random.default_rng(0).normal(1e9, 1, 2_000), "k": np.arange(2_000) % 7})
SOURCE = bigml.from_pandas(FRAME, part_rows=100)


@pytest.fixture
def client() -> Iterator[Any]:
    """Two worker processes; a task is given up after its second deadly run, and a worker holds only the one that it runs."""
    import dask
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "host": "127.0.0.1",
        "silence_logs": 50,
    }
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(n_workers=2, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def sliced(folder: Path) -> bigml.Source:
    """One row group that is read as three parts."""
    pq.write_table(pa.table({"x": np.arange(300.0)}), folder / "a.parquet")
    return bigml.read_parquet(folder / "a.parquet", part_bytes=800)


def deaths(folder: Path) -> int:
    return len(list(folder.glob("death of *")))


def test_a_worker_killed_during_a_scan_changes_no_bit(client: Any, tmp_path: Path) -> None:
    fragile = SOURCE.reduce(Fragile("x", folder=str(tmp_path), row=1_250, dies=True))
    grouped = SOURCE.groupby("k").agg(x=["count", "mean", "std", "p95", "nunique"])
    total, table = bigml.compute(fragile, grouped, client=client)
    assert deaths(tmp_path) == 1
    assert total == SOURCE.reduce(Total("x")).compute()
    assert total[0] == len(FRAME)
    pd.testing.assert_frame_equal(table, grouped.compute(), check_exact=True)


def test_a_part_that_kills_every_worker_ends_in_one_error_after_few_deaths(client: Any, tmp_path: Path) -> None:
    poison = SOURCE.reduce(Fragile("x", folder=str(tmp_path), row=1_250, dies=True, always=True))
    with pytest.raises(ClusterError, match=r"every worker that was given `fold-.*` \(part 12 \(rows 1,200 to 1,299\)\) died"):
        poison.compute(client)
    assert deaths(tmp_path) == 2
    with pytest.raises(
        ClusterError, match=r"given `map-.*` \(part 0 \(rows 0 to 99, .*a\.parquet, row group 0.*\) and 2 more\) died"
    ):
        map_parts(sliced(tmp_path), deadly, columns=["x"], client=client)
    assert SOURCE.reduce(Total("x")).compute(client) == SOURCE.reduce(Total("x")).compute()


def test_an_exception_after_the_state_was_changed_leaves_no_row_counted_twice(client: Any, tmp_path: Path) -> None:
    plan = SOURCE.reduce(Fragile("x", folder=str(tmp_path), row=1_250))
    with pytest.raises(OSError, match="after the state was changed"):
        plan.compute(client)
    assert plan.compute(client) == SOURCE.reduce(Total("x")).compute()


def test_an_exception_of_the_progress_function_ends_the_work_while_tasks_run(client: Any, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="at 3 of 20"):
        map_parts(SOURCE, Gate(str(tmp_path)), columns=["x"], client=client, progress=stopping)
    (tmp_path / "open").touch()
    assert SOURCE.reduce(Total("x")).compute(client) == SOURCE.reduce(Total("x")).compute()
    assert 4 <= len(list(tmp_path.glob("began *"))) < 20


def test_a_cluster_without_workers_is_given_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr(execute, "PATIENCE_SECONDS", 1.0)
    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "silence_logs": 50}
    with (
        LocalCluster(n_workers=0, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(ClusterError, match="no worker for 1 s"),
    ):
        SOURCE.reduce(Total("x")).compute(client)


def test_a_closed_client_is_told_at_once(client: Any) -> None:
    client.close()
    with pytest.raises(ClusterError, match="running cluster"):
        SOURCE.reduce(Total("x")).compute(client)
