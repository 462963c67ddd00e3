"""Variables are read and written all at once, to the same bits as one by one."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bigml.training.variables import SMALL, InGraph, OneByOne, variables_of

KINDS = [((3, 2), "float32"), ((SMALL + 1,), "float32"), ((), "int64"), ((4,), "float32"), ((2,), "uint32"), ((0,), "float32")]


@pytest.fixture
def some():
    if keras.config.backend() != "tensorflow":
        pytest.skip("of TensorFlow's graphs")
    return [keras.Variable(np.zeros(shape, dtype), dtype=dtype, trainable=False) for shape, dtype in KINDS]


def test_values_come_back_as_they_were_written(some):
    rng = np.random.default_rng(0)
    values = [(rng.random(shape) * 9).astype(dtype) for shape, dtype in KINDS]
    InGraph(some).write(values)
    for found in (InGraph(some).read(), OneByOne(some).read()):
        for mine, theirs in zip(found, values, strict=True):
            assert mine.dtype == theirs.dtype
            assert_array_equal(mine, theirs)


def test_values_that_were_read_do_not_change_with_the_variables(some):
    ours = variables_of(some)
    before = ours.read()
    some[0].assign(np.ones((3, 2)))
    assert not before[0].any()
    assert ours.read()[0].all()
