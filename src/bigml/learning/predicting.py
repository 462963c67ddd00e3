"""Predicting: a model's predictions as a source, or streamed to Parquet."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.exceptions import NotFittedError

from bigml.chunk import Chunk
from bigml.errors import FitError, SchemaError
from bigml.graph.progress import ProgressLike
from bigml.learning.finite import refused_cell
from bigml.learning.fitted import Fitted
from bigml.learning.network import Network
from bigml.sources.memory import as_source
from bigml.sources.source import Source, View

if TYPE_CHECKING:
    from distributed import Client

    from bigml.sources.writing import Manifest

MOST_FEATURES = 1_000
"""Features that `transform` writes, each a column of its own."""
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")


@dataclass(frozen=True)
class Predicted:
    """An operation of a view: some columns as they are, and a model's predictions beside them.

    Attributes:
        fitted: The model in its pieces.
        method: What is asked of it.
        made: Names and types of the columns that it makes.
        kept: Columns that are copied.
        digest: Of the model and the method: the view's token tells models apart by it.
    """

    fitted: Fitted = field(repr=False, compare=False)
    method: str
    made: tuple[tuple[str, pa.DataType], ...]
    kept: tuple[str, ...]
    digest: str
    keeps_rows: bool = True

    def schema(self, schema: pa.Schema) -> pa.Schema:
        return pa.schema([*(schema.field(name) for name in self.kept), *(pa.field(*item) for item in self.made)])

    def needs(self, columns: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
        made = {name for name, _ in self.made}
        features = self.fitted.design.names if not made.isdisjoint(columns) else ()
        return tuple(dict.fromkeys([*(name for name in columns if name not in made), *features]))

    def apply(self, chunk: Chunk, columns: Sequence[str]) -> Chunk:
        wanted = [name for name, _ in self.made if name in columns]
        made = dict(zip([name for name, _ in self.made], self._predictions(chunk), strict=True)) if wanted else {}
        kept = {name: chunk.column(name) for name in columns if name in self.kept}
        return Chunk({name: kept[name] if name in kept else made[name] for name in columns}, chunk.rows)

    def _predictions(self, chunk: Chunk) -> list[pa.Array]:
        if not chunk.n_rows:
            return [pa.array([], kind) for _, kind in self.made]
        values = self.fitted.ask(self.method, self.fitted.design.matrix(chunk), chunk)
        values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        table = values.reshape(chunk.n_rows, -1)
        if table.shape[1] != len(self.made):
            where = f"from `{type(self.fitted.final).__name__}.{self.method}`"
            raise FitError(f"{len(self.made)} columns of predictions", got=f"{table.shape[1]}", where=where)
        try:
            return [pa.array(np.ascontiguousarray(table[:, i])).cast(kind) for i, (_, kind) in enumerate(self.made)]
        except pa.ArrowInvalid as error:
            raise refused_cell(table, [name for name, _ in self.made], chunk.row_numbers) or error from error


def predict(
    model: Any,
    source: Source | pd.DataFrame | pa.Table,
    path: str | Path | None = None,
    *,
    method: str = "predict",
    columns: Sequence[str] = (),
    client: Client | None = None,
    progress: ProgressLike = None,
) -> View | Manifest:
    """A model's predictions for every row: a lazy source, or a data set of Parquet files when a path is given.

    The columns are called `prediction` (`prediction_0`, `prediction_1`, ... of a model with many outputs), `proba_<class>`,
    `log_proba_<class>`, `decision` (or `decision_<class>`), or as the transformer names its features, of which there may be
    1,000; a sparse matrix becomes such columns too. A transformer that names none is shown the first row: the columns are then
    those of the DataFrame that it makes, or its type and a number (`functiontransformer0`). Files are written part by part and
    appear together, or not at all.

    Args:
        model: A fitted scikit-learn estimator or Pipeline, from `bigml.fit` or not; or a Keras model, or a Pipeline that ends in
            one. A Keras model whose output is a softmax, or a sigmoid of one unit, is a classifier.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        path: A directory for Parquet files.
        method: predict, predict_proba, predict_log_proba, decision_function or transform.
        columns: Columns of the source to copy, for instance an identifier.
        client: A `distributed.Client` for the writing; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        The source, whose rows are those of `source`; with a path the manifest of what was written.

    Raises:
        FitError: The model has no such method, or many outputs where the method is not `predict`.
        ColumnError: A feature is not there.
        DataError: While reading: a value that the model refuses, with its column and row.

    >>> import bigml, pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 3.0]})
    >>> model = DummyRegressor().fit(frame[["x"]], frame["y"])
    >>> bigml.predict(model, bigml.from_pandas(frame), columns=["x"]).to_pandas()["prediction"].tolist()
    [2.0, 2.0]
    """
    source = as_source(source)
    kept = source.known((columns,) if isinstance(columns, str) else tuple(columns))
    fitted = Fitted.of(model, source.schema, without=kept)
    source.known(fitted.design.names)
    if method not in METHODS or not fitted.offers(method):
        offered = [name for name in METHODS if fitted.offers(name)]
        raise FitError(f"a method among {', '.join(offered)}", got=f"`{method}`", where=f"of `{type(fitted.final).__name__}`")
    made = _made(model, fitted, method, source)
    twice = [name for name, _ in made if name in kept]
    if twice:
        raise SchemaError("columns to copy beside the predictions", got=f"`{twice[0]}` in both", do="Rename it first.")
    digest = hashlib.blake2b(_dumped(model, fitted) + method.encode(), digest_size=16).hexdigest()
    view = View(source, Predicted(fitted, method, made, kept, digest))
    return view if path is None else view.write_parquet(path, client=client, progress=progress)


def _dumped(model: Any, fitted: Fitted) -> bytes:
    """Bytes that are others for another model; a Keras model is not pickled to the same bytes twice."""
    if isinstance(fitted.final, Network):
        return pickle.dumps(fitted.design) + fitted.final.digest.encode()
    return pickle.dumps(model)


def _made(model: Any, fitted: Fitted, method: str, source: Source) -> tuple[tuple[str, pa.DataType], ...]:
    if method == "predict":
        return _predictions_made(fitted.final)
    if method == "transform":
        return tuple((name, pa.float64()) for name in _features(model, fitted, source))
    classes = getattr(fitted.final, "classes_", None)
    if isinstance(classes, list):
        got, do = f"one with {len(classes)}", 'Use method="predict".'
        raise FitError(f"a model with one output for `{method}`", got=got, where=f"of `{type(fitted.final).__name__}`", do=do)
    if method == "decision_function" and (classes is None or len(classes) == 2):
        return (("decision", pa.float64()),)
    stem = {"predict_proba": "proba", "predict_log_proba": "log_proba", "decision_function": "decision"}[method]
    return tuple((f"{stem}_{one}", pa.float64()) for one in (classes if classes is not None else ()))


def _features(model: Any, fitted: Fitted, source: Source) -> list[str]:
    """The names of the transformed features, which become columns; a sparse matrix of very many is refused."""
    try:
        names = [str(name) for name in model.get_feature_names_out()]
    except NotFittedError as error:
        raise FitError("a fitted transformer", got=str(error), where="in predict") from error
    except (AttributeError, TypeError, ValueError):
        names = _shown(fitted, source)
    if len(names) > MOST_FEATURES:
        do = "Put a TruncatedSVD behind it, or fit the whole pipeline by bigml.fit."
        got, where = f"{len(names):,}", f"transform of `{type(model).__name__}`"
        raise FitError(f"at most {MOST_FEATURES:,} features to make columns of", got=got, where=where, do=do)
    return names


def _shown(fitted: Fitted, source: Source) -> list[str]:
    """Names for what a transformer that names no features makes of the first row: its own columns, or its type and a number."""
    final = type(fitted.final).__name__
    chunk = next(source.head(1).iter_chunks(fitted.design.names), None)
    if chunk is None or not chunk.n_rows:
        raise FitError("a transformer that names its features, or a row to count them by", got=f"`{final}` and no rows")
    made = fitted.ask("transform", fitted.design.matrix(chunk), chunk)
    if hasattr(made, "columns"):
        return [str(name) for name in made.columns]
    return [f"{final.lower()}{i}" for i in range(made.shape[1] if made.ndim > 1 else 1)]


def _predictions_made(final: Any) -> tuple[tuple[str, pa.DataType], ...]:
    outputs = _outputs(final)
    if len(outputs) > 1:
        return tuple((f"prediction_{i}", pa.array(outputs[i : i + 1]).type) for i in range(len(outputs)))
    classes = getattr(final, "classes_", None)
    if classes is not None:
        return (("prediction", pa.array(classes).type),)
    is_cluster = hasattr(final, "cluster_centers_") and not is_regressor(final)
    return (("prediction", pa.int64() if is_cluster else pa.float64()),)


def _outputs(final: Any) -> NDArray[Any]:
    """The outputs of `predict` for one row of zeros, shape (n_outputs,); no attribute tells their number for all estimators.

    One that refuses such a row is taken to have one output; reading its predictions refuses any other number.
    """
    if isinstance(final, Network):
        return np.zeros(1 if hasattr(final, "classes_") else final.n_outputs)
    names = getattr(final, "feature_names_in_", None)
    try:
        row = np.zeros((1, final.n_features_in_))
        return np.asarray(final.predict(row if names is None else pd.DataFrame(row, columns=names))).ravel()
    except (AttributeError, TypeError, ValueError):
        return np.zeros(1)
