"""Tabular: wide and deep models of raw columns, whose crosses memorise what the deep part generalises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from bigml.errors import ColumnError, ConfigError
from bigml.learning.preprocessing.summary import is_number, plain
from bigml.models.adapting import kind_of, several
from bigml.models.heads import activation as link
from bigml.models.heads import compiled, units


def wide_and_deep(
    schema: pa.Schema,
    *,
    wide: Sequence[str] = (),
    crosses: Sequence[Sequence[str]] = (),
    deep: Sequence[str] = (),
    layers: Mapping[str, Any] | None = None,
    n_classes: int | None = 2,
    hidden: Sequence[int] = (100, 50),
    embedding: int = 8,
    hash_bins: int = 1000,
    cross_bins: int = 10_000,
    dropout: float = 0.0,
    optimizer: Any = "adam",
) -> Any:
    """A compiled functional Keras model of raw columns: a linear part and a deep one, trained together.

    (Cheng et al., Wide & Deep Learning for Recommender Systems, 2016.) Categories weigh on their own in the linear part, and
    have an embedding in the deep one. Categories are the columns of text, which are hashed, and those to which `layers` gives
    a StringLookup, IntegerLookup, Hashing or Discretization. Other columns are numbers, as `layers` normalises them, else by
    BatchNormalization.

    Args:
        schema: Of the source: `source.schema`.
        wide: Columns of the linear part.
        crosses: Columns whose combinations weigh on their own in the linear part.
        deep: Columns of the deep part.
        layers: By column a layer or several, best from `adapted`.
        n_classes: Classes of the target; None for numbers.
        hidden: Units of each layer of the deep part.
        embedding: Numbers that stand for a category there.
        hash_bins: For each column of text without a layer.
        cross_bins: For each cross.
        dropout: Share of units that a step leaves out.
        optimizer: Of Keras, or its name.

    Raises:
        ColumnError: A column is not there.
        ConfigError: There are no columns, or a cross of numbers.

    >>> import bigml, pandas as pd
    >>> rows = pd.DataFrame({"age": [30.0, 60.0], "job": ["a", "b"], "town": ["x", "y"], "rich": [0, 1]})
    >>> schema = bigml.from_pandas(rows).schema
    >>> model = bigml.models.wide_and_deep(schema, wide=["job"], crosses=[("job", "town")], deep=["age", "job"])
    >>> trained, history = bigml.train(model, rows, target="rich")
    >>> sorted(one.name for one in trained.inputs)
    ['age', 'job', 'town']
    """
    import keras

    columns = _Columns(schema, layers or {}, hash_bins)
    n = units(n_classes)
    parts = columns.linear(wide, n) + [columns.crossed(some, cross_bins, n) for some in crosses]
    if deep:
        parts.append(keras.layers.Dense(n, use_bias=False)(_layered(columns.dense(deep, embedding), hidden, dropout)))
    if not parts:
        raise ConfigError("columns for wide=, crosses= or deep=", got="none", where="in wide_and_deep")
    total = keras.layers.Add()(parts) if len(parts) > 1 else parts[0]
    last = keras.layers.Dense(n, activation=link(n_classes), kernel_initializer="identity")
    return compiled(keras.Model(columns.inputs, last(total)), n_classes, optimizer)


@dataclass(eq=False)
class _Columns:
    """Columns as inputs of a model, each made once, and what layers make of them."""

    schema: pa.Schema
    layers: Mapping[str, Any]
    hash_bins: int
    inputs: dict[str, Any] = field(default_factory=dict)
    made: dict[str, tuple[list[Any], list[tuple[Any, int]]]] = field(default_factory=dict)

    def linear(self, names: Iterable[str], n: int) -> list[Any]:
        """What columns weigh: a number times its weight, the weight of a category."""
        import keras

        numbers, codes = self._both(names)
        weighed = [_looked_up(code, size, n, "zeros") for code, size in codes]
        return weighed + ([keras.layers.Dense(n, use_bias=False)(_side_by_side(numbers))] if numbers else [])

    def dense(self, names: Iterable[str], embedding: int) -> Any:
        """Numbers and embeddings of categories, side by side."""
        numbers, codes = self._both(names)
        return _side_by_side(numbers + [_looked_up(code, size, min(embedding, size), "uniform") for code, size in codes])

    def crossed(self, names: Sequence[str], bins: int, n: int) -> Any:
        """What combinations of categories weigh."""
        import keras

        cross = keras.layers.HashedCrossing(bins)(tuple(self._crossable(name) for name in names))
        return _looked_up(cross, bins, n, "zeros")

    def _crossable(self, name: str) -> Any:
        """A column of text as it is, else the codes of a column of categories."""
        _, codes = self._made(name)
        if not codes:
            do = "Give it a layer in layers=, such as keras.layers.Discretization(num_bins=10) by bigml.models.adapted."
            raise ConfigError("crosses of categories", got=f"`{name}`, a column of numbers", where="in crosses=", do=do)
        return self.inputs[name] if self._is_text(name) else codes[0][0]

    def _both(self, names: Iterable[str]) -> tuple[list[Any], list[tuple[Any, int]]]:
        made = [self._made(name) for name in names]
        return [one for numbers, _ in made for one in numbers], [one for _, codes in made for one in codes]

    def _made(self, name: str) -> tuple[list[Any], list[tuple[Any, int]]]:
        """The numbers that a column is, and its codes, each with how many codes there are."""
        if name not in self.schema.names:
            raise ColumnError.missing(name, self.schema.names, where="in wide_and_deep")
        if name not in self.made:
            layers = several(self.layers[name]) if name in self.layers else [self._default(name)]
            self.inputs[name] = self._input(name, layers)
            numbers = [layer(self.inputs[name]) for layer in layers if not _n_codes(layer)]
            codes = [(layer(self.inputs[name]), _n_codes(layer)) for layer in layers if _n_codes(layer)]
            self.made[name] = numbers, codes
        return self.made[name]

    def _input(self, name: str, layers: Sequence[Any]) -> Any:
        import keras

        whole = any(kind_of(layer) in {"IntegerLookup", "Hashing"} for layer in layers)
        return keras.layers.Input((1,), name=name, dtype="string" if self._is_text(name) else "int64" if whole else "float32")

    def _default(self, name: str) -> Any:
        import keras

        return keras.layers.Hashing(self.hash_bins) if self._is_text(name) else keras.layers.BatchNormalization()

    def _is_text(self, name: str) -> bool:
        return not is_number(plain(self.schema.field(name).type))


def _n_codes(layer: Any) -> int:
    """How many codes a layer gives; 0 for one that gives numbers."""
    kind = kind_of(layer)
    if kind in {"StringLookup", "IntegerLookup"}:
        return int(layer.vocabulary_size())
    if kind == "Discretization":
        return len(layer.bin_boundaries) + 1
    return int(layer.num_bins) if kind == "Hashing" else 0


def _looked_up(codes: Any, n_codes: int, n: int, start: str) -> Any:
    """The row of a table for each code, shape (rows, n)."""
    import keras

    return keras.layers.Flatten()(keras.layers.Embedding(n_codes, n, embeddings_initializer=start)(codes))


def _side_by_side(tensors: Sequence[Any]) -> Any:
    import keras

    return keras.layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]


def _layered(tensor: Any, hidden: Sequence[int], dropout: float) -> Any:
    import keras

    for size in hidden:
        tensor = keras.layers.Dense(size, activation="relu")(tensor)
        tensor = keras.layers.Dropout(dropout)(tensor) if dropout else tensor
    return tensor
