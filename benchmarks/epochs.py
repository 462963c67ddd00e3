"""One more epoch of a pipeline with preprocessing: from Parquet, decoded and encoded anew, against the rows that were kept."""

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


def epoch(kept: bool) -> Callable[[argparse.Namespace], Iterator[Callable[[], Any]]]:
    """One epoch of a model that has learned before."""

    def run(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
        from sklearn.linear_model import SGDClassifier

        import bigml

        source = bigml.read_parquet(flights.pattern(arguments)).dropna("arr_delay").assign(late="arr_delay > 15")
        source = source.select(*NUMBERS, *KINDS, "late")
        model = bigml.fit(pipeline(SGDClassifier(loss="log_loss", random_state=0)), source, target="late", progress=False)
        with tempfile.TemporaryDirectory() as folder:
            options: dict[str, Any] = {"warm_start": True, "cache": folder if kept else False, "progress": False}
            bigml.fit(model, source, target="late", **options)
            yield lambda: float(bigml.fit(model, source, target="late", **options)[-1].coef_.sum())

    return run


def close(left: float, right: float) -> bool:
    return left == right


if __name__ == "__main__":
    engines = {"the kept rows": epoch(kept=True), "Parquet": epoch(kept=False)}
    title = "One more epoch of SGDClassifier behind preprocessing"
    race.main(title, engines, prepare=flights.prepare, same=close, options=flights.options)
