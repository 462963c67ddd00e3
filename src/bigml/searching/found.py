"""Found: what a search has found: scores of every candidate, the best of them, and the model that it makes of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bigml.errors import ConfigError
from bigml.report import plots
from bigml.report.page import Page
from bigml.searching.plots import Drawing, Outcomes, boxes, outcomes, overview, racing, told
from bigml.searching.space import Params
from bigml.searching.tracking import tracked

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

KINDS = ("auto", "scores", "racing")


@dataclass(frozen=True, eq=False)
class Cost:
    """What a search took.

    Attributes:
        candidates: Different ones.
        fits: Models that were trained: candidates times splits, but for those taken from a journal.
        scans: Of the source.
        nbytes: Decoded bytes that were read of it.
        seconds: In all.
        share: Of the training that all candidates to the end would take; less than 1 where some are dropped on the way.
        decodes: Parts of the source that were decoded, each as often as it was.
    """

    candidates: int
    fits: int
    scans: int
    nbytes: int
    seconds: float
    share: float = 1.0
    decodes: int = 0

    @property
    def told(self) -> dict[str, float]:
        """The figures by name, for a table."""
        figures: dict[str, float] = {
            "candidates": self.candidates,
            "fits": self.fits,
            "scans": self.scans,
            "bytes read": self.nbytes,
        }
        figures["parts decoded"] = self.decodes
        return {**figures, "share of all training": self.share, "seconds": self.seconds}


@dataclass(frozen=True, eq=False)
class Found:
    """The results of a search, under scikit-learn's names.

    Attributes:
        cv_results_: A DataFrame with a row for each candidate: `params`, `param_<name>`, `split<i>_test_<score>`,
            `mean_test_<score>`, `std_test_<score>`, `rank_test_<score>`, `failed` (why, empty when it did not fail) and more.
            With one score its name is `score`, as in scikit-learn. Means are over the splits that a candidate was tried on, of
            what it had when it was last judged: `share` tells how much of all training that was, and ranks put those first
            that had all of it.
        best_index_: The row of the best candidate.
        best_params_: Its parameters.
        best_score_: Its mean score.
        best_estimator_: Fitted on all rows; None where that was not asked for.
        scorer_: The name of the score that decided.
        n_splits_: How many splits there are.
        duplicates_: Parameters that made a candidate which was there already.
        notes_: What there is to know about how it was done.
        cost_: What it took.
        history_: One row for each rung, candidate and split that was judged on the way, where candidates are dropped early.
    """

    cv_results_: pd.DataFrame
    best_index_: int
    best_estimator_: Any
    scorer_: str
    n_splits_: int
    greater_is_better_: bool
    cost_: Cost
    duplicates_: tuple[Params, ...] = ()
    notes_: tuple[str, ...] = ()
    history_: pd.DataFrame | None = None

    @property
    def best_params_(self) -> Params:
        params: Params = self.cv_results_["params"].iloc[self.best_index_]
        return params

    @property
    def best_score_(self) -> float:
        return float(self.cv_results_[self._column("mean_test")].iloc[self.best_index_])

    def _column(self, prefix: str) -> str:
        one = f"{prefix}_{self.scorer_}"
        return one if one in self.cv_results_ else f"{prefix}_score"

    def ranked(self) -> pd.DataFrame:
        """The candidates from the best to the worst: parameters, mean and spread of the score."""
        shown = [name for name in map(str, self.cv_results_) if name.startswith("param_")]
        scores = [self._column("mean_test"), self._column("std_test")]
        return self.cv_results_.sort_values(self._column("rank_test"), kind="stable")[[*shown, *scores]]

    def plot(self, kind: str = "auto") -> Figure:
        """A picture of all candidates.

        Args:
            kind: "scores" is a line with its spread where one parameter differs, a heat map for two, parallel coordinates for
                more; "racing" the scores on the way, where candidates were dropped early; "auto" is "racing" where it can be.

        Raises:
            ConfigError: The kind is unknown, or nothing was judged on the way.
        """
        return _figure(self._drawing(kind))

    def boxplot_parameters(self, display_train: bool = False) -> Figure:
        """A box of the scores on all splits by value of each parameter that differs.

        Args:
            display_train: Whether scores on the rows that were learned from are shown, too.

        Raises:
            ConfigError: There are no such scores.
        """
        return _figure(boxes(self._outcomes, train=display_train))

    def add_to(self, page: Page, title: str = "The search") -> Page:
        """A section of a report: best parameters, pictures, ranked candidates, and what it took; returns the page."""
        said = f"{self.cost_.candidates:,} candidates on {self.n_splits_} splits, judged by {self.scorer_}."
        page.section(title, " ".join([said, *self.notes_]))
        kinds = {"Candidates": "scores", **({} if self.history_ is None else {"Scores on the way": "racing"})}
        drawings = {caption: self._drawing(kind) for caption, kind in kinds.items()}
        drawings["Scores by value of each parameter"] = boxes(self._outcomes)
        for caption, drawing in drawings.items():
            svg = plots.picture(drawing.draw, width=drawing.width, height=drawing.height)
            page.plot(svg, caption, wide=drawing.width > plots.WIDTH)
        page.table({name: told(value) for name, value in self.best_params_.items()}, "Best parameters")
        page.table(self.cost_.told, "What it took")
        ranked = self.ranked().map(lambda value: told(value) if hasattr(value, "get_params") else value)
        return page.table(ranked, "Candidates, the best first", wide=True)

    def log_mlflow(self, name: str = "search") -> None:
        """Log it to MLflow: a run of this name, and below it a run for each candidate.

        Raises:
            ConfigError: mlflow is not installed.
        """
        facts = {f"best_{self.scorer_}": self.best_score_, **{key: float(value) for key, value in self.cost_.told.items()}}
        figures = {"candidates.png": self.plot("scores"), "parameters.png": self.boxplot_parameters()}
        tracked(name, self.cv_results_, self.best_params_, facts, figures)

    @property
    def _outcomes(self) -> Outcomes:
        label = self._column("mean_test").removeprefix("mean_test_")
        return outcomes(self.cv_results_, label, self.scorer_, self.best_index_, 1 if self.greater_is_better_ else -1)

    def _drawing(self, kind: str) -> Drawing:
        if kind not in KINDS:
            raise ConfigError(f"a kind among {', '.join(KINDS)}", got=f"`{kind}`", where="in plot(kind=)")
        if kind == "scores" or (kind == "auto" and self.history_ is None):
            return overview(self._outcomes)
        if self.history_ is None:
            raise ConfigError("scores on the way", got="none", where="in plot(kind=)", do='Search with strategy="halving".')
        ended = self.cv_results_["share"] >= 1.0
        return racing(self.history_, self.scorer_, self._outcomes.means[ended], list(np.flatnonzero(ended)), self.best_index_)

    def __repr__(self) -> str:
        cost = self.cost_
        best = {name: value.item() if isinstance(value, np.generic) else value for name, value in self.best_params_.items()}
        return (
            f"Found(best {self.scorer_} {self.best_score_:.6g} of {cost.candidates:,} candidates on {self.n_splits_} splits: "
            f"{best}; {cost.fits:,} fits from {cost.scans} scans in {cost.seconds:.1f} s)"
        )

    def _repr_html_(self) -> str:
        best: str = self.ranked().head(10).to_html(index=False, float_format=lambda value: f"{value:.6g}")
        return f"<div><p>{escape(repr(self))}</p>{best}</div>"


def _figure(drawing: Drawing) -> Figure:
    return plots.figure(drawing.draw, width=drawing.width, height=drawing.height)


def results(
    params: Sequence[Params],
    scores: Mapping[str, NDArray[np.float64]],
    train_scores: Mapping[str, NDArray[np.float64]],
    signs: Mapping[str, int],
    *,
    shares: NDArray[np.float64],
    causes: Sequence[str],
    error_score: float = np.nan,
) -> pd.DataFrame:
    """`cv_results_`.

    Args:
        params: Of each candidate.
        scores: By name, shape (n_candidates, n_splits); NaN where there is none.
        train_scores: The same on the rows that were learned from.
        signs: By name 1 where more is better, -1 where less is.
        shares: How much of all training there was, shape (n_candidates, n_splits); 0 where a candidate was not tried.
        causes: Why each failed; empty where it did not.
        error_score: What is told in the place of a score that there is not; ranks do not follow it.
    """
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in params for name in one):
        columns[f"param_{name}"] = pd.Series([one.get(name) for one in params], dtype=None if _plain(params, name) else object)
    columns["params"] = pd.Series(list(params), dtype=object)
    for kind, table in (("test", scores), ("train", train_scores)):
        for name, values in table.items():
            label, filled = "score" if len(table) == 1 else name, values
            if kind == "test":
                filled = np.where(np.isnan(values) & (shares > 0), error_score, values)
            columns.update({f"split{i}_{kind}_{label}": column for i, column in enumerate(filled.T)})
            columns[f"mean_{kind}_{label}"], columns[f"std_{kind}_{label}"] = averages(filled, shares)
            if kind == "test":
                columns[f"rank_test_{label}"] = ranks(averages(values, shares)[0], signs[name], shares.mean(axis=1))
    return pd.DataFrame({**columns, "share": shares.mean(axis=1), "failed": list(causes)})


def averages(values: NDArray[np.float64], shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each row over the splits that were tried.

    >>> averages(np.array([[1.0, 3.0], [5.0, np.nan], [5.0, np.nan]]), np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))[0].tolist()
    [2.0, 5.0, nan]
    """
    tried = np.ma.masked_array(values, shares <= 0)
    return tried.mean(axis=1).filled(np.nan), tried.std(axis=1).filled(np.nan)


def _plain(params: Sequence[Params], name: str) -> bool:
    values = [one[name] for one in params if name in one]
    return len(values) == len(params) and len({type(value) for value in values}) == 1 and not hasattr(values[0], "get_params")


def ranks(means: NDArray[np.float64], sign: int, shares: NDArray[np.float64]) -> NDArray[np.int32]:
    """1 for the best; equal ones share the least rank, those that were dropped earlier come later, failures last.

    >>> ranks(np.array([0.5, np.nan, 0.9, 0.5, 0.7]), 1, np.array([1.0, 1.0, 0.5, 1.0, 1.0])).tolist()
    [2, 5, 4, 2, 1]
    """
    failed = np.isnan(means)
    keys = np.stack([failed, -shares, np.where(failed, 0.0, -sign * means)], axis=1)
    _, places, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts + 1)[places.ravel()].astype(np.int32)
