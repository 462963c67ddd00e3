"""Margins: a row and a column that tell of all rows what the cells of a pivot tell of theirs, folded from the same state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigml.errors import DataError
from bigml.stats.derived import Derived
from bigml.stats.folding import folded
from bigml.stats.groupby import GroupState
from bigml.stats.layout import Pivot, shares

if TYPE_CHECKING:
    import pandas as pd

ALL = "All"


@dataclass(frozen=True)
class Margined(Derived[GroupState]):
    """A pivot with a row and a column `All`, for which the states of all groups are held."""

    inner: Pivot

    def finish(self, state: GroupState) -> pd.DataFrame:
        pivot = self.inner
        frame = pivot.inner.finish(state)
        table = pivot.laid(frame)
        if not len(table):
            return pivot.finish(state)
        table = pivot.trimmed(self._with_margins(table, state))
        table = _shared(table, pivot.shares) if pivot.shares else table
        table.attrs = frame.attrs
        return table

    def _with_margins(self, table: Any, state: GroupState) -> pd.DataFrame:
        import pandas as pd

        pivot, n = self.inner, len(self.inner.inner.by)
        every = {name: column.iloc[0] for name, column in self._margin(state, ()).items()}
        bottom: dict[Any, Any] = {(name,): value for name, value in every.items()} if pivot.down == n else {}
        if pivot.down < n:
            table = self._with_column(table, self._margin(state, range(pivot.down)))
            margin = self._margin(state, range(pivot.down, n))
            bottom = {(name, *_tuple(key)): value for name, column in margin.items() for key, value in column.items()}
            bottom |= {(name, *_named(n - pivot.down)): value for name, value in every.items()}
        row = [bottom.get(_tuple(column), pivot.fill) for column in table.columns]
        last = pd.DataFrame([row], columns=table.columns, index=_index([_named(pivot.down)], table.index))
        return pd.concat([table, last.infer_objects()])

    def _with_column(self, table: pd.DataFrame, margin: pd.DataFrame) -> pd.DataFrame:
        """The table with a column `All` behind those of each value."""
        import pandas as pd

        pieces = []
        for value in dict.fromkeys(table.columns.get_level_values(0)):
            last = margin[[value]].reindex(table.index)
            last.columns = _index([(value, *_named(table.columns.nlevels - 1))], table.columns)
            pieces += [table[[value]], last]
        return pd.concat(pieces, axis=1)

    def _margin(self, state: GroupState, keep: Sequence[int]) -> pd.DataFrame:
        coarse, own = folded(self.inner.inner, state, keep, ALL)
        frame = coarse.finish(own)
        taken = [name for name in coarse.by if ALL in frame.index.get_level_values(name)] if keep else []
        if taken:
            do = "Rename that value, or leave out the margins."
            raise DataError(f"keys other than `{ALL}`, the name of the margins", got="one", where=f"column `{taken[0]}`", do=do)
        return frame


def _tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _named(n: int) -> tuple[str, ...]:
    return (ALL, *[""] * (n - 1))


def _index(keys: Sequence[tuple[Any, ...]], like: pd.Index[Any]) -> pd.Index[Any]:
    import pandas as pd

    if like.nlevels == 1:
        return pd.Index([key[0] for key in keys], name=like.name)
    return pd.MultiIndex.from_tuples(keys, names=like.names)


def _shared(table: pd.DataFrame, of: str) -> pd.DataFrame:
    """Cells as shares, and those of the margins among each other, where they add up to one."""
    import pandas as pd

    core = shares(table.iloc[:-1, :-1], of)
    if of in {"all", "columns"}:
        core = pd.concat([core, table.iloc[:-1, -1:] / table.iloc[:-1, -1].sum()], axis=1)
    if of in {"all", "index"}:
        last = table.iloc[-1:, :-1] / table.iloc[-1, :-1].sum()
        if of == "all":
            last[table.columns[-1]] = 1.0
        core = pd.concat([core, last])
    return core.fillna(0)
