"""States as trees of plain values and flat arrays, and as states again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from bigml.chunk import Chunk
from bigml.stats.counts import Counted, Tally
from bigml.stats.leaves import flattened, restored
from bigml.stats.sketches import Hashes


class Pair(NamedTuple):
    left: int
    right: Any


@dataclass(frozen=True)
class Box:
    content: Any


EMPTY = (0, Pair(0, np.zeros(0)), Box(pa.array([], pa.string())), 0.0)
FULL = (3, Pair(-5, np.array([1.5, np.nan])), Box(pa.array(["a", None])), float("-inf"))


def test_a_state_comes_back_in_the_types_of_another() -> None:
    tree, arrays = flattened(FULL)
    made = restored(EMPTY, tree, arrays)
    assert tree == [3, [-5, {"array": 0}], [{"array": 1}], {"float": "-inf"}]
    assert repr(made) == repr(FULL)


def test_what_was_none_in_the_beginning_is_built_by_its_annotation() -> None:
    tally = Tally("k", pa.large_string(), limit=2)
    state = tally.update(tally.start(), Chunk.from_arrow(pa.table({"k": ["a", "b", "c", None]})))
    made = restored(tally.start(), *flattened(state))
    assert isinstance(made, Counted)
    assert isinstance(made.hashes, Hashes)
    assert tally.unique(made) == tally.unique(state) == 3
    assert tally.unique(tally.merge(made, state)) == 3


@pytest.mark.parametrize("inside", [[1], {"a": 1}, "text", b"bytes", np.array(["a"]), np.array([None]), Box, object()])
def test_nothing_but_numbers_and_arrays_is_taken(inside: Any) -> None:
    with pytest.raises(TypeError, match="in a state"):
        flattened((1, inside))


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [3, [-5, {"array": 0}], [{"array": 1}]],
        [3, [-5, {"array": 1}], [{"array": 1}], 0],
        [3, [-5, {"array": 0}], [{"array": 0}], 0],
        [3, [-5, {"array": -1}], [{"array": 1}], 0],
        [3, [-5, {"array": 0}], [{"array": 1}], "0"],
        [3, [-5, {"array": 0}], [{"array": 1}], {"float": "x"}],
        [3, [[1], {"array": 0}], [{"array": 1}], 0],
        [{"array": 0}, [-5, {"array": 0}], [{"array": 1}], 0],
    ],
)
def test_a_tree_of_another_state_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        restored(EMPTY, tree, [np.zeros(2), pa.array(["a"])])
