"""Text vectorizers equal scikit-learn's own fit on all texts, however they are cut, and learn from bounded memory."""

from __future__ import annotations

import string
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, MultinomialNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler

import bigml
from bigml.chunk import Chunk
from bigml.errors import DataError, FitError
from bigml.learning.design import Design
from bigml.learning.preprocessing import vectorizing
from bigml.learning.preprocessing.vocabulary import CountedTerms
from bigml.learning.preprocessing.witness import Witness, beside
from bigml.testing import CountingSource, check_reducer

WORDS = ["spam", "ham", "eggs", "Bacon", "the", "and", "of", "café", "née", "zoo", "42", "a-b", "本", "語"]


def texts(n: int, seed: int) -> pd.Series:
    """Texts of a few words, frequent and rare ones, some of them empty."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(WORDS) + 1)
    made = [" ".join(rng.choice(WORDS, rng.integers(0, 9), p=shares / shares.sum())) for _ in range(n)]
    made[0] = " ".join(WORDS)
    return pd.Series(made, name="text")


def check(step: Any, values: pd.Series, part_rows: int, scans: int | None = None) -> Any:
    """Fitted by bigml in so many scans, the step makes of all texts what scikit-learn's fit on them makes."""
    source = CountingSource(bigml.from_pandas(values.to_frame(), part_rows=part_rows))
    expected, fitted = clone(step).fit(values), bigml.fit(step, source)
    ours, theirs = fitted.transform(values), expected.transform(values)
    assert type(ours) is type(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol=1e-9, atol=1e-12)
    if scans is not None:
        assert set(source.times_read.values()) == {scans}
    return fitted


def split(text: str) -> list[str]:
    return text.lower().split()


STEPS: dict[str, tuple[Any, int]] = {
    "counts": (CountVectorizer(), 2),
    "pairs of words": (CountVectorizer(ngram_range=(1, 2), min_df=2), 2),
    "letters": (CountVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_df=0.5), 2),
    "own analyzer": (CountVectorizer(analyzer=split, min_df=0.1, max_df=0.9), 2),
    "without stop words": (CountVectorizer(stop_words="english", strip_accents="unicode"), 2),
    "the most frequent": (CountVectorizer(max_features=4, token_pattern=r"\S+"), 2),
    "in most texts": (CountVectorizer(max_features=3, binary=True, dtype=np.float32), 2),
    "given words": (CountVectorizer(vocabulary=["zoo", "spam", "never"]), 1),
    "weighted": (TfidfVectorizer(), 2),
    "weighted, few": (TfidfVectorizer(min_df=2, max_features=5, sublinear_tf=True, norm="l1", dtype=np.float32), 2),
    "weighted, not smooth": (TfidfVectorizer(smooth_idf=False, norm=None), 2),
    "frequencies": (TfidfVectorizer(use_idf=False), 2),
    "given words, weighted": (TfidfVectorizer(vocabulary={"spam": 1, "the": 0, "never": 2}), 2),
    "hashed": (HashingVectorizer(n_features=64), 1),
    "hashed, weighted": (make_pipeline(HashingVectorizer(n_features=50, norm=None), TfidfTransformer()), 2),
    "counted, weighted": (make_pipeline(CountVectorizer(), TfidfTransformer(smooth_idf=False)), 3),
    "counted, scaled": (make_pipeline(CountVectorizer(), MaxAbsScaler()), 3),
    "words and letters": (make_union(TfidfVectorizer(), HashingVectorizer(n_features=16, analyzer="char")), 2),
}


@pytest.mark.parametrize("name", STEPS)
def test_vectorizers_equal_scikit_learn_on_all_texts(name: str) -> None:
    step, scans = STEPS[name]
    check(step, texts(203, seed=3), 50, scans)


@given(seed=st.integers(0, 1000), part_rows=st.integers(1, 40), most=st.integers(1, 12), least=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_any_chunking_gives_the_vocabulary_of_all_texts(seed: int, part_rows: int, most: int, least: int) -> None:
    step = TfidfVectorizer(max_features=most, min_df=least, token_pattern=r"\S+")
    values = texts(30, seed)
    fitted = check(step, values, part_rows)
    assert fitted.vocabulary_ == clone(step).fit(values).vocabulary_


@given(st.lists(st.text(string.ascii_lowercase[:6] + " ", max_size=12), min_size=1, max_size=12), st.data())
@settings(max_examples=25, deadline=None)
def test_counting_terms_obeys_the_laws_of_reducers(found: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(found)))
    chunk = Chunk.from_arrow(pa.table({"text": pa.array(found, pa.large_string())}))
    design = Design(("text",)).choose([0], flat=True)
    vectorizer = CountVectorizer(token_pattern=r"\w+")
    terms = check_reducer(CountedTerms(design, vectorizer), [chunk.slice(0, cut), chunk.slice(cut, len(found))])
    assert terms.total.sum() == sum(len(text.split()) for text in found)


