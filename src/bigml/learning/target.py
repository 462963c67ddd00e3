"""Target: how the column to predict becomes y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import DataError, FitError
from bigml.learning.preprocessing.summary import is_number, plain


@dataclass(frozen=True, eq=False)
class Target:
    """How a target column becomes y.

    Attributes:
        column: Its name.
        classes: Sorted classes; None for numbers.
        checked: Whether each y must be looked up among the classes, which the scan did not find itself.
    """

    column: str
    classes: NDArray[Any] | None = None
    checked: bool = False

    def values(self, chunk: Chunk, where: str = "") -> NDArray[Any]:
        """y of shape (n_rows,); looked up, it has the dtype of the classes.

        Raises:
            DataError: A value is missing, infinite, or no known class.
        """
        if self.checked and self.classes is not None:
            return self.classes[self.codes(chunk, self.classes, where)]
        array = self._present(chunk, where)
        if self.classes is not None or not is_number(plain(array.type)):
            return _decoded(array)
        y = chunk.floats(self.column)
        self._check(~np.isfinite(y), "a finite target", "infinity", chunk, where)
        return y

    def codes(self, chunk: Chunk, classes: NDArray[Any], where: str = "") -> NDArray[np.int64]:
        """The place of each row's value among the classes, shape (n_rows,).

        Raises:
            DataError: A value is missing, or no known class.
        """
        y = _decoded(self._present(chunk, where))
        codes = coded(y, classes)
        unknown = codes < 0
        got = f"the class {y[unknown][:1].tolist()[0]!r}" if unknown.any() else ""
        self._check(unknown, f"the classes {classes.tolist()}", got, chunk, where)
        return codes

    def _present(self, chunk: Chunk, where: str) -> pa.Array:
        array = chunk.arrow(self.column)
        self._check(array.is_null(nan_is_null=True), "a target in every row", "a missing value", chunk, where)
        return array

    def _check(self, bad: Any, expected: str, got: str, chunk: Chunk, where: str) -> None:
        mask = bad.to_numpy(zero_copy_only=False) if isinstance(bad, pa.Array) else bad
        if mask.any():
            row = int(chunk.row_numbers[np.flatnonzero(mask)[0]])
            more = f" (and {int(mask.sum()) - 1:,} more)" if mask.sum() > 1 else ""
            do = f'Use source.dropna("{self.column}").' if "missing" in got else "Repair or drop these rows."
            place = f"column `{self.column}`, row {row:,}{more}{f', {where}' if where else ''}"
            raise DataError(expected, got=got, where=place, do=do)


def check_number(column: str, kind: pa.DataType) -> None:
    """Refuse a target of text or the like for a regressor.

    Raises:
        FitError: It is; the column is named.
    """
    if not is_number(plain(kind)):
        do = "Use a classifier, or make numbers of it by source.assign(...)."
        raise FitError("a target of numbers", got=f"{plain(kind)}", where=f"column `{column}`", do=do)


def check_classes(classes: NDArray[Any], where: str) -> NDArray[Any]:
    """The classes, unless they are measured numbers, which scikit-learn's classifiers refuse.

    Raises:
        DataError: One has a fraction.
    """
    fractions = classes[classes % 1 != 0] if classes.dtype.kind == "f" else classes[:0]
    if len(fractions):
        do = "Use a regressor, or make classes of them by source.assign(...)."
        raise DataError("classes: text, whole numbers or truth values", got=f"{fractions[0]:g}", where=where, do=do)
    return classes


def coded(values: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """The place of each value among the classes, -1 where it is none of them; values count, not types: True is 1 and 1.0.

    >>> coded(np.array([True, False]), np.array([0, 1])).tolist()
    [1, 0]
    """
    codes, found = pd.factorize(values, use_na_sentinel=False)
    places = {one: place for place, one in enumerate(classes.tolist())}
    return np.array([places.get(one, -1) for one in found.tolist()], np.int64)[codes]


def _decoded(array: pa.Array) -> NDArray[Any]:
    values: NDArray[Any] = array.cast(plain(array.type)).to_pandas().to_numpy()
    return values
