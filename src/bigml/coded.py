"""Coded: a column as the codes of its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of few different values.

    Attributes:
        codes: int32 of shape (n_rows,): where each row's value is among the values, -1 for null.
        values: Different values, none of them null; some may be of no row.
        nulls: Rows that are null.
    """

    codes: NDArray[np.int32]
    values: pa.Array
    nulls: int

    @property
    def kind(self) -> pa.DataType:
        """The Arrow type of `array`."""
        return pa.dictionary(pa.int32(), self.values.type) if self.is_text else self.values.type

    @property
    def is_text(self) -> bool:
        return bool(pa.types.is_string(self.values.type))

    @property
    def nbytes(self) -> int:
        return int(self.codes.nbytes) + int(self.values.nbytes)

    def __len__(self) -> int:
        return len(self.codes)

    def array(self) -> pa.Array:
        """The column in Arrow: text as a dictionary, anything else decoded.

        >>> Coded(np.array([1, -1, 1], np.int32), pa.array([0.5, 2.5]), 1).array().to_pylist()
        [2.5, None, 2.5]
        """
        codes = pa.array(self.codes, mask=self.codes < 0) if self.nulls else pa.array(self.codes)
        return pa.DictionaryArray.from_arrays(codes, self.values) if self.is_text else self.values.take(codes)

    def take(self, positions: NDArray[np.int64]) -> Coded:
        """The rows at these positions."""
        codes = self.codes[positions]
        codes.flags.writeable = False
        return self._with(codes)

    def slice(self, start: int, stop: int) -> Coded:
        """Rows start to stop (exclusive), zero-copy."""
        return self._with(self.codes[start:stop])

    def _with(self, codes: NDArray[np.int32]) -> Coded:
        return Coded(codes, self.values, int(np.count_nonzero(codes < 0)) if self.nulls else 0)
