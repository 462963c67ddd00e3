"""Documents: the columns whose values are whole texts, or tokens, and go into a text vectorizer one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import FeatureUnion

from bigml.errors import DataError, FitError
from bigml.learning.preprocessing.chain import Choice, flattened
from bigml.learning.preprocessing.summary import is_number, plain

Vectorizer: TypeAlias = CountVectorizer | HashingVectorizer | FeatureHasher


def reads_text(step: Any) -> bool:
    """Whether the step, fitted or not, is given one column flat: it is, or begins with, a text vectorizer."""
    first = (flattened(step) or [None])[0]
    if isinstance(first, FeatureUnion):
        return any(reads_text(branch) for _, branch in first.transformer_list)
    return isinstance(first, Vectorizer)


def documents(preprocessor: Any, names: Sequence[str]) -> list[str]:
    """The raw columns among `names` that are read as text; all of them when the preprocessor begins with a vectorizer."""
    steps = flattened(preprocessor)
    first = next((step for step in steps if not isinstance(step, Choice)), None)
    if isinstance(first, ColumnTransformer) and first is steps[0]:
        chosen = [at for _, branch, at in first.transformers if isinstance(at, str) and reads_text(branch)]
        return [name for name in chosen if name in names]
    return list(names) if reads_text(first) else []


def check_documents(preprocessor: Any, schema: pa.Schema) -> None:
    """Refuse more than one column for a vectorizer in front, and columns of numbers or times for one anywhere.

    Raises:
        FitError: The columns are named, with what to do about it.
    """
    names = documents(preprocessor, schema.names)
    if reads_text(preprocessor) and len(names) != 1:
        do = 'Choose it by its name: make_column_transformer((vectorizer, "text"), ...), or select(...) it.'
        raise FitError("one column of text for a vectorizer", got=f"{len(names)}: {', '.join(names[:10])}", where="in fit", do=do)
    for name in names:
        kind = plain(schema.field(name).type)
        if is_number(kind) or pa.types.is_temporal(kind):
            do = "Give it to a scaler or an encoder."
            raise FitError("a column of text for a vectorizer", got=f"{kind}", where=f"column `{name}`", do=do)


def refused_document(values: Any, rows: NDArray[np.int64], name: str) -> DataError | None:
    """The error for the first missing document; None when all are there.

    Args:
        values: Documents of shape (n_rows,).
        rows: Their numbers.
        name: Of the column.
    """
    gaps = np.flatnonzero(np.asarray(pd.isna(pd.Series(values, dtype=object))))
    if not len(gaps):
        return None
    where, do = f"column `{name}`, row {rows[gaps[0]]:,}", f'Use source.dropna("{name}").'
    return DataError("a text in every row", got="a missing value", where=where, do=do)
