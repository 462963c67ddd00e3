"""Layout: groups as a table, some keys down and the others across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.stats.derived import Derived, OfGroups
from bigml.stats.groupby import Grouped, GroupState, Piece

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Pivot(OfGroups, Derived[GroupState]):
    """Groups as a table; `pivot.pivot_table` and `pivot.crosstab` make one.

    Attributes:
        inner: The groups, by the keys down and then those across.
        down: How many keys go down.
        fill: What stands where there are no rows; None for a missing value.
        single: Whether the columns do not name the aggregated column.
        shares: Of what a cell is told as a share: all, index (its row), columns (its column), or empty.
    """

    inner: Grouped
    down: int
    fill: Any = None
    single: bool = True
    shares: str = ""

    def finish(self, state: GroupState) -> pd.DataFrame:
        return self._finished(self.inner.finish(state))

    def piece(self, state: GroupState) -> Piece:
        """The result of some of the groups."""
        return self.inner.piece(state)

    def joined(self, pieces: Sequence[Piece]) -> pd.DataFrame:
        """The table of disjoint groups."""
        return self._finished(self.inner.joined(pieces))

    def _finished(self, frame: pd.DataFrame) -> pd.DataFrame:
        table = self.trimmed(self.laid(frame))
        table = shares(table, self.shares) if self.shares else table
        table.attrs = frame.attrs
        return table

    def laid(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The groups as a table, whose columns also name the aggregated column."""
        across = list(range(self.down, len(self.inner.by)))
        frame = frame.dropna(how="all")
        table: Any = frame.unstack(across, fill_value=self.fill) if across else frame
        table = table.sort_index(axis=1)
        return table if self.fill is None else table.fillna(self.fill)

    def trimmed(self, table: Any) -> pd.DataFrame:
        """The table with the names that are wanted, without columns of which nothing is known."""
        if self.single and table.columns.nlevels > 1:
            table.columns = table.columns.droplevel(0)
        trimmed: pd.DataFrame = table.dropna(how="all", axis=1)
        return trimmed


def shares(table: pd.DataFrame, of: str) -> pd.DataFrame:
    """Cells as shares of all, of the sum of their row (index) or of that of their column (columns)."""
    if of == "all":
        return (table / table.sum(axis=1).sum(axis=0)).fillna(0)
    by_row = of == "index"
    return table.div(table.sum(axis=1 if by_row else 0), axis=0 if by_row else 1).fillna(0)
