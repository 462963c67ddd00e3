"""Adapting: Keras layers for raw columns that learn what they must know of all rows, together in one scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bigml.errors import ColumnError, FitError
from bigml.graph.progress import ProgressLike
from bigml.learning.preprocessing.preparation import survey
from bigml.learning.preprocessing.quantiles import Ranks
from bigml.learning.preprocessing.summary import Spread, Summary, Want, is_number, plain
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

Layers = Mapping[str, Any]
"""By column a layer, or several."""


def adapted(
    source: Source | pd.DataFrame | pa.Table, layers: Layers, *, client: Client | None = None, progress: ProgressLike = None
) -> dict[str, Any]:
    """Keras layers for raw columns, adapted to all rows by one scan, as their own `adapt` would in memory.

    `Normalization` gets mean and variance, `StringLookup` and `IntegerLookup` their vocabulary (the most frequent first),
    `Discretization` the quantiles that cut the rows into bins of equal shares: exact of up to 16,384 distinct numbers, within
    0.02 % of their size beyond. Missing values count for nothing. `Hashing` and all others stay as they are.

    Args:
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        layers: By column a layer or several; they are left as they are.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        By column a new layer, or several in a list. They are saved with a model that has them.

    Raises:
        ColumnError: A column is not there.
        FitError: A layer needs numbers and its column holds none.
        DataError: There are no rows, or more than 100,000 distinct values for a vocabulary.

    >>> import bigml, keras, pandas as pd
    >>> rows = pd.DataFrame({"age": [20.0, 40.0], "job": ["clerk", "clerk"]})
    >>> layers = {"age": keras.layers.Normalization(), "job": keras.layers.StringLookup()}
    >>> found = bigml.models.adapted(rows, layers)
    >>> found["job"].get_vocabulary() == ["[UNK]", "clerk"]
    True
    """
    source = as_source(source)
    for name, some in layers.items():
        _check(name, several(some), source)
    wanted = {name: frozenset(filter(None, (_WANTS.get(kind_of(one)) for one in several(some)))) for name, some in layers.items()}
    asked = {name: wants for name, wants in wanted.items() if wants}
    found = survey(source, asked, None, client=client, progress=progress).columns if asked else {}
    return {name: _all_adapted(some, found.get(name)) for name, some in layers.items()}


def several(layers: Any) -> Sequence[Any]:
    """The layers of one column."""
    return layers if isinstance(layers, list | tuple) else [layers]


def kind_of(layer: Any) -> str:
    """The name of its class."""
    return type(layer).__name__


def _check(name: str, layers: Sequence[Any], source: Source) -> None:
    if name not in source.columns:
        raise ColumnError.missing(name, source.columns, where="in layers=")
    kind = plain(source.schema.field(name).type)
    numeric = [kind_of(one) for one in layers if kind_of(one) in {"Normalization", "Discretization"}]
    if numeric and not is_number(kind):
        do = "Take StringLookup or Hashing."
        raise FitError(f"a column of numbers for {numeric[0]}", got=f"{kind}", where=f"column `{name}`", do=do)


def _all_adapted(layers: Any, found: Summary | None) -> Any:
    made = [_adapted(layer, found) for layer in several(layers)]
    return made if isinstance(layers, list | tuple) else made[0]


def _adapted(layer: Any, found: Summary | None) -> Any:
    learn = _LEARN.get(kind_of(layer))
    if learn is None or found is None:
        return layer
    return type(layer).from_config({**layer.get_config(), **learn(layer, found)})


def _moments(layer: Any, found: Summary) -> Mapping[str, Any]:
    del layer
    spread = found.spread or Spread.of(np.asarray(found.values, np.float64), found.counts)
    return {"mean": [spread.mean], "variance": [spread.squares / max(spread.count, 1)]}


def _vocabulary(layer: Any, found: Summary) -> Mapping[str, Any]:
    values = found.values.to_pylist()
    # As Keras orders them: the most frequent first, and of equally frequent ones the last in the alphabet.
    order = np.lexsort((np.arange(len(values)), found.counts))[::-1]
    special = (layer.mask_token, layer.oov_token)
    words = [values[i] for i in order if values[i] not in special]
    room = len(words) if layer.max_tokens is None else layer.max_tokens - layer.num_oov_indices - (layer.mask_token is not None)
    return {"vocabulary": words[:room]}


def _quantiles(layer: Any, found: Summary) -> Mapping[str, Any]:
    if layer.num_bins is None:
        return {}
    ranks = Ranks.of(np.asarray(found.values, np.float64), found.counts)
    edges = ranks.quantile(np.arange(1, layer.num_bins) / layer.num_bins)
    return {"bin_boundaries": np.unique(edges).tolist(), "num_bins": None}


_WANTS = {
    "Normalization": Want.MOMENTS,
    "StringLookup": Want.VALUES,
    "IntegerLookup": Want.VALUES,
    "Discretization": Want.QUANTILES,
}
_LEARN: Mapping[str, Callable[[Any, Summary], Mapping[str, Any]]] = {
    "Normalization": _moments,
    "StringLookup": _vocabulary,
    "IntegerLookup": _vocabulary,
    "Discretization": _quantiles,
}
