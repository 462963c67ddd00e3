"""Network: a Keras model as predicting and scoring see an estimator. Keras itself is never imported here."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from bigml.errors import FitError
from bigml.learning.design import Design
from bigml.learning.inputs import Input, InputDesign, fields_of, inputs_of
from bigml.learning.trainable import Trainable

BATCH_ROWS = 1024
"""Rows that a model is given at a time: what its layers make of them must fit in memory."""
LOGITS = {"BinaryCrossentropy": "sigmoid", "CategoricalCrossentropy": "softmax", "SparseCategoricalCrossentropy": "softmax"}

_LOCK = threading.RLock()
_MODELS: dict[str, Any] = {}


def is_network(model: Any) -> bool:
    """Whether it is a Keras model, or a Pipeline that ends in one."""
    keras = sys.modules.get("keras")
    return isinstance(last_of(model), getattr(keras, "Model", ()))


def last_of(model: Any) -> Any:
    """The final step of a Pipeline, or what is no Pipeline; the Keras model of a wrapper for scikit-learn that was fitted."""
    return _unwrapped(model.steps[-1][1] if isinstance(model, Pipeline) and model.steps else model)


def _unwrapped(estimator: Any) -> Any:
    """The Keras model of a fitted wrapper, known by its classes and features; anything else as it is."""
    keras, held = sys.modules.get("keras"), getattr(estimator, "model_", None)
    if keras is None or not isinstance(held, keras.Model):
        return estimator
    is_wrapper = type(estimator) in (keras.wrappers.SKLearnClassifier, keras.wrappers.SKLearnRegressor)
    classes, features = (getattr(estimator, name, None) for name in ("classes_", "feature_names_in_"))
    has_places = classes is None or (_link(held) == "softmax" and held.output_shape[-1] == len(classes))
    if not has_places or not (is_wrapper or isinstance(estimator, Trainable)):
        return estimator
    remember(held, Known(classes, None if features is None else tuple(map(str, features))))
    return held


@dataclass(frozen=True, eq=False)
class Known:
    """What a Keras model does not know of itself.

    Attributes:
        classes: By number of its outputs; None for numbers.
        features: The columns of its input; None when that is not known.
    """

    classes: NDArray[Any] | None
    features: tuple[str, ...] | None = None


_KNOWN: WeakKeyDictionary[Any, Known] = WeakKeyDictionary()


def remember(model: Any, known: Known) -> None:
    """Keep in this process what a model was trained on; it goes with the model."""
    _KNOWN[model] = known


def with_classes(model: Any, classes: Sequence[Any]) -> Any:
    """The Keras model, its outputs now known by these classes: a file does not keep them.

    Args:
        model: A classifier, for instance from `keras.saving.load_model`.
        classes: In the order of its outputs: sorted, when `bigml.train` found them.

    Raises:
        FitError: There are more or fewer than outputs.

    >>> import bigml, keras
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> table = bigml.from_pandas(__import__("pandas").DataFrame({"x": [1.0]}))
    >>> bigml.predict(bigml.models.with_classes(model, ["no", "yes"]), table, method="predict_proba").columns
    ('proba_no', 'proba_yes')
    """
    link, n = _link(model), prod(model.output_shape[1:])
    expected = 2 if link == "sigmoid" else n
    if not link or len(classes) != expected:
        got = f"{len(classes)}" if link else "a model of numbers"
        raise FitError(f"a classifier, and a class for each of its {expected}", got=got, where="in with_classes")
    remember(model, Known(np.asarray(classes)))
    return model


@dataclass(frozen=True, eq=False)
class Network:
    """A Keras model that predicts numbers, as scikit-learn's estimators do; many threads may ask it.

    Attributes:
        model: It has one output.
        digest: Of what it computes.
        inputs: What it asks for by name, if anything.
        shape: Of one row, where it has one input.
        n_outputs: Numbers that it predicts for a row.
    """

    model: Any
    digest: str
    inputs: tuple[Input, ...]
    shape: tuple[int, ...]
    n_outputs: int

    def predict(self, X: Any) -> NDArray[Any]:
        """Shape (n_rows, n_outputs).

        Raises:
            ValueError: X is not finite.
        """
        return self._asked(X).astype(np.float64)

    def _asked(self, X: Any) -> NDArray[np.float32]:
        if not self.inputs and not np.isfinite(X.data if hasattr(X, "tocoo") else X).all():
            raise ValueError("Input X contains NaN or infinity.")
        cuts = [X[at : at + BATCH_ROWS] for at in range(0, X.shape[0], BATCH_ROWS)]
        with _LOCK:
            found = [np.asarray(self.model.predict_on_batch(self._fed(rows))).reshape(rows.shape[0], -1) for rows in cuts]
        return np.concatenate(found)

    def _fed(self, rows: Any) -> Any:
        if self.inputs:
            return fields_of(rows, self.inputs)
        dense = rows.toarray() if hasattr(rows, "tocoo") else np.asarray(rows)
        return np.ascontiguousarray(dense, np.float32).reshape(len(dense), *self.shape)

    @cached_property
    def _archive(self) -> bytes:
        return pickle.dumps(self.model)

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in self.__dict__.items() if name not in {"model", "_archive"}}
        return own | {"archive": self._archive}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Read once in a process: every task of a worker brings the model along.
        archive, digest = state.pop("archive"), state["digest"]
        with _LOCK:
            if digest not in _MODELS:
                _MODELS.clear()
                _MODELS[digest] = restored(archive)
        self.__dict__.update(state | {"model": _MODELS[digest], "_archive": archive})


def restored(archive: bytes) -> Any:
    """What was pickled in this process or for it, a Keras model perhaps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # of one that took no step
        return pickle.loads(archive)


