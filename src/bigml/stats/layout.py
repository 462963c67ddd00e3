"""Layout: groups as a table of keys down and across, with margins beside and below, and cells as shares of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

Label = tuple[Any, ...]


class Margins(NamedTuple):
    """The same aggregates of coarser groups: by the keys down, by those across, and of all rows."""

    right: pd.DataFrame
    below: pd.DataFrame
    corner: pd.DataFrame

    def of(self, aggregation: str) -> Margins:
        """Those of one aggregation of every column."""
        return Margins(*(of_one(frame, aggregation) for frame in self))


def of_one(frame: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    """What a frame of several aggregations of every column has of one."""
    narrow: Any = frame.xs(aggregation, axis="columns", level=1)
    return narrow


@dataclass(frozen=True)
class Layout:
    """How groups become a table.

    Attributes:
        down: How many keys go down; the others go across.
        fill: What stands where there are no rows; None for a missing value.
        name: Of the margins.
        dropna: Whether lines without any value are left out; else, each key is combined with each.
    """

    down: int
    fill: Any = None
    name: str = "All"
    dropna: bool = True

    def table(self, frame: pd.DataFrame, margins: Margins | None) -> pd.DataFrame:
        """The table of groups whose index has the keys down and then those across."""
        frame = frame.dropna(how="all") if self.dropna else frame
        across = list(range(self.down, frame.index.nlevels))
        table: Any = frame.unstack(across, fill_value=self.fill) if across else frame
        if not self.dropna:
            table = table.reindex(_combined(table.columns, frame.columns.nlevels), axis=1, fill_value=self.fill)
            table = table.reindex(_combined(table.index), axis=0, fill_value=self.fill)
        table = table.sort_index(axis=1)
        table = table if self.fill is None else table.fillna(self.fill)
        return self._with_margins(table, margins) if margins and len(table) else table

    def _with_margins(self, table: pd.DataFrame, margins: Margins) -> pd.DataFrame:
        import pandas as pd

        n_across = table.columns.nlevels - margins.corner.columns.nlevels
        if n_across:
            table = self._with_right(table, margins.right)
        known = _by_label(margins.below) | _by_label(margins.corner, self._named(n_across))
        row = [known.get(_hashed(_tuple(column)), self.fill) for column in table.columns]
        last = pd.DataFrame([row], columns=table.columns, index=_index([self._named(self.down)], table.index))
        return pd.concat([table, last.infer_objects()])

    def _with_right(self, table: Any, right: Any) -> pd.DataFrame:
        """The table with a column of the margin behind those of each aggregate."""
        import pandas as pd

        labels: list[Label] = [_tuple(label) for label in right.columns]
        pieces: list[pd.DataFrame] = []
        n = len(labels[0])
        for label in dict.fromkeys(_tuple(column)[:n] for column in table.columns):
            last = right.iloc[:, [labels.index(label)]].reindex(table.index)
            last.columns = _index([(*label, *self._named(table.columns.nlevels - n))], table.columns)
            pieces += [table.loc[:, [column[:n] == label for column in table.columns]], last]
        return pd.concat(pieces, axis=1)

    def _named(self, n: int) -> Label:
        return (self.name, *[""] * (n - 1)) if n else ()


def shared(table: pd.DataFrame, of: str, margins: bool) -> pd.DataFrame:
    """Cells as shares of all, their row ("index") or their column; with margins, the shares of these among each other,
    where they add up to one.
    """
    import pandas as pd

    if not margins or not len(table):
        return _shares(table, of)
    core = _shares(table.iloc[:-1, :-1], of)
    if of in {"all", "columns"}:
        core = pd.concat([core, table.iloc[:-1, -1:] / table.iloc[:-1, -1].sum()], axis=1)
    if of in {"all", "index"}:
        last = table.iloc[-1:, :-1] / table.iloc[-1, :-1].sum()
        if of == "all":
            last[table.columns[-1]] = 1.0
        core = pd.concat([core, last])
    return core.fillna(0)


def _shares(table: pd.DataFrame, of: str) -> pd.DataFrame:
    if of == "all":
        return (table / table.sum(axis=1).sum(axis=0)).fillna(0)
    by_row = of == "index"
    return table.div(table.sum(axis=1 if by_row else 0), axis=0 if by_row else 1).fillna(0)


def _by_label(frame: pd.DataFrame, key: Label | None = None) -> dict[Label, Any]:
    """Values by column and row, or by column and this key."""
    return {
        _hashed((*_tuple(label), *(_tuple(row) if key is None else key))): value
        for label, column in frame.items()
        for row, value in column.items()
    }


def _tuple(key: Any) -> Label:
    return key if isinstance(key, tuple) else (key,)


def _hashed(key: Label) -> Label:
    """The key with None for what is missing: NaN is another key each time it is looked at."""
    import pandas as pd

    return tuple(None if pd.isna(one) else one for one in key)


def _combined(index: pd.Index[Any], n_labels: int = 0) -> pd.Index[Any]:
    """Each value of each level combined with each, behind those labels that there are."""
    import pandas as pd

    levels = [index.get_level_values(i).unique().sort_values() for i in range(index.nlevels)]
    if len(levels) == 1:
        return levels[0]
    labels, every = {key[:n_labels] for key in index}, pd.MultiIndex.from_product(levels)
    return every[[key[:n_labels] in labels for key in every]]


def _index(keys: Sequence[Label], like: pd.Index[Any]) -> pd.Index[Any]:
    import pandas as pd

    if like.nlevels == 1:
        return pd.Index([key[0] for key in keys], name=like.name)
    return pd.MultiIndex.from_tuples(keys, names=like.names)
