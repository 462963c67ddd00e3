"""Rows are dealt to shards and put in order so that each is learned from exactly once in an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.errors import ConfigError
from bigml.learning.batch import Batch
from bigml.training.shards import Order, deal, rows

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) >= 16)


def blocks(counts):
    """Blocks whose only feature is the number of the row."""
    firsts = np.cumsum([0, *counts])
    numbers = [np.arange(low, low + n) for low, n in zip(firsts, counts, strict=False)]
    return lambda i: Batch(numbers[i], numbers[i][:, None].astype(np.float32), numbers[i])


@given(COUNTS, st.integers(1, 4), st.integers(0, 3), st.booleans(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_every_row_is_learned_from_once_in_an_epoch(counts, n_shards, epoch, shuffle, window):
    shards = deal(counts, n_shards, slab_rows=7)
    orders = [Order(shard, 0, epoch, shuffle, window) for shard in shards]
    found = np.concatenate([rows(blocks(counts), order, 0, order.shard.n_rows).y for order in orders])
    assert sorted(found.tolist()) == list(range(sum(counts)))


@given(COUNTS, st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_order_is_the_same_however_it_is_cut(counts, seed, size, window):
    (shard,) = deal(counts, 1, slab_rows=5)
    order = Order(shard, seed, 1, window=window)
    whole = rows(blocks(counts), order, 0, shard.n_rows)
    cut = [rows(blocks(counts), order, at, min(at + size, shard.n_rows)) for at in range(0, shard.n_rows, size)]
    assert np.concatenate([batch.y for batch in cut]).tolist() == whole.y.tolist()
    assert np.array_equal(whole.X[:, 0], whole.y)


def test_shards_are_of_nearly_equal_size_and_all_see_the_whole_of_a_sorted_file():
    shards = deal([50_000] * 10, 8)
    sizes = [shard.n_rows for shard in shards]
    assert max(sizes) - min(sizes) <= 1024
    assert all({slab.block for slab in shard.slabs} == set(range(10)) for shard in shards)


def test_rows_of_far_files_are_near_each_other_in_an_epoch():
    counts = [50_000] * 20
    (shard,) = deal(counts, 1)
    first = rows(blocks(counts), Order(shard, 0, 0), 0, 4096).y // 50_000
    shares = np.bincount(first, minlength=20) / 4096
    assert (shares > 0).sum() >= 15
    assert shares.max() < 0.25


def test_epochs_have_orders_of_their_own_and_a_seed_repeats_them():
    counts = [500, 500]
    (shard,) = deal(counts, 1, slab_rows=50)
    first, again, second, other = (
        rows(blocks(counts), Order(shard, seed, epoch), 0, 1000).y.tolist() for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again
    assert len({tuple(first), tuple(second), tuple(other)}) == 3


def test_whole_blocks_stay_in_one_shard_where_workers_share_no_files():
    shards = deal([10, 0, 20, 30], 2, whole=True)
    owners = [{slab.block for slab in shard.slabs} for shard in shards]
    assert owners == [{0, 3}, {2}]
    with pytest.raises(ConfigError, match=r"shards=3 or fewer"):
        deal([10, 0, 20, 30], 4, whole=True)


def test_more_shards_than_rows_are_refused():
    with pytest.raises(ConfigError, match=r"5 rows or more for as many shards, got 3"):
        deal([3], 5)
