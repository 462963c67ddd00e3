"""Moments in one pass are those of the values, wherever these lie and whatever is stored under nulls."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.stats.sweep import SPAN, swept, swept_numbers


@given(
    st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=60),
    st.sampled_from([pa.int32(), pa.int64(), pa.float32(), pa.float64()]), st.integers(0, 20), st.sampled_from([0, 5000]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_moments_are_those_of_the_values_that_are_there(
    values: list[int | None], kind: pa.DataType, start: int, far: int
) -> None:
    array = pa.array([None if one is None else one + far for one in values], kind)[start:]
    found = swept(array)
    if not len(array):
        assert found is None
        return
    assert found is not None
    moment, first = found
    known = np.array([one for one in array.to_pylist() if one is not None], dtype=np.float64)
    assert moment.n[0] == len(known)
    assert first == next((i for i, one in enumerate(array.to_pylist()) if one is None), -1)
    if len(known):
        np.testing.assert_allclose(moment.total[0] + moment.lost[0], known.sum(), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(moment.squares[0], known.var() * len(known), rtol=1e-9, atol=1e-9)
        assert (moment.low[0], moment.high[0]) == (known.min(), known.max())


@pytest.mark.parametrize("order", ["as drawn", "ascending"])
def test_a_mean_far_from_zero_does_not_spoil_the_spread_whatever_is_stored_under_nulls(order: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1e9, 1, 200_000)
    values = np.sort(values) if order == "ascending" else values
    gaps = rng.random(len(values)) < 0.3
    hidden = pa.array(np.where(gaps, 0.0, values), mask=gaps)
    moment, _ = swept(hidden) or swept_numbers(values)
    known = values[~gaps]
    np.testing.assert_allclose(moment.squares[0], ((known - known.mean()) ** 2).sum(), rtol=1e-9)


def test_what_cannot_be_swept_is_left_to_others() -> None:
    assert swept(pa.array(["a"])) is None
    assert swept(pa.array([True, False])) is None
    assert swept(pa.chunked_array([[1.0]])) is None
    moment, first = swept_numbers(np.array([np.nan, 2.0]))
    assert (moment.n[0], moment.total[0], first) == (1, 2.0, 0)


@given(
    st.integers(0, 1000), st.sampled_from([1, 1023, 1024, 1025, 3000]), st.integers(0, 9), st.sampled_from([0.0, 0.02, 0.9]),
    st.sampled_from([0, -(10**6), 10**9]), st.sampled_from([pa.int32(), pa.int64(), pa.float64()]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_moments_of_whole_numbers_that_lie_together_are_exact(
    seed: int, n: int, start: int, share: float, far: int, kind: pa.DataType
) -> None:
    rng = np.random.default_rng(seed)
    values, gaps = rng.integers(0, SPAN // 2, n) + far, rng.random(n) < share
    array = pa.array(values, mask=gaps).cast(kind)[start:]
    known = [int(one) for one in array.to_pylist() if one is not None]
    found = swept(array)
    if found is None or not known:
        assert found is None or found[0].n[0] == 0
        return
    moment, _ = found
    total = sum(known)
    assert (moment.n[0], int(moment.total[0]) + int(moment.lost[0])) == (len(known), total)
    assert moment.squares[0] == (len(known) * sum(one * one for one in known) - total * total) / len(known)
    assert (moment.low[0], moment.high[0]) == (min(known), max(known))


@pytest.mark.parametrize(
    "values", [[0, SPAN], [0.0, 0.5], [2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1], [5, 2**52 + 1], [1.0, 1e300]]
)
def test_numbers_that_are_far_apart_or_not_whole_have_moments_too(values: list[float]) -> None:
    found = swept(pa.array(values))
    assert found is not None
    numbers = np.array(values, dtype=np.float64)
    assert (found[0].n[0], found[0].low[0], found[0].high[0]) == (2, numbers.min(), numbers.max())
    np.testing.assert_allclose(found[0].total[0] + found[0].lost[0], numbers.sum(), rtol=1e-15)


def test_an_array_without_any_number_may_come_first_and_nan_is_missing_beside_null() -> None:
    found = swept(pa.nulls(3, pa.float64()), pa.array([None, np.nan, 4.0, 6.0]))
    assert found is not None
    moment, first = found
    assert (moment.n[0], moment.total[0], moment.squares[0], moment.low[0], moment.high[0], first) == (2, 10.0, 2.0, 4.0, 6.0, 0)
