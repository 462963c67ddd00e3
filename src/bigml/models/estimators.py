"""Estimators: small Keras models for users of scikit-learn, which `bigml.fit` trains and gives back in Keras's own wrappers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from bigml.errors import ConfigError, DataError
from bigml.learning.batch import Encoder
from bigml.learning.fitting import fit
from bigml.learning.network import last_of, network_of
from bigml.models.convolutional import convolutions
from bigml.models.dense import perceptron
from bigml.models.heads import one_each
from bigml.sources.source import Source
from bigml.training.training import train

TASKS = ("classification", "regression")


def _classifies(estimator: Wrapped) -> bool:
    if estimator.task not in TASKS:
        raise ConfigError(f"`task` as one of {', '.join(TASKS)}", got=f"{estimator.task!r}", where=type(estimator).__name__)
    return estimator.task == "classification"


class Wrapped(BaseEstimator):
    """What estimators of Keras models have in common.

    `bigml.fit` gives back a plain `keras.wrappers.SKLearnClassifier` or `SKLearnRegressor`, which predicts where bigml is not
    installed: `model_` is the trained Keras model, `history_` its History, `model` the same untrained. With `validation=` the
    weights of the best epoch are kept, and `patience=` stops early. `fit` itself learns from rows in memory, as scikit-learn's
    searches want it.
    """

    task: str
    learning_rate: float
    epochs: int | None
    batch_size: int
    shards: int | None

    def layers(self, width: int) -> list[Any]:
        """All layers but the last, for rows of so many features."""
        raise NotImplementedError

    def build(self, width: int, n_classes: int | None) -> Any:
        """A new compiled Keras model; of a regressor n_classes is None."""
        import keras

        return one_each(self.layers(width), n_classes, keras.optimizers.Adam(self.learning_rate))

    @property
    def passes(self) -> int | None:
        """Over the rows; None for as many as `bigml.fit` is told."""
        return self.epochs

    def trained(self, source: Source, encoder: Encoder, how: Mapping[str, Any]) -> Any:
        """The wrapper of a model that `bigml.train` trains on what the encoder makes of rows."""
        target: Any = encoder.target
        width = len(encoder.design.features) or _width(source, encoder)
        build = partial(self.build, width, None if target.classes is None else len(target.classes))
        epochs = self.epochs or how["epochs"]
        given: dict[str, Any] = {"target": target.column, "classes": target.classes, "sample_weight": encoder.weight}
        given |= {name: value for name, value in how.items() if name != "patience"} | {"cache": how["cache"] or True}
        given |= {"preprocessor": encoder.design.preprocessor, "epochs": epochs, "batch_size": self.batch_size}
        given |= {"shards": self.shards, "callbacks": [] if how["validation"] is None else [_best(how["patience"] or epochs)]}
        model, history = train(build, source, **given)
        return _wrapper(model, history, target.classes, {"epochs": epochs, "batch_size": self.batch_size})

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Wrapped:
        """Learn from rows in memory; see `bigml.fit` for more of them."""
        features, y = validate_data(self, X, y)
        rows = pd.DataFrame(features, columns=[f"x{i}" for i in range(features.shape[1])]).assign(y=y)
        if sample_weight is not None:
            rows["weight"] = sample_weight
        weight = None if sample_weight is None else "weight"
        learned = fit(self, rows, target="y", sample_weight=weight, progress=False)
        self.model_, self.history_ = learned.model_, learned.history_
        if _classifies(self):
            self.classes_ = learned.classes_
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The class or the number of each row, shape (n_rows,)."""
        return self._asked("predict", X).ravel()

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Of each class, shape (n_rows, n_classes)."""
        return self._asked("predict_proba", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy of a classifier, r2 of a regressor."""
        metric = accuracy_score if _classifies(self) else r2_score
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

    def _asked(self, method: str, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        found: NDArray[Any] = getattr(network_of(last_of(self)), method)(validate_data(self, X, reset=False))
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if _classifies(self):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        tags.target_tags.required, tags.non_deterministic = True, False
        return tags


class MLP(Wrapped):
    """A network of layers that are fully connected, as an estimator of scikit-learn that `bigml.fit` trains as `train` does.

    Args:
        hidden: Units of each hidden layer; with () it is linear, or logistic, regression.
        activation: Behind each of them.
        dropout: Share of units that a step leaves out.
        task: "classification" or "regression".
        learning_rate: Of Adam.
        epochs: Passes over the rows; None for those of `bigml.fit`.
        batch_size: Rows of a step of one shard.
        shards: How many learn side by side; None for one on threads, and one a worker on a cluster.

    >>> import bigml, pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> rows = pd.DataFrame({"x": range(100), "label": ["low"] * 50 + ["high"] * 50})
    >>> estimator = make_pipeline(StandardScaler(), bigml.models.MLP(hidden=(8,), learning_rate=0.05, epochs=20, batch_size=10))
    >>> model = bigml.fit(estimator, rows, target="label")
    >>> bigml.predict(model, rows.tail(1)).to_pandas()["prediction"].tolist()
    ['high']
    """

    def __init__(
        self,
        hidden: Sequence[int] = (64, 32),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        task: str = "classification",
        learning_rate: float = 0.001,
        epochs: int | None = None,
        batch_size: int = 256,
        shards: int | None = None,
    ) -> None:
        self.hidden, self.activation, self.dropout, self.task = hidden, activation, dropout, task
        self.learning_rate, self.epochs, self.batch_size, self.shards = learning_rate, epochs, batch_size, shards

    def layers(self, width: int) -> list[Any]:
        """All layers but the last."""
        return perceptron((width,), self.hidden, activation=self.activation, dropout=self.dropout)


class CNN(Wrapped):
    """The convolutional network of `bigml.models.cnn` as a scikit-learn estimator; a row has the pixels of one image.

    Args:
        shape: Of an image: (height, width, channels); columns are laid out in it, the last axis first.
        filters: Of each block; a block halves height and width.
        dense: Units of the dense layer.
        dropout: Share of these that a step leaves out.
        scale: Pixels are multiplied by it.
        task: "classification" or "regression".
        learning_rate: Of Adam.
        epochs: Passes over the rows; None for those of `bigml.fit`.
        batch_size: Rows of a step of one shard.
        shards: How many learn side by side; None for one on threads, and one a worker on a cluster.

    >>> import bigml
    >>> bigml.models.CNN((8, 8, 1), filters=(4,), dense=16).build(64, 10).output_shape
    (None, 10)
    """

    def __init__(
        self,
        shape: Sequence[int] = (28, 28, 1),
        *,
        filters: Sequence[int] = (32, 64),
        dense: int = 1024,
        dropout: float = 0.4,
        scale: float = 1 / 255,
        task: str = "classification",
        learning_rate: float = 0.001,
        epochs: int | None = None,
        batch_size: int = 256,
        shards: int | None = None,
    ) -> None:
        self.shape, self.filters, self.dense, self.dropout, self.scale, self.task = shape, filters, dense, dropout, scale, task
        self.learning_rate, self.epochs, self.batch_size, self.shards = learning_rate, epochs, batch_size, shards

    def layers(self, width: int) -> list[Any]:
        """All layers but the last.

        Raises:
            DataError: A row has more or fewer features than an image has pixels.
        """
        import keras

        if width != prod(self.shape):
            raise DataError(f"{prod(self.shape):,} features, an image of {tuple(self.shape)}", got=f"{width:,}", where="in CNN")
        flat = [keras.layers.Input((width,)), keras.layers.Reshape(tuple(self.shape))]
        return [*flat, *convolutions(self.filters, dense=self.dense, dropout=self.dropout, scale=self.scale)]


def _width(source: Source, encoder: Encoder) -> int:
    """Features that preprocessing makes which does not name them: of the first row."""
    chunk = next((chunk for chunk in source.head(1).iter_chunks(encoder.columns) if chunk.n_rows), None)
    if chunk is None:
        raise DataError("rows to learn from", got="none", where="in fit")
    return int(encoder.design.matrix(chunk).shape[1])


def _best(patience: int) -> Any:
    """Keeps the weights of the best epoch."""
    import keras

    return keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)


def _wrapper(model: Any, history: Any, classes: NDArray[Any] | None, fit_kwargs: Mapping[str, Any]) -> Any:
    """Keras's wrapper of a trained model, as if its own `fit` had trained it."""
    import keras

    kind = keras.wrappers.SKLearnRegressor if classes is None else keras.wrappers.SKLearnClassifier
    wrapper = kind(lambda X, y: model)
    # It learns nothing from rows without meaning, in no epoch, but which classes and how many features there are.
    y = np.zeros(4) if classes is None else np.repeat(classes, 4)
    wrapper.fit(np.zeros((len(y), model.input_shape[-1])), y, epochs=0, verbose=0)
    wrapper.history_ = history
    return wrapper.set_params(model=keras.models.clone_model(model), fit_kwargs={**fit_kwargs, "verbose": 0})
