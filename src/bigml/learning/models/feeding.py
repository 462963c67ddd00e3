"""Feeding: encoded rows as XGBoost takes them, batch by batch, from files or as collections of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from bigml.errors import DataError
from bigml.graph.mapping import map_parts
from bigml.graph.reader import Reader
from bigml.graph.scan import read
from bigml.learning.batch import Batch, Encoder
from bigml.learning.finite import refused_number
from bigml.part import Part
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

    from bigml.chunk import Chunk

BATCH_NBYTES = 32 << 20
"""Float32 features that XGBoost is given at once: small batches make many small pages, which cost a pass over a list each."""


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of float32 features, made anew whenever they are iterated over; two or three of them are held at a time.

    Attributes:
        reader: The rows, or blocks of encoded rows that were kept.
        encoder: Makes batches of the rows.
        nbytes: Small batches are joined until they have so many bytes.
    """

    reader: Reader
    encoder: Encoder
    nbytes: int = BATCH_NBYTES

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[Batch] = []
        for batch in self._each():
            waiting.append(batch)
            if sum(map(nbytes, waiting)) >= self.nbytes:
                yield joined(waiting)
                waiting = []
        if waiting:
            yield joined(waiting)

    def _each(self) -> Iterator[Batch]:
        parts = self.reader.parts
        for part, chunk in zip(parts, read(self.reader, parts, self.encoder.columns), strict=True):
            batch = encoded(self.encoder, part, chunk)
            if batch.n_rows:
                yield batch


def encoded(encoder: Encoder, part: Part, chunk: Chunk | Batch) -> Batch:
    """The batch of a part, or one that was kept, its features as float32; NaN is a missing value to XGBoost.

    Raises:
        DataError: A feature is infinite; column and row are named.
    """
    batch = chunk if isinstance(chunk, Batch) else encoder(chunk, str(part))
    if not batch.n_rows:
        return batch
    made = Batch(batch.rows, floats(batch.X), batch.y, batch.weights, batch.where)
    _refuse_infinity(made, encoder)
    return made


def _refuse_infinity(batch: Batch, encoder: Encoder) -> None:
    X = batch.X
    if np.isinf(X.data if sparse.issparse(X) else X).any():
        present = X if sparse.issparse(X) else np.where(np.isnan(X), 0, X)
        error = refused_number(present, encoder.features(X.shape[1]), batch.rows, batch.where)
        if error is not None:
            raise error


def floats(X: Any) -> Any:
    """X as float32: a row-major array, or a CSR matrix where it is sparse."""
    with np.errstate(over="ignore"):
        return sparse.csr_matrix(X, dtype=np.float32) if sparse.issparse(X) else np.ascontiguousarray(X, dtype=np.float32)


def nbytes(batch: Batch) -> int:
    """Bytes of the features that are stored."""
    return int(batch.X.data.nbytes + batch.X.indices.nbytes if sparse.issparse(batch.X) else batch.X.nbytes)


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of all batches as one."""
    first = batches[0]
    if len(batches) == 1:
        return first
    X = [batch.X for batch in batches]
    y = None if first.y is None else np.concatenate([batch.y for batch in batches])
    weights = None if first.weights is None else np.concatenate([batch.weights for batch in batches])
    stacked = sparse.vstack(X, format="csr") if sparse.issparse(first.X) else np.concatenate(X)
    return Batch(np.concatenate([batch.rows for batch in batches]), stacked, y, weights, first.where)


def feed(batches: Iterable[Batch], pages: str, **about: Any) -> Any:
    """XGBoost's own iterator over batches, for its matrices in external memory.

    Args:
        batches: Iterated over several times.
        pages: The prefix of the files that XGBoost keeps quantised rows in.
        about: What is said of the features with each batch: `feature_names`, `feature_types`, `feature_weights`.
    """
    import xgboost

    class Feed(xgboost.DataIter):
        def reset(self) -> None:
            self.left = iter(batches)

        def next(self, input_data: Callable[..., Any]) -> bool:
            batch = next(self.left, None)
            if batch is not None:
                input_data(data=batch.X, label=batch.y, weight=batch.weights, **about)
            return batch is not None

    made = Feed(cache_prefix=pages)
    made.reset()
    return made


@dataclass(frozen=True, eq=False)
class Collections:
    """Encoded rows as Dask arrays, a chunk a part; nothing is read until they are persisted.

    Attributes:
        X: Of shape (n_rows, n_features), float32, dense or CSR.
        y: Of shape (n_rows,).
        weights: Of shape (n_rows,), or None.
        nbytes: Of X; None where it is sparse, which tells only when the rows are made.
    """

    X: Any
    y: Any
    weights: Any
    nbytes: int | None

    @classmethod
    def of(cls, source: Source, encoder: Encoder, client: Client) -> Collections:
        """The rows of a source; a filter is counted by one scan.

        Raises:
            DataError: There are no rows.
        """
        import dask.array as da
        from dask import delayed

        sizes = source.row_counts or tuple(map_parts(source, _size, columns=(), client=client, title="count"))
        given = [(part, n) for part, n in zip(source.parts, sizes, strict=True) if n]
        if not given:
            raise DataError("rows to learn from", got="none", where=f"in {source.columns[:5]}")
        make, lean, meta = delayed(_batch, pure=False), source.lean(), _glimpse(source, encoder).X[:0]
        batches = [(make(lean, part, encoder), n) for part, n in given]

        def column(name: str, dtype: Any) -> Any:
            return da.concatenate([da.from_delayed(getattr(batch, name), (n,), dtype=dtype) for batch, n in batches])

        X = da.concatenate([da.from_delayed(batch.X, (n, meta.shape[1]), meta=meta) for batch, n in batches])
        y = column("y", np.float64 if encoder.target is None or encoder.target.classes is None else np.int64)
        weights = None if encoder.weight is None else column("weights", np.float64)
        return cls(X, y, weights, None if sparse.issparse(meta) else X.nbytes)


def _size(part: Part, chunk: Chunk) -> int:
    del part
    return chunk.n_rows


def _batch(reader: Reader, part: Part, encoder: Encoder) -> Batch:
    return encoded(encoder, part, next(read(reader, (part,), encoder.columns)))


def _glimpse(source: Source, encoder: Encoder) -> Batch:
    """The first row, encoded: it tells how wide and of which kind features are."""
    first = source.head(1)
    return _batch(first, first.parts[0], encoder)
