"""Quantiles: any of them, of several columns, in one mergeable state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bigml.chunk import Chunk
from bigml.errors import ColumnError, ConfigError, SchemaError
from bigml.stats.cells import Rows
from bigml.stats.keys import plain
from bigml.stats.ticks import Ticked, Ticks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ColumnQuantiles:
    """Quantiles of columns of numbers; `quantiles` makes one.

    Attributes:
        columns: The columns.
        shares: From 0 to 1: a row of the result each.
    """

    columns: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def ticks(self) -> tuple[Ticks, ...]:
        return tuple(Ticks(name) for name in self.columns)

    def start(self) -> tuple[Ticked, ...]:
        return tuple(one.start() for one in self.ticks)

    def update(self, state: tuple[Ticked, ...], chunk: Chunk) -> tuple[Ticked, ...]:
        rows = Rows(chunk)
        return self.merge(state, tuple(one.partial(rows) for one in self.ticks))

    def merge(self, left: tuple[Ticked, ...], right: tuple[Ticked, ...]) -> tuple[Ticked, ...]:
        return tuple(one.merge(a, b) for one, a, b in zip(self.ticks, left, right, strict=True))

    def finish(self, state: tuple[Ticked, ...]) -> pd.DataFrame:
        import pandas as pd

        pairs = list(zip(self.ticks, state, strict=True))
        found = {one.column: [one.quantile(own, q) if own.counts.sum() else np.nan for q in self.shares] for one, own in pairs}
        frame = pd.DataFrame(found, index=list(self.shares), dtype=np.float64)
        frame.attrs["error"] = {one.column: f"at most {100 * 2.0 ** (own.shift - 53):.2g} %" for one, own in pairs if own.shift}
        return frame

    def quantile(self, state: tuple[Ticked, ...], shares: Sequence[float], column: str | None = None) -> pd.DataFrame:
        """Other quantiles from a state, of all columns or of one."""
        if column is not None and column not in self.columns:
            raise ColumnError.missing(column, self.columns)
        names = self.columns if column is None else (column,)
        kept = tuple(own for name, own in zip(self.columns, state, strict=True) if name in names)
        return ColumnQuantiles(names, tuple(shares)).finish(kept)

    def forecast_nbytes(self, n_rows: int) -> int:
        """Upper estimate of the bytes of one state."""
        return sum(one.forecast_nbytes(n_rows) for one in self.ticks)


def quantiles(shares: Sequence[float], columns: Sequence[str] | None = None, *, schema: pa.Schema) -> ColumnQuantiles:
    """The reducer whose result equals `frame[columns].quantile(shares)` in pandas.

    They are exact up to 16,384 distinct values of a column; beyond, `result.attrs["error"]` says how far off an order statistic
    is at most, of its size. NaN for a column without values.

    Args:
        shares: From 0 to 1.
        columns: Columns of numbers; all of them by default.
        schema: The types of all columns.

    Raises:
        ColumnError: No such column.
        ConfigError: No share is asked for, or one outside of 0 to 1.
        SchemaError: A column is not of numbers.

    >>> from bigml.stats.reducer import reduce_chunks
    >>> table = pa.table({"delay": [1.0, 2.0, 4.0]})
    >>> reduce_chunks(quantiles([0.5, 0.75], schema=table.schema), [Chunk.from_arrow(table)])["delay"].tolist()
    [2.0, 3.0]
    """
    check_shares(shares)
    names = [field.name for field in schema if _is_number(field.type)] if columns is None else list(columns)
    for name in names:
        if name not in schema.names:
            raise ColumnError.missing(name, schema.names)
        if not _is_number(schema.field(name).type):
            raise SchemaError("a column of numbers", got=f"{schema.field(name).type}", where=f"column `{name}` in quantile")
    if not names:
        raise SchemaError("a column of numbers", got="none", where="in quantile")
    return ColumnQuantiles(tuple(names), tuple(float(share) for share in shares))


def shares_of(q: Any) -> list[float]:
    """One share or several, as a list.

    Raises:
        ConfigError: There are none, or one is no number from 0 to 1.
    """
    shares = [q] if np.ndim(q) == 0 else list(q)
    check_shares(shares)
    return [float(share) for share in shares]


def check_shares(shares: Sequence[Any]) -> None:
    """Check that there are shares to ask for.

    Raises:
        ConfigError: There are none, or one is no number from 0 to 1.
    """
    wrong = [share for share in shares if not (is_real(share) and 0 <= share <= 1)]
    if not wrong and len(shares):
        return
    is_percent = wrong and is_real(wrong[0]) and 1 < wrong[0] <= 100
    do = f"The percentile {wrong[0]} is quantile({wrong[0] / 100:g})." if is_percent else "For the percentile 95 ask for 0.95."
    raise ConfigError("shares from 0 to 1", got=f"{wrong[0]!r}" if wrong else "none", where="in quantile", do=do)


def is_real(value: object) -> bool:
    """Whether it is a number that can be compared with others."""
    return isinstance(value, Real | Decimal)


def _is_number(kind: pa.DataType) -> bool:
    kind = plain(kind)
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
