"""Bins: numbers as the number of the bin that they fall into, by given edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from bigml.chunk import Array
from bigml.errors import ConfigError, SchemaError
from bigml.sources.arithmetic import decoded


def checked(edges: Sequence[float]) -> tuple[float, ...]:
    """Edges as plain numbers.

    Raises:
        ConfigError: They are no numbers, fewer than two, or do not ascend.
    """
    try:
        made = tuple(float(edge) for edge in edges)
    except (TypeError, ValueError) as error:
        do = "Bins of one width: numpy.linspace(low, high, n + 1); of equally many rows: source.quantile([0, 0.25, ...])."
        raise ConfigError("a list of edges, as numbers", got=f"`{edges!r}`", where="in cut", do=do) from error
    if len(made) < 2 or not all(low < high for low, high in pairwise(made)):
        do = "Edges of quantiles may repeat where many values are equal: numpy.unique(edges) leaves one of each."
        raise ConfigError("two edges or more, in ascending order", got=f"{list(made)}", where="in cut", do=do)
    return made


def binned(array: Array, edges: tuple[float, ...], right: bool, include_lowest: bool) -> Array:
    """The numbers of bins, int32; missing outside of all and where the value is.

    Raises:
        SchemaError: The values are no numbers.
    """
    array = decoded(array)
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        raise SchemaError("a column of numbers", got=f"{array.type}", where="in cut")
    # Where there is a missing value, numpy gets NaN.
    values = array.to_numpy(zero_copy_only=False)
    found = np.searchsorted(edges, values, side="left" if right else "right") - 1
    if include_lowest:
        found[values == edges[0 if right else -1]] = 0 if right else len(edges) - 2
    outside = (found < 0) | (found > len(edges) - 2) | np.isnan(values.astype(np.float64, copy=False))
    return pa.array(found.astype(np.int32), mask=outside)
