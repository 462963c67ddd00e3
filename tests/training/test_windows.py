"""Windows over codes: each is learned from once in an epoch, also where it reaches from one part into the next."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import BigmlError, DataError, FitError
from bigml.learning.batch import Batch
from bigml.training.contract import Contract
from bigml.training.rows import Rows
from bigml.training.shards import Order, deal, rows
from bigml.training.state import State
from bigml.training.windows import windowed

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
TEXT = "the cat sat on the mat and the dog sat on the log " * 40


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 8), st.integers(1, 5), st.integers(1, 2))
@settings(max_examples=80, deadline=None)
def test_every_window_is_gathered_once_however_the_codes_are_cut(counts, length, stride, n_shards):
    codes = np.arange(sum(counts))
    starts = np.cumsum([0, *counts])
    kept = [codes[low : low + n].astype([("c", np.int64)])[:, None] for low, n in zip(starts, counts, strict=False)]
    contract = Contract("codes", (length,), len(codes), True, windows=stride)
    expected = [list(range(at, at + length + 1)) for at in range(0, len(codes) - length, stride)]
    given = Rows(lambda i: Batch(np.arange(counts[i]), kept[i]), tuple(counts), 1)
    if len(expected) < n_shards:
        return
    found = windowed(given, contract)
    orders = [Order(shard, 0, 0) for shard in deal(found.counts, n_shards)]
    gathered = [rows(found.blocks, order, 0, order.shard.n_rows) for order in orders]
    assert sorted(np.concatenate([batch.X for batch in gathered]).tolist()) == expected


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text as codes in a mapped file, cut into parts of 300."""
    alphabet, codes = np.unique(list(TEXT), return_inverse=True)
    path = tmp_path_factory.mktemp("text") / "codes.npy"
    np.save(path, codes.astype(np.uint8))
    return alphabet.tolist(), codes, bigml.read_memmap(path, columns=["code"], part_bytes=300)


def build(n_codes, length=20, units=(24,)):
    return bigml.models.char_lstm(n_codes, length, embedding=8, units=units, optimizer=keras.optimizers.Adam(0.02))


def train(model, source, **how):
    return bigml.train(model, source, **{"windows": 10, "batch_size": 20, "progress": False, **how})


def test_a_network_learns_from_windows_as_from_the_same_arrays_and_writes_text(text):
    alphabet, codes, source = text
    assert len(source.parts) == 7
    make = partial(build, len(alphabet))
    model, history = train(make, source, shuffle=False, epochs=2, validation=source)
    keras.utils.set_random_seed(0)
    expected = make()
    cut = np.lib.stride_tricks.sliding_window_view(codes, 21)[::10]
    curves = expected.fit(cut[:, :-1], cut[:, 1:], batch_size=20, epochs=2, shuffle=False, verbose=0).history
    for mine, theirs in zip(State.of(model).trainable, State.of(expected).trainable, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-4)
    np.testing.assert_allclose(history.history["loss"], curves["loss"], rtol=1e-4)
    assert history.history["val_loss"][-1] == pytest.approx(expected.evaluate(cut[:, :-1], cut[:, 1:], verbose=0), rel=1e-3)
    model, _ = train(model, source, epochs=15, shards=2)
    written = bigml.models.generate(model, "the ", 200, alphabet=alphabet, temperature=0.5)
    words = written.split()[1:-1]
    assert len(written) == 200
    assert np.mean([word in TEXT.split() for word in words]) > 0.8
    assert bigml.models.generate(model, "the ", 50, alphabet=alphabet, temperature=0.5) == written[:50]
    with pytest.raises(DataError, match="'Z'"):
        bigml.models.generate(model, "Z", 5, alphabet=alphabet)


def test_what_has_no_windows_is_told(text):
    alphabet, codes, source = text
    frame = pd.DataFrame({"code": codes})
    with pytest.raises(DataError, match=rf"codes from 0 to {len(alphabet) - 2}, got {len(alphabet) - 1} - row"):
        train(build(len(alphabet) - 1), source)
    with pytest.raises(FitError, match="2 columns"):
        train(build(len(alphabet)), frame.assign(more=1))
    with pytest.raises(FitError, match="target="):
        train(build(len(alphabet)), frame, target="code")
    with pytest.raises(FitError, match=r"length, n_codes"):
        train(bigml.models.mlp(20, 3), frame)
    with pytest.raises(DataError, match="21 codes or more, for one window, got 20"):
        train(build(len(alphabet)), frame.head(20))
    with pytest.raises(BigmlError, match="`windows` of 1"):
        train(build(len(alphabet)), frame, windows=-1)
