"""Design: how the rows of a chunk become the matrix that an estimator is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from bigml.chunk import Chunk
from bigml.errors import DataError
from bigml.learning.finite import refused_number
from bigml.learning.preprocessing.chain import Chain, Choice, flattened
from bigml.learning.preprocessing.documents import documents, reads_text, refused_document
from bigml.learning.preprocessing.encoding import output_widths
from bigml.learning.preprocessing.summary import is_number, plain
from bigml.learning.preprocessing.witness import positions_of

SLICE_ROWS = 1 << 17
"""Rows that are encoded at a time."""
FEW = 4
"""Distinct values are encoded once each when a column has this many times fewer of them than rows."""


@dataclass(frozen=True, eq=False)
class Design:
    """A chunk's columns as a matrix, through fitted preprocessing when there is any.

    The matrix equals `preprocessor.transform(frame)`. Branches of a ColumnTransformer that encode columns are computed on
    the distinct values of each column and gathered by row, which gives the same matrix many times faster.

    Args:
        names: The raw columns that are read.
        preprocessor: Fitted; None passes the columns on as one float matrix.
        dtype: Of that matrix; None passes on a DataFrame instead.
    """

    names: tuple[str, ...]
    preprocessor: Any = None
    dtype: Any = np.float64

    def matrix(self, chunk: Chunk) -> Any:
        """X of shape (chunk.n_rows, n_features): an array, a CSR matrix, or a DataFrame where the preprocessor makes one.

        Raises:
            DataError: The preprocessor refuses a value; the column and the value are named.
        """
        if self.dtype is None and not flattened(self.preprocessor):
            return chunk.select(self.names).to_pandas()
        if self.preprocessor is None:
            return chunk.matrix(self.names, self.dtype)
        try:
            return self._transformed(chunk)
        except (AttributeError, TypeError, ValueError) as error:
            raise refused(self.preprocessor, chunk.select(self.names), error) from error

    def blocks(self, chunk: Chunk, n_rows: int) -> Iterator[NDArray[Any]]:
        """The rows of the matrix, so many at a time; of a design without a preprocessor."""
        return chunk.blocks(self.names, self.dtype, n_rows=n_rows)

    def _transformed(self, chunk: Chunk) -> Any:
        first, rest = self._steps
        matrix = stacked(first, self._branches, chunk) if self._branches else None
        if matrix is None:
            return self.preprocessor.transform(self._given(chunk))
        return Chain(tuple(rest)).transform(matrix)

    def _given(self, chunk: Chunk) -> Any:
        """What the preprocessor is given: a DataFrame, or the one column of text that a vectorizer in front reads."""
        frame = chunk.select(self.names).to_pandas()
        return frame.iloc[:, 0] if reads_text(self.preprocessor) else frame

    @cached_property
    def _steps(self) -> tuple[Any, list[Any]]:
        """The first step, and the others that do something."""
        first, *rest = flattened(self.preprocessor) or [None]
        return first, rest

    @cached_property
    def _branches(self) -> list[tuple[Any, list[str]]]:
        """The branches of a ColumnTransformer with their columns, when at least one can be gathered."""
        first, _ = self._steps
        if not isinstance(first, ColumnTransformer) or not hasattr(first, "feature_names_in_") or first.transformer_weights:
            return []
        branches = branches_of(first)
        scalar = any(isinstance(chosen, str) for *_, chosen in first.transformers_)
        return branches if not scalar and any(_encoder(branch) is not None for branch, _ in branches) else []

    def then(self, step: Any) -> Design:
        """The design whose matrix has gone through a fitted step more; columns that it drops are no longer read."""
        names = needed(step, self.names) if self.preprocessor is None else self.names
        return Design(names, (self.preprocessor or Chain()).then(step), None)

    def choose(self, positions: Sequence[int], flat: bool) -> Design:
        """The design of some columns of the matrix."""
        if self.preprocessor is not None:
            return self.then(Choice(tuple(positions), flat))
        chosen = Design(tuple(self.names[i] for i in positions), None, None)
        return chosen.then(Choice((0,), flat)) if flat else chosen

    @property
    def features(self) -> list[str]:
        """The names of the matrix's columns; none where preprocessing gives none."""
        if self.preprocessor is None:
            return list(self.names)
        try:
            return [str(name) for name in self.preprocessor.get_feature_names_out()]
        except (AttributeError, ValueError):
            return []


