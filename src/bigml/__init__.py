"""Your scikit-learn pipeline, bigger than memory.

Names are loaded when they are first used: `import bigml` alone costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

_HOMES = {
    "BigmlError": "bigml.errors",
    "Chunk": "bigml.chunk",
    "FoldColumn": "bigml.searching.schemes",
    "GroupFolds": "bigml.searching.schemes",
    "HoldOut": "bigml.searching.schemes",
    "Part": "bigml.part",
    "Plan": "bigml.graph.plan",
    "Reducer": "bigml.stats.reducer",
    "Run": "bigml.report.run",
    "Source": "bigml.sources.source",
    "Statistic": "bigml.sources.kept",
    "TimeFolds": "bigml.searching.schemes",
    "airline_like": "bigml.sources.synthetic",
    "check": "bigml.learning.keeping.checking",
    "cluster": "bigml.clusters",
    "col": "bigml.sources.expression",
    "compare": "bigml.searching.comparing",
    "compute": "bigml.graph.plan",
    "concat": "bigml.sources.concat",
    "ensemble": "bigml.learning.ensembles.ensembling",
    "explain": "bigml.graph.plan",
    "explain_fit": "bigml.learning.explaining",
    "explain_search": "bigml.searching.explaining",
    "explain_train": "bigml.training.explaining",
    "fit": "bigml.learning.fitting",
    "from_arrow": "bigml.sources.memory",
    "from_dask": "bigml.sources.delayed",
    "from_pandas": "bigml.sources.memory",
    "from_polars": "bigml.sources.memory",
    "ingest": "bigml.sources.csv",
    "load": "bigml.learning.keeping.saving",
    "load_model": "bigml.learning.keeping.skops_file",
    "load_stats": "bigml.sources.loading",
    "nested_search": "bigml.searching.nested",
    "predict": "bigml.learning.predicting",
    "rank": "bigml.stats.standing",
    "read_idx": "bigml.sources.memmap",
    "read_memmap": "bigml.sources.memmap",
    "read_parquet": "bigml.sources.parquet",
    "save": "bigml.learning.keeping.saving",
    "save_model": "bigml.learning.keeping.skops_file",
    "score": "bigml.learning.scores.scoring",
    "search": "bigml.searching.searching",
    "share": "bigml.stats.standing",
    "train": "bigml.training.training",
    "weighted": "bigml.stats.weighted",
}

_PACKAGES = {"models"}

__all__ = ["__version__", *sorted([*_HOMES, *_PACKAGES])]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"bigml.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'bigml' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PACKAGES})


if TYPE_CHECKING:
    from bigml.chunk import Chunk as Chunk
    from bigml.clusters import cluster as cluster
    from bigml.errors import BigmlError as BigmlError
    from bigml.graph.plan import Plan as Plan
    from bigml.graph.plan import compute as compute
    from bigml.graph.plan import explain as explain
    from bigml.part import Part as Part
    from bigml.searching.schemes import FoldColumn as FoldColumn
    from bigml.searching.schemes import GroupFolds as GroupFolds
    from bigml.searching.schemes import HoldOut as HoldOut
    from bigml.searching.schemes import TimeFolds as TimeFolds
    from bigml.sources.concat import concat as concat
    from bigml.sources.delayed import from_dask as from_dask
    from bigml.sources.expression import col as col
    from bigml.sources.kept import Statistic as Statistic
    from bigml.sources.loading import load_stats as load_stats
    from bigml.sources.memmap import read_idx as read_idx
    from bigml.sources.memmap import read_memmap as read_memmap
    from bigml.sources.memory import from_arrow as from_arrow
    from bigml.sources.memory import from_pandas as from_pandas
    from bigml.sources.memory import from_polars as from_polars
    from bigml.sources.parquet import read_parquet as read_parquet
    from bigml.sources.source import Source as Source
    from bigml.stats.reducer import Reducer as Reducer
    from bigml.stats.standing import rank as rank
    from bigml.stats.standing import share as share
    from bigml.stats.weighted import weighted as weighted
