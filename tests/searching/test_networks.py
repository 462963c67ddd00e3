"""Functions that make Keras models are searched: one training a task, all from rows that are encoded once."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from networked import build, regressor
from scipy.stats import loguniform
from sklearn.metrics import log_loss

import bigml
from bigml.errors import ConfigError, FitError
from bigml.searching.cells import WHOLE
from bigml.searching.held import rows_of
from bigml.searching.pieces import Stock
from bigml.searching.racing import Halving

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')

N = 300
FAST = {"target": "label", "progress": False}


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)).astype(np.float32)
    y = X @ np.float32([2, -1, 0.5])
    rows = pd.DataFrame(X, columns=list("abc")).assign(label=np.where(y > 0, "yes", "no"), y=y.astype(float))
    return bigml.from_pandas(rows.assign(fold=np.arange(N) % 2), part_rows=70)


@pytest.fixture(scope="module")
def classes(source):
    return source.drop("y", "fold")


@pytest.fixture(scope="module")
def searched(classes):
    """A grid on two folds, with the partition that was searched and how often a part was encoded."""
    seen, encoded = [], []
    of = Stock.of

    def spied(self, partition, setting):
        found = of(self, partition, setting)
        seen.append((partition, found))
        return found

    from bigml.learning.batch import Encoder

    call = Encoder.__call__

    def counted(self, chunk, where=""):
        encoded.append(where)
        return call(self, chunk, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stock, "of", spied)
        patch.setattr(Encoder, "__call__", counted)
        grid = {"units": [2, 13], "rate": [0.5, 1e30]}
        how = {"cv": 2, "epochs": 2, "scoring": "neg_log_loss", "train_scores": True, **FAST}
        found = bigml.search(build, classes, grid=grid, **how)
    return found, seen, encoded


def test_a_grid_is_a_loop_over_train_with_one_shard(searched, classes):
    found, seen, _ = searched
    (partition,) = {one for one, _ in seen if one is not WHOLE}
    scores, learned = [], []
    for split in partition.splits:
        train, test = (rows_of(classes, partition, cells) for cells in (split.train, split.test))
        how = {"epochs": 2, "shards": 1, "local_steps": 1000, "batch_size": 256}
        model, _ = bigml.train(partial(build, units=2, rate=0.5), train, **how, **FAST)
        scores.append(bigml.score(model, test, target="label", scoring="neg_log_loss"))
        learned.append(bigml.score(model, train, target="label", scoring="neg_log_loss"))
    table = found.cv_results_.loc[[one == {"units": 2, "rate": 0.5} for one in found.cv_results_["params"]]]
    assert table.filter(regex="split._test").to_numpy()[0] == pytest.approx(scores, abs=1e-7)
    assert table.filter(regex="split._train").to_numpy()[0] == pytest.approx(learned, abs=1e-7)


def test_rows_are_encoded_once_for_all_candidates_and_splits(searched, classes):
    _, _, encoded = searched
    assert len(encoded) == len(set(encoded)) == len(classes.parts)


def test_workers_that_share_no_files_find_the_same(searched, classes, monkeypatch):
    found, _, _ = searched
    monkeypatch.setattr("bigml.training.rows.local", lambda client: False)
    how = {"cv": 2, "epochs": 2, "scoring": "neg_log_loss", "refit": False, **FAST}
    far = bigml.search(build, classes, grid={"units": [2], "rate": [0.5]}, **how)
    assert far.best_score_ == pytest.approx(found.best_score_, abs=1e-7)


def test_a_candidate_that_fails_fails_alone(searched):
    found, _, _ = searched
    failed = {
        tuple(sorted(one.items())): why for one, why in zip(found.cv_results_["params"], found.cv_results_["failed"], strict=True)
    }
    assert failed[("rate", 0.5), ("units", 2)] == ""
    assert failed[("rate", 0.5), ("units", 13)] == "ValueError: unlucky"
    assert "finite numbers, got NaN" in failed[("rate", 1e30), ("units", 2)]
    assert found.best_params_ == {"units": 2, "rate": 0.5}
    assert found.cv_results_["epochs"].max() == 2


def test_the_best_is_a_plain_model_of_all_rows(searched, classes):
    found, _, _ = searched
    best = found.best_estimator_
    assert isinstance(best, keras.Model)
    how = {"epochs": 2, "shards": 1, "local_steps": 1000}
    expected, _ = bigml.train(partial(build, units=2, rate=0.5), classes, **how, **FAST)
    for one, other in zip(best.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)
    assert bigml.predict(best, classes, method="predict_proba").columns == ("proba_no", "proba_yes")


def test_it_is_kerass_own_fit(classes):
    found = bigml.search(
        build, classes, grid={"rate": [0.3]}, cv=bigml.HoldOut(0.4), epochs=2, shuffle=False, scoring="log_loss", **FAST
    )
    rows = classes.to_pandas()
    keras.utils.set_random_seed(0)
    own = build(rate=0.3)
    own.fit(rows[["a", "b", "c"]], (rows["label"] == "yes").astype("float32"), epochs=2, batch_size=256, shuffle=False, verbose=0)
    for one, other in zip(found.best_estimator_.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert log_loss(rows["label"], own.predict(rows[["a", "b", "c"]], verbose=0).ravel().astype(float)) < 1


def test_halving_goes_on_from_weights_and_finds_the_best(source):
    grid, how = {"rate": [1e-6, 0.1, 1e-5, 1e-4]}, {"target": "y", "cv": bigml.FoldColumn("fold"), "epochs": 4, "refit": False}
    rows = source.drop("label")
    how |= {"progress": False, "scoring": "neg_mean_squared_error"}
    raced = bigml.search(regressor, rows, grid=grid, strategy=Halving(eta=2, rungs=2), **how)
    whole = bigml.search(regressor, rows, grid={"rate": [0.1]}, **how)
    assert raced.best_params_ == {"rate": 0.1}
    assert raced.cv_results_["epochs"].tolist() == [1, 4, 1, 2]
    assert raced.best_score_ == pytest.approx(whole.best_score_, abs=1e-9)
    assert len(raced.history_) == 2 * (4 + 2)
    assert raced.best_estimator_ is None


def test_a_search_goes_on_from_its_journal(classes, tmp_path):
    how = {"grid": {"rate": loguniform(1e-2, 1), "batch_size": [50]}, "strategy": "halving", "n_iter": 3, "cv": 2, "epochs": 3}
    how |= {"refit": False, "journal": tmp_path / "journal", **FAST}
    first, second = (bigml.search(build, classes, **how) for _ in range(2))
    assert second.cost_.fits == 0
    pd.testing.assert_frame_equal(first.cv_results_, second.cv_results_)


def test_what_cannot_be_searched_is_refused(classes):
    with pytest.raises(ConfigError, match=r"argument of `build`, got `unit` .* Did you mean `units`"):
        bigml.search(build, classes, grid={"unit": [1]}, **FAST)
    with pytest.raises(FitError, match="a function that makes a compiled Keras model, got ValueError: unlucky"):
        bigml.search(build, classes, grid={"units": [13]}, **FAST)
    with pytest.raises(ConfigError, match="sample=100"):
        bigml.search(build, classes, grid={"units": [2]}, sample=100, **FAST)


def test_it_is_told_before_it_runs(searched, classes):
    found, _, _ = searched
    told = bigml.explain_search(build, classes, target="label", grid={"units": [2, 13], "rate": [0.5, 1e30]}, cv=2, epochs=2)
    assert (told.candidates, told.splits, told.source_scans) == (4, 2, found.cost_.scans)
    assert "Keras models, each trained by one worker a split: 4" in str(told)


def test_the_example_of_the_page_runs():
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    (example,) = (one for one in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "import keras" in one)
    told = {"__name__": "__main__"}
    exec(example, told)
    assert told["found"].best_score_ > 0.5
    assert told["found"].best_estimator_.output_shape == (None, 1)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_find_what_threads_find(classes):
    distributed = pytest.importorskip("distributed")
    how = {"grid": {"rate": [0.01, 0.1, 0.5]}, "strategy": Halving(eta=2, rungs=1), "cv": bigml.HoldOut(0.4), "epochs": 2}
    how |= {"scoring": "neg_log_loss", "refit": False, **FAST}
    with (
        distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
    ):
        found = bigml.search(build, classes, client=client, **how)
    alone = bigml.search(build, classes, **how)
    pd.testing.assert_frame_equal(found.cv_results_, alone.cv_results_, rtol=0, atol=1e-6)
