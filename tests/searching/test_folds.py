"""Folds by hash: every row once, the same for any chunking, as equal as they say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.model_selection as ms
from dealt import asked, cells_of, same, splits_of, stored
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml import FoldColumn, GroupFolds, HoldOut
from bigml.errors import BigmlError, ColumnError, ConfigError, DataError
from bigml.searching import folds
from bigml.searching.held import rows_of
from bigml.testing import CountingSource

N = 600
RNG = np.random.default_rng(7)
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "late": RNG.choice(3, N, p=[0.7, 0.25, 0.05]),
        "who": RNG.integers(0, 40, N),
        "fold": RNG.integers(3, 7, N),
    }
)
SOURCE = bigml.from_pandas(FRAME, part_rows=111)
HOW: dict[str, Any] = {"target": "late", "classifier": True}


@pytest.mark.parametrize("cv", [4, ms.KFold(4), ms.StratifiedKFold(4), GroupFolds("who", 4), FoldColumn("fold")])
def test_every_row_is_tested_once_and_trained_on_by_all_other_splits(cv: Any) -> None:
    splits = splits_of(cv, SOURCE, **HOW)
    assert len(splits) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(N))
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(N))


@pytest.mark.parametrize(
    ("cv", "groups"),
    [
        (5, None),
        (ms.KFold(5), None),
        (ms.RepeatedKFold(n_splits=2, n_repeats=3), None),
        (ms.GroupKFold(3), "who"),
        (HoldOut(0.3), None),
        (HoldOut(0.3, stratify=True), None),
        (HoldOut(0.3, by="who"), None),
        (FoldColumn("fold"), None),
    ],
)
def test_folds_are_the_same_for_any_chunking_and_storage(cv: Any, groups: str | None, tmp_path: Path) -> None:
    # A memory map holds floats; the hash of a group is that of its value, which an integer does not share.
    first, *others = stored(FRAME.astype("float64"), tmp_path)
    wanted = splits_of(cv, first, groups=groups, **HOW)
    for other in others:
        assert same(splits_of(cv, other, groups=groups, **HOW), wanted)


@given(st.lists(st.sampled_from("aaaabbc"), min_size=0, max_size=150), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_stratified_folds_are_exact_to_one_row_a_class_and_in_all(drawn: list[str], k: int, seed: int) -> None:
    frame = pd.DataFrame({"y": [*drawn, *"a" * k, *"b" * k, *"c" * k]})
    source = bigml.from_pandas(frame, part_rows=29)
    tests = [frame["y"].iloc[test].value_counts() for _, test in splits_of(k, source, target="y", classifier=True, seed=seed)]
    counts = pd.DataFrame(tests).fillna(0)
    assert (counts.max() - counts.min()).max() <= 1
    assert counts.sum(axis=1).max() - counts.sum(axis=1).min() <= 1


@given(st.integers(2, 9), st.integers(9, 400), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_folds_of_few_rows_are_equal_to_one_row(k: int, n: int, seed: int) -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": np.arange(n)}), part_rows=64)
    sizes = [len(test) for _, test in splits_of(ms.KFold(k), source, seed=seed)]
    assert max(sizes) - min(sizes) <= 1
    filtered = [len(test) for _, test in splits_of(ms.KFold(k), source.where("x >= 0"), seed=seed)]
    assert filtered == sizes


def test_folds_of_many_rows_are_equal_in_expectation_without_a_scan() -> None:
    n = folds.EXACT_ROWS + 1
    source = CountingSource(bigml.from_pandas(pd.DataFrame({"x": np.zeros(n)})))
    partition = asked(ms.KFold(5), source)[0]
    assert source.reads == []
    sizes = np.bincount(cells_of(source, partition)[1], minlength=5)
    np.testing.assert_allclose(sizes, n / 5, atol=5 * np.sqrt(n * 0.16))


def test_stratified_folds_of_many_rows_are_exact_from_two_scans_of_the_target() -> None:
    n = 300_000
    late = np.random.default_rng(3).random(n) < 0.2
    source = CountingSource(bigml.from_pandas(pd.DataFrame({"x": np.zeros(n), "late": late}), part_rows=70_000))
    rows, cells = cells_of(source, asked(5, source, target="late", classifier=True)[0])
    assert source.times_read == dict.fromkeys(range(5), 3)  # counted, looked at, and once by this test
    assert source.columns_read == {"late"}
    table = pd.crosstab(late[rows], cells)
    assert (table.max(axis=1) - table.min(axis=1)).max() <= 1


@pytest.mark.parametrize("few", [True, False], ids=["dealt one by one", "by hash"])
def test_groups_are_never_in_two_folds(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MOST_GROUPS", 100 if few else 5)
    tests = [FRAME["who"].iloc[test] for _, test in splits_of(GroupFolds("who", 4), SOURCE)]
    assert all(set(one).isdisjoint(other) for one, other in combinations(tests, 2))
    assert sum(map(len, tests)) == N
    if few:
        assert max(map(len, tests)) - min(map(len, tests)) <= FRAME["who"].value_counts().max()


def test_a_hold_out_by_a_column_keeps_its_values_together() -> None:
    ((train, test),) = splits_of(HoldOut(0.3, by=["who"]), SOURCE)
    assert set(FRAME["who"].iloc[train]).isdisjoint(FRAME["who"].iloc[test])
    assert len(train) + len(test) == N
    assert 0.1 < len(test) / N < 0.5


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_a_hold_out_has_its_share_and_a_stratified_one_that_of_every_class(fraction: float) -> None:
    ((train, test),) = splits_of(HoldOut(fraction), SOURCE)
    assert (len(test), len(train)) == (round(N * fraction), N - round(N * fraction))
    ((_, test),) = splits_of(HoldOut(fraction, stratify=True), SOURCE, **HOW)
    shares = FRAME["late"].iloc[test].value_counts().reindex(range(3), fill_value=0)
    assert (shares - FRAME["late"].value_counts() * fraction).abs().max() <= 1


def test_splitters_of_scikit_learn_mean_what_they_say_there() -> None:
    (one,) = splits_of(ms.ShuffleSplit(n_splits=1, test_size=0.25), SOURCE)
    assert len(one[1]) == 150
    assert same([one], splits_of(HoldOut(0.25), SOURCE))
    several = splits_of(ms.ShuffleSplit(n_splits=3), SOURCE)
    assert [len(test) for _, test in several] == [60, 60, 60]
    assert not same(several[:1], several[1:2])
    left_out = [set(FRAME["who"].iloc[test]) for _, test in splits_of(ms.LeaveOneGroupOut(), SOURCE, groups="who")]
    assert left_out == [{who} for who in sorted(set(FRAME["who"]))]
    for drawn in (ms.StratifiedShuffleSplit(n_splits=2, train_size=0.6), ms.GroupShuffleSplit(n_splits=2)):
        groups = "who" if isinstance(drawn, ms.GroupShuffleSplit) else None
        assert len(splits_of(drawn, SOURCE, groups=groups, **HOW)) == 2


def test_repeats_are_one_partition_of_all_their_cells_and_then_one_for_each() -> None:
    (crossed,) = asked(ms.RepeatedStratifiedKFold(n_splits=2, n_repeats=5), SOURCE, **HOW)
    assert (crossed.n_cells, len(crossed.splits)) == (32, 10)
    rows, cells = cells_of(SOURCE, crossed)
    for first, second in zip(crossed.splits[::2], crossed.splits[1::2], strict=True):
        assert (first.train, first.test) == (second.test, second.train)
        halves = [FRAME["late"].iloc[rows[np.isin(cells, split.test)]].value_counts() for split in (first, second)]
        assert (halves[0] - halves[1]).abs().max() <= 1
    many = asked(ms.RepeatedKFold(n_splits=5, n_repeats=4), SOURCE)
    assert [partition.n_cells for partition in many] == [5, 5, 5, 5]


def test_a_given_fold_column_is_tested_in_ascending_order_and_never_where_it_is_missing() -> None:
    frame = FRAME.assign(fold=FRAME["fold"].where(FRAME.index % 10 > 0))
    splits = splits_of(FoldColumn("fold"), bigml.from_pandas(frame, part_rows=77))
    for (train, test), value in zip(splits, [3, 4, 5, 6], strict=True):
        np.testing.assert_array_equal(test, np.flatnonzero(frame["fold"] == value))
        np.testing.assert_array_equal(train, np.flatnonzero(frame["fold"] != value))


@pytest.mark.parametrize("cv", [5, ms.KFold(5), GroupFolds("who", 5), HoldOut(0.3), HoldOut(0.3, by="who")])
def test_another_seed_gives_other_folds_and_the_same_seed_the_same(cv: Any) -> None:
    first, again, other = (splits_of(cv, SOURCE, seed=seed, **HOW) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_the_random_state_of_a_splitter_stands_for_the_seed() -> None:
    cv = ms.KFold(5, shuffle=True, random_state=2)
    assert same(splits_of(cv, SOURCE, seed=1), splits_of(ms.KFold(5), SOURCE, seed=2))


def test_folds_know_nothing_of_a_split_or_of_outer_folds_by_the_same_seed() -> None:
    source = bigml.from_pandas(pd.DataFrame({"x": np.zeros(6_000)}))
    outer = asked(ms.KFold(3), source, seed=3)[0]
    train, _ = source.split(seed=3)
    shares = np.bincount(cells_of(train, outer)[1]) / 6_000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    held = rows_of(source, outer, (0, 1))
    table = pd.crosstab(cells_of(held, outer)[1], cells_of(held, asked(ms.KFold(3), held, seed=3)[0])[1])
    np.testing.assert_allclose(table / 4_000, 1 / 6, atol=0.03)


def refused(cv: Any, message: str, error: type[BigmlError] = ConfigError, source: Any = SOURCE, **how: Any) -> None:
    """Checks that a cv is refused with these words."""
    with pytest.raises(error) as caught:
        asked(cv, source, **how)
    assert message in str(caught.value)


def test_what_cannot_be_done_out_of_core_is_refused_with_a_way_out() -> None:
    refused(ms.LeaveOneOut(), "got `LeaveOneOut` - in cv=. Use KFold(n_splits).")
    refused([([0], [1])], "got `list` - in cv=. Put each row's fold in a column and use bigml.FoldColumn.")
    refused(ms.PredefinedSplit([0, 1]), "use bigml.FoldColumn")
    refused(ms.StratifiedGroupKFold(2), "Use GroupKFold, which keeps groups together", groups="who")
    refused(ms.ShuffleSplit(test_size=10), "Use test_size alone, a share between 0 and 1.")
    refused(ms.ShuffleSplit(test_size=0.1, train_size=0.2), "shares of rows that add up to all")


def test_a_cv_that_lacks_something_is_refused() -> None:
    refused(1, "Expected two folds or more, a whole number, got 1 - in cv=.")
    refused(True, "got `bool`")
    refused(ms.GroupKFold(3), "Expected groups=, a column, for `GroupKFold`, got none")
    refused(ms.KFold(3), "a cv that keeps groups together for groups=, got `who` beside `KFold`", groups="who")
    refused(ms.StratifiedKFold(3), "target=, whose classes are dealt evenly, for stratified folds, got none")
    refused(
        GroupFolds("whom"), "a column of the source named `whom`, got no such column - in cv=. Did you mean `who`?", ColumnError
    )
    refused(FoldColumn("x"), "two folds or more", DataError, bigml.from_pandas(pd.DataFrame({"x": [1, 1]})))
    with pytest.raises(ConfigError, match="a share between 0 and 1"):
        HoldOut(1.0)
    with pytest.raises(ConfigError, match="either by= or stratify=True"):
        HoldOut(by="who", stratify=True)
    with pytest.raises(ConfigError, match=r"two folds or more, a whole number, got 2\.0"):
        GroupFolds("who", 2.0)  # type: ignore[arg-type]


def test_too_few_rows_of_a_class_groups_or_rows_are_named_and_counted() -> None:
    frame = pd.DataFrame({"y": [*"aaaaab", "b"], "x": np.arange(7) / 4, "g": [1, 1, 1, 2, 2, 2, 2]})
    source = bigml.from_pandas(frame)
    few = "3 rows or more of each class, one for each fold, got 2 of the class 'b' - column `y`. Use fewer folds, or KFold."
    refused(3, few, DataError, source, target="y", classifier=True)
    refused(GroupFolds("g", 3), "3 groups or more, one for each fold, got 2 - column `g`", DataError, source)
    refused(ms.KFold(8), "8 rows or more, one for each fold, got 7", DataError, source)
    refused(ms.StratifiedKFold(2), "classes: text, whole numbers or truth values, got 0.25", DataError, source, target="x")
    refused(3, "of each class, one for each fold, got no rows", DataError, source.where("x > 9"), target="y", classifier=True)


def test_a_missing_target_or_group_is_named_by_its_row() -> None:
    source = bigml.from_pandas(pd.DataFrame({"y": ["a", None, "b", None], "g": [1.0, 2.0, np.nan, 3.0]}), part_rows=2)
    missing = "a target in every row, got a missing value - column `y`, row"
    refused(2, missing, DataError, source, target="y", classifier=True)
    refused(GroupFolds("g", 2), "a group in every row, got a missing value - column `g`, row 2", DataError, source)
