"""The tally: exact counts, then buckets, always the same for any chunking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.learning import tally
from bigml.learning.tally import RELATIVE_ERROR, Tally
from bigml.stats.order import floats, ordered

NUMBERS = st.lists(st.floats(allow_nan=False, width=64), max_size=60)


@given(NUMBERS)
@settings(max_examples=100, deadline=None)
def test_ordered_keys_sort_as_the_numbers_and_lead_back_to_them(numbers: list[float]) -> None:
    values = np.array(numbers)
    keys = ordered(values)
    np.testing.assert_array_equal(floats(keys), values + 0.0)
    np.testing.assert_array_equal(np.sort(values), values[np.argsort(keys, kind="stable")])


@given(NUMBERS, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_small_tally_holds_every_number_whatever_the_chunking(numbers: list[float], cut: int) -> None:
    values = np.array(numbers)
    whole = Tally.of(values)
    halves = Tally.of(values[:cut]).merge(Tally.of(values[cut:]))
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(whole.values, found)
    np.testing.assert_array_equal(whole.counts, counts)
    np.testing.assert_array_equal(halves.keys, whole.keys)
    np.testing.assert_array_equal(halves.counts, whole.counts)


@pytest.mark.parametrize("cuts", [[1], [5, 9_000], [20_000], [100, 200, 300]])
def test_a_coarse_tally_is_bit_equal_for_any_chunking(cuts: list[int]) -> None:
    values = np.random.default_rng(3).normal(size=3 * tally.MOST_EXACT)
    whole = Tally.of(values)
    merged = Tally.empty()
    for piece in np.split(values, cuts):
        merged = merged.merge(Tally.of(piece, exact=merged.exact))
    assert not whole.exact
    np.testing.assert_array_equal(merged.keys, whole.keys)
    np.testing.assert_array_equal(merged.counts, whole.counts)


def test_buckets_are_within_the_stated_relative_error() -> None:
    values = np.sort(np.random.default_rng(4).lognormal(size=3 * tally.MOST_EXACT, sigma=5))
    coarse = Tally.of(values)
    np.testing.assert_allclose(np.repeat(coarse.values, coarse.counts), values, rtol=RELATIVE_ERROR)


def test_one_distinct_number_over_the_limit_makes_it_coarse() -> None:
    values = np.arange(tally.MOST_EXACT + 1, dtype=np.float64)
    assert Tally.of(values[:-1]).exact
    assert not Tally.of(values).exact
    assert not Tally.of(values[:-1]).merge(Tally.of(values[-1:])).exact
