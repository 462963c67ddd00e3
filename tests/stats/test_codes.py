"""Counts of codes and of numbers that lie together are those of the values, whatever is stored under nulls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.stats.codes import SPAN, coded_counts, near_counts
from bigml.stats.sweep import swept

LENGTHS = st.sampled_from([1, 7, 255, 256, 257, 1000])


def column(seed: int, n: int, kind: pa.DataType, share: float) -> pa.Array:
    rng = np.random.default_rng(seed)
    values, gaps = rng.integers(0, 40, n), rng.random(n) < share
    return pa.array([None if gone else one for one, gone in zip(values.tolist(), gaps, strict=True)], kind)


def counted(array: pa.Array) -> tuple[dict[Any, int], int, int]:
    """Rows of each value, rows without one and the first of them, in a plain loop."""
    values = array.to_pylist()
    rows = Counter(one for one in values if one is not None)
    return dict(rows), values.count(None), values.index(None) if None in values else -1


@given(st.integers(0, 1000), LENGTHS, st.integers(0, 9), st.sampled_from([0.0, 0.01, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_codes_are_counted_with_those_that_are_missing(seed: int, n: int, start: int, share: float) -> None:
    array = column(seed, n, pa.int32(), share).cast(pa.string()).dictionary_encode()[start:]
    rows, missing, first = counted(array)
    counts, found = coded_counts(array)
    named = dict(zip(array.dictionary.to_pylist(), counts[:-1].tolist(), strict=True))
    assert {name: count for name, count in named.items() if count} == rows
    assert (counts[-1], found) == (missing, first)


@given(
    st.integers(0, 1000), LENGTHS, st.integers(0, 9), st.sampled_from([0.0, 0.01, 0.5]),
    st.sampled_from([pa.int8(), pa.int32(), pa.uint64(), pa.float32(), pa.float64()]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_whole_numbers_that_lie_together_are_counted(seed: int, n: int, start: int, share: float, kind: pa.DataType) -> None:
    array = column(seed, n, kind, share)[start:]
    near = near_counts(array)
    if array.null_count == len(array):
        assert near is None
        return
    assert near is not None
    found = dict(zip(near.values.tolist(), near.rows.tolist(), strict=True)), near.missing, near.first
    assert found == counted(array)


@pytest.mark.parametrize(
    "values", [[1.0, 2.5], [1.0, np.inf], [0, SPAN], [2**60, 2**60 + 1], [-(2**53) - 1, -(2**53)], [1e300, 1e300], ["a"]]
)
def test_numbers_that_are_not_whole_or_far_from_each_other_are_left_to_others(values: list[Any]) -> None:
    assert near_counts(pa.array(values)) is None


def test_a_number_that_is_nan_is_missing_and_a_negative_zero_is_zero() -> None:
    near = near_counts(np.array([-0.0, np.nan, 0.0, -3.0]))
    assert near is not None
    assert (near.values.tolist(), near.rows.tolist(), near.missing, near.first) == ([-3, 0], [1, 2], 1, 1)


@given(st.integers(0, 1000), st.lists(st.integers(0, 600), min_size=1, max_size=4), st.sampled_from([0.0, 0.01, 0.5]))
@settings(max_examples=40, deadline=None)
def test_a_column_in_several_arrays_is_swept_like_one(seed: int, lengths: list[int], share: float) -> None:
    whole = column(seed, sum(lengths), pa.float64(), share)
    ends = np.cumsum(lengths)
    found = swept(*(whole[end - n : end] for n, end in zip(lengths, ends, strict=True)))
    expected = swept(whole)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found[1] == expected[1]
        np.testing.assert_allclose([field[0] for field in found[0]], [field[0] for field in expected[0]], rtol=1e-12, atol=1e-9)


def test_a_sum_of_numbers_of_unlike_size_loses_nothing() -> None:
    values = np.tile([1e16, 1.0, -1e16, 1.0], 10_000)
    found = swept(pa.array(values))
    assert found is not None
    assert found[0].total[0] + found[0].lost[0] == 20_000
