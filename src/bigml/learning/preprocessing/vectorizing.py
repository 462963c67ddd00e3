"""Vectorizing: how text vectorizers and hashers learn: nothing, or the vocabulary and document frequencies of all texts."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer

from bigml.errors import DataError, FitError
from bigml.learning.batch import Batch
from bigml.learning.inquiry import Inquiry
from bigml.learning.preprocessing.demands import NONE
from bigml.learning.preprocessing.documents import refused_document
from bigml.learning.preprocessing.registry import wants
from bigml.learning.preprocessing.staging import Stage, inquire
from bigml.learning.preprocessing.summary import Want, Wants
from bigml.learning.preprocessing.vocabulary import CountedTerms, Terms
from bigml.learning.solving import Problem, solve
from bigml.learning.structure import structured
from bigml.learning.sums import Sums, Totals


@wants.register(HashingVectorizer)
@wants.register(FeatureHasher)
@wants.register(CountVectorizer)
def _(step: Any) -> Wants:
    return frozenset([Want.ROWS])


@inquire.register(HashingVectorizer)
@inquire.register(FeatureHasher)
def _(step: Any, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    yield from ()
    _shaped(step, stage)
    return _named(step, stage), stage.then(step)


@inquire.register
def _(step: CountVectorizer, stage: Stage, later: Wants = NONE) -> Inquiry[tuple[Any, Stage]]:
    known = ["a"] if step.vocabulary is None else step.vocabulary
    shaped = _shaped(clone(step), stage, vocabulary=known)  # refuses parameters before the scan
    weighs = isinstance(step, TfidfVectorizer) and step.use_idf
    if step.vocabulary is not None and not weighs:
        return _named(shaped, stage), stage.then(shaped)
    if step.vocabulary is None:
        terms = yield from _chosen(step, stage)
        _shaped(step, stage, vocabulary=terms.tokens.to_pylist()).fixed_vocabulary_ = False
    else:
        terms = yield CountedTerms(stage.design, step).recounting(pa.array(shaped.vocabulary_, pa.large_string()))
        _shaped(step, stage)
    if weighs:
        step.idf_ = _idf(step, terms)
    return _named(step, stage), _behind(step, stage, terms)


def _shaped(step: Any, stage: Stage, **instead: Any) -> Any:
    """The step fitted on a few texts, which checks its parameters.

    Raises:
        DataError: One of them is missing, or no text.
        FitError: scikit-learn refuses a parameter.
    """
    name = ", ".join(stage.design.names)
    if (error := refused_document(stage.rows, stage.glimpse.row_numbers, name)) is not None:
        raise error
    try:
        return structured(step, stage.rows, **instead)
    except (AttributeError, TypeError) as error:
        expected, got = f"values that `{type(step).__name__}` makes tokens of", str(error).splitlines()[0]
        raise DataError(expected, got=got, where=f"column `{name}`") from error


def _named(step: Any, stage: Stage) -> Any:
    """The step, which remembers the column that it has learned from as other steps do."""
    name = getattr(stage.rows, "name", None)
    if isinstance(name, str):
        step.feature_names_in_ = np.array([name], dtype=object)
    return step


def _behind(step: CountVectorizer, stage: Stage, terms: Terms) -> Stage:
    """The stage behind, where every token that a document holds is a value that is stored."""
    behind = stage.then(step)
    return replace(behind, witness=replace(behind.witness, stored=int(terms.documents.sum())))


def _chosen(step: CountVectorizer, stage: Stage) -> Inquiry[Terms]:
    """The tokens of the vocabulary; a second scan counts them where the first had to forget some."""
    asked = CountedTerms(stage.design, step, forgets=step.max_features is not None or step.min_df != 1)
    found = yield asked
    if not found.lost:
        return _limited(step, found)
    terms = yield asked.recounting(found.tokens)
    chosen = _limited(step, terms)
    # A token that was forgotten occurs at most `lost` times: it must be too rare, or rarer than all that are chosen.
    full = step.max_features is not None and len(chosen.tokens) == step.max_features
    least = int(_occurrences(step, chosen).min()) if full else 0
    if max(least, _bounds(step, terms.n_documents)[0] - 1) < found.lost:
        do = "Raise min_df, lower max_features, or use HashingVectorizer."
        expected = f"a vocabulary of tokens that occur more than {found.lost:,} times"
        raise DataError(expected, got="rarer ones among too many", where=f"column `{asked.name}`", do=do)
    return chosen


def _limited(step: CountVectorizer, terms: Terms) -> Terms:
    """scikit-learn's choice: by document frequency, then the most frequent ones; ties fall as they fall there."""
    where = f"in `{type(step).__name__}`"
    if not len(terms.tokens):
        raise DataError("texts with tokens", got="an empty vocabulary", where=where, do="Check stop_words and token_pattern.")
    low, high = _bounds(step, terms.n_documents)
    if high < low:
        raise FitError("max_df of as many documents as min_df, or more", got=f"{high:g} and {low:g}", where=where)
    kept = terms.take((terms.documents >= low) & (terms.documents <= high))
    if not len(kept.tokens):
        raise DataError("tokens that remain", got="none", where=where, do="Lower min_df, or raise max_df.")
    if step.max_features is None or len(kept.tokens) <= step.max_features:
        return kept
    return kept.take(np.sort((-_occurrences(step, kept)).argsort()[: step.max_features]))


