"""Parts of dates and times are pandas', with zones, before 1970 and where they are missing; groups by them take one scan."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bigml
from bigml.errors import ConfigError, SchemaError
from bigml.sources.calendar import OF_DAYS
from bigml.testing import CountingSource

PARTS = ["year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second"]
TIMES = st.none() | st.datetimes(datetime(1901, 1, 1), datetime(2037, 1, 1))
NAMES = {"weekday": "day_of_week"}
ZONES = [None, "Europe/Berlin"]
BEGINS = {"1w": "2024-02-26", "1mo": "2024-02-01", "1q": "2024-01-01", "1y": "2024-01-01"}
SPANS = ["s", "15s", "1min", "90min", "1h", "7h", "1D", "3D"]


def of_pandas(times: pd.Series, name: str) -> list[int | None]:
    found = times.dt.isocalendar().week if name == "week" else getattr(times.dt, NAMES.get(name, name))
    return [None if pd.isna(value) else int(value) for value in found]


def asked(array: pa.Array, formula: bigml.sources.expression.Expression) -> pa.ChunkedArray:
    return bigml.from_arrow(pa.table({"t": array})).assign(found=formula).select("found").to_arrow()["found"]


@settings(max_examples=30, deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=20), st.sampled_from(["s", "ms", "us", "ns"]), st.sampled_from(ZONES))
def test_parts_are_those_of_pandas(times, unit, zone):
    array = pa.array(times, pa.timestamp("us")).cast(pa.timestamp(unit), safe=False)
    array = array if zone is None else array.cast(pa.timestamp(unit, zone))
    series = array.to_pandas()
    for name in PARTS:
        found = asked(array, getattr(bigml.col("t").dt, name))
        assert found.type == pa.int32()
        assert found.to_pylist() == of_pandas(series, name), name


@settings(max_examples=30, deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=20), st.sampled_from(SPANS))
def test_spans_begin_where_pandas_lets_them_begin(times, span):
    array = pa.array(times, pa.timestamp("us"))
    expected = array.to_pandas().dt.floor(span)
    found = asked(array, bigml.col("t").dt.floor(span)).to_pandas()
    pd.testing.assert_series_equal(found, expected, check_names=False)


@pytest.mark.parametrize(("span", "begins"), BEGINS.items())
def test_spans_of_the_calendar_begin_with_it(span, begins):
    found = asked(pa.array([datetime(2024, 2, 29, 13, 5)]), bigml.col("t").dt.floor(span))
    assert found.to_pylist() == [datetime.fromisoformat(begins)]


def test_dates_have_parts_of_days_and_no_hours():
    days = pa.array([date(1969, 12, 31), None, date(2024, 2, 29)])
    for name in OF_DAYS:
        found = asked(days, getattr(bigml.col("t").dt, name))
        assert found.to_pylist() == of_pandas(pd.to_datetime(days.to_pandas()), name), name
    with pytest.raises(SchemaError, match="timestamps"):
        bigml.from_arrow(pa.table({"t": days})).assign(h=bigml.col("t").dt.hour)


def test_what_is_no_time_and_no_span_is_refused():
    rows = bigml.from_arrow(pa.table({"x": [1.0]}))
    with pytest.raises(SchemaError, match=r"dt\.year"):
        rows.assign(y=bigml.col("x").dt.year)
    for span in ("fortnight", "0h", "-1h", "1.5h", ""):
        with pytest.raises(ConfigError, match="span of time"):
            bigml.col("t").dt.floor(span)


def test_groups_by_parts_of_times_are_those_of_pandas_in_one_scan():
    rng = np.random.default_rng(0)
    times = [datetime(2023, 12, 30) + timedelta(minutes=int(m)) for m in rng.integers(0, 10_000, 500)]
    frame = pd.DataFrame({"t": times, "x": rng.normal(size=500), "kind": rng.choice(["a", "b"], 500)})
    source, t = CountingSource(bigml.from_pandas(frame, part_rows=77)), bigml.col("t").dt
    found = source.groupby("kind", hour=t.hour, day=t.floor("1d")).agg(x=["count", "mean"]).compute()
    keys = [frame["kind"], frame["t"].dt.hour.rename("hour").astype("int32"), frame["t"].dt.floor("1D").rename("day")]
    expected = frame.groupby(keys).agg({"x": ["count", "mean"]})
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
    assert set(source.times_read.values()) == {1}


def test_a_formula_with_parts_of_times_is_shown_and_renamed():
    formula = bigml.col("t").dt.floor("1h") == bigml.col("u").dt.floor("1h")
    assert str(formula) == "(t.dt.floor('1h') == u.dt.floor('1h'))"
    assert str(bigml.col("t").dt.hour.renamed({"t": "time"})) == "time.dt.hour"
    assert bigml.col("t").dt.hour.token != bigml.col("t").dt.minute.token
