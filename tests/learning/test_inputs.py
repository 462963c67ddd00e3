"""Rows with a field for each input: gathered and joined like a matrix."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bigml.chunk import Chunk
from bigml.learning.batch import Batch
from bigml.learning.inputs import Input, InputDesign, fields_of

INPUTS = (Input("n"), Input("k", "integer"), Input("t", "text"), Input("x", shape=(2, 1)))
ROW = st.tuples(st.floats(-9, 9, width=32), st.integers(0, 2**60), st.text("ab\u00e9", max_size=9))
ROWS = st.lists(ROW, min_size=1, max_size=5)


def batch(rows):
    numbers, whole, texts = (list(column) for column in zip(*rows, strict=True))
    columns = {"n": numbers, "k": whole, "t": texts, "x0": numbers, "x1": numbers}
    chunk = Chunk.from_arrow(pa.table(columns))
    return Batch(chunk.row_numbers, InputDesign.of(INPUTS, chunk.to_arrow().schema).matrix(chunk))


@given(st.lists(ROWS, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_joined_rows_hold_what_their_parts_held_whatever_the_lengths_of_texts(parts):
    joined = Batch.joined([batch(rows) for rows in parts])
    fed = fields_of(joined.take(np.arange(joined.n_rows)[::-1]).X, INPUTS)
    expected = [row for rows in parts for row in rows][::-1]
    assert fed["n"].ravel().tolist() == [row[0] for row in expected]
    assert fed["k"].ravel().tolist() == [row[1] for row in expected]
    assert [text.decode() for text in fed["t"].ravel()] == [row[2] for row in expected]
    assert fed["x"].shape == (len(expected), 2, 1)
    assert fed["x"][:, 1, 0].tolist() == [row[0] for row in expected]