def test_a_fitted_vectorizer_looks_like_one_of_scikit_learn() -> None:
    values = texts(60, seed=1)
    ours, theirs = check(TfidfVectorizer(), values, 7), TfidfVectorizer().fit(values)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert (ours.fixed_vocabulary_, ours.vocabulary) == (False, None)
    np.testing.assert_allclose(ours.idf_, theirs.idf_, rtol=1e-12)
    assert ours.feature_names_in_.tolist() == ["text"]


@pytest.mark.parametrize(
    "final", [LogisticRegression(tol=1e-10, max_iter=500), MultinomialNB(), BernoulliNB(), SGDClassifier(random_state=0)]
)
def test_sparse_texts_go_into_models_and_back_out_of_predictions(final: Any) -> None:
    frame = texts(120, seed=5).to_frame()
    frame["label"] = np.where(frame["text"].str.contains("spam"), "bad", "good")
    source = bigml.from_pandas(frame.assign(number=1.0), part_rows=25)
    model = make_pipeline(HashingVectorizer(n_features=256, alternate_sign=False), final)
    fitted = bigml.fit(model, source.select("text", "label"), target="label", epochs=1, shuffle=False)
    predicted = bigml.predict(fitted, source).to_pandas()["prediction"]
    assert predicted.tolist() == fitted.predict(frame["text"]).tolist()
    accuracy = bigml.score(fitted, source, target="label", scoring="accuracy")
    assert accuracy == pytest.approx(fitted.score(frame["text"], frame["label"]))
    if not isinstance(final, SGDClassifier):
        expected = clone(model).fit(frame["text"], frame["label"]).predict_proba(frame["text"])
        np.testing.assert_allclose(fitted.predict_proba(frame["text"]), expected, atol=1e-6)


def test_a_column_of_text_stands_beside_others() -> None:
    frame = texts(90, seed=2).to_frame().assign(number=np.arange(90.0), kind=list("abc") * 30)
    step = make_column_transformer(
        (TfidfVectorizer(max_features=8), "text"),
        (make_pipeline(HashingVectorizer(n_features=8), TfidfTransformer()), "text"),
        (StandardScaler(), ["number"]),
        (OneHotEncoder(), ["kind"]),
    )
    fitted, expected = bigml.fit(step, bigml.from_pandas(frame, part_rows=13)), clone(step).fit(frame)
    ours, theirs = (sparse.csr_matrix(one.transform(frame)).toarray() for one in (fitted, expected))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert fitted.sparse_output_ == expected.sparse_output_


def test_missing_texts_may_be_filled_before() -> None:
    frame = texts(40, seed=4).to_frame()
    frame.loc[[5, 17], "text"] = None
    filled = SimpleImputer(strategy="constant", fill_value="empty")
    step = make_column_transformer((make_pipeline(filled, FunctionTransformer(np.ravel), CountVectorizer()), ["text"]))
    fitted, expected = bigml.fit(step, bigml.from_pandas(frame, part_rows=9)), clone(step).fit(frame)
    np.testing.assert_array_equal(*(np.asarray(sparse.csr_matrix(one.transform(frame)).toarray()) for one in (fitted, expected)))


@pytest.mark.parametrize("part_rows", [7, 30, 100])
@pytest.mark.parametrize(
    "step", [MaxAbsScaler(), StandardScaler(with_mean=False), VarianceThreshold(), VarianceThreshold(1e-3)], ids=repr
)
def test_very_many_sparse_columns_are_scaled_and_selected_as_by_scikit_learn(step: Any, part_rows: int) -> None:
    fitted = check(make_pipeline(HashingVectorizer(n_features=1 << 13), step), texts(100, 4), part_rows, scans=2)[1]
    expected = make_pipeline(HashingVectorizer(n_features=1 << 13), clone(step)).fit(texts(100, 4))[1]
    assert vars(fitted).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        if name.endswith("_"):
            np.testing.assert_allclose(getattr(fitted, name), value, rtol=1e-9, atol=1e-12)
            assert np.asarray(getattr(fitted, name)).dtype == np.asarray(value).dtype


def test_sparse_columns_that_all_are_constant_are_refused() -> None:
    with pytest.raises(DataError, match="variance above 9"):
        bigml.fit(make_pipeline(HashingVectorizer(n_features=1 << 13), VarianceThreshold(9)), texts(20, 0).to_frame())


def test_hashed_tokens_of_lists_equal_scikit_learn() -> None:
    frame = pd.DataFrame({"words": [split(text) for text in texts(50, seed=6)]})
    step = FeatureHasher(n_features=32, input_type="string")
    fitted = bigml.fit(step, bigml.from_pandas(frame, part_rows=11))
    np.testing.assert_array_equal(fitted.transform(frame["words"]).toarray(), step.transform(frame["words"]).toarray())


