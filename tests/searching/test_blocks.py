"""Blocks of time and of rows: what is tested comes after all that was trained on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.model_selection as ms
from dealt import asked, same, splits_of, stored
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml import TimeFolds
from bigml.errors import ConfigError, DataError, SchemaError
from bigml.searching import ranks


@given(
    st.lists(st.floats(-1e6, 1e6) | st.integers(-20, 20).map(float), min_size=30, max_size=200, unique=True),
    st.integers(2, 5),
    st.floats(0, 3),
)
@settings(max_examples=50, deadline=None)
def test_training_ends_before_testing_begins_less_the_gap(times: list[float], n_splits: int, gap: float) -> None:
    values = np.array(times)
    starts = np.sort(values)[len(values) * np.arange(1, n_splits + 1) // (n_splits + 1)]
    source = bigml.from_pandas(pd.DataFrame({"t": values}), part_rows=37)
    if starts[0] - gap <= values.min():
        with pytest.raises(DataError, match="a gap shorter than the first block"):
            asked(TimeFolds("t", n_splits, gap), source)
        return
    for (train, test), start in zip(splits_of(TimeFolds("t", n_splits, gap), source), starts, strict=True):
        np.testing.assert_array_equal(train, np.flatnonzero(values < start - gap))
        assert values[train].max() < values[test].min() - gap
        assert values[test].min() == start


def test_blocks_have_equal_shares_and_ties_stay_together() -> None:
    times = np.random.default_rng(0).lognormal(sigma=4, size=5_000)
    source = bigml.from_pandas(pd.DataFrame({"t": times, "day": np.arange(5_000) // 700}), part_rows=999)
    assert [len(test) for _, test in splits_of(TimeFolds("t", 4), source)] == [1_000] * 4
    days = [set(np.arange(5_000)[test] // 700) for _, test in splits_of(TimeFolds("day", 3), source)]
    assert all(one.isdisjoint(other) for i, one in enumerate(days) for other in days[:i])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_gap_is_a_duration_for_timestamps_of_any_unit(unit: str) -> None:
    days = np.arange(100) % 50
    frame = pd.DataFrame({"t": (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")).astype(f"datetime64[{unit}]")})
    source = bigml.from_pandas(frame, part_rows=33)
    for gap in (pd.Timedelta(days=3), timedelta(days=3), np.timedelta64(3, "D")):
        for train, test in splits_of(TimeFolds("t", 4, gap), source):
            assert days[train].max() == days[test].min() - 4
    assert [len(test) for _, test in splits_of(TimeFolds("t", 4), source)] == [20] * 4


def test_dates_and_whole_numbers_have_an_order_too() -> None:
    days = np.arange(60)
    dates = pd.Series(pd.to_datetime("2020-01-01") + pd.to_timedelta(days, unit="D")).dt.date
    source = bigml.from_pandas(pd.DataFrame({"date": dates, "n": -days}))
    for train, test in splits_of(TimeFolds("date", 2, pd.Timedelta(days=2)), source):
        assert days[train].max() == days[test].min() - 3
    for train, test in splits_of(TimeFolds("n", 2, 1.5), source):
        assert (-days[train]).max() == (-days[test]).min() - 2


def test_time_folds_are_the_same_for_any_chunking_and_storage(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": np.random.default_rng(5).normal(size=500)})
    first, *others = stored(frame, tmp_path)
    wanted = splits_of(TimeFolds("t", 4, 0.1), first)
    for other in others:
        assert same(splits_of(TimeFolds("t", 4, 0.1), other), wanted)


def test_many_keys_are_counted_in_buckets_and_the_blocks_are_still_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "MOST_KEYS", 50)
    times = np.random.default_rng(1).normal(size=3_000)
    source = bigml.from_pandas(pd.DataFrame({"t": times, "y": times > 1}), part_rows=700)
    assert [len(test) for _, test in splits_of(TimeFolds("t", 5), source)] == [500] * 5
    tests = [np.count_nonzero(times[test] > 1) for _, test in splits_of(6, source, target="y", classifier=True)]
    assert max(tests) - min(tests) <= 1


@pytest.mark.parametrize(
    "cv",
    [
        ms.TimeSeriesSplit(4),
        ms.TimeSeriesSplit(3, gap=5),
        ms.TimeSeriesSplit(3, test_size=7),
        ms.TimeSeriesSplit(3, max_train_size=20, gap=2),
    ],
)
def test_blocks_of_rows_are_those_of_scikit_learn(cv: Any) -> None:
    frame = pd.DataFrame({"x": np.arange(103) % 2})
    source = bigml.from_pandas(frame, part_rows=20)
    assert same(splits_of(cv, source), list(cv.split(frame)))
    kept = np.flatnonzero(frame["x"])
    wanted = [(kept[train], kept[test]) for train, test in cv.split(kept)]
    assert same(splits_of(cv, source.where("x == 1")), wanted)


def test_what_has_no_order_too_few_times_or_a_strange_gap_is_refused() -> None:
    stamps = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(9), unit="D")
    frame = pd.DataFrame({"s": list("abcabcabc"), "n": [1, 2, 2, 2, 2, 2, 2, 2, 2], "t": stamps, "f": [np.nan, *np.arange(8.0)]})
    source = bigml.from_pandas(frame)
    with pytest.raises(SchemaError, match=r"a column of numbers, dates or timestamps, got .*string"):
        asked(TimeFolds("s"), source)
    with pytest.raises(DataError, match="4 times or more, one for each block"):
        asked(TimeFolds("n", 3), source)
    with pytest.raises(ConfigError, match=r"a duration for the gap, got 2 .* Use gap=pd\.Timedelta"):
        asked(TimeFolds("t", 2, 2), source)
    with pytest.raises(ConfigError, match="a number for the gap, got the duration 1 day"):
        asked(TimeFolds("f", 2, timedelta(days=1)), source)
    with pytest.raises(DataError, match="a time in every row, got a missing value - column `f`, row 0"):
        asked(TimeFolds("f", 2), source)
    with pytest.raises(ConfigError, match="a gap of 0 or more"):
        TimeFolds("t", 2, timedelta(days=-1))
    with pytest.raises(DataError, match="something before them, got 9 rows"):
        asked(ms.TimeSeriesSplit(20), source)
