"""Where a search runs does not matter: threads, processes, one worker or many, kept rows or not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.searching import hands
from bigml.testing import CountingSource

GRID = {"clf": [SGDClassifier(loss="log_loss", alpha=1e-3), MLPClassifier((3,)), GaussianNB(), LogisticRegression()]}
MODEL = Pipeline([("scale", StandardScaler()), ("clf", GaussianNB())])
NUMBERS = [f"x{i}" for i in range(5)]


def found_on(source, **options):
    how = {"target": "label", "grid": GRID, "cv": 3, "scoring": "neg_log_loss", "epochs": 2, "progress": False}
    return bigml.search(MODEL, source.select(*NUMBERS, "label"), **how, **options).cv_results_


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def on_threads(source):
    return found_on(source)


def test_one_thread_gives_the_bits_of_two(source, on_threads, monkeypatch):
    monkeypatch.setenv("BIGML_THREADS", "1")
    assert found_on(source).equals(on_threads)


@pytest.mark.cluster
def test_processes_give_the_bits_of_threads(source, on_threads, client):
    assert found_on(source, client=client).equals(on_threads)


@pytest.mark.cluster
def test_workers_that_share_no_files_give_the_bits_of_threads(source, on_threads, client, monkeypatch):
    monkeypatch.setattr(hands, "local", lambda client: False)
    assert found_on(source, client=client).equals(on_threads)


def test_a_part_is_decoded_once_an_epoch_where_rows_are_not_kept(source, on_threads, monkeypatch):
    monkeypatch.setattr(hands, "local", lambda client: False)
    counting = CountingSource(source.select(*NUMBERS, "label"))
    grid = {"clf": [MLPClassifier((3,), alpha=a) for a in np.logspace(-4, 0, 6)]}
    how = {"target": "label", "cv": 3, "scoring": "neg_log_loss", "epochs": 2, "refit": False, "progress": False}
    bigml.search(MODEL, counting, grid=grid, **how)
    # Two scans for the folds, one for preprocessing, two epochs of all 18 trials on two threads, one scan to score them.
    assert len(counting.reads) == (2 + 1 + 2 + 1) * len(source.parts)