def test_very_many_hashed_features_share_what_is_not_known_of_them() -> None:
    frame = texts(40, seed=7).to_frame().assign(number=1.0, late=[0, 1] * 20)
    step = make_column_transformer((HashingVectorizer(), "text"), (StandardScaler(), ["number"]))
    fitted = bigml.fit(make_pipeline(step, SGDClassifier()), bigml.from_pandas(frame, part_rows=9), target="late")
    assert fitted[-1].coef_.shape == (1, 2**20 + 1)
    unknown = Witness.unknown(sparse.csr_matrix((8, 2**20)), 40)
    joined = beside([unknown, unknown], sparse.csr_matrix((8, 2**21)), 40)
    assert len(set(joined.columns)) == 1


@pytest.mark.parametrize("missing", [3, 31])
@pytest.mark.parametrize("step", [CountVectorizer(), HashingVectorizer(), TfidfVectorizer(vocabulary=["spam"])])
def test_a_missing_text_is_named_by_column_and_row(step: Any, missing: int) -> None:
    frame = texts(40, seed=8).to_frame().assign(late=[0, 1] * 20)
    frame.loc[missing, "text"] = None
    source = bigml.from_pandas(frame, part_rows=10)
    with pytest.raises(DataError, match=f"column `text`, row {missing}"):
        bigml.fit(make_pipeline(step, SGDClassifier()), source, target="late")
    branch = make_column_transformer((step, "text"))
    with pytest.raises(DataError, match=f"column `text`, row {missing}"):
        bigml.fit(make_pipeline(branch, SGDClassifier()), source, target="late")
    fitted = bigml.fit(make_pipeline(step, SGDClassifier()), source.dropna("text"), target="late")
    with pytest.raises(DataError, match=f"column `text`, row {missing}"):
        bigml.predict(fitted, source).to_pandas()


@pytest.mark.parametrize(
    ("step", "columns", "told"),
    [
        (CountVectorizer(), ["text", "number"], "one column of text for a vectorizer, got 2"),
        (CountVectorizer(), ["number"], "column `number`"),
        (make_column_transformer((CountVectorizer(), ["text"])), ["text"], 'as "text", not as'),
        (make_column_transformer((HashingVectorizer(), "number")), ["text", "number"], "column `number`"),
        (CountVectorizer(min_df=-1), ["text"], "min_df"),
        (CountVectorizer(min_df=30, max_df=2), ["text"], "max_df"),
        (CountVectorizer(min_df=41, max_df=1.0), ["text"], "max_df"),
        (CountVectorizer(stop_words=["x"], token_pattern="x"), ["text"], "an empty vocabulary"),
        (CountVectorizer(min_df=35, token_pattern=r"\S+"), ["text"], "Lower min_df"),
        (CountVectorizer(analyzer=len), ["text"], "not iterable"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_reason(step: Any, columns: list[str], told: str) -> None:
    frame = texts(40, seed=9).to_frame().assign(number=1.0)[columns]
    with pytest.raises((DataError, FitError), match=told):
        bigml.fit(step, bigml.from_pandas(frame, part_rows=10))


def many_rare(n: int) -> pd.Series:
    """Three words that come often, and one of its own in each text."""
    return pd.Series([f"{'common ' * 3}{'frequent ' * 2}{'usual' if i % 2 else ''} word{i}" for i in range(n)], name="text")


@pytest.mark.parametrize("part_rows", [1, 7, 50])
def test_frequent_tokens_among_too_many_are_exact(part_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectorizing, "CountedTerms", partial(CountedTerms, most=20))
    check(TfidfVectorizer(max_features=3), many_rare(200), part_rows, scans=3)
    check(CountVectorizer(min_df=0.4), many_rare(200), part_rows, scans=3)


@pytest.mark.parametrize("step", [CountVectorizer(), CountVectorizer(max_features=10), CountVectorizer(min_df=2)])
def test_too_many_tokens_are_refused_where_the_choice_would_not_be_exact(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectorizing, "CountedTerms", partial(CountedTerms, most=20))
    source = bigml.from_pandas(many_rare(200).to_frame(), part_rows=7)
    with pytest.raises(DataError, match="tokens") as caught:
        bigml.fit(step, source)
    assert "HashingVectorizer" in str(caught.value)


def test_a_saved_model_keeps_none_of_its_texts(tmp_path: Path) -> None:
    frame = texts(40, seed=10).to_frame().assign(late=[0, 1] * 20)
    source = bigml.from_pandas(frame, part_rows=10)
    model = bigml.fit(make_pipeline(HashingVectorizer(n_features=64), SGDClassifier()), source, target="late")
    bigml.save(model, tmp_path / "model", source=source)
    loaded = bigml.load(tmp_path / "model")
    assert loaded.predict(frame["text"]).tolist() == model.predict(frame["text"]).tolist()
    assert all("spam" not in path.read_text() for path in (tmp_path / "model").glob("*.json"))
