"""Preprocessing of any depth equals scikit-learn's own fit on the concatenation, in as few scans as there are depths."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

import bigml
from bigml.errors import BigmlError, DataError, FitError
from bigml.learning import tally
from bigml.learning.preprocessing.registry import INSTEAD, learn
from bigml.learning.preprocessing.staging import inquire
from bigml.learning.solving import solve
from bigml.testing import CountingSource

NUMBERS, TEXT = ["a", "b", "i"], ["s", "t"]


def table(n: int, seed: int, holes: float = 0.0) -> pd.DataFrame:
    """Floats far from zero, few floats, integers, a constant, strings and times; some missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "a": rng.normal(50, 3, n),
        "b": rng.exponential(size=n).round(1),
        "i": rng.integers(-3, 4, n),
        "c": np.full(n, 2.5),
        "s": rng.choice(list("abcd"), n, p=[0.6, 0.2, 0.1, 0.1]),
        "t": rng.choice(["x", "y"], n),
        "when": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 400 * 24, n), unit="h"),
    })  # fmt: skip
    frame.loc[rng.random(n) < holes, "a"] = np.nan
    frame.loc[rng.random(n) < holes, "s"] = None
    return frame


def dense(matrix: Any) -> Any:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)


def check(step: Any, frame: pd.DataFrame, part_rows: int, scans: int | None = None) -> Any:
    """Fitted by bigml in so many scans, the step transforms the frame as scikit-learn's fit does."""
    source = CountingSource(bigml.from_pandas(frame, part_rows=part_rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = clone(step).fit(frame)
        fitted = bigml.fit(step, source)
        ours, theirs = fitted.transform(frame), expected.transform(frame)
    assert type(ours) is type(theirs)
    np.testing.assert_allclose(dense(ours), dense(theirs), rtol=1e-9, atol=1e-9)
    if hasattr(theirs, "columns"):
        assert list(ours.columns) == list(theirs.columns)
    if scans is not None:
        assert set(source.times_read.values()) == {scans}
        # Few distinct values, of which one scan tells all, may save another.
        assert scans <= bigml.explain_fit(step, source).source_scans <= scans + 1
    return fitted


def logs(X: Any) -> Any:
    return np.log1p(np.abs(X))


def ratio(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"ratio": frame["a"] / (1 + frame["b"]), "sum": frame["a"] + frame["i"]})


def parts_of_date(frame: pd.DataFrame) -> pd.DataFrame:
    when = frame["when"].dt
    return pd.DataFrame({"month": when.month, "weekday": when.dayofweek, "hour": when.hour + when.minute / 60})


def parts_of_one(when: Any) -> pd.DataFrame:
    return pd.DataFrame({"month": when.dt.month, "year": when.dt.year})


LOGS, FILL = FunctionTransformer(logs), SimpleImputer(strategy="median")
SPARSE_BINS = KBinsDiscretizer(4, strategy="uniform")
STEPS: dict[str, tuple[Any, int]] = {
    "largest": (make_column_transformer((MaxAbsScaler(), NUMBERS)), 1),
    "robust": (make_column_transformer((make_pipeline(FILL, RobustScaler()), NUMBERS)), 1),
    "robust, normal": (make_column_transformer((RobustScaler(unit_variance=True, quantile_range=(10, 80)), NUMBERS)), 1),
    "robust twice": (make_column_transformer((make_pipeline(RobustScaler(), MinMaxScaler(clip=True)), NUMBERS)), 1),
    "quantiles": (make_column_transformer((QuantileTransformer(n_quantiles=30), NUMBERS)), 1),
    "normal quantiles": (make_column_transformer((QuantileTransformer(output_distribution="normal", n_quantiles=9), ["b"])), 1),
    "scaled quantiles": (make_column_transformer((make_pipeline(QuantileTransformer(), StandardScaler()), NUMBERS)), 1),
    "equal bins": (make_column_transformer((KBinsDiscretizer(4, strategy="uniform", encode="ordinal"), ["b", "i", "c"])), 1),
    "quantile bins": (make_column_transformer((KBinsDiscretizer(5, strategy="quantile"), ["b", "i", "c"])), 1),
    "bins of clusters": (make_column_transformer((KBinsDiscretizer(5, strategy="kmeans"), ["b", "i", "c"])), 1),
    "dense bins": (make_column_transformer((KBinsDiscretizer([3, 4], encode="onehot-dense"), ["b", "i"])), 1),
    "scaled bins": (make_column_transformer((make_pipeline(SPARSE_BINS, MaxAbsScaler()), ["b", "i"])), 2),
    "splines": (make_column_transformer((SplineTransformer(n_knots=4), ["b", "i"])), 1),
    "quantile splines": (make_column_transformer((SplineTransformer(knots="quantile", extrapolation="linear"), ["b"])), 1),
    "scaled splines": (make_column_transformer((make_pipeline(SplineTransformer(), StandardScaler()), ["b", "i"])), 2),
    "products": (make_column_transformer((make_pipeline(SimpleImputer(), PolynomialFeatures(2)), NUMBERS)), 1),
    "scaled products": (make_column_transformer((make_pipeline(FILL, PolynomialFeatures(3), StandardScaler()), NUMBERS)), 2),
    "sparse products": (
        make_pipeline(
            make_column_transformer((OneHotEncoder(), TEXT)),
            PolynomialFeatures(2, interaction_only=True, include_bias=False),
            VarianceThreshold(0.05),
            StandardScaler(with_mean=False),
        ),
        2,
    ),
    "norms": (make_column_transformer((make_pipeline(FILL, Normalizer(), MinMaxScaler()), NUMBERS)), 2),
    "thresholds": (make_column_transformer((make_pipeline(FILL, Binarizer(threshold=1)), NUMBERS)), 1),
    "variances": (make_column_transformer((VarianceThreshold(), [*NUMBERS, "c"])), 1),
    "logs": (make_column_transformer((LOGS, NUMBERS)), 1),
    "scaled logs": (make_column_transformer((make_pipeline(LOGS, SimpleImputer(), StandardScaler()), NUMBERS)), 2),
    "encoded function": (make_column_transformer((make_pipeline(FunctionTransformer(np.abs), OneHotEncoder()), ["i"])), 2),
    "ratio": (make_column_transformer((make_pipeline(FunctionTransformer(ratio), SimpleImputer(), RobustScaler()), NUMBERS)), 2),
    "dates": (make_column_transformer((make_pipeline(FunctionTransformer(parts_of_date), StandardScaler()), ["when"])), 2),
    "one date": (make_column_transformer((FunctionTransformer(parts_of_one), "when")), 1),
    "indicators": (make_union(SimpleImputer(), MissingIndicator()), 1),
    "union": (make_union(StandardScaler(), make_pipeline(FILL, PolynomialFeatures(), StandardScaler()), "passthrough"), 2),
    "weighted union": (make_pipeline(FeatureUnion([("a", MinMaxScaler()), ("b", "drop"), ("c", LOGS)],
                                                  transformer_weights={"a": 3.0}), StandardScaler()), 2),
    "weighted columns": (make_pipeline(ColumnTransformer([("n", FILL, NUMBERS), ("t", OneHotEncoder(), TEXT)],
                                                         transformer_weights={"n": 2.0}), MaxAbsScaler()), 1),
    "columns of a matrix": (make_pipeline(make_column_transformer((FILL, NUMBERS)),
                                          make_column_transformer((StandardScaler(), [0, 2]), (OneHotEncoder(), [1]))), 1),
    "columns filled": (make_pipeline(make_column_transformer(("passthrough", NUMBERS)), LOGS,
                                     make_column_transformer((StandardScaler(), slice(0, 2)), (OneHotEncoder(), [2]))), 2),
    "three deep": (make_pipeline(make_column_transformer((FILL, NUMBERS)), LOGS, StandardScaler(), PolynomialFeatures(),
                                 make_union(MinMaxScaler(), RobustScaler())), 3),
    "nested": (make_column_transformer(
        (make_pipeline(FILL, make_union(StandardScaler(), make_pipeline(LOGS, MinMaxScaler()))), NUMBERS),
        (make_column_transformer((OneHotEncoder(), ["s"]), remainder=OrdinalEncoder()), TEXT),
        remainder="drop"), 2),
    "frames": (make_column_transformer((make_pipeline(FILL, PolynomialFeatures(), StandardScaler()), NUMBERS),
                                       (OneHotEncoder(sparse_output=False), TEXT)).set_output(transform="pandas"), 2),
    "frames by name": (make_pipeline(make_column_transformer((FILL, NUMBERS), (OrdinalEncoder(), TEXT)),
                                     make_column_transformer((StandardScaler(), ["simpleimputer__a"]), remainder="passthrough"),
                                     ).set_output(transform="pandas"), 1),
    "unknown by a number": (make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-5, min_frequency=0.15), ["t", "i"])), 1),
    "explicit categories": (make_column_transformer(
        (OneHotEncoder(categories=[["y", "x", "never"]], handle_unknown="infrequent_if_exist", min_frequency=3), ["t"])), 1),
    "pass nothing": (Pipeline([("skip", "passthrough"), ("pick", make_column_transformer(("passthrough", ["b"])))]), 1),
}  # fmt: skip
NEED_TABLE_OF_NUMBERS = {"indicators", "union", "weighted union"}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_every_composition_equals_scikit_learn_in_as_many_scans_as_it_is_deep(name: str, holes: float) -> None:
    step, scans = STEPS[name]
    frame = table(200, seed=3, holes=holes)
    check(step, frame[NUMBERS] if name in NEED_TABLE_OF_NUMBERS else frame, 60, None if name == "scaled quantiles" else scans)


