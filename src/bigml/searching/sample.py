"""Sample: some rows of a source in memory, for estimators that learn neither by scans nor part by part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import BudgetError, ConfigError
from bigml.learning.batch import Batch
from bigml.learning.target import check_classes, coded
from bigml.searching.cells import Partition
from bigml.searching.folds import partitions
from bigml.searching.held import rows_of
from bigml.searching.ordering import salted
from bigml.searching.schemes import HoldOut
from bigml.searching.setting import Setting
from bigml.sources.bridges import LIMIT
from bigml.sources.memory import MemorySource, from_pandas

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows in memory.

    Attributes:
        frame: All their columns.
        setting: Of the search that they are for.
        classifier: Whether the target has classes.
        n_of: Rows of the source.
        scans: How many it took.
    """

    frame: pd.DataFrame
    setting: Setting
    classifier: bool
    n_of: int
    scans: int

    @cached_property
    def source(self) -> MemorySource:
        """The rows as a source, which are dealt into folds as any others."""
        return from_pandas(self.frame)

    @cached_property
    def classes(self) -> NDArray[np.generic] | None:
        """Of the target; None for numbers."""
        if not self.classifier:
            return None
        values = self.frame[self.setting.target].to_numpy()
        return check_classes(np.unique(values), f"column `{self.setting.target}`")

    @property
    def note(self) -> str:
        """How the rows were drawn."""
        if len(self.frame) == self.n_of:
            return f"Searched in memory, on all {self.n_of:,} rows."
        how = "by a hash, each class by its share" if self.classifier else "by a hash"
        rows = f"{len(self.frame):,} of {self.n_of:,} rows"
        return f"Searched on a sample in memory: {rows}, drawn {how}. The best model is fitted on the sample, too."

    def batch(self, aside: tuple[str, ...] = ()) -> Batch:
        """Features, target (codes where it has classes) and weights; `aside` are no features."""
        target, weight = self.setting.target, self.setting.sample_weight
        y = self.frame[target].to_numpy()
        gone = [target, *aside, *([] if weight is None else [weight])]
        weights = None if weight is None else self.frame[weight].to_numpy(np.float64)
        codes = y if self.classes is None else coded(y, self.classes)
        return Batch(np.arange(len(self.frame)), self.frame.drop(columns=gone), codes, weights)

    def cells(self, partition: Partition) -> NDArray[np.int16]:
        """The cell of each row."""
        return np.concatenate([partition.dealer(chunk) for chunk in self.source.iter_chunks(partition.dealer.columns)])


def draw(setting: Setting, n: int, *, classifier: bool) -> Sample:
    """About n rows of the source of a search, drawn by a hash: each class by its share, to one row, for a classifier.

    Raises:
        ConfigError: n is no positive number.
        BudgetError: So many rows would not fit in memory.
        DataError: A class has too few rows, or the target is missing somewhere.
    """
    if not isinstance(n, int) or n < 2:
        raise ConfigError("a number of rows, 2 or more", got=f"{n!r}", where="in sample=")
    source = setting.source
    n_of, known = source.count(setting.client), source.n_rows is not None
    scans = 1 + (not known)
    view = source
    if n < n_of:
        about: dict[str, Any] = {
            "target": setting.target,
            "classifier": classifier,
            "groups": None,
            "seed": salted("sample", setting.seed),
        }
        (chosen,), more = setting.dealt(partitions(HoldOut(n / n_of, stratify=classifier), source, **about))
        view, scans = rows_of(source, chosen, chosen.splits[0].test), scans + more
    nbytes = int(source.nbytes * min(n / max(n_of, 1), 1.0))
    if nbytes > LIMIT:
        raise BudgetError(f"a sample of at most {LIMIT:,} bytes", got=f"{nbytes:,}", where="in sample=", do="Take fewer rows.")
    frame = view.to_pandas(limit=max(LIMIT, 2 * source.nbytes), client=setting.client)
    return Sample(frame.reset_index(drop=True), setting, classifier, n_of, scans)
