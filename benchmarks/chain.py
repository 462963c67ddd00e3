"""The partial_fit chain against the plain scikit-learn loop over the same chunks in memory: SGDClassifier, 20 columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import race

COLUMNS, PART_ROWS, HELD_OUT = 20, 1 << 18, 100_000


def table(rows: int) -> tuple[Any, Any]:
    """Numbers and a class that depends on them by a logistic model."""
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, COLUMNS))
    chance = 1 / (1 + np.exp(-X @ np.linspace(-1, 1, COLUMNS)))
    return X, (rng.random(rows) < chance).astype(np.int64)


def estimator() -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss="log_loss", random_state=0)


def run_plain(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    X, y = table(arguments.rows)

    def work() -> Any:
        model = estimator()
        for start in range(0, len(X), PART_ROWS):
            model.partial_fit(X[start : start + PART_ROWS], y[start : start + PART_ROWS], classes=[0, 1])
        return model

    yield lambda: judged(work())


def chain(shuffle: bool) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """The same work by bigml, over an Arrow table in memory."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        import pyarrow as pa

        import bigml

        X, y = table(arguments.rows)
        columns = {f"x{i:02}": X[:, i].copy() for i in range(COLUMNS)}
        source = bigml.from_arrow(pa.table({**columns, "y": y}), part_rows=PART_ROWS)
        del X
        bigml.fit(estimator(), source.head(100), target="y", classes=[0, 1])

        def work() -> Any:
            return bigml.fit(estimator(), source, target="y", classes=[0, 1], shuffle=shuffle, progress=False)

        yield lambda: judged(work())

    return run


def judged(model: Any) -> float:
    """The log-loss on rows that no engine has learned from; a few milliseconds."""
    from sklearn.metrics import log_loss

    X, y = table(HELD_OUT)
    model.__dict__.pop("feature_names_in_", None)
    return float(log_loss(y, model.predict_proba(X)))


def close(left: float, right: float) -> bool:
    return abs(left - right) < 0.002


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows")


if __name__ == "__main__":
    engines = {"scikit-learn loop": run_plain, "bigml, shuffled": chain(True), "bigml, in order": chain(False)}
    race.main("SGDClassifier.partial_fit, 20 columns", engines, prepare=lambda arguments: None, same=close, options=options)
