"""The chain on threads: the plain loop, with the next parts prepared ahead."""

from __future__ import annotations

import threading
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tallies import step, values

import bigml
from bigml.chunk import Chunk
from bigml.graph.chain import WINDOW, Chain
from bigml.part import Part

FRAME = pd.DataFrame({"x": np.random.default_rng(0).normal(size=1_000)})
SOURCE = bigml.from_pandas(FRAME, part_rows=50)
ORDER = [SOURCE.parts[i] for i in np.random.default_rng(1).permutation(20)]


def plain_loop() -> Any:
    batches = (SOURCE.read(part, ["x"]).floats("x") for part in ORDER)
    return reduce(step, batches, (0, 0.0))


def ignored(done: int, state: Any) -> None:
    """Nothing is saved."""


def test_a_chain_is_the_plain_loop() -> None:
    chain = Chain(SOURCE, ("x",), values, step)
    assert chain.run((0, 0.0), ORDER, every=7, save=ignored) == plain_loop()


def test_states_are_saved_every_so_many_parts_and_at_the_end() -> None:
    saved: dict[int, Any] = {}
    final = Chain(SOURCE, ("x",), values, step).run((0, 0.0), ORDER, every=6, save=saved.__setitem__)
    assert list(saved) == [6, 12, 18, 20]
    assert [rows for rows, _ in saved.values()] == [300, 600, 900, 1_000]
    assert saved[20] == final


def test_a_chain_goes_on_from_a_saved_state_to_the_same_bits() -> None:
    saved: dict[int, Any] = {}
    chain = Chain(SOURCE, ("x",), values, step)
    final = chain.run((0, 0.0), ORDER, every=6, save=saved.__setitem__)
    for done, state in saved.items():
        assert chain.run(state, ORDER[done:], every=6, save=ignored) == final


def test_only_a_window_of_parts_is_prepared_ahead() -> None:
    lock, waiting, most = threading.Lock(), [0], [0]

    def prepare(part: Part, chunk: Chunk) -> Any:
        with lock:
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
        return values(part, chunk)

    def learn(state: Any, batch: Any) -> Any:
        with lock:
            waiting[0] -= 1
        return step(state, batch)

    Chain(SOURCE, ("x",), prepare, learn).run((0, 0.0), ORDER, every=5, save=ignored)
    assert 1 <= most[0] <= WINDOW


def test_a_fault_after_the_state_was_changed_leaves_the_saved_state_as_it_was() -> None:
    saved: dict[int, Any] = {}
    faults = iter([True])

    def breaking(state: Any, batch: Any) -> Any:
        made = {"rows": state["rows"] + len(batch), "seen": [*state["seen"], len(batch)]}
        if made["rows"] == 600 and next(faults, False):
            raise OSError("after the state was changed")
        return made

    chain = Chain(SOURCE, ("x",), values, breaking)
    with pytest.raises(OSError, match="after the state was changed"):
        chain.run({"rows": 0, "seen": []}, ORDER, every=5, save=saved.__setitem__)
    assert max(saved) == 10
    done = max(saved)
    assert chain.run(saved[done], ORDER[done:], every=5, save=ignored)["rows"] == len(FRAME)


def test_a_fault_in_preparation_names_the_part_and_ends_the_threads() -> None:
    def failing(part: Part, chunk: Chunk) -> Any:
        if part.index == 7:
            raise ValueError("no good")
        return values(part, chunk)

    with pytest.raises(ValueError, match="no good") as caught:
        Chain(SOURCE, ("x",), failing, step).run((0, 0.0), ORDER, every=5, save=ignored)
    assert "in part 7 (rows 350 to 399)" in caught.value.__notes__
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bigml-prepare")]


def test_progress_counts_steps() -> None:
    seen: list[tuple[int, int]] = []
    Chain(SOURCE, ("x",), values, step).run(
        (0, 0.0), ORDER, every=50, save=ignored, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(i, 20) for i in range(21)]


def test_no_parts_leave_the_state() -> None:
    assert Chain(SOURCE, ("x",), values, step).run((3, 0.5), [], every=5, save=ignored) == (3, 0.5)