@dataclass(frozen=True, eq=False)
class NetworkClassifier(Network):
    """A Keras model whose outputs are probabilities of classes, or their logits.

    Attributes:
        classes_: By number of the output; two for one output, the probability of the second.
        link: What makes probabilities of its outputs: "softmax", "sigmoid", or "" where they are.
    """

    classes_: NDArray[Any]
    link: str = ""

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row, shape (n_rows,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Shape (n_rows, n_classes)."""
        told = self._asked(X).astype(np.float64)
        if self.link == "softmax":
            told = np.exp(told - told.max(axis=1, keepdims=True))
        elif self.link == "sigmoid":
            told = 1 / (1 + np.exp(-told))
        if self.n_outputs == 1:
            return np.hstack([1 - told, told])
        return told / told.sum(axis=1, keepdims=True)


def network_of(model: Any) -> Network:
    """A Keras model as an estimator.

    Raises:
        FitError: It has several outputs, or none of known shape.
    """
    if not model.built or not isinstance(model.output_shape, tuple):
        raise FitError("a Keras model with one output of known shape", got=f"`{model.name}`", where="in predict")
    shape = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    about = (model, _digest(model), inputs_of(model), tuple(int(size) for size in shape), prod(model.output_shape[1:]))
    known, link = _KNOWN.get(model), _link(model)
    if not link or (known is not None and known.classes is None):
        return Network(*about)
    classes = known.classes if known is not None else None
    classes = np.arange(max(about[-1], 2)) if classes is None else classes
    return NetworkClassifier(*about, classes, "" if _activation(model) == link else link)


def design_of_network(model: Any, schema: pa.Schema, without: frozenset[str]) -> Design:
    """How columns become what a Keras model is given.

    Args:
        model: The model.
        schema: Of the source.
        without: Columns that are no features, if it is not known which are.

    Raises:
        FitError: The number of columns is another than that of its inputs.
    """
    inputs, known = inputs_of(model), _KNOWN.get(model)
    if inputs:
        return InputDesign.of(inputs, schema)
    names = tuple(name for name in schema.names if name not in without)
    if known is not None and known.features is not None:
        names = known.features
    expected = prod(int(size) for size in model.input_shape[1:])
    if len(names) != expected:
        do = "Select the model's features, in its order."
        raise FitError(f"{expected:,} features", got=f"{len(names):,} columns", where=f"of {', '.join(names[:10])}", do=do)
    return Design(names, dtype=np.float32)


def _link(model: Any) -> str:
    """What makes probabilities of classes: "softmax", "sigmoid" of one output, or "" for a model of numbers."""
    if len(model.output_shape) != 2:
        return ""
    loss = getattr(model, "loss", None)
    logits = LOGITS.get(type(loss).__name__, "") if getattr(loss, "from_logits", False) else ""
    found = logits or _activation(model)
    fits = {"sigmoid": model.output_shape[-1] == 1, "softmax": model.output_shape[-1] > 1}
    return found if fits.get(found, False) else ""


def _activation(model: Any) -> str:
    """The name of the last activation."""
    names = getattr(model, "output_names", None)
    last = model.get_layer(names[0]) if names else model.layers[-1]
    if hasattr(last, "layers"):
        return _activation(last)
    return getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower())


def _digest(model: Any) -> str:
    """A digest of all that decides what a model computes."""
    told = hashlib.blake2b(json.dumps(model.get_config(), default=str).encode(), digest_size=16)
    for layer in model.layers:
        told.update(str(layer.get_vocabulary()).encode() if hasattr(layer, "get_vocabulary") else b"")
    for weight in model.get_weights():
        told.update(np.ascontiguousarray(weight).tobytes())
    return told.hexdigest()
