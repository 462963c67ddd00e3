"""Ridge regression from Parquet files, against scikit-learn in memory: decoding, adding up products, solving.

The rows are those of the race of logistic regressions; the number that is predicted is the class.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import logistic
import preprocessing
import race

ALPHA = 1.0


def run_bigml(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    from sklearn.linear_model import Ridge

    import bigml

    source = bigml.read_parquet(logistic.folder(arguments) / "*.parquet")
    bigml.fit(Ridge(ALPHA), source.head(1000), target="y")
    yield lambda: found_by(bigml.fit(Ridge(ALPHA), source, target="y", progress=False))


def run_reading(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """Decoding the same columns on the same threads, and nothing else."""
    import bigml

    source = bigml.read_parquet(logistic.folder(arguments) / "*.parquet")

    def work() -> None:
        source.reduce(preprocessing.Rows(tuple(source.columns))).compute(progress=False)

    yield work


def run_scikit_learn(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import pandas as pd
    from sklearn.linear_model import Ridge

    def work() -> Any:
        frame = pd.read_parquet(logistic.folder(arguments))
        return found_by(Ridge(ALPHA).fit(frame.drop(columns="y"), frame["y"]))

    yield work


def found_by(model: Any) -> list[float]:
    return [*map(float, model.coef_), float(model.intercept_)]


def same(left: Any, right: Any) -> bool:
    """Equal coefficients, as far as scikit-learn's, which are of single precision; reading alone finds none."""
    return right is None or all(abs(one - other) < 1e-4 for one, other in zip(left, right, strict=True))


if __name__ == "__main__":
    engines = {"bigml": run_bigml, "scikit-learn in memory": run_scikit_learn, "only reading": run_reading}
    race.main("Ridge, 30 columns from Parquet", engines, prepare=logistic.prepare, same=same, options=logistic.sized)
