"""Hands that are kept in files are those that are dealt, and take few files however many cells there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bigml
from bigml.learning.batch import Encoder
from bigml.learning.design import Design
from bigml.learning.inquiry import conduct
from bigml.learning.target import Target
from bigml.searching.folds import partitions
from bigml.searching.hands import Feed, table


@pytest.fixture(scope="module")
def words():
    """90 texts of a few words with their weights, in four parts."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(90)]
    frame = pd.DataFrame({"text": texts, "w": rng.random(90), "label": rng.integers(0, 2, 90)})
    return bigml.from_pandas(frame, part_rows=25)


def feed_of(source, *, is_sparse, cells=7):
    about = {"target": "label", "classifier": True, "groups": None, "seed": 0}
    asked = partitions(cells, source, **about)
    (partition,) = conduct(asked, lambda reducer: source.reduce(reducer).compute(progress=False))
    target = Target("label", np.array([0, 1]))
    design = Design(("text",), HashingVectorizer(n_features=32, token_pattern=r"\w+")) if is_sparse else Design(("w",))
    return Feed(partition, (Encoder(design, target, "w", coded=True),))


@pytest.mark.parametrize("is_sparse", [True, False])
def test_hands_in_files_are_those_that_are_dealt(words, is_sparse):
    feed = feed_of(words, is_sparse=is_sparse)
    with table(words, feed, scans=2, client=None) as kept:
        assert kept.kept is not None
        mapped = list(kept.reader.scan(kept.reader.parts, ("hand",)))
    dealt = [feed(chunk) for chunk in words.iter_chunks()]
    assert len(mapped) == len(dealt) == 4
    for (one,), (other,) in zip(mapped, dealt, strict=True):
        assert len(one) == len(other) == 7
        for piece, wanted in zip(one, other, strict=True):
            assert sparse.issparse(piece.X) == sparse.issparse(wanted.X) == is_sparse
            np.testing.assert_array_equal(
                piece.X.toarray() if is_sparse else piece.X, wanted.X.toarray() if is_sparse else wanted.X
            )
            np.testing.assert_array_equal(piece.rows, wanted.rows)
            np.testing.assert_array_equal(piece.y, wanted.y)
            np.testing.assert_array_equal(piece.weights, wanted.weights)


def test_every_row_is_in_one_cell_under_its_own_number(words):
    frame = words.to_pandas()
    feed = feed_of(words, is_sparse=False, cells=2)
    with table(words, feed, scans=2, client=None) as kept:
        pieces = [piece for hand in kept.reader.scan(kept.reader.parts, ("hand",)) for piece in hand[0]]
        rows = np.concatenate([piece.rows for piece in pieces])
        values = np.concatenate([piece.X[:, 0] for piece in pieces])
    assert sorted(rows.tolist()) == list(range(90))
    np.testing.assert_array_equal(values, frame.w.to_numpy()[rows])


def test_twenty_folds_with_preprocessing_do_not_run_out_of_files(source):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
    try:
        model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))
        about = {"target": "label", "grid": {"sgdclassifier__alpha": [1e-3, 1e-2]}, "cv": 20, "refit": False, "progress": False}
        found = bigml.search(model, source.drop("k", "value"), **about)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
