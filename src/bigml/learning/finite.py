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
    elif X.dtype == object:
        text = refused_cell(X, names, rows, where)
        return text or refused_number(X.astype(np.float64), names, rows, where)
    found = not_finite(X)
    if found is None:
        return None
    i, j, count = found
    got = "NaN" if np.isnan(_cell(X, i, j)) else "infinity"
    place = _place(names, j, int(rows[i]), where, count)
    return DataError("finite features", got=got, where=place, do="Impute such values (SimpleImputer), or drop the rows.")


def refused_cell(
    X: NDArray[Any], names: Sequence[str], rows: NDArray[np.int64], where: str | Callable[[int], str] = ""
) -> DataError | None:
    """The error for the first cell of an array of objects that is no number; None when all are, or missing.

    Args:
        X: Shape (n_rows, n_columns).
        names: Of its columns.
        rows: Numbers of its rows.
        where: As of `refused_number`.
    """
    wrong = ((i, j) for j in range(X.shape[1]) for i, cell in enumerate(X[:, j]) if not _is_number(cell))
    i, j = next(wrong, (-1, -1))
    if i < 0:
        return None
    do = "Encode them (OneHotEncoder, OrdinalEncoder), or leave the column out."
    return DataError("features that are numbers", got=f"{X[i, j]!r}", where=_place(names, j, int(rows[i]), where), do=do)


def _is_number(cell: Any) -> bool:
    try:
        return cell is None or isinstance(float(cell), float)
    except (TypeError, ValueError):
        return False


def _place(names: Sequence[str], column: int, row: int, where: str | Callable[[int], str], count: int = 1) -> str:
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    where = where if isinstance(where, str) else where(row)
    name = names[column] if column < len(names) else f"feature {column}"
    return f"column `{name}`, row {row:,}{more}{f', {where}' if where else ''}"


def _cell(X: Any, i: int, j: int) -> float:
    return float(X.iloc[i, j] if hasattr(X, "iloc") else X[i, j])
