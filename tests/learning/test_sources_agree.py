"""Every learner learns the same from memory maps as from tables, and the same bits on workers as on threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from distributed import Client, LocalCluster
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import ElasticNetCV, LassoCV, LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import CategoricalNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.utils.discovery import all_estimators

import bigml
from bigml.learning import catalogue
from bigml.learning.preprocessing.registry import learn
from bigml.learning.preprocessing.staging import inquire
from bigml.learning.solving import solve

assert catalogue.MODULES, "importing it registers the steps and models"

N_ROWS, PART_ROWS, WIDTH, MOST = 240, 60, 4, 40
BY_SCANS = {kind for role in (learn, inquire, solve) for kind in role.registry if kind.__module__.startswith("sklearn.")}
BY_PARTS = {kind for _, kind in all_estimators() if hasattr(kind, "partial_fit")}
REFUSED = {"MultiOutputClassifier", "MultiOutputRegressor", "SelectFromModel"}
DEPRECATED = {"PassiveAggressiveClassifier", "PassiveAggressiveRegressor"}
KINDS = {kind.__name__: kind for kind in BY_SCANS | BY_PARTS if kind.__name__ not in REFUSED | DEPRECATED}
TEXTUAL = {kind.__name__ for kind in (CountVectorizer, FeatureHasher, HashingVectorizer)}
MADE = {
    "CategoricalNB": CategoricalNB(min_categories=MOST),
    "ColumnTransformer": make_column_transformer((OneHotEncoder(), ["x0"]), (StandardScaler(), ["x1", "x3"])),
    "ElasticNetCV": ElasticNetCV(alphas=5, cv=2),
    "FeatureHasher": FeatureHasher(n_features=16, input_type="string"),
    "FeatureUnion": make_union(MinMaxScaler(), OneHotEncoder()),
    "HashingVectorizer": HashingVectorizer(n_features=16),
    "KBinsDiscretizer": KBinsDiscretizer(quantile_method="averaged_inverted_cdf"),
    "LassoCV": LassoCV(alphas=5, cv=2),
    "LatentDirichletAllocation": LatentDirichletAllocation(2, max_doc_update_iter=5),
    "OneVsOneClassifier": OneVsOneClassifier(SGDClassifier(random_state=0)),
    "OneVsRestClassifier": OneVsRestClassifier(LogisticRegression()),
    "Pipeline": make_pipeline(StandardScaler(), OneHotEncoder(), SGDClassifier()),
    "QuantileTransformer": QuantileTransformer(n_quantiles=20),
}
"""Those that need something to be made with, are slow without, or warn of few rows; all others are made of nothing."""
TOKENS = ["one", "two", "three", "four", "five"]
PARTS_OF_IT = {"steps", "transformer_list"}


def learner(name: str) -> Any:
    return MADE.get(name) or KINDS[name]()


def learned(value: Any) -> Any:
    """All that was learned, in plain arrays and lists; of what is none of these the type."""
    if isinstance(value, BaseEstimator):
        names = [name for name in vars(value) if name in PARTS_OF_IT or (name.endswith("_") and not name.startswith("_"))]
        return {name: learned(getattr(value, name)) for name in sorted(names)}
    if sparse.issparse(value):
        return [value.shape, value.tocoo().coords, value.data]
    if isinstance(value, Mapping):
        return {key: learned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [learned(inner) for inner in value]
    return value if value is None or isinstance(value, np.ndarray | np.generic | float | int | str) else type(value)


def answers(model: Any, rows: Any) -> Any:
    """What a model makes of rows."""
    made = model.predict(rows) if hasattr(model, "predict") else model.transform(rows)
    return made.toarray() if sparse.issparse(made) else np.asarray(made)


def check_same(left: Any, right: Any, rows: Any) -> None:
    np.testing.assert_equal(learned(left), learned(right))
    np.testing.assert_array_equal(answers(left, rows), answers(right, rows), strict=True)


def drawn(kind: str = "f8", labels: str = "i8") -> tuple[Any, Any]:
    """Features and classes of these types, all of them above 0, which every learner takes."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, MOST, (N_ROWS, WIDTH))
    return X.astype(kind), (1 + X[:, 0] // 20 + rng.integers(0, 2, N_ROWS)).astype(labels)


def table(X: Any, y: Any) -> pa.Table:
    return pa.table({**{f"x{i}": X[:, i] for i in range(WIDTH)}, "target": y})


def documents(name: str) -> pa.Table:
    """Texts; for a hasher lists of their words."""
    rng = np.random.default_rng(0)
    words = [[str(token) for token in rng.choice(TOKENS, 5)] for _ in range(N_ROWS)]
    return pa.table({"text": words if name == "FeatureHasher" else [" ".join(some) for some in words], "target": drawn()[1]})


@pytest.fixture(scope="module", params=[("u1", "u1"), ("f4", "i8")], ids=["bytes", "floats"])
def sources(request, tmp_path_factory):
    folder, (X, y) = tmp_path_factory.mktemp("map"), drawn(*request.param)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    mapped = bigml.read_memmap(folder / "X.npy", y=folder / "y.npy", part_bytes=X[:PART_ROWS].nbytes)
    return mapped, bigml.from_arrow(table(X, y), part_rows=PART_ROWS)


@pytest.mark.parametrize("name", sorted(set(KINDS) - TEXTUAL))
def test_a_memory_map_teaches_what_a_table_does(sources, name):
    mapped, tabular = sources
    assert len(mapped.parts) == len(tabular.parts) == N_ROWS // PART_ROWS
    left, right = (bigml.fit(learner(name), source, target="target") for source in sources)
    check_same(left, right, tabular.drop("target").to_pandas())


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.mark.cluster
@pytest.mark.parametrize("name", sorted(KINDS))
def test_two_workers_learn_the_bits_of_threads(client, name):
    source = bigml.from_arrow(documents(name) if name in TEXTUAL else table(*drawn()), part_rows=PART_ROWS)
    there, here = (bigml.fit(learner(name), source, target="target", client=one) for one in (client, None))
    features = source.drop("target").to_pandas()
    check_same(there, here, features["text"] if name in TEXTUAL else features)


def test_all_that_learns_by_scans_is_among_them():
    assert {kind.__name__ for kind in BY_SCANS} <= set(KINDS)
