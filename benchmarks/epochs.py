"""One more epoch of a pipeline with preprocessing: from Parquet, decoded and encoded anew, against the rows that were kept.

The limit is scikit-learn's own part of the work: `partial_fit` on the very same batches, which lie in memory.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flights
import race

NUMBERS, KINDS = ["distance", "dep_delay", "hour", "day"], ["carrier", "origin", "month"]


def pipeline(estimator: Any, numbers: Sequence[str] = NUMBERS) -> Any:
    """An estimator behind preprocessing: means filled in, standardised; categories one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    steps = make_column_transformer((scaled, list(numbers)), (OneHotEncoder(handle_unknown="ignore"), KINDS))
    return make_pipeline(steps, estimator)


def rows(arguments: argparse.Namespace) -> Any:
    """The flights that arrived, and whether they were late."""
    import bigml

    source = bigml.read_parquet(flights.pattern(arguments)).dropna("arr_delay").assign(late="arr_delay > 15")
    return source.select(*NUMBERS, *KINDS, "late")


def epoch(kept: bool) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """One epoch of a model that has learned before."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        from sklearn.linear_model import SGDClassifier

        import bigml

        source = rows(arguments)
        model = bigml.fit(pipeline(SGDClassifier(loss="log_loss", random_state=0)), source, target="late", progress=False)
        with tempfile.TemporaryDirectory() as folder:
            options: dict[str, Any] = {"warm_start": True, "cache": folder if kept else False, "progress": False}
            bigml.fit(model, source, target="late", **options)
            yield lambda: float(bigml.fit(model, source, target="late", **options)[-1].coef_.sum())

    return run


def learning(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    """The same epoch by `partial_fit` alone, on the batches that the estimator was given."""
    from copy import deepcopy

    from sklearn.linear_model import SGDClassifier

    import bigml

    batches = []

    class Listening(SGDClassifier):  # type: ignore[misc]
        def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
            batches.append((X, y))
            return super().partial_fit(X, y, classes, sample_weight)

    source = rows(arguments)
    model = bigml.fit(pipeline(Listening(loss="log_loss", random_state=0)), source, target="late", progress=False)
    batches.clear()
    bigml.fit(model, source, target="late", warm_start=True, cache=False, progress=False)

    def loop() -> float:
        learner = deepcopy(model[-1])
        for X, y in batches:
            SGDClassifier.partial_fit(learner, X, y)
        return float(learner.coef_.sum())

    yield loop


def close(left: float, right: float) -> bool:
    return left == right


if __name__ == "__main__":
    engines = {"the kept rows": epoch(kept=True), "Parquet": epoch(kept=False), "partial_fit alone, the limit": learning}
    title = "One more epoch of SGDClassifier behind preprocessing"
    race.main(title, engines, prepare=flights.prepare, same=close, options=flights.options)
