"""A search that is killed goes on where it was, and the deaths of workers change no bit of its results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from counted import ALPHAS, N_SPLITS, searched, trainings
from sklearn.linear_model import Ridge, SGDClassifier

import bigml
from bigml.errors import ConfigError
from bigml.report.journal import Journal, events

CELLS = len(ALPHAS) * N_SPLITS
FINE = CELLS - N_SPLITS
"""Trials that do not fail before they learn."""


@pytest.fixture
def client() -> Iterator[Any]:
    """Three worker processes that are replaced when they die."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with (
        LocalCluster(n_workers=3, silence_logs=50, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def scored(folder: Path) -> list[tuple[str, int]]:
    """Candidate and split of every result in the journal."""
    found = events(folder / "journal" / "search.jsonl")
    return [(event["candidate"], event["split"]) for event in found if event["event"] == "trial"]


@pytest.mark.parametrize(("strategy", "calls"), [("grid", 40), ("halving", 25)])
def test_a_search_whose_driver_is_killed_tries_only_what_has_no_result_and_finds_the_same_bits(strategy, calls, tmp_path):
    calm, storm = made(tmp_path / "calm"), made(tmp_path / "storm")
    expected = searched(calm, strategy)
    (storm / "death").write_text(str(calls))
    code = f"import counted, pathlib; counted.searched(pathlib.Path({str(storm)!r}), {strategy!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    done, begun = scored(storm), trainings(storm)
    fine_done = len(done) - N_SPLITS
    assert 0 < fine_done < FINE
    found = searched(storm, strategy)
    assert trainings(storm) - begun == FINE - fine_done
    assert found.cv_results_.equals(expected.cv_results_)
    assert sorted(set(scored(storm))) == sorted(scored(storm))
    assert len(scored(storm)) == CELLS
    # All is there: nothing is trained again.
    again, begun = searched(storm, strategy), trainings(storm)
    assert again.cv_results_.equals(expected.cv_results_)
    assert trainings(storm) == begun


def test_the_cause_of_a_candidate_that_fails_is_in_the_journal(tmp_path):
    found = searched(tmp_path, "grid")
    told = [event for event in events(tmp_path / "journal" / "search.jsonl") if "failed" in event]
    assert [event["failed"] for event in told] == ["ValueError: alpha of -1.0"] * N_SPLITS
    assert found.cv_results_["failed"][ALPHAS.index(-1.0)] == "ValueError: alpha of -1.0"
    assert np.isnan(found.cv_results_["mean_test_score"]).sum() == 1


def test_the_journal_of_another_search_is_refused_with_both_fingerprints(tmp_path):
    searched(tmp_path, "grid", grid={"alpha": [1e-3]})
    there = events(tmp_path / "journal" / "search.jsonl")[0]["fingerprint"]
    for other in ({"seed": 1}, {"strategy": "halving"}, {"scoring": "accuracy"}):
        with pytest.raises(ConfigError, match=f"this search, [0-9a-f]{{12}}, got one of another search, {there[:12]}") as error:
            searched(tmp_path, **{"strategy": "grid", "grid": {"alpha": [1e-3]}, **other})
        assert str(error.value).count(there[:12]) == 1


def test_scores_of_training_that_a_journal_lacks_are_made_again(tmp_path):
    rows = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7})
    about = {"target": "y", "cv": 3, "journal": tmp_path, "progress": False}
    grid = {"alpha": [0.1, 1e4]}
    bigml.search(Ridge(), rows, grid=grid, **about)
    found = bigml.search(Ridge(), rows, grid=grid, train_scores=True, **about)
    assert found.cost_.fits == 6
    assert found.cv_results_["mean_train_score"].notna().all()
    again = bigml.search(Ridge(), rows, grid=grid, train_scores=True, **about)
    assert again.cost_.fits == 0
    assert again.cv_results_.equals(found.cv_results_)


def test_a_race_found_again_in_its_journal_has_the_same_scores_of_training(tmp_path):
    rows = bigml.from_pandas(pd.DataFrame({"x": np.arange(300.0) % 17, "y": np.arange(300) % 17 > 8}), part_rows=30)
    about = {"target": "y", "grid": {"alpha": [1e-4, 1e-2, 1.0, 100.0]}, "cv": 3, "strategy": "halving", "epochs": 3}
    found, again = (
        bigml.search(SGDClassifier(), rows, train_scores=True, journal=tmp_path, progress=False, **about) for _ in range(2)
    )
    assert again.cost_.fits == 0 < found.cost_.fits
    assert again.cv_results_.equals(found.cv_results_)
    ended = found.cv_results_["share"] == 1.0
    assert 0 < ended.sum() < 4
    assert found.cv_results_["mean_train_score"].notna().equals(ended)


def test_two_searches_on_one_journal_are_refused(tmp_path):
    (tmp_path / "journal").mkdir()
    with Journal(tmp_path / "journal" / "search.jsonl"), pytest.raises(ConfigError, match="no other process"):
        searched(tmp_path, "grid")


@pytest.mark.cluster
@pytest.mark.timeout(180)
@pytest.mark.parametrize("strategy", ["grid", "halving", "heats"])
def test_a_third_of_the_workers_killed_in_the_middle_changes_no_bit_and_every_candidate_is_scored_once(
    strategy, client, tmp_path
):
    calm, storm = made(tmp_path / "calm"), made(tmp_path / "storm")
    expected = searched(calm, strategy)
    (storm / "death").write_text("15")
    found = searched(storm, strategy, client=client)
    assert (storm / "died").exists()
    assert found.cv_results_.equals(expected.cv_results_)
    assert sorted(set(scored(storm))) == sorted(scored(storm))
    assert len(scored(storm)) == len(scored(calm)) == (CELLS if strategy != "heats" else found.cost_.fits)
    assert found.cv_results_["failed"][ALPHAS.index(-1.0)] == "ValueError: alpha of -1.0"
