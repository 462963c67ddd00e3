"""Catalogue: the reducers for statistics by name, loaded when they are first used.

The kernels behind them are compiled by numba, which takes a while to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "aggregated": "bigml.stats.whole",
    "correlation": "bigml.stats.correlation",
    "covariance": "bigml.stats.correlation",
    "crosstab": "bigml.stats.pivot",
    "describe": "bigml.stats.describe",
    "group_sizes": "bigml.stats.groupby",
    "grouped": "bigml.stats.groupby",
    "histogram": "bigml.stats.histogram",
    "most_frequent": "bigml.stats.leading",
    "pivot_table": "bigml.stats.pivot",
    "quantiles": "bigml.stats.quantiles",
    "top_rows": "bigml.stats.top",
    "value_counts": "bigml.stats.counts",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bigml.stats.catalogue' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


if TYPE_CHECKING:
    from bigml.stats.correlation import correlation as correlation
    from bigml.stats.correlation import covariance as covariance
    from bigml.stats.counts import value_counts as value_counts
    from bigml.stats.describe import describe as describe
    from bigml.stats.groupby import group_sizes as group_sizes
    from bigml.stats.groupby import grouped as grouped
    from bigml.stats.histogram import histogram as histogram
    from bigml.stats.leading import most_frequent as most_frequent
    from bigml.stats.pivot import crosstab as crosstab
    from bigml.stats.pivot import pivot_table as pivot_table
    from bigml.stats.quantiles import quantiles as quantiles
    from bigml.stats.top import top_rows as top_rows
    from bigml.stats.whole import aggregated as aggregated
