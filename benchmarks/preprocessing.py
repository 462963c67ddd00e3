"""Preprocessing of ten numeric and six categorical columns learned, against the time of only reading these columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flights
import race

NUMBERS = [
    "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "air_time", "distance", "flight",
]  # fmt: skip
KINDS = ["carrier", "origin", "dest", "month", "hour", "tailnum"]


@dataclass(frozen=True)
class Rows:
    """A reducer that only looks at how many rows there are: what remains is reading and decoding."""

    columns: tuple[str, ...]

    def start(self) -> int:
        return 0

    def update(self, state: int, chunk: Any) -> int:
        return state + sum(len(chunk.column(name)) for name in self.columns)

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, state: int) -> int:
        return state // len(self.columns)


def run_fit(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import bigml

    bigml.fit(preprocessing(), bigml.airline_like(1000), progress=False)

    def work() -> int:
        fitted = bigml.fit(preprocessing(), bigml.read_parquet(flights.folder(arguments)), progress=False)
        return int(fitted.named_transformers_["numbers"][-1].n_samples_seen_)

    yield work


def run_read(arguments: argparse.Namespace) -> Iterator[Callable[[], Any]]:
    import bigml
    from bigml.graph.plan import Plan

    Plan(bigml.airline_like(1000), Rows((*NUMBERS, *KINDS))).compute(progress=False)
    yield lambda: Plan(bigml.read_parquet(flights.folder(arguments)), Rows((*NUMBERS, *KINDS))).compute(progress=False)


def preprocessing() -> Any:
    """Means filled in, standardised; categories one-hot."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("kinds", OneHotEncoder(handle_unknown="ignore"), KINDS)])


if __name__ == "__main__":
    engines = {"only reading": run_read, "full preprocessing": run_fit}
    race.main("Preprocessing of 16 columns", engines, prepare=flights.prepare, same=flights.close, options=flights.options)
