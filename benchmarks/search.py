"""Searching 64 candidates on 5 folds from Parquet files, against one candidate on one, and against scikit-learn's loops.

Stochastic gradient descent on 20 columns, one epoch; and ridge regression on the same rows. scikit-learn trains a few cells (a
candidate on a split), and the time of all of them is extrapolated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import logistic
import race

COLUMNS = [f"x{i:02}" for i in range(20)]
CANDIDATES, FOLDS, CELLS = 64, 5, 4
BATCH = 1 << 16


def source_of(arguments: argparse.Namespace) -> Any:
    import bigml

    return bigml.read_parquet(logistic.folder(arguments) / "*.parquet").select(*COLUMNS, "y")


def sgd(candidates: int) -> tuple[Any, dict[str, Any]]:
    """The estimator and its grid."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    alphas = np.logspace(-7, -1, candidates // 2) if candidates > 1 else [1e-4]
    penalties = ["l2", "elasticnet"] if candidates > 1 else ["l2"]
    return SGDClassifier(loss="log_loss"), {"alpha": alphas, "penalty": penalties}


def ridge(candidates: int) -> tuple[Any, dict[str, Any]]:
    import numpy as np
    from sklearn.linear_model import Ridge

    return Ridge(), {"alpha": np.logspace(-3, 6, candidates) if candidates > 1 else [1.0]}


def searching(family: Any, score: str, candidates: int, folds: int) -> race.Engine:
    """bigml's search of so many candidates on so many folds."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        import bigml

        source, (estimator, grid) = source_of(arguments), family(candidates)
        how: dict[str, Any] = {
            "target": "y",
            "cv": folds if folds > 1 else bigml.HoldOut(1 / FOLDS),
            "scoring": score,
            "refit": False,
            "progress": False,
        }
        small = bigml.from_pandas(source.head(4000).to_pandas(), part_rows=1000)
        bigml.search(estimator, small, grid={name: values[:1] for name, values in grid.items()}, **how)
        yield lambda: found_by(bigml.search(estimator, source, grid=grid, **how), score)

    return run


def found_by(found: Any, score: str) -> list[float]:
    del score
    return [found.best_score_, *map(float, found.cv_results_["mean_test_score"])]


def loop(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """scikit-learn: for each of a few cells the files are read, four rows in five learned from, the fifth scored."""
    import numpy as np
    import pyarrow.parquet as pq
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import log_loss

    def batches() -> Iterator[tuple[Any, Any]]:
        for path in sorted(logistic.folder(arguments).glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=[*COLUMNS, "y"]):
                yield np.column_stack([batch[name] for name in COLUMNS]).astype(np.float64), batch["y"].to_numpy()

    def cell() -> float:
        model, total, n = SGDClassifier(loss="log_loss"), 0.0, 0
        for X, y in batches():
            learned = np.arange(len(y)) % FOLDS > 0
            model.partial_fit(X[learned], y[learned], classes=[0, 1])
        for X, y in batches():
            tested = np.arange(len(y)) % FOLDS == 0
            total += log_loss(y[tested], model.predict_proba(X[tested]), labels=[0, 1]) * tested.sum()
            n += tested.sum()
        return total / n

    yield lambda: [cell()]


def grid_search(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """scikit-learn's GridSearchCV in memory, of a few penalties on all folds, loading included."""
    import pandas as pd
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    def work() -> Any:
        frame = pd.read_parquet(logistic.folder(arguments), columns=[*COLUMNS, "y"])
        loaded = time.perf_counter()
        search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0, 100.0]}, cv=FOLDS, scoring="r2", refit=False)
        search.fit(frame.drop(columns="y"), frame["y"])
        return [time.perf_counter() - loaded]

    yield work


def table(laps: race.Laps) -> list[str]:
    """The times, and what scikit-learn's few cells come to for all."""
    lines = race.times(laps)
    cells = CANDIDATES * FOLDS
    for name, times in (("scikit-learn's loop, one cell", cells), ("scikit-learn GridSearchCV, 4 penalties", CANDIDATES // 4)):
        if name in laps:
            seconds = sorted(lap.seconds for lap in laps[name])[len(laps[name]) // 2]
            lines.append(f"\n{name}, extrapolated to {cells} cells: {seconds * times:,.0f} s.")
    return lines


def same(left: Sequence[float], right: Sequence[float]) -> bool:
    """Scores are told, not compared: the engines learn from other rows."""
    del left, right
    return True


if __name__ == "__main__":
    engines = {
        "sgd, 64 x 5": searching(sgd, "log_loss", CANDIDATES, FOLDS),
        "sgd, 1 x 1": searching(sgd, "log_loss", 1, 1),
        "scikit-learn's loop, one cell": loop,
        "ridge, 64 x 5": searching(ridge, "r2", CANDIDATES, FOLDS),
        "ridge, 1 x 1": searching(ridge, "r2", 1, 1),
        "scikit-learn GridSearchCV, 4 penalties": grid_search,
    }
    race.main(
        "Search, 20 columns from Parquet",
        engines,
        prepare=logistic.prepare,
        same=same,
        options=logistic.sized,
        table=table,
    )
