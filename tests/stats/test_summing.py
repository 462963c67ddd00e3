"""The loops that sum: of columns as they lie in memory, beside the same numbers copied."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.chunk import Chunk
from bigml.stats import summing
from bigml.stats.cells import Rows
from bigml.stats.kernels import frozen

RULES = settings(max_examples=50, deadline=None)
NUMBERS = st.lists(st.one_of(st.none(), st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), max_size=60)


@RULES
@given(numbers=NUMBERS, cuts=st.lists(st.integers(0, 60), max_size=3), start=st.integers(0, 20), n_slots=st.integers(1, 70))
def test_views_of_stored_columns_are_summed_as_copies_are(numbers: list[Any], cuts: list[int], start: int, n_slots: int) -> None:
    ends = [0, *sorted(min(cut, len(numbers)) for cut in cuts), len(numbers)]
    whole = pa.array(numbers, pa.float64())
    column = pa.chunked_array([whole.slice(a, b - a) for a, b in pairwise(ends)]).slice(start)
    rows = Rows(Chunk.from_arrow(pa.table({"x": column})))
    copied = [summing.span_of(column.to_numpy().astype(float))]
    slots = frozen((np.arange(len(column)) * 7 % (n_slots + 1) - 1).astype(np.int32))
    tables = [summing.sum_floats(slots, spans, n_slots) for spans in (rows.spans("x"), copied)]
    np.testing.assert_array_equal(*tables)
    counts = tables[0][:, 0].astype(np.int64)
    means = tables[0][:, 1] / np.maximum(counts, 1)
    np.testing.assert_array_equal(*(summing.spread_floats(slots, spans, means, counts) for spans in (rows.spans("x"), copied)))
    every = frozen(np.zeros(len(column), np.int32))
    np.testing.assert_array_equal(summing.sum_column(rows.spans("x")), summing.sum_floats(every, copied, 1))
    np.testing.assert_array_equal(
        summing.spread_column(rows.spans("x"), 3.0, counts[:1]), summing.spread_floats(every, copied, np.array([3.0]), counts[:1])
    )


def test_what_lies_under_a_null_counts_for_nothing() -> None:
    validity = pa.py_buffer(np.packbits([1, 0, 1, 0], bitorder="little").tobytes())
    data = pa.py_buffer(np.array([1.0, np.inf, 3.0, np.nan]).tobytes())
    column = pa.Array.from_buffers(pa.float64(), 4, [validity, data])
    rows = Rows(Chunk.from_arrow(pa.table({"x": column})))
    assert rows.sums("x").tolist() == [[2.0, 4.0, 0.0, 1.0, 3.0]]
