"""What people who know pandas write first: it works, or an error tells what to write."""

from __future__ import annotations

import copy
import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bigml
from bigml.errors import BigmlError, ColumnError, ConfigError, SourceError

FRAME = pd.DataFrame(
    {"k": ["a", "b", "a"], "x": [1.0, 2.0, 6.0], "t": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-03"])}
)
SOURCE: Any = bigml.from_pandas(FRAME)
COL: Any = bigml.col


def test_a_single_column_may_stand_alone() -> None:
    for name in ("describe", "corr", "cov"):
        ask = getattr(SOURCE, name)
        pd.testing.assert_frame_equal(ask("x").compute(progress=False), ask(["x"]).compute(progress=False))
    assert SOURCE.quantile(0.5, "x").compute(progress=False).loc[0.5, "x"] == 2.0
    with pytest.raises(ColumnError, match="named `xx`, got no such column"):
        SOURCE.describe("xx")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: SOURCE.groupby("k", as_index=False), "got as_index=False - groupby. Leave it out: plan.compute().reset_index()"),
        (lambda: SOURCE.groupby("k", observed=True), "got observed=True - groupby. Leave it out: groups are of values"),
        (lambda: SOURCE.groupby("k")["x"], "got ['x'] - groupby. Write .agg(x=\"mean\")."),
        (lambda: SOURCE["x"], "Expected a method of a source, got ['x']. Columns are chosen by .select("),
        (lambda: SOURCE.groupby(COL("t").dt.month), "got `t.dt.month` of type Expression. A formula gets a name first"),
        (lambda: SOURCE.groupby(["k", COL("t").dt.month]), "names of columns, got `t.dt.month`"),
        (lambda: SOURCE.groupby(lambda row: row), "of type function"),
        (lambda: SOURCE.groupby("k, t"), "Name several in a list: ['k', 't']."),
        (lambda: SOURCE.groupby([]).size(), "one or more different key columns, got []"),
        (
            lambda: SOURCE.value_counts(["k", "t"]),
            "the name of one column, got `['k', 't']` of type list. The columns are: k",
        ),
        (lambda: SOURCE.quantile(95), "shares from 0 to 1, got 95 - in quantile. The percentile 95 is quantile(0.95)."),
        (lambda: SOURCE.quantile([0.5, 99.9]), "The percentile 99.9 is quantile(0.999)."),
        (lambda: SOURCE.quantile("p95"), "got 'p95' - in quantile. For the percentile 95 ask for 0.95."),
        (lambda: SOURCE.quantile([]), "got none - in quantile"),
        (lambda: SOURCE.describe().keep().quantile(95), "The percentile 95 is quantile(0.95)."),
        (lambda: SOURCE.describe().keep().quantile("p95"), "ask for 0.95."),
        (lambda: COL("x").cut(4), "a list of edges, as numbers, got `4` - in cut. Bins of one width: numpy.linspace"),
        (lambda: COL("x").cut("ab"), "a list of edges, as numbers, got `'ab'`"),
    ],
)
def test_what_pandas_takes_is_told_as_it_is_written_here(ask: Callable[[], Any], told: str) -> None:
    with pytest.raises(BigmlError) as error:
        ask()
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: SOURCE.groupby("k").mean(), 'GroupBy has no `mean`. Write .agg(x="mean") for a column x.'),
        (lambda: SOURCE.groupby("k").x, 'GroupBy has no `x`. Columns are aggregated by .agg(x="mean").'),
        (lambda: SOURCE.groupby("k").nlargest(3), "Ask groups for top(n, by=column) instead of agg."),
        (lambda: SOURCE.groupby("k").size().reset_index(), "Its result may: plan.compute().reset_index"),
        (lambda: SOURCE.describe().loc, "A plan that is not computed has no `loc`."),
        (lambda: COL("t").month, "A formula has no `month`. Write .dt.month."),
        (lambda: COL("t").floor("1d"), "Formulas are made of operators"),
        (lambda: COL("t").dt.dayofweek, "no `dt.dayofweek`. There are year, quarter, month"),
    ],
)
def test_attributes_that_are_not_there_are_told_where_they_are(ask: Callable[[], Any], told: str) -> None:
    with pytest.raises(AttributeError) as error:
        ask()
    assert told in str(error.value)


def test_a_key_may_be_called_as_an_option_of_pandas_is() -> None:
    found = SOURCE.groupby("k", observed="x > 1").size().compute(progress=False)
    assert found["size"].to_dict() == {("a", False): 1, ("a", True): 1, ("b", True): 1}


def test_groups_plans_and_formulas_are_copied_and_pickled_as_ever() -> None:
    groups = SOURCE.groupby("k")
    assert repr(groups).startswith("GroupBy(k; not computed")
    for one in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        found = one(groups.agg(x="mean")).compute(progress=False)
        assert found["x"].to_dict() == {"a": 3.5, "b": 2.0}
        assert one(groups).by == ("k",)
        assert repr(one(COL("t").dt.month)) == "t.dt.month"


def test_edges_and_shares_may_be_arrays() -> None:
    bins = SOURCE.groupby(bin=COL("x").cut(np.linspace(0, 8, 3))).size().compute(progress=False)
    assert bins["size"].to_dict() == {0: 2, 1: 1}
    assert SOURCE.quantile(np.array([0.5]), "x").compute(progress=False)["x"].tolist() == [2.0]
    with pytest.raises(ConfigError, match="in ascending order"):
        COL("x").cut([2, 1])


def test_text_that_is_packed_is_told_to_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "adult.data.gz"
    path.write_bytes(gzip.compress(b"39, State-gov\n" * 9))
    with pytest.raises(SourceError, match=r"adult\.data\.gz\. Convert it with bigml\.ingest\(\) first"):
        bigml.read_parquet(path)
