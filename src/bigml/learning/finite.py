"""Finite: which number of a matrix it was that an estimator could not take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigml.errors import DataError


def not_finite(X: Any) -> tuple[int, int, int] | None:
    """Row and column of the first number that is not finite, and how many rows hold one in that column; None when all are."""
    if hasattr(X, "tocoo"):
        entries = X.tocoo()
        bad = ~np.isfinite(entries.data)
        rows, columns = entries.row[bad], entries.col[bad]
    else:
        rows, columns = np.nonzero(~np.isfinite(np.asarray(X, dtype=np.float64)))
    if not len(rows):
        return None
    first = columns.min()
    return int(rows[columns == first].min()), int(first), int((columns == first).sum())


def refused_number(
    X: Any, names: Sequence[str], rows: NDArray[np.int64], where: str | Callable[[int], str] = ""
) -> DataError | None:
    """The error for the first number in X that is not finite; None when all are.

    Args:
        X: Array, sparse matrix or DataFrame of shape (n_rows, n_columns); columns of a DataFrame that hold no numbers are passed.
        names: Of its columns.
        rows: Numbers of its rows.
        where: More about the place, or what tells it of the number of a row.
    """
    if hasattr(X, "iloc"):
        X = X.select_dtypes("number")
        names = list(X.columns)
    found = not_finite(X)
    if found is None:
        return None
    i, j, count = found
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    where = where if isinstance(where, str) else where(int(rows[i]))
    name = names[j] if j < len(names) else f"feature {j}"
    place = f"column `{name}`, row {rows[i]:,}{more}{f', {where}' if where else ''}"
    got = "NaN" if np.isnan(_cell(X, i, j)) else "infinity"
    return DataError("finite features", got=got, where=place, do="Impute such values (SimpleImputer), or drop the rows.")


def _cell(X: Any, i: int, j: int) -> float:
    return float(X.iloc[i, j] if hasattr(X, "iloc") else X[i, j])
