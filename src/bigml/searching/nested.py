"""Nested: what a search is worth: its choice is made anew without each outer fold, and judged by that fold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

from bigml.errors import ConfigError, FitError
from bigml.graph.progress import ProgressLike
from bigml.report.page import Page
from bigml.searching.failures import Failure
from bigml.searching.found import Cost, Found
from bigml.searching.judging import Scoring
from bigml.searching.meter import COUNTING, metered, phases
from bigml.searching.nest import Nest, nested_folds
from bigml.searching.setting import Setting
from bigml.searching.space import Grid, Params
from bigml.searching.strategies import at_random, whole_grid
from bigml.searching.terms import check, check_numbers, check_predicts, deciding, ledger, score_names
from bigml.searching.tried import Tried
from bigml.sources.memory import as_source
from bigml.sources.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from distributed import Client


@dataclass(frozen=True, eq=False)
class Nested:
    """How well a search generalises, and what it finds.

    Attributes:
        outer_scores_: A DataFrame with a row for each outer fold: `params` that were chosen by the inner folds, `inner_score`, by
            which they were, and each score on the outer fold, under its name.
        search_: The plain search over the outer folds: all candidates, the best of them, fitted on all rows where wanted.
        scorer_: The name of the score that decided.
        cost_: What all of it took.
    """

    outer_scores_: pd.DataFrame
    search_: Found
    scorer_: str
    cost_: Cost

    @property
    def estimates_(self) -> pd.DataFrame:
        """By score the mean over the outer folds, their standard deviation and the standard error of the mean.

        Outer folds share what they learn from, so the standard error is rather too small (Bengio and Grandvalet 2004).
        """
        scores = self.outer_scores_.drop(columns=["params", "inner_score"]).astype(float)
        spread = scores.std(ddof=1)
        return pd.DataFrame({"mean": scores.mean(), "std": spread, "standard_error": spread / np.sqrt(len(scores))})

    @property
    def estimate_(self) -> float:
        """The mean over the outer folds of the score that decided: an estimate for the whole procedure, choice included."""
        return float(self.estimates_["mean"][self.scorer_])

    @property
    def standard_error_(self) -> float:
        """Of the estimate."""
        return float(self.estimates_["standard_error"][self.scorer_])

    @property
    def wins_(self) -> pd.Series:
        """How often each setting was chosen, the most frequent first; settings as text."""
        return self.outer_scores_["params"].map(_told).value_counts().rename("wins")

    @property
    def best_params_(self) -> Params:
        """Of the plain search."""
        return self.search_.best_params_

    @property
    def best_estimator_(self) -> Any:
        """Of the plain search, fitted on all rows; None where that was not asked for."""
        return self.search_.best_estimator_

    def add_to(self, page: Page, title: str = "What the search is worth") -> Page:
        """A section of a report: estimates with their spread, and how often each setting won; returns the page."""
        text = "Each outer fold is judged by the candidate that the others have chosen without it."
        page.section(title, text).table(self.estimates_, "Estimates over the outer folds")
        page.table({str(setting): int(wins) for setting, wins in self.wins_.items()}, "Outer folds that chose a setting")
        chosen = self.outer_scores_.assign(params=self.outer_scores_["params"].map(_told))
        return page.table(chosen, "By outer fold", wide=True)

    def __repr__(self) -> str:
        cost, n_outer = self.cost_, len(self.outer_scores_)
        return (
            f"Nested({self.scorer_} {self.estimate_:.6g} ± {self.standard_error_:.2g} over {n_outer} outer folds; "
            f"{self.wins_.iloc[0]} of them chose {self.wins_.index[0]}; {cost.candidates:,} candidates, {cost.fits:,} fits from "
            f"{cost.scans} scans in {cost.seconds:.1f} s)"
        )

    def _repr_html_(self) -> str:
        shown: dict[str, Any] = {"index": True, "float_format": lambda value: f"{value:.6g}"}
        tables = (self.estimates_.to_html(**shown), self.wins_.to_frame().to_html(), self.outer_scores_.to_html(**shown))
        return f"<div><p>{escape(repr(self))}</p>{''.join(tables)}</div>"


def nested_search(
    estimator: Any,
    source: Source | pd.DataFrame | pa.Table,
    *,
    target: str,
    grid: Grid,
    inner_cv: Any = 3,
    outer_cv: Any = 5,
    strategy: str = "grid",
    n_iter: int = 10,
    groups: str | None = None,
    scoring: str | Sequence[str] | None = None,
    refit: bool | str = True,
    epochs: int = 1,
    sample_weight: str | None = None,
    classes: Sequence[Any] | None = None,
    error_score: float = np.nan,
    seed: int = 0,
    shuffle: bool = True,
    journal: str | Path | None = None,
    client: Client | None = None,
    progress: ProgressLike = None,
) -> Nested:
    """What a search is worth: for each outer fold the choice is made by inner folds of the others, and judged by that fold.

    All candidates learn on all inner and outer splits in the same scans, and preprocessing is fitted for each of them from states
    by cell. What learns from the same rows is trained once: where the inner folds of an outer fold are the other outer folds
    (`inner_cv` is None or one less than `outer_cv`), O outer folds take O (O - 1) / 2 + O fits a candidate, not O (O - 1) + O.

    Args:
        estimator: A scikit-learn estimator or Pipeline that `bigml.fit` takes; never changed.
        source: The rows; a table in memory, such as a pandas DataFrame, will do.
        target: The column to predict.
        grid: As for `bigml.search`.
        inner_cv: How the rows that an outer fold leaves are divided: a number of folds, or what `bigml.search` takes as `cv`;
            None for the other outer folds, the earlier ones where folds are ordered in time: the first then judges nothing.
        outer_cv: The folds that judge: what `bigml.search` takes as `cv`. They are its folds, too.
        strategy: "grid" for all combinations, "random" for `n_iter` of them.
        n_iter: Candidates that are drawn.
        groups: The column whose equal values stay in one fold, for a splitter of groups.
        scoring: scikit-learn's names of scores, one or several; None means accuracy or, of a regressor, r2.
        refit: Whether the best candidate over the outer folds is fitted on all rows; with several scores the one that decides.
        epochs: Passes of estimators with `partial_fit`.
        sample_weight: A column of weights for learning and scores, 0 or more; it is no feature.
        classes: All classes, when they are known.
        error_score: The score of a candidate that fails in `search_.cv_results_`; none such is chosen.
        seed: Decides the folds, the order of rows and the `random_state` of estimators that have none.
        shuffle: Whether parts and rows are permuted.
        journal: A directory where every result is written at once, and found again by the same call.
        client: A `distributed.Client`; None means threads of this process.
        progress: True, False, None (a bar on a terminal) or a function (done, total), as in `search`.

    Raises:
        ConfigError: What `bigml.search` refuses; inner folds that cannot divide the outer ones.
        DataError: A class has fewer rows than there are folds; there are no rows.
        FitError: Every candidate failed.

    >>> import bigml, pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> rows = pd.DataFrame({"x": range(100), "y": [2.0 * i for i in range(100)]})
    >>> nested = bigml.nested_search(Ridge(), rows, target="y", grid={"alpha": [0.1, 1e6]}, inner_cv=2, outer_cv=3)
    >>> nested.wins_.to_dict()
    {'alpha=0.1': 3}
    """
    begun = time.perf_counter()
    source = as_source(source)
    check(estimator, source, target, groups=groups, sample_weight=sample_weight)
    check_predicts(estimator, grid)
    check_numbers(error_score, epochs=epochs, n_iter=n_iter)
    names = score_names(estimator, scoring)
    decides = deciding(names, refit)
    wanted = {"grid": lambda: whole_grid(grid), "random": lambda: at_random(grid, n_iter, seed)}
    if strategy not in wanted:
        do = "Others would see the outer folds."
        raise ConfigError("a strategy among grid, random", got=f"`{strategy}`", where="in strategy=", do=do)
    options: dict[str, Any] = {"epochs": epochs, "seed": seed, "shuffle": shuffle, "client": client}
    with metered(progress, refits=bool(refit)) as meter:
        setting = Setting(source, target, sample_weight, classes, **options, progress=meter)
        meter.plan([*COUNTING, *phases([setting.job(estimator)], epochs, judged=True)])
        about: dict[str, Any] = {"target": target, "classifier": is_classifier(estimator), "groups": groups, "seed": seed}
        nest, scans = setting.dealt(nested_folds(outer_cv, inner_cv, source, **about))
        setting = replace(setting, aside=tuple(sorted({*nest.partition.dealer.columns} - {target})))
        tried = Tried(estimator, setting, Scoring(names, None), decides, (nest.partition,), scans=scans)
        with ledger(journal, tried, inner_cv=inner_cv, outer_cv=outer_cv, groups=groups) as tried.ledger:
            tried.follow(wanted[strategy]())
        return _nested(tried, nest, error_score, begun, refit=bool(refit))


def _nested(tried: Tried, nest: Nest, error_score: float, begun: float, *, refit: bool) -> Nested:
    """What was found by candidates that were tried on all splits of a nest."""
    chosen = {outer: _chosen(tried, inner) for outer, inner in enumerate(nest.inner) if inner}
    params = [tried.candidates[one].params for one, _ in chosen.values()]
    frame = pd.DataFrame({"params": pd.Series(params, list(chosen), dtype=object)})
    frame["inner_score"] = [score for _, score in chosen.values()]
    for name in tried.scoring.names:
        table = tried.table(name)
        frame[name] = [table[one, outer] for outer, (one, _) in chosen.items()]
    outer = {pair: result for pair, result in tried.results.items() if pair[1] < nest.n_outer}
    found = replace(tried, results=outer).found(error_score, begun, refit=refit)
    return Nested(frame.rename_axis("outer_fold"), found, tried.decides, found.cost_)


def _chosen(tried: Tried, inner: Sequence[int]) -> tuple[int, float]:
    """The candidate with the best mean over some splits, the first of equals, and that mean.

    Raises:
        FitError: All failed.
    """
    means = tried.table(tried.decides)[:, list(inner)].mean(axis=1)
    if np.isnan(means).all():
        causes = [one.scores.cause for one in tried.results.values() if isinstance(one.scores, Failure)]
        raise FitError("a candidate with a score", got=(causes or ["NaN"])[0], where="in grid=", do="All failed; mend the first.")
    best = int(np.nanargmax(tried.scoring.sign(tried.decides) * means))
    return best, float(means[best])


def _told(params: Params) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())
