"""Found: what a search has found: scores of every candidate, the best of them, and the model that it makes of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

from bigml.searching.space import Params


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
    """

    candidates: int
    fits: int
    scans: int
    nbytes: int
    seconds: float
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Found:
    """The results of a search, under scikit-learn's names.

    Attributes:
        cv_results_: A DataFrame with a row for each candidate: `params`, `param_<name>`, `split<i>_test_<score>`,
            `mean_test_<score>`, `std_test_<score>`, `rank_test_<score>`, `failed` (why, empty when it did not fail) and more.
            With one score its name is `score`, as in scikit-learn.
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

    def __repr__(self) -> str:
        cost = self.cost_
        return (
            f"Found(best {self.scorer_} {self.best_score_:.6g} of {cost.candidates:,} candidates on {self.n_splits_} splits: "
            f"{dict(self.best_params_)}; {cost.fits:,} fits from {cost.scans} scans in {cost.seconds:.1f} s)"
        )

    def _repr_html_(self) -> str:
        best: str = self.ranked().head(10).to_html(index=False, float_format=lambda value: f"{value:.6g}")
        return f"<div><p>{escape(repr(self))}</p>{best}</div>"


def results(
    params: Sequence[Params],
    scores: Mapping[str, NDArray[np.float64]],
    train_scores: Mapping[str, NDArray[np.float64]],
    signs: Mapping[str, int],
    more: Mapping[str, Sequence[Any]],
) -> pd.DataFrame:
    """`cv_results_`.

    Args:
        params: Of each candidate.
        scores: By name, shape (n_candidates, n_splits); NaN where there is none.
        train_scores: The same on the rows that were learned from.
        signs: By name 1 where more is better, -1 where less is.
        more: Further columns; `share` is how much of all training a candidate had.
    """
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in params for name in one):
        columns[f"param_{name}"] = pd.Series([one.get(name) for one in params], dtype=None if _plain(params, name) else object)
    columns["params"] = pd.Series(list(params), dtype=object)
    for kind, table in (("test", scores), ("train", train_scores)):
        for name, values in table.items():
            label = "score" if len(table) == 1 else name
            columns.update({f"split{i}_{kind}_{label}": column for i, column in enumerate(values.T)})
            columns[f"mean_{kind}_{label}"], columns[f"std_{kind}_{label}"] = values.mean(axis=1), values.std(axis=1)
            if kind == "test":
                columns[f"rank_test_{label}"] = ranks(values.mean(axis=1), signs[name], np.asarray(more["share"]))
    return pd.DataFrame({**columns, **{name: list(values) for name, values in more.items()}})


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