def branches_of(step: ColumnTransformer) -> list[tuple[Any, list[str]]]:
    """The fitted branches that are not dropped, with the names of their columns."""
    frame = pd.DataFrame(columns=step.feature_names_in_)
    found = [(branch, positions_of(frame, chosen)) for _, branch, chosen in step.transformers_]
    kept = [(branch, at) for branch, at in found if at and not (isinstance(branch, str) and branch == "drop")]
    return [(branch, [str(step.feature_names_in_[i]) for i in at]) for branch, at in kept]


def needed(fitted: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The columns among `names` that a fitted object reads: those that a ColumnTransformer in front drops are left out."""
    fitted = (flattened(fitted) or [None])[0]
    if not isinstance(fitted, ColumnTransformer) or not hasattr(fitted, "feature_names_in_"):
        return tuple(names)
    used = {name for _, columns in branches_of(fitted) for name in columns}
    return tuple(name for name in names if name in used)


def stacked(step: ColumnTransformer, branches: Sequence[tuple[Any, list[str]]], chunk: Chunk) -> Any:
    """The transformed chunk, some of its rows after others, so that what is made on the way stays small."""
    pieces = []
    for start in range(0, max(chunk.n_rows, 1), SLICE_ROWS):
        pieces.append(branchwise(step, branches, chunk.slice(start, min(start + SLICE_ROWS, chunk.n_rows))))
        if pieces[0] is None:
            return None
    if len(pieces) == 1:
        return pieces[0]
    return sparse.vstack(pieces, format="csr") if step.sparse_output_ else np.concatenate(pieces)


def branchwise(step: ColumnTransformer, branches: Sequence[tuple[Any, list[str]]], chunk: Chunk) -> Any:
    """The transformed chunk, branch by branch; None when the branches make DataFrames."""
    blocks = [_block(branch, chunk.select(names)) for branch, names in branches]
    if any(hasattr(block, "iloc") for block in blocks):
        return None
    if step.sparse_output_:
        return sparse.hstack(blocks, format="csr")
    return np.hstack([block.toarray() if sparse.issparse(block) else block for block in blocks])


def _block(branch: Any, chunk: Chunk) -> Any:
    encoder = _encoder(branch)
    if encoder is not None and len(encoder.categories_) != len(chunk.names):
        encoder = None  # an imputer before it left out an empty column
    coded = [_coded(chunk.arrow(name)) for name in chunk.names] if encoder is not None else []
    size = max((len(values) for _, values in coded), default=chunk.n_rows)
    if not coded or size * FEW > chunk.n_rows:
        frame = chunk.to_pandas()
        is_idle = isinstance(branch, str) or (isinstance(branch, FunctionTransformer) and branch.func is None)
        return frame.to_numpy() if is_idle else branch.transform(frame)
    padded = {name: _repeated(values, size) for name, (_, values) in zip(chunk.names, coded, strict=True)}
    table = branch.transform(Chunk(padded, range(size)).to_pandas())
    return table if hasattr(table, "iloc") else _gathered(table, [codes for codes, _ in coded], output_widths(encoder))


def _repeated(values: pa.Array, size: int) -> pa.Array:
    return values.take(pa.array(np.arange(size) % len(values)))


def _gathered(table: Any, codes: Sequence[NDArray[np.int64]], widths: Sequence[int]) -> Any:
    """Each column's rows of the table of distinct values, side by side."""
    ends = np.cumsum(widths)
    blocks = [table[:, end - width : end][code] for code, end, width in zip(codes, ends, widths, strict=True)]
    return sparse.hstack(blocks, format="csr") if sparse.issparse(table) else np.hstack(blocks)


def _encoder(branch: Any) -> Any:
    """The encoder that a branch is or ends in, when the steps before it keep columns apart; otherwise None."""
    steps = [step for _, step in branch.steps] if isinstance(branch, Pipeline) else [branch]
    *before, last = [step for step in steps if step is not None and not isinstance(step, str)] or [None]
    plain = all(isinstance(step, SimpleImputer) and not step.add_indicator for step in before)
    return last if plain and isinstance(last, OneHotEncoder | OrdinalEncoder) else None


def _coded(array: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Codes of shape (n_rows,) and the values that they number, null among them when there is one."""
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    values, codes = coded.dictionary, coded.indices
    if codes.null_count:
        codes = codes.cast(pa.int64()).fill_null(len(values))
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    numbers: NDArray[np.int64] = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return (numbers, values) if coded is not array else _used(numbers, values)


def _used(codes: NDArray[np.int64], values: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Codes and values without those that no row has: a dictionary may know more than its rows hold."""
    used = np.bincount(codes, minlength=len(values)) > 0
    return (codes, values) if used.all() else ((np.cumsum(used) - 1)[codes], values.filter(pa.array(used)))


def refused(preprocessor: Any, chunk: Chunk, error: Exception) -> DataError:
    """The error for values that fitted preprocessing does not accept: a new category, a number, or whatever it says."""
    got, where = str(error).splitlines()[0], f"columns {', '.join(chunk.names[:10])}"
    said = DataError("values that preprocessing accepts", got=got, where=where)
    missing = _undocumented(preprocessor, chunk)
    return missing or _unseen(preprocessor, chunk) or (_number(chunk) if "NaN" in got or "infinity" in got else None) or said


def _undocumented(preprocessor: Any, chunk: Chunk) -> DataError | None:
    """The error for a missing text."""
    texts = [(name, chunk.select([name]).to_pandas()[name]) for name in documents(preprocessor, chunk.names)]
    found = (refused_document(values, chunk.row_numbers, name) for name, values in texts)
    return next((error for error in found if error is not None), None)


def _number(chunk: Chunk) -> DataError | None:
    names = [name for name in chunk.names if is_number(plain(chunk.kind(name)))]
    return refused_number(chunk.matrix(names), names, chunk.row_numbers)


def _unseen(preprocessor: Any, chunk: Chunk) -> DataError | None:
    first = (flattened(preprocessor) or [None])[0]
    branches = branches_of(first) if isinstance(first, ColumnTransformer) else [(preprocessor, list(chunk.names))]
    for name, known in (pair for branch, names in branches for pair in _strict_categories(branch, names)):
        values = chunk.arrow(name).unique().to_pylist()
        unseen = [value for value in values if not any(value == one or (pd.isna(value) and pd.isna(one)) for one in known)]
        if unseen:
            do = 'Use handle_unknown="ignore", or fit on rows that hold it.'
            got = f"{unseen[0]!r}" + (f" and {len(unseen) - 1} more" if len(unseen) > 1 else "")
            return DataError("categories that were there in fit", got=got, where=f"column `{name}`", do=do)
    return None


def _strict_categories(branch: Any, names: Sequence[str]) -> list[tuple[str, Sequence[Any]]]:
    """Columns with the categories that an encoder insists on."""
    encoder = _encoder(branch)
    if encoder is None or encoder.handle_unknown != "error" or len(encoder.categories_) != len(names):
        return []
    imputed = isinstance(branch, Pipeline) and len(branch.steps) > 1
    return [(name, [*known, None] if imputed else known) for name, known in zip(names, encoder.categories_, strict=True)]
