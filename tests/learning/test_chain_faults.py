"""The death of a worker, and a fault after the state was changed, leave no trace in a chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fragile import Recording, steps
from sklearn.linear_model import SGDRegressor

import bigml
from bigml.errors import DataError

EVERY = 4
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"x": RNG.normal(size=1000), "z": RNG.normal(size=1000), "y": RNG.integers(0, 2, 1000)})
SOURCE = bigml.from_pandas(FRAME, part_rows=50)


@pytest.fixture
def client() -> Iterator[Any]:
    """Two worker processes that are given up on quickly and replaced when they die."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def fit(folder: Path, client: Any = None, **faults: Any) -> Any:
    folder.mkdir(exist_ok=True)
    return bigml.fit(Recording(str(folder), **faults), SOURCE, target="y", client=client, checkpoint_every=EVERY)


@pytest.mark.cluster
@pytest.mark.timeout(180)
def test_killing_a_worker_at_block_15_of_20_changes_no_bit_and_repeats_at_most_one_segment(tmp_path: Path, client: Any) -> None:
    expected = fit(tmp_path / "calm")
    model = fit(tmp_path / "storm", client, die_at=15)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(model.intercept_, expected.intercept_)
    assert model.rows_ == len(FRAME)
    done = steps(tmp_path / "storm")
    assert set(done) == set(range(1, 21))
    assert 20 < len(done) <= 20 + EVERY
    assert min(step for step in done if done.count(step) > 1) >= 15 - EVERY


def test_a_fault_after_the_state_was_changed_leaves_the_state_before_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="after the state was changed") as fault:
        fit(tmp_path, fail_at=7)
    assert fault.value.errno is None
    model = fit(tmp_path, fail_at=7)
    assert model.rows_ == len(FRAME)
    assert len(steps(tmp_path)) == 7 + 20


@pytest.mark.cluster
def test_no_rows_to_learn_from_are_refused_on_a_cluster_too(client: Any) -> None:
    with pytest.raises(DataError, match="rows to learn from, got none - in fit of `SGDRegressor`"):
        bigml.fit(SGDRegressor(), SOURCE.where("x > 100"), target="y", client=client)
