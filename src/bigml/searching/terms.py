"""Terms: what a search is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sklearn.base import is_classifier

from bigml.errors import ColumnError, ConfigError, FitError
from bigml.graph.plan import Plan
from bigml.learning.chains.checkpoint import fingerprint
from bigml.learning.inquiry import Inquiry, conduct
from bigml.learning.scores.scoring import known
from bigml.searching.ledger import Ledger
from bigml.searching.setting import Setting
from bigml.searching.tried import Tried
from bigml.sources.source import Source


def dealt(inquiry: Inquiry[Any], setting: Setting) -> tuple[Any, int]:
    """How rows are dealt, and how many scans it took to know."""
    scans = 0

    def answer(reducer: Any) -> Any:
        nonlocal scans
        scans += 1
        return Plan(setting.source, reducer, "folds").compute(setting.client, progress=setting.progress("folds"))

    return conduct(inquiry, answer), scans


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


def check(estimator: Any, source: Source, target: str, groups: str | None) -> None:
    """Refuse what is no estimator, and columns that are not there."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise FitError("a scikit-learn estimator, an instance", got=f"`{estimator!r}`", where="in search")
    for name, where in ((target, "target="), (groups, "groups=")):
        if name is not None and name not in source.columns:
            raise ColumnError.missing(name, source.columns, where=f"in {where}")


def score_names(estimator: Any, scoring: str | Sequence[str] | None) -> tuple[str, ...]:
    """The scores that are wanted."""
    if scoring is None:
        return ("accuracy" if is_classifier(estimator) else "r2",)
    names = (scoring,) if isinstance(scoring, str) else tuple(scoring)
    for name in names:
        known(name)
    if not names:
        raise ConfigError("a score", got="none", where="in scoring=")
    return names


def deciding(names: Sequence[str], refit: bool | str) -> str:
    """The score that decides.

    Raises:
        ConfigError: There are several and none was named, or it is not among them.
    """
    if isinstance(refit, str):
        if refit not in names:
            raise ConfigError(f"one of {', '.join(names)}", got=f"`{refit}`", where="in refit=")
        return refit
    if len(names) > 1:
        raise ConfigError(
            "the name of the score that decides", got=f"refit={refit}", where="in refit=", do=f'Say refit="{names[0]}".'
        )
    return names[0]
