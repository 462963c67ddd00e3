"""Terms: what a search is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.pipeline import Pipeline

from bigml.errors import ColumnError, ConfigError, FitError
from bigml.learning.chains.checkpoint import fingerprint
from bigml.learning.job import PASSED
from bigml.learning.models.boosting import is_boosted
from bigml.learning.preprocessing.preparation import check_types
from bigml.learning.scores.scoring import known
from bigml.learning.solving import is_solved
from bigml.learning.target import check_number
from bigml.searching.builders import Builder
from bigml.searching.ledger import Ledger
from bigml.searching.space import Grid, grids
from bigml.searching.tried import Tried
from bigml.sources.source import Source

ENGINES = ("auto", "dask-ml")


def ledger(journal: str | Path | None, tried: Tried, **more: Any) -> AbstractContextManager[Ledger | None]:
    """Where results are written; candidates are known by their parameters, so the grid may grow."""
    if journal is None:
        return nullcontext()
    setting = tried.setting
    facts = {
        "source": setting.source.token,
        "target": setting.target,
        "sample_weight": setting.sample_weight,
        "classes": setting.classes,
        "epochs": setting.epochs,
        "seed": setting.seed,
        "shuffle": setting.shuffle,
        "scores": tried.scoring.names,
        **more,
    }
    return Ledger(journal, fingerprint(**facts), {"estimator": repr(tried.estimator), "scores": list(tried.scoring.names)})


def check(estimator: Any, source: Source, target: str, **columns: str | None) -> None:
    """Refuse what is no estimator, columns that are not there (by the argument that names them), and text for a regressor."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise FitError("a scikit-learn estimator, an instance", got=f"`{estimator!r}`", where="in search")
    for argument, name in {"target": target, **columns}.items():
        if name is not None and name not in source.columns:
            raise ColumnError.missing(name, source.columns, where=f"in {argument}=")
    if is_regressor(estimator):
        check_types({target: PASSED}, source.schema, passed=True)
        check_number(target, source.schema.field(target).type)


def check_predicts(estimator: Any, grid: Grid) -> None:
    """Refuse what does not predict the target (clusterings, detectors of outliers, preprocessing), unless the grid replaces it.

    Raises:
        FitError: It is such an estimator.
    """
    name, final = _final(estimator)
    if isinstance(final, Builder):
        return
    if name in {key for one in grids(grid) for key in one} or final is None or isinstance(final, str):
        return
    if is_clusterer(final) or is_outlier_detector(final) or not hasattr(final, "predict"):
        do = "There is nothing in the target to judge it by; scikit-learn's GridSearchCV judges by its `score` where it has one."
        expected = "a classifier or a regressor, whose predictions of the target are judged"
        raise FitError(expected, got=f"`{type(final).__name__}`", where="in search", do=do)


def _final(estimator: Any) -> tuple[str, Any]:
    """The last step and its name; an estimator that is no pipeline has none."""
    return estimator.steps[-1] if isinstance(estimator, Pipeline) and estimator.steps else ("", estimator)


def check_numbers(error_score: Any, **counts: Any) -> None:
    """Refuse what is no number, and counts (by their argument) below one.

    Raises:
        ConfigError: It is such a one.
    """
    if not isinstance(error_score, Real):
        raise ConfigError("a number, such as nan", got=f"{error_score!r}", where="in error_score=")
    for name, count in counts.items():
        if not isinstance(count, Integral) or count < 1:
            raise ConfigError("a whole number, 1 or more", got=f"{count!r}", where=f"in {name}=")


def check_learnable(estimator: Any, grid: Grid) -> None:
    """Refuse what learns neither by scans nor part by part, unless the grid has others in its place.

    Raises:
        FitError: It is such an estimator.
    """
    name, final = _final(estimator)
    given = {key for one in grids(grid) for key in one}
    learns = isinstance(final, Builder) or is_solved(final) or is_boosted(final) or hasattr(final, "partial_fit")
    if name not in given and not learns and (is_classifier(final) or is_regressor(final)):
        raise FitError(
            "an estimator that learns by scans or with `partial_fit`",
            got=f"`{type(final).__name__}`",
            where="in search",
            do="Pass sample=200_000 to search on as many rows in memory.",
        )


def check_engine(engine: str, sample: int | None, sample_weight: str | None) -> None:
    """Refuse an engine that is not there, or that cannot do what is asked.

    Raises:
        ConfigError: It is such an engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"an engine among {', '.join(ENGINES)}", got=f"`{engine}`", where="in engine=")
    if engine == "dask-ml" and (sample is None or sample_weight is not None):
        got = "no sample=" if sample is None else "sample_weight="
        do = "Pass sample=200_000." if sample is None else 'Use engine="auto".'
        raise ConfigError("a sample in memory, without weights, for dask-ml", got=got, where="in engine=", do=do)


def score_names(estimator: Any, scoring: str | Sequence[str] | None) -> tuple[str, ...]:
    """The scores that are wanted."""
    if scoring is None:
        return ("accuracy" if is_classifier(estimator) else "r2",)
    names = (scoring,) if isinstance(scoring, str) or not isinstance(scoring, Iterable) else tuple(scoring)
    for name in names:
        if not isinstance(name, str):
            got, do = f"`{name!r}`"[:80], "Scores are made of sums over rows, so functions of all rows cannot be."
            raise ConfigError('the name of a score, such as "roc_auc"', got=got, where="in scoring=", do=do)
        known(name)
    if not names:
        raise ConfigError("a score", got="none", where="in scoring=")
    return names


def deciding(names: Sequence[str], refit: bool | str) -> str:
    """The score that decides; of several the first where nothing is fitted again.

    Raises:
        ConfigError: There are several and none was named, or it is not among them.
    """
    if isinstance(refit, str):
        if refit not in names:
            raise ConfigError(f"one of {', '.join(names)}", got=f"`{refit}`", where="in refit=")
        return refit
    if len(names) > 1 and refit:
        raise ConfigError(
            "the name of the score that decides", got=f"refit={refit}", where="in refit=", do=f'Say refit="{names[0]}".'
        )
    return names[0]