def _occurrences(step: CountVectorizer, terms: Terms) -> NDArray[Any]:
    """How often each token counts, of the type that scikit-learn adds up in: that decides between ties."""
    counts = terms.documents if step.binary else terms.total
    return counts.astype(step.dtype) if np.dtype(step.dtype).kind == "f" else counts


def _bounds(step: CountVectorizer, n: int) -> tuple[float, float]:
    """The fewest and the most documents that may hold a token."""
    low, high = (bound if isinstance(bound, Integral) else bound * n for bound in (step.min_df, step.max_df))
    return float(low), float(high)


def _idf(step: TfidfVectorizer, terms: Terms) -> NDArray[Any]:
    """The weights of the tokens, in the vocabulary's order."""
    documents = np.zeros(len(step.vocabulary_), np.int64)
    documents[[step.vocabulary_[token] for token in terms.tokens.to_pylist()]] = terms.documents
    return idf(documents, terms.n_documents, step.smooth_idf, step.dtype)


def idf(documents: NDArray[Any], n: int, smooth: bool, dtype: Any) -> NDArray[Any]:
    """ln(n / df) + 1, with a document more that holds every token when smooth (Salton and Buckley 1988, as in scikit-learn).

    >>> idf(np.array([1, 3]), 3, smooth=True, dtype=np.float64).round(4).tolist()
    [1.6931, 1.0]
    """
    kind = dtype if np.dtype(dtype) in (np.float32, np.float64) else np.float64
    with np.errstate(divide="ignore"):
        share = np.asarray(n + int(smooth), kind) / (documents.astype(kind) + kind(smooth))
    weights: NDArray[Any] = np.log(share) + kind(1)
    return weights


class Frequencies:
    """Sums of batches: rows, and rows that store a value in each column."""

    def __call__(self, batch: Batch) -> Totals:
        X = sparse.csr_matrix(batch.X)
        return {"n": np.array(batch.n_rows), "stored": np.bincount(X.indices, minlength=X.shape[1])}


@solve.register
def _(estimator: TfidfTransformer, problem: Problem) -> Inquiry[Any]:
    found = yield Sums(Frequencies())
    if not found:
        raise DataError("rows to learn from", got="none", where="in fit")
    structured(estimator, sparse.csr_matrix((1, len(found["stored"]))))
    if estimator.use_idf:
        estimator.idf_ = idf(found["stored"], int(found["n"]), estimator.smooth_idf, np.float64)
    return estimator
