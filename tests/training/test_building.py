"""The initial weights of a model follow from the seed, also where other threads draw random numbers."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
from networked import build

from bigml.training.replica import Build, built

keras = pytest.importorskip("keras", reason='Keras is not installed: pip install "bigml[tensorflow]"')
pytest.importorskip("distributed", reason="threads of its draw random numbers")


def test_a_number_that_another_thread_draws_does_not_change_the_weights(monkeypatch):
    made, calls, own = Build.of(partial(build, units=2), 0), [], keras.utils.set_random_seed
    expected = made().get_weights()

    def seeded(seed):
        own(seed)
        calls.append(seed)
        if len(calls) == 2:
            random.random()

    monkeypatch.setattr(keras.utils, "set_random_seed", seeded)
    found = built(made).get_weights()
    assert len(calls) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