def test_columns_whose_categories_are_all_rare_are_grouped_beside_others() -> None:
    frame = pd.DataFrame({"few": ["x"] * 30 + ["y"] * 10, "all": [f"{i:02}" for i in range(40)]})
    check(OneHotEncoder(min_frequency=5, sparse_output=False), frame, part_rows=11, scans=1)


def refused_by_bigml(step: Any, frame: pd.DataFrame, part_rows: int) -> None:
    source = bigml.from_pandas(frame, part_rows=part_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BigmlError):
            bigml.fit(step, source)


def columnwise() -> st.SearchStrategy[Any]:
    """Steps for numbers without missing values."""
    return st.sampled_from([
        StandardScaler(), MinMaxScaler((-1, 1)), MaxAbsScaler(), RobustScaler(), LOGS, Normalizer(), Binarizer(threshold=0.5),
        QuantileTransformer(n_quantiles=7), PolynomialFeatures(2, include_bias=False), SplineTransformer(n_knots=3),
        KBinsDiscretizer(3, strategy="uniform"), KBinsDiscretizer(3, encode="ordinal"), "passthrough",
        StandardScaler(with_mean=False), VarianceThreshold(), FunctionTransformer(), SimpleImputer(),
    ])  # fmt: skip


def chains() -> st.SearchStrategy[Any]:
    """Nested compositions for numbers without missing values."""
    return st.recursive(
        columnwise(),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: Pipeline([("first", two[0]), ("second", two[1])])),
            st.tuples(inner, inner).map(lambda two: FeatureUnion([("left", two[0]), ("right", two[1])])),
            st.tuples(inner, inner).map(lambda two: ColumnTransformer([("one", two[0], [0])], remainder=two[1])),
        ),
        max_leaves=5,
    )


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A few rows with nulls and constants, from a few values or from many."""
    n, seed = draw(st.integers(2, 60)), draw(st.integers(0, 1000))
    frame = table(n, seed, holes=draw(st.sampled_from([0.0, 0.3])))
    if draw(st.booleans()):
        frame["a"] = frame["a"].round(0)
    return frame


@given(tables(), chains(), st.integers(1, 40), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
def test_random_compositions_equal_scikit_learn(frame: pd.DataFrame, chain: Any, part_rows: int, threshold: float) -> None:
    step = ColumnTransformer(
        [("numbers", Pipeline([("fill", SimpleImputer(keep_empty_features=True)), ("chain", chain)]), ["a", "b", "i"]),
         ("text", make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder()), TEXT)],
        sparse_threshold=threshold,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clone(step).fit_transform(frame)
    except (TypeError, ValueError):
        refused_by_bigml(step, frame, part_rows)
        event("refused by both")
        return
    event("fitted")
    check(step, frame, part_rows)


def test_a_remainder_of_no_columns_is_never_asked_for_any() -> None:
    def inner() -> ColumnTransformer:
        return ColumnTransformer([("one", StandardScaler(), [0])], remainder=StandardScaler())

    step = ColumnTransformer([("both", StandardScaler(), ["a", "b"])], remainder=inner())
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1.0, 5.0]})
    found = bigml.fit(step, bigml.from_pandas(frame, part_rows=2)).transform(frame)
    np.testing.assert_allclose(found, clone(step).fit_transform(frame))


@pytest.mark.parametrize("step", [RobustScaler(), QuantileTransformer(n_quantiles=50), SimpleImputer(strategy="median")])
def test_quantiles_of_very_many_numbers_are_within_the_stated_error(step: Any) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(5).lognormal(size=3 * tally.MOST_EXACT)})
    fitted = bigml.fit(step, bigml.from_pandas(frame, part_rows=9_000))
    expected = clone(step).set_params(**({"subsample": None} if hasattr(step, "subsample") else {})).fit(frame)
    for name in {"center_", "quantiles_", "statistics_"} & set(vars(expected)):
        np.testing.assert_allclose(getattr(fitted, name), getattr(expected, name), rtol=tally.RELATIVE_ERROR)
    if isinstance(step, QuantileTransformer):
        assert fitted.quantiles_[0] == frame["x"].min()
        assert fitted.quantiles_[-1] == frame["x"].max()


def test_quantiles_are_of_all_rows_where_scikit_learn_takes_a_subsample() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).integers(0, 50, 2_000)})
    fitted = bigml.fit(QuantileTransformer(n_quantiles=20, subsample=100), bigml.from_pandas(frame, part_rows=300))
    expected = QuantileTransformer(n_quantiles=20, subsample=None).fit(frame)
    np.testing.assert_array_equal(fitted.quantiles_, expected.quantiles_)


@pytest.mark.parametrize("method", ["linear", "inverted_cdf", "averaged_inverted_cdf", "hazen", "weibull", "median_unbiased"])
def test_edges_of_bins_follow_every_method_of_quantiles(method: str) -> None:
    step = KBinsDiscretizer(4, encode="ordinal", quantile_method=method)
    check(step, table(37, 1)[["b", "i"]], part_rows=5, scans=1)


@pytest.mark.parametrize("column", ["c", "none"])
@pytest.mark.parametrize("step", [
    StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler(), SimpleImputer(keep_empty_features=True),
    SimpleImputer(add_indicator=True), MissingIndicator(), QuantileTransformer(n_quantiles=4), OneHotEncoder(), OrdinalEncoder(),
])  # fmt: skip
def test_constant_and_empty_columns_are_treated_as_by_scikit_learn(step: Any, column: str) -> None:
    frame = table(20, 0)[["a", "c"]].assign(none=np.nan)[["a", column]]
    check(step, frame, part_rows=6, scans=1)


def test_a_function_that_mixes_rows_is_refused() -> None:
    centred = FunctionTransformer(lambda X: X - X.mean())
    with pytest.raises(FitError, match=r"every row by itself.*mixes rows.*FunctionTransformer"):
        bigml.fit(make_column_transformer((centred, ["a"])), bigml.from_pandas(table(20, 0)))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (make_column_transformer((StandardScaler(), ["a", "s"])), "column of numbers.*column `s`.*`StandardScaler`"),
        (make_column_transformer((SimpleImputer(strategy="median"), ["s"])), "column `s`.*`SimpleImputer`"),
        (make_column_transformer((SimpleImputer(strategy="most_frequent"), ["b", "when"])), "`SimpleImputer`.*column `when`"),
        (make_column_transformer((KBinsDiscretizer(), ["i", "a"])), "no missing values.*column `a`"),
        (make_column_transformer((Binarizer(), ["a"])), "`Binarizer`.*NaN.*column `a`"),
        (make_column_transformer((VarianceThreshold(1e9), ["b"])), "variance above 1e.09"),
        (make_column_transformer((PowerTransformer(), ["b"])), "`PowerTransformer`.*Use QuantileTransformer.*source.sample"),
        (make_column_transformer((make_pipeline(FunctionTransformer(np.log), StandardScaler()), ["i"])), "infinity|infinite"),
    ],
)
def test_what_a_step_cannot_learn_from_is_refused_with_step_and_column(step: Any, words: str) -> None:
    frame = table(40, 0, holes=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((DataError, FitError), match=words):
            bigml.fit(step, bigml.from_pandas(frame, part_rows=15))


def test_nothing_is_read_before_a_step_is_refused() -> None:
    source = CountingSource(bigml.from_pandas(table(20, 0)))
    with pytest.raises(FitError, match="`PowerTransformer`"):
        bigml.fit(make_pipeline(make_column_transformer((StandardScaler(), ["b"])), PowerTransformer()), source)
    assert not source.reads


def test_a_projection_in_the_middle_learns_by_scans_of_what_is_before_it() -> None:
    step = make_pipeline(make_column_transformer((FILL, NUMBERS)), StandardScaler(), PCA(2), StandardScaler())
    frame = table(200, 4, holes=0.1)
    fitted, expected = bigml.fit(step, bigml.from_pandas(frame, part_rows=33)), clone(step).fit(frame)
    np.testing.assert_allclose(fitted.transform(frame), expected.transform(frame), rtol=1e-7, atol=1e-7)


def test_a_model_behind_functions_learns_and_predicts_without_names_of_features() -> None:
    frame = table(300, 6, holes=0.1)
    model = make_pipeline(make_column_transformer((make_pipeline(FILL, LOGS, StandardScaler()), NUMBERS)), SGDClassifier())
    fitted = bigml.fit(model, bigml.from_pandas(frame[[*NUMBERS, "t"]], part_rows=90), target="t", epochs=2)
    predictions = bigml.predict(fitted, bigml.from_pandas(frame, part_rows=50)).to_pandas()["prediction"]
    assert predictions.tolist() == fitted.predict(frame).tolist()


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_advised_in_the_place_of_a_step_can_be_fitted(name: str) -> None:
    step = type(name, (TransformerMixin, BaseEstimator), {"fit": lambda self, X, y=None: self})()
    with pytest.raises(FitError, match=f"`{name}`.*Use {INSTEAD[name].split('(')[0]}"):
        bigml.fit(step, table(20, 0)[NUMBERS])
    advised = {kind.__name__ for role in (learn, inquire, solve) for kind in role.registry}
    assert INSTEAD[name].split("(")[0] in advised
