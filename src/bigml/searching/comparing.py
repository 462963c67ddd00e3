"""Comparing: whether two models differ by more than chance, tested on a source of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from bigml.errors import ColumnError, DataError, FitError
from bigml.graph.plan import Plan
from bigml.graph.progress import Progress, ProgressLike, reporting
from bigml.learning.fitting import fit
from bigml.learning.inquiry import conduct
from bigml.learning.scores.scoring import score
from bigml.searching.cells import Partition, Split
from bigml.searching.comparison import Comparison, Tested, five_by_two_f, five_by_two_t, mcnemar, paired_z, wilcoxon
from bigml.searching.folds import partitions
from bigml.searching.held import rows_of
from bigml.searching.pairing import Agreement, Contestant, SquaredErrors
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from distributed import Client

ON_SPLITS: dict[str, Callable[[NDArray[np.float64]], Tested]] = {
    "5x2cv_t": five_by_two_t,
    "5x2cv_f": five_by_two_f,
    "wilcoxon": wilcoxon,
}
METHODS = ("mcnemar", "paired_z", *ON_SPLITS)


def compare(
    model_a: Any,
    model_b: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str,
    method: str | None = None,
    cv: Any = None,
    scoring: str | None = None,
    seed: int = 0,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Comparison:
    """A test of whether two models differ by more than chance.

    Args:
        model_a: A scikit-learn estimator or Pipeline: fitted for a test on these rows, anything that `bigml.fit` takes for a test
            by splits. Never changed.
        model_b: Another, for the same target.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        target: The column that holds the truth.
        method: "mcnemar" tests two fitted classifiers by the rows that only one of them gets right, "paired_z" two fitted
            regressors by the differences of their squared errors: one scan for both models. "5x2cv_t" (Dietterich 1998) and
            "5x2cv_f" (Alpaydin 1999) fit both anew on five random halvings of the rows, "wilcoxon" on the folds of `cv`. None
            means "mcnemar" for classifiers and "paired_z" for regressors.
        cv: For "wilcoxon": whatever `HoldOut`, `GroupFolds` and the others say, or scikit-learn's, or a number of folds; None
            means 10. Columns by which rows are dealt are no features, as groups are none in scikit-learn.
        scoring: For tests by splits: what `bigml.score` takes. None means accuracy, or neg_mean_squared_error.
        seed: Decides the splits and the fits.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total).

    Returns:
        A `Comparison`: statistic, p-value, scores and McNemar's table.

    Raises:
        FitError: An unknown method, one that does not fit the models, a model that is not fitted, or arguments that the method
            would leave out of account.
        ColumnError: The target or a feature is not there.
        DataError: The target is missing somewhere, there are no rows, or fewer of a class than folds.

    >>> import bigml, pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "late": [0, 0, 0, 1]})
    >>> a, b = (DummyClassifier(strategy="constant", constant=c).fit(frame[["x"]], frame["late"]) for c in (0, 1))
    >>> bigml.compare(a, b, frame, target="late").pvalue
    0.625
    """
    source = as_source(source)
    if target not in source.columns:
        raise ColumnError.missing(target, source.columns, where="in target=")
    classifier = _classifiers(model_a, model_b)
    method = method or ("mcnemar" if classifier else "paired_z")
    _check(method, classifier, {"cv": cv, "scoring": scoring})
    with reporting(progress, "compare") as bar:
        if method not in ON_SPLITS:
            one_scan = partial(_computed, source, client, bar)
            return ON_ROWS[method]((model_a, model_b), source, target, one_scan)
        scoring = scoring or ("accuracy" if classifier else "neg_mean_squared_error")
        deal = partitions(_cv(method, cv, classifier), source, target=target, classifier=classifier, groups=None, seed=seed)
        made = conduct(deal, partial(_computed, source, client, False))
        contest = Contest((model_a, model_b), source, target, scoring, seed, client)
        scores = contest.over(made, bar)
        tested = ON_SPLITS[method]((scores["a"] - scores["b"]).to_numpy())
        return Comparison(method, *tested, scoring, scores, _names(model_a, model_b), source.count(client))


def _computed(source: Source, client: Client | None, progress: ProgressLike, asked: Any) -> Any:
    return Plan(source, asked, "compare").compute(client, progress=progress)


def _classifiers(model_a: Any, model_b: Any) -> bool:
    """Whether both models are classifiers."""
    found = {is_classifier(model) for model in (model_a, model_b)}
    if len(found) > 1:
        raise FitError("two classifiers or two regressors", got="one of each", where="in compare")
    return found.pop()


def _check(method: str, classifier: bool, given: dict[str, Any]) -> None:
    if method not in METHODS:
        raise FitError(f"a method among {', '.join(METHODS)}", got=f"`{method}`", where="in compare")
    if method in ("mcnemar", "paired_z") and (method == "mcnemar") != classifier:
        got, do = ("regressors", "Use paired_z.") if method == "mcnemar" else ("classifiers", "Use mcnemar.")
        raise FitError(f"other models for `{method}`", got=got, where="in compare", do=do)
    taken = {"wilcoxon": ("cv", "scoring"), "mcnemar": (), "paired_z": ()}.get(method, ("scoring",))
    idle = [name for name, value in given.items() if value is not None and name not in taken]
    if idle:
        raise FitError(f"no {idle[0]}= for `{method}`", got=f"{given[idle[0]]!r}", where="in compare", do="Leave it out.")


def _cv(method: str, cv: Any, classifier: bool) -> Any:
    if method == "wilcoxon":
        return 10 if cv is None else cv
    return (RepeatedStratifiedKFold if classifier else RepeatedKFold)(n_splits=2, n_repeats=5)


def _names(*models: Any) -> tuple[str, str]:
    a, b = (type(model[-1] if hasattr(model, "steps") else model).__name__ for model in models)
    return a, b


@dataclass(frozen=True)
class Contest:
    """Fits both models on the training rows of each split, and scores them on the others."""

    models: tuple[Any, Any]
    source: Source
    target: str
    scoring: str
    seed: int
    client: Client | None

    def over(self, made: list[Partition], bar: Progress) -> pd.DataFrame:
        """Scores of shape (n_splits, 2)."""
        splits = [(partition, split) for partition in made for split in partition.splits]
        rows = []
        for done, (partition, split) in enumerate(splits, 1):
            rows.append([self.score_of(model, partition, split) for model in self.models])
            bar(done, len(splits))
        return pd.DataFrame(rows, columns=["a", "b"])

    def score_of(self, model: Any, partition: Partition, split: Split) -> float:
        """The score of a model on the testing rows of a split."""
        train, test = (self.rows(partition, cells) for cells in (split.train, split.test))
        about: dict[str, Any] = {"target": self.target, "client": self.client, "progress": False}
        fitted = fit(model, train, seed=self.seed, **about)
        return float(score(fitted, test, scoring=self.scoring, **about))

    def rows(self, partition: Partition, cells: tuple[int, ...]) -> Source:
        """The rows of some cells, without the columns that tell the cell."""
        telling = [name for name in partition.dealer.columns if name != self.target]
        held = rows_of(self.source, partition, cells)
        return held.drop(*telling) if telling else held


def _right(models: tuple[Any, Any], source: Source, target: str, answer: Callable[[Any], Any]) -> Comparison:
    """McNemar's test on all rows, from one scan."""
    counts = answer(Agreement(*(Contestant.of(model, source.schema, target) for model in models)))
    both, only_a, only_b, neither = counts.tolist()
    n = _some(both + only_a + only_b + neither)
    table = pd.DataFrame([[both, only_a], [only_b, neither]], ["a right", "a wrong"], ["b right", "b wrong"])
    scores = pd.DataFrame([[(both + only_a) / n, (both + only_b) / n]], columns=["a", "b"])
    return Comparison("mcnemar", *mcnemar(only_a, only_b), "accuracy", scores, _names(*models), n, table)


def _near(models: tuple[Any, Any], source: Source, target: str, answer: Callable[[Any], Any]) -> Comparison:
    """The test of squared errors on all rows, from one scan."""
    moments = answer(SquaredErrors(*(Contestant.of(model, source.schema, target) for model in models)))
    n = _some(moments.n)
    scores = pd.DataFrame([moments.means[:2]], columns=["a", "b"])
    tested = paired_z(n, float(moments.means[2]), float(moments.m2[2]))
    return Comparison("paired_z", *tested, "mean squared error", scores, _names(*models), n)


ON_ROWS = {"mcnemar": _right, "paired_z": _near}


def _some(n: int) -> int:
    if not n:
        raise DataError("rows to compare on", got="none", do="Check the filter or the files.")
    return n
