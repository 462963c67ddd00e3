"""Sums of small whole numbers: exact, and the same by whatever way and beside whatever other groups."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.chunk import Chunk
from bigml.coded import Coded
from bigml.stats import exact, summing
from bigml.stats.cells import Rows
from bigml.stats.kernels import frozen
from bigml.stats.moments import Moments

WHOLE = st.one_of(st.integers(-3, 3), st.integers(-exact.LARGEST, exact.LARGEST), st.just(exact.LARGEST))
MIXED = st.one_of(
    st.none(), WHOLE.map(float), st.sampled_from([-0.0, 0.5, 1e300, float("inf"), float("nan"), exact.LARGEST + 1.0])
)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-1, 3), st.one_of(st.none(), WHOLE)), max_size=80))
def test_sums_are_those_of_fractions_row_by_row_and_value_by_value(rows: list[tuple[int, int | None]]) -> None:
    slots = frozen(np.array([slot for slot, _ in rows], np.int32))
    numbers = pa.array([number for _, number in rows], pa.float64())
    spans = Rows(Chunk.from_arrow(pa.table({"x": numbers}))).spans("x") if rows else []
    found = exact.sum_spans(slots, spans, 4)
    assert found is not None
    for at in range(4):
        own = [number for slot, number in rows if slot == at and number is not None]
        wanted = [len(own), sum(own), sum(number**2 for number in own), min(own, default=0), max(own, default=0)]
        assert found[at].tolist() == wanted
        mean = Fraction(sum(own), max(len(own), 1))
        spread = sum(((number - mean) ** 2 for number in own), Fraction(0))
        assert abs(Fraction(float(exact.squared_deviations(found)[at])) - spread) <= spread * 5 / 2**53
    coded = numbers.dictionary_encode()
    column = Coded(coded.indices.fill_null(-1).to_numpy(), coded.dictionary, numbers.null_count)
    np.testing.assert_array_equal(exact.sum_coded(slots, column, 4), found)
    # Counted by pairs where there are many rows to a pair, or else row by row.
    np.testing.assert_array_equal(exact.sum_coded(np.tile(slots, 400), _repeated(column, 400), 4)[:, :2], found[:, :2] * 400)


def _repeated(column: Coded, times: int) -> Coded:
    return Coded(np.tile(column.codes, times), column.values, column.nulls * times)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 3), MIXED), min_size=1, max_size=60), spread=st.booleans())
def test_a_group_gets_the_same_bits_alone_and_beside_others(rows: list[tuple[int, float | None]], spread: bool) -> None:
    moments = Moments("x", spread)
    table = pa.table({"g": [group for group, _ in rows], "x": pa.array([number for _, number in rows], pa.float64())})
    together = moments.partial(Rows(Chunk.from_arrow(table), frozen(np.array(table["g"], np.int32)), 4))
    for group in range(4):
        own = table.filter(pa.compute.equal(table["g"], group))
        alone = moments.partial(Rows(Chunk.from_arrow(own), frozen(np.zeros(len(own), np.int32)), 1))
        for field, other in zip(together, alone, strict=True):
            assert field[group].tobytes() == other[0].tobytes()


def test_numbers_that_are_not_whole_or_not_small_are_left_to_others() -> None:
    slots = frozen(np.zeros(2, np.int32))
    for value in (0.5, exact.LARGEST + 1.0, float("inf"), -float("inf"), 1e300):
        assert exact.sum_spans(slots, [summing.span_of(np.array([1.0, value]))], 1) is None
        column = Coded(frozen(np.array([0, 1], np.int32)), pa.array([1.0, value]), 0)
        assert exact.sum_coded(slots, column, 1) is None
    texts: Any = Coded(frozen(np.array([0, 0], np.int32)), pa.array(["a"]), 0)
    assert exact.sum_coded(slots, texts, 1) is None
    nan = Coded(frozen(np.array([0, 0], np.int32)), pa.array([float("nan")]), 0)
    assert exact.sum_coded(slots, nan, 1) is None
