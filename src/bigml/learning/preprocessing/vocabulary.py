"""Vocabulary: which tokens occur, in how many documents and how often, in memory that is bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bigml.chunk import Chunk
from bigml.errors import BigmlError, DataError
from bigml.learning.design import Design
from bigml.learning.preprocessing.documents import refused_document

MOST_TOKENS = 1 << 20
"""Distinct tokens that are counted at once."""
Counts: TypeAlias = NDArray[np.int64]


class Terms(NamedTuple):
    """Tokens with what was counted of them.

    Attributes:
        n_documents: All of them.
        tokens: Distinct; in the order of their code points when counting has finished.
        documents: Documents that hold each token.
        total: Times that each token occurs.
        lost: The most that each count of a token, known or not, may be short by.
    """

    n_documents: int
    tokens: pa.Array
    documents: Counts
    total: Counts
    lost: int = 0

    def take(self, kept: NDArray[Any]) -> Terms:
        """Some of the tokens, by position or mask."""
        at = np.flatnonzero(kept) if kept.dtype == bool else kept
        return self._replace(tokens=self.tokens.take(pa.array(at)), documents=self.documents[at], total=self.total[at])


@dataclass(frozen=True, eq=False)
class CountedTerms:
    """A reducer of chunks: the tokens of a column of text with their counts.

    Beyond `most` distinct tokens it is refused, or, where only frequent ones are wanted, the rare ones are forgotten as in
    mergeable summaries (Agarwal et al. 2013, ACM TODS 38(4)): no count is then short by more than `lost`.

    Args:
        design: Makes the documents.
        vectorizer: Its own analyzer makes tokens of a document.
        forgets: Whether rare tokens are forgotten beyond `most`.
        only: Tokens to count; None counts all.
        most: Distinct tokens to hold.
    """

    design: Design
    vectorizer: Any
    forgets: bool = False
    only: pa.Array | None = None
    most: int = MOST_TOKENS

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def name(self) -> str:
        """Where the texts are from."""
        return ", ".join(self.design.names)

    def start(self) -> Terms:
        return Terms(0, pa.array([], pa.large_string()), np.empty(0, np.int64), np.empty(0, np.int64))

    def update(self, state: Terms, chunk: Chunk) -> Terms:
        if not chunk.n_rows:
            return state
        texts = self.design.matrix(chunk)
        try:
            return self.merge(state, self._counted(texts))
        except BigmlError:
            raise
        except (AttributeError, TypeError, ValueError) as error:
            got, where = str(error).splitlines()[0], f"column `{self.name}`"
            said = DataError(f"texts that `{type(self.vectorizer).__name__}` makes tokens of", got=got, where=where)
            raise refused_document(texts, chunk.row_numbers, self.name) or said from error

    def _counted(self, texts: Any) -> Terms:
        documents: Counter[Any] = Counter()
        total: Counter[Any] = Counter()
        analyze: Callable[[Any], Any] = self.vectorizer.build_analyzer()
        for text in texts:
            tokens = list(analyze(text))
            total.update(tokens)
            documents.update(list(dict.fromkeys(tokens)))
        known = total if self.only is None else frozenset(self.only.to_pylist())
        names = [token for token in total if token in known]
        return Terms(
            len(texts),
            pa.array(names, pa.large_string()),
            np.array([documents[name] for name in names], np.int64),
            np.array([total[name] for name in names], np.int64),
        )

    def merge(self, left: Terms, right: Terms) -> Terms:
        if not right.n_documents or not left.n_documents:
            return left if left.n_documents else right
        coded = pa.concat_arrays([left.tokens, right.tokens]).dictionary_encode()
        documents, total = np.zeros((2, len(coded.dictionary)), np.int64)
        places = coded.indices.to_numpy()
        np.add.at(documents, places, np.concatenate([left.documents, right.documents]))
        np.add.at(total, places, np.concatenate([left.total, right.total]))
        n, lost = left.n_documents + right.n_documents, left.lost + right.lost
        return self._bounded(Terms(n, coded.dictionary, documents, total, lost))

    def _bounded(self, terms: Terms) -> Terms:
        n = len(terms.tokens)
        if n <= self.most:
            return terms
        if not self.forgets:
            do = "Raise min_df, set max_features, choose shorter n-grams, or use HashingVectorizer."
            raise DataError(f"at most {self.most:,} distinct tokens", got=f"{n:,}", where=f"column `{self.name}`", do=do)
        # What the tokens that go have at most is taken from all, so that half of the room is free again.
        least = int(np.partition(terms.total, n - self.most // 2)[n - self.most // 2])
        kept = terms.take(terms.total > least)
        return kept._replace(total=kept.total - least, lost=terms.lost + least)

    def finish(self, state: Terms) -> Terms:
        order = sorted(range(len(state.tokens)), key=state.tokens.to_pylist().__getitem__)
        return state.take(np.array(order, np.int64))

    def forecast_nbytes(self, n_rows: int) -> int:
        return 64 * min(32 * n_rows, self.most)

    def recounting(self, tokens: pa.Array) -> CountedTerms:
        """The reducer that counts these tokens exactly."""
        return replace(self, only=tokens, forgets=False, most=max(self.most, len(tokens)))
