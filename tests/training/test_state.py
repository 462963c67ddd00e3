"""Averages of states: by rows, in float64, always the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.training.state import Average, State, averaged


def state(weights, n_rows, count=3, velocity=()):
    return State((np.asarray(weights, np.float32),), (np.array([7, 8], np.uint32),), (np.array(count),), velocity, n_rows)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.integers(1, 1000)), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_weights_are_averaged_by_rows(given_states):
    found = averaged([state([w, 1.0], n) for w, n in given_states])
    values, rows = np.array(given_states).T
    np.testing.assert_allclose(found.trainable[0], [np.average(values, weights=rows), 1.0], rtol=1e-6, atol=1e-6)
    assert found.n_rows == rows.sum()


def test_counters_are_those_of_the_first_and_who_saw_no_row_has_no_say():
    found = averaged([state([9.0], 0, count=1), state([1.0], 5, count=4), state([3.0], 5, count=5)])
    assert found.trainable[0] == 2.0
    assert found.slots[0] == 4
    assert found.fixed[0].tolist() == [7, 8]
    assert averaged([state([9.0], 0), state([8.0], 0)]).trainable[0] == 9.0


def test_types_stay_as_they_are():
    found = averaged([state([1.0], 1), state([2.0], 1)])
    assert [array.dtype for array in (*found.trainable, *found.fixed, *found.slots)] == [np.float32, np.uint32, np.int64]


def test_without_momentum_a_round_ends_in_the_mean():
    before, states = state([0.0], 0), [state([1.0], 1), state([3.0], 3)]
    assert Average()(before, states).trainable[0] == 2.5


def test_nesterovs_outer_step_is_the_published_one():
    before, outer = state([1.0], 0), Average(momentum=0.9, rate=0.7)
    one = outer(before, [state([2.0], 1), state([4.0], 1)])
    # The way is 2: velocity 2, step 0.7 * (0.9 * 2 + 2).
    assert one.trainable[0] == pytest.approx(1 + 0.7 * 3.8)
    two = outer(one, [state([one.trainable[0][0] + 1.0], 1)])
    assert two.velocity[0][0] == pytest.approx(0.9 * 2 + 1, rel=1e-6)
    assert two.trainable[0] == pytest.approx(one.trainable[0] + 0.7 * (0.9 * 2.8 + 1), rel=1e-6)
