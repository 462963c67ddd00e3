"""Generated flights: the same rows for everyone, real enough to learn from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bigml.errors import DataError
from bigml.sources.synthetic import BLOCK_ROWS, SCHEMA, airline_like
from bigml.sources.timetable import midnights

ROWS = 2 * BLOCK_ROWS + 1000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return airline_like(ROWS, seed=3).to_pandas()


def test_columns_and_types_are_those_of_the_real_files(data_dir: Path) -> None:
    real = pq.read_schema(data_dir / "flights/nineteen_columns/nyc_2014.parquet")
    plain = [(item.name, item.type.value_type if pa.types.is_dictionary(item.type) else item.type) for item in SCHEMA]
    assert plain == [(item.name, item.type) for item in real]


def test_a_part_is_made_from_the_seed_and_its_number_alone(frame: pd.DataFrame) -> None:
    source = airline_like(ROWS, seed=3)
    lean = pickle.loads(pickle.dumps(source.lean()))
    last, second = source.parts[2], source.parts[1]
    chunks = list(lean.scan([last, second], source.columns))
    assert [chunk.n_rows for chunk in chunks] == [1000, BLOCK_ROWS]
    pd.testing.assert_frame_equal(chunks[0].to_pandas(), frame.iloc[2 * BLOCK_ROWS :])
    pd.testing.assert_frame_equal(chunks[1].to_pandas(), frame.iloc[BLOCK_ROWS : 2 * BLOCK_ROWS])


def test_the_first_rows_do_not_depend_on_how_many_follow(frame: pd.DataFrame) -> None:
    for rows in (1, 999, BLOCK_ROWS, BLOCK_ROWS + 7):
        few = airline_like(rows, seed=3).to_pandas()
        assert len(few) == rows
        pd.testing.assert_frame_equal(few, frame.iloc[:rows], check_dtype=False)


def test_a_column_is_the_same_alone_and_among_others(frame: pd.DataFrame) -> None:
    source = airline_like(1000, seed=3)
    for name in source.columns:
        pd.testing.assert_series_equal(next(source.scan(source.parts, [name])).to_pandas()[name], frame[name].iloc[:1000])


def test_another_seed_makes_other_rows_of_the_same_kind(frame: pd.DataFrame) -> None:
    other = airline_like(100_000, seed=4).to_pandas()
    assert not other.dep_delay.equals(frame.dep_delay.iloc[:100_000])
    assert other.arr_delay.mean() == pytest.approx(frame.arr_delay.mean(), abs=1)
    assert airline_like(10, seed=4).token != airline_like(10, seed=3).token


def test_values_agree_with_each_other(frame: pd.DataFrame) -> None:
    parts = frame.time_hour.dt
    for name, values in [("year", parts.year), ("month", parts.month), ("day", parts.day), ("hour", parts.hour)]:
        np.testing.assert_array_equal(frame[name], values)
    np.testing.assert_array_equal(frame.sched_dep_time, frame.hour * 100 + frame.minute)
    assert frame.groupby(["origin", "dest"]).distance.nunique().max() == 1
    assert frame.groupby("tailnum").carrier.nunique().max() == 1
    flown = frame.dropna()
    minutes = flown.sched_dep_time // 100 * 60 + flown.sched_dep_time % 100 + flown.dep_delay
    np.testing.assert_array_equal(flown.dep_time // 100 * 60 + flown.dep_time % 100, minutes % 1440)
    assert flown.dep_time.between(0, 2359).all()
    assert (flown.dep_time % 100 < 60).all()


def test_shares_are_those_of_real_flights(frame: pd.DataFrame) -> None:
    assert frame.carrier.nunique() == 16
    assert frame.carrier.value_counts(normalize=True).iloc[[0, -1]].between([0.15, 0.0005], [0.2, 0.002]).all()
    assert (frame.origin.nunique(), frame.dest.nunique()) == (100, 100)
    assert (frame.origin != frame.dest).all()
    assert 0.02 < frame.arr_delay.isna().mean() < 0.035
    assert frame.dep_delay.isna().sum() < frame.arr_delay.isna().sum()
    assert 0 < frame.tailnum.isna().mean() < 0.01
    assert 0.17 < (frame.arr_delay > 15).mean() < 0.23
    assert frame.dep_delay.max() > 500
    assert frame.dep_delay.skew() > 5
    assert frame.month.value_counts(normalize=True).between(0.07, 0.09).all()


def test_lateness_can_be_learned_without_the_departure(frame: pd.DataFrame) -> None:
    flown = frame.dropna(subset=["arr_delay"])
    train, test = flown.iloc[:200_000], flown.iloc[200_000:400_000]
    columns = ["carrier", "origin", "month", "hour"]
    model = make_pipeline(make_column_transformer((OneHotEncoder(), columns)), LogisticRegression())
    model.fit(train, train.arr_delay > 15)
    assert 0.62 < roc_auc_score(test.arr_delay > 15, model.predict_proba(test)[:, 1]) < 0.70


def test_days_of_a_leap_year_leave_out_the_29th() -> None:
    assert str(midnights(2016)[59])[:10] == "2016-03-01"
    assert str(midnights(2016)[-1])[:10] == "2016-12-31"
    assert str(midnights(2015)[58])[:10] == "2015-02-28"


def test_years_pass_and_come_again() -> None:
    source = airline_like(300 * BLOCK_ROWS)
    years = [next(source.scan([source.parts[i]], ["year"])).floats("year")[0] for i in (0, 23, 24, 239, 240)]
    assert years == [2013, 2013, 2014, 2022, 2013]


def test_no_rows_and_negative_rows() -> None:
    assert airline_like(0).to_pandas().shape == (0, 19)
    with pytest.raises(DataError, match="rows=-1"):
        airline_like(-1)


def test_written_rows_come_back(tmp_path: Path, frame: pd.DataFrame) -> None:
    manifest = airline_like(1000, seed=3).write_parquet(tmp_path / "out", progress=False)
    assert manifest.rows == 1000
    back = pq.read_table(manifest.paths(tmp_path / "out")[0]).to_pandas()
    pd.testing.assert_frame_equal(back, frame.iloc[:1000])
