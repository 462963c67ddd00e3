"""Loading of saved statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bigml.sources.kept import Statistic
from bigml.sources.parquet import read_parquet
from bigml.sources.source import Source
from bigml.sources.storage import Paths


def load_stats(path: str | Path) -> Statistic[Any]:
    """A statistic that `plan.keep().save(path)` wrote: to look at, to update from new files, to ask for any quantile.

    Nothing in the file is run. Of the files that it was computed from none is opened.

    Raises:
        SourceError: There is no such file, or it is of another kind, damaged, cut short or of a newer version.

    >>> import bigml, pandas as pd
    >>> source = bigml.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 6.0]}))
    >>> source.describe().keep().save("x.bigml")
    >>> float(load_stats("x.bigml").result().loc["mean", "x"])
    3.0
    """
    return Statistic.load(path, _opened)


def _opened(path: Paths, columns: Sequence[str]) -> Source:
    return read_parquet(path, columns=columns or None)
