"""Fitted: a scikit-learn object that has learned, as seen by what applies it to chunks."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from bigml.chunk import Chunk
from bigml.errors import ColumnError, DataError, FitError
from bigml.learning.design import Design, needed
from bigml.learning.finite import refused_number
from bigml.learning.network import design_of_network, is_network, last_of, network_of
from bigml.learning.preprocessing.documents import reads_text
from bigml.learning.preprocessing.summary import is_number, plain


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted object in two pieces, so that rows are transformed once for all that is asked of the final estimator.

    Attributes:
        design: Makes X of a chunk.
        final: The estimator that is given X.
    """

    design: Design
    final: Any

    @classmethod
    def of(cls, model: Any, schema: pa.Schema, without: Iterable[str] = ()) -> Fitted:
        """The pieces of a model that is to be applied to rows of this schema.

        Args:
            model: A fitted scikit-learn estimator or Pipeline, from `bigml.fit` or not, or a Keras model.
            schema: Of the source.
            without: Columns that are no features, if the model does not name its features.

        Raises:
            ColumnError: A feature is not there.
            FitError: The number of features is another.
        """
        if is_network(model):
            return cls._of_network(model, schema, frozenset(without))
        names = _features(model, schema, frozenset(without))
        read = _known(needed(model, names), schema)
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            return cls(Design(read, model[:-1]), model[-1])
        final = model[-1] if isinstance(model, Pipeline) else model
        if reads_text(final):
            return cls(Design(read, dtype=None).choose([0], flat=True), final)
        named = isinstance(final, ColumnTransformer | FeatureUnion | FunctionTransformer)
        numeric = not named and all(is_number(plain(schema.field(name).type)) for name in read)
        numeric = numeric and not _members_named(final)
        # Clusters of float32 rows predict such rows alone.
        dtype = getattr(getattr(final, "cluster_centers_", None), "dtype", np.float64)
        return cls(Design(read, dtype=dtype), _nameless(final)) if numeric else cls(Design(read, dtype=None), final)

    @classmethod
    def _of_network(cls, model: Any, schema: pa.Schema, without: frozenset[str]) -> Fitted:
        network = network_of(last_of(model))
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            return cls(Design(_known(needed(model[:-1], _features(model[:-1], schema, without)), schema), model[:-1]), network)
        return cls(design_of_network(last_of(model), schema, without), network)

    def ask(self, method: str, X: Any, chunk: Chunk) -> Any:
        """What the final estimator's method says of the rows of a chunk, X being `design.matrix(chunk)`.

        Raises:
            DataError: The estimator refuses a value; its column and row are named.
        """
        try:
            return getattr(self.final, method)(X)
        except (TypeError, ValueError) as error:
            raise self._blame(method, X, chunk, error) from error

    def _blame(self, method: str, X: Any, chunk: Chunk, error: Exception) -> DataError:
        refused = refused_number(X, self._names(X.shape[1]), chunk.row_numbers)
        expected, where = (
            f"rows that `{type(self.final).__name__}.{method}` accepts",
            f"columns {', '.join(self.design.names[:10])}",
        )
        return refused or DataError(expected, got=str(error).splitlines()[0], where=where)

    def _names(self, width: int) -> list[str]:
        """The names of X's columns; numbers where preprocessing gives none."""
        try:
            return self.design.features
        except AttributeError:
            return [str(i) for i in range(width)]

    def offers(self, method: str) -> bool:
        """Whether the final estimator has the method."""
        return hasattr(self.final, method)


def _features(model: Any, schema: pa.Schema, without: frozenset[str]) -> tuple[str, ...]:
    own = getattr(model, "feature_names_in_", None)
    if own is not None:
        return tuple(str(name) for name in own)
    names = tuple(name for name in schema.names if name not in without)
    expected = getattr(model, "n_features_in_", len(names))
    if expected != len(names):
        do = "Select the model's features, in its order."
        raise FitError(f"{expected} features", got=f"{len(names)} columns", where=f"of {', '.join(names[:10])}", do=do)
    return names


def _known(names: tuple[str, ...], schema: pa.Schema) -> tuple[str, ...]:
    for name in names:
        if name not in schema.names:
            raise ColumnError.missing(name, schema.names, where="a feature of the model")
    return names


def _members_named(final: Any) -> bool:
    """Whether what the estimator is made of asks for columns by their names."""
    members = getattr(final, "estimators_", None)
    return isinstance(members, list) and any(hasattr(one, "feature_names_in_") for one in members)


def _nameless(final: Any) -> Any:
    """The estimator as it takes arrays without asking for their names."""
    if "feature_names_in_" not in vars(final):
        return final
    bare = copy(final)
    del bare.feature_names_in_
    return bare
